/* What SASL may bind a login to (RFC 5929, RFC 9266); the contract is in conn.h. */
#include "net/conn_internal.h"
#include "net/tls_internal.h"

#include <string.h>

#define EXPORTER_LEN 32 /* RFC 9266 §2 */

static size_t tls_exporter(SSL *ssl, uint8_t out[CONN_BINDING_MAX])
{
	static const char label[] = "EXPORTER-Channel-Binding";

	if (SSL_version(ssl) != TLS1_3_VERSION)
		return 0;
	return SSL_export_keying_material(ssl, out, EXPORTER_LEN, label, sizeof(label) - 1, NULL, 0, 0) == 1
	               ? EXPORTER_LEN
	               : 0;
}

/* RFC 5929 §3.1: the first Finished of the handshake: the client's, but ours when a session was resumed. */
static size_t tls_unique(SSL *ssl, uint8_t out[CONN_BINDING_MAX])
{
	size_t len;

	if (SSL_version(ssl) != TLS1_2_VERSION || SSL_get_extms_support(ssl) != 1)
		return 0;
	len = SSL_session_reused(ssl) ? SSL_get_finished(ssl, out, CONN_BINDING_MAX)
	                              : SSL_get_peer_finished(ssl, out, CONN_BINDING_MAX);
	return len <= CONN_BINDING_MAX ? len : 0;
}

/* RFC 5929 §4.1: the hash of the certificate's own signature, but never weaker than SHA-256. */
static const EVP_MD *end_point_hash(X509 *certificate)
{
	int hash;

	if (X509_get_signature_info(certificate, &hash, NULL, NULL, NULL) != 1 || hash == NID_undef)
		return NULL;
	return hash == NID_md5 || hash == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(hash);
}

static size_t tls_server_end_point(SSL *ssl, uint8_t out[CONN_BINDING_MAX])
{
	X509 *certificate = SSL_get_certificate(ssl);
	const EVP_MD *hash = certificate == NULL ? NULL : end_point_hash(certificate);
	unsigned len;

	_Static_assert(CONN_BINDING_MAX >= EVP_MAX_MD_SIZE, "any digest fits");
	return hash != NULL && X509_digest(certificate, hash, out, &len) == 1 ? len : 0;
}

size_t conn_channel_binding(const struct conn *conn, const char *type, uint8_t out[CONN_BINDING_MAX])
{
	static const struct {
		const char *type;
		size_t (*get)(SSL *ssl, uint8_t out[CONN_BINDING_MAX]);
	} bindings[] = {
		{ "tls-exporter", tls_exporter },
		{ "tls-unique", tls_unique },
		{ "tls-server-end-point", tls_server_end_point },
	};

	for (size_t i = 0; conn_has_tls(conn) && i < ARRAY_LEN(bindings); i++)
		if (strcmp(type, bindings[i].type) == 0)
			return bindings[i].get(conn->ssl, out);
	return 0;
}
