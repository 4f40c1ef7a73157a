#include "net/tls_client.h"

#include "base/log.h"
#include "net/tls_internal.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Who offers nothing better than CBC or RSA key exchange still gets it: the other choice would often be no TLS at all
 * (RFC 7435). Never without a certificate, a cipher or a digest that counts. */
#define CIPHERS_TLS12 "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE:DHE:AESGCM:AES:!aNULL:!eNULL:!PSK:!SRP:!3DES:!DSS"
#define CHAIN_MAX     10 /* certificates; more is no chain of a CA that we know */

/* Where the system keeps the CAs in one file: read at start, so that no handshake ever waits for a disk. */
static const char *const system_files[] = {
	"/etc/ssl/certs/ca-certificates.crt", /* Debian, Arch, Alpine */
	"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora */
	"/etc/ssl/ca-bundle.pem",             /* SUSE */
	"/etc/ssl/cert.pem",
};

struct tls_client {
	SSL_CTX *ctx;
};

/* --- the context ----------------------------------------------------------------------------------------------- */

static bool set_policy(SSL_CTX *ctx)
{
	SSL_CTX_set_options(
	        ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
	                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify_depth(ctx, CHAIN_MAX);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1 &&
	       SSL_CTX_set_cipher_list(ctx, CIPHERS_TLS12) == 1 && SSL_CTX_dane_enable(ctx) > 0;
}

static bool load_system(SSL_CTX *ctx, struct error *err)
{
	for (size_t i = 0; i < sizeof(system_files) / sizeof(system_files[0]); i++)
		if (access(system_files[i], R_OK) == 0)
			return SSL_CTX_load_verify_file(ctx, system_files[i]) == 1 ||
			       tls_openssl_error(err, system_files[i]);
	LOG(LOG_WARNING, "tls.no_cas",
	        LOG_TEXT("reason", "no file with the system's CAs: only DANE can verify other servers"));
	return true;
}

static bool load_cas(SSL_CTX *ctx, const char *path, struct error *err)
{
	if (path == NULL || path[0] == '\0')
		return load_system(ctx, err);
	return SSL_CTX_load_verify_file(ctx, path) == 1 || tls_openssl_error(err, path);
}

bool tls_client_new(const char *ca_file, struct tls_client **out, struct error *err)
{
	struct tls_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	ERR_clear_error();
	client->ctx = SSL_CTX_new(TLS_client_method());
	if (client->ctx == NULL || !set_policy(client->ctx)) {
		tls_openssl_error(err, "TLS");
		tls_client_free(&client);
		return false;
	}
	if (!load_cas(client->ctx, ca_file, err)) {
		tls_client_free(&client);
		return false;
	}
	*out = client;
	return true;
}

void tls_client_free(struct tls_client **client)
{
	if (*client == NULL)
		return;
	SSL_CTX_free((*client)->ctx);
	free(*client);
	*client = NULL;
}

X509_STORE *tls_client_authorities(const struct tls_client *client)
{
	return SSL_CTX_get_cert_store(client->ctx);
}

/* --- TLSA records ---------------------------------------------------------------------------------------------- */

static bool parses(const struct dns_tlsa *tlsa)
{
	const unsigned char *at = (const unsigned char *)tlsa->data.ptr, *end = at + tlsa->data.len;
	X509 *certificate = NULL;
	EVP_PKEY *key = NULL;

	if (tlsa->selector == 0)
		certificate = d2i_X509(NULL, &at, (long)tlsa->data.len);
	else
		key = d2i_PUBKEY(NULL, &at, (long)tlsa->data.len);
	X509_free(certificate);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return (certificate != NULL || key != NULL) && at == end;
}

/* RFC 7672 §3.1: DANE-TA(2) and DANE-EE(3) with what RFC 6698 §2.1 defines; the PKIX usages are left out (§3.1.3). */
static bool is_usable(struct span rdata, struct dns_tlsa *out)
{
	if (!dns_read_tlsa(rdata, out) || (out->usage != 2 && out->usage != 3) || out->selector > 1)
		return false;
	switch (out->matching) {
	case 0: return out->data.len <= TLS_TLSA_MAX && parses(out);
	case 1: return out->data.len == 32;
	case 2: return out->data.len == 64;
	default: return false;
	}
}

size_t tls_usable_tlsa(const struct span *tlsa, size_t count)
{
	struct dns_tlsa record;
	size_t usable = 0;

	for (size_t i = 0; i < count; i++)
		usable += is_usable(tlsa[i], &record);
	return usable;
}

static bool add_tlsa(SSL *ssl, const struct tls_client_request *request)
{
	size_t added = 0;

	for (size_t i = 0; i < request->tlsa_count && added < DNS_RECORDS_MAX; i++) {
		struct dns_tlsa r;

		if (is_usable(request->tlsa[i], &r) && SSL_dane_tlsa_add(ssl, r.usage, r.selector, r.matching,
		                                               (const unsigned char *)r.data.ptr, r.data.len) > 0)
			added++;
	}
	ERR_clear_error();
	return added > 0;
}

/* --- one connection -------------------------------------------------------------------------------------------- */

static bool is_address(const char *name)
{
	struct in6_addr any;

	return inet_pton(AF_INET, name, &any) == 1 || inet_pton(AF_INET6, name, &any) == 1;
}

static bool add_names(SSL *ssl, const struct tls_client_request *request)
{
	size_t count = request->name_count < TLS_CLIENT_NAMES_MAX ? request->name_count : TLS_CLIENT_NAMES_MAX;

	for (size_t i = 0; i < count; i++)
		if (request->names[i][0] == '\0' || SSL_add1_host(ssl, request->names[i]) != 1)
			return false;
	return true;
}

/* RFC 7672 §3.1.1: usage 3 is the key and nothing else, neither names nor dates. */
static bool expect_dane(SSL *ssl, const struct tls_client_request *request, const char **why)
{
	const char *base = request->server_name != NULL ? request->server_name
	                   : request->name_count > 0    ? request->names[0]
	                                                : NULL;

	if (base == NULL || SSL_dane_enable(ssl, base) <= 0)
		*why = "no name to verify";
	else if (!add_tlsa(ssl, request))
		*why = "no usable TLSA record";
	else
		SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	return *why == NULL;
}

static bool expect(SSL *ssl, const struct tls_client_request *request, const char **why)
{
	unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS;

	if (request->verify == TLS_VERIFY_DANE && !expect_dane(ssl, request, why))
		return false;
	/* RFC 8461 §4.2 wants subjectAltNames; RFC 7672 §3.2.3 takes the common name where there are none. */
	if (request->verify != TLS_VERIFY_DANE)
		flags |= X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
	SSL_set_hostflags(ssl, flags);
	if (request->verify == TLS_VERIFY_NAMES && request->name_count == 0)
		*why = "no name to verify";
	else if (!add_names(ssl, request))
		*why = "a name that cannot be verified";
	return *why == NULL;
}

/* What SSL_set_tlsext_host_name() is, whose cast takes the const away. */
static long set_server_name(SSL *ssl, const char *name)
{
	union {
		const char *given;
		void *taken;
	} pointer = { .given = name };

	return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, pointer.taken);
}

SSL *tls_client_ssl(struct tls_client *client, const struct tls_client_request *request, const char **why)
{
	SSL *ssl = SSL_new(client->ctx);
	bool with_sni = request->server_name != NULL && !is_address(request->server_name);

	*why = NULL;
	if (ssl == NULL || (with_sni && set_server_name(ssl, request->server_name) != 1))
		*why = ssl == NULL ? "out of memory" : "a server name that cannot be asked for";
	else
		(void)expect(ssl, request, why);
	ERR_clear_error();
	if (*why != NULL) {
		SSL_free(ssl);
		return NULL;
	}
	if (request->verify == TLS_VERIFY_NONE)
		SSL_set_security_level(ssl, 1); /* a short key is better than none */
	SSL_set_connect_state(ssl);
	return ssl;
}
