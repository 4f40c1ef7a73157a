#include "net/conn_internal.h"
#include "net/tls_client.h"

#include "base/check.h"
#include "base/log.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define SUBJECT_MAX 255

struct conn_client_tls {
	enum tls_verify verify;
	bool has_names;
	bool verified;
	char failure[128];
	char subject[SUBJECT_MAX + 1];
};

/* --- whose certificate it is ----------------------------------------------------------------------------------- */

/* Chosen by the peer: printable ASCII and no more than fits. */
static void set_subject(struct conn_client_tls *client, const ASN1_STRING *name)
{
	struct span text =
	        span_first(span_make(ASN1_STRING_get0_data(name), (size_t)ASN1_STRING_length(name)), SUBJECT_MAX);

	for (size_t i = 0; i < text.len; i++)
		client->subject[i] = text.ptr[i] > ' ' && text.ptr[i] < 0x7f ? text.ptr[i] : '?';
	client->subject[text.len] = '\0';
}

static void take_common_name(struct conn_client_tls *client, X509 *certificate)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	if (at >= 0)
		set_subject(client, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

static void take_subject(struct conn_client_tls *client, X509 *certificate)
{
	GENERAL_NAMES *names;

	if (certificate == NULL || client->subject[0] != '\0')
		return;
	names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; client->subject[0] == '\0' && i < sk_GENERAL_NAME_num(names); i++)
		if (sk_GENERAL_NAME_value(names, i)->type == GEN_DNS)
			set_subject(client, sk_GENERAL_NAME_value(names, i)->d.dNSName);
	GENERAL_NAMES_free(names);
	if (client->subject[0] == '\0')
		take_common_name(client, certificate);
}

/* --- the handshake --------------------------------------------------------------------------------------------- */

/* A certificate that is refused is not kept by OpenSSL: here is the place to see whose it was. */
static int on_verify(int good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct conn *conn = SSL_get_app_data(ssl);

	take_subject(conn->client, X509_STORE_CTX_get0_cert(store));
	return good;
}

static const char *verify_words(const struct conn *conn)
{
	long result = SSL_get_verify_result(conn->ssl);

	if (result != X509_V_OK)
		return X509_verify_cert_error_string(result);
	return conn->client->has_names ? NULL : "no name to verify";
}

void conn_client_established(struct conn *conn)
{
	struct conn_client_tls *client = conn->client;
	const char *words = verify_words(conn);

	take_subject(client, SSL_get0_peer_certificate(conn->ssl));
	client->verified = words == NULL;
	if (words != NULL)
		(void)span_copy(span_first(span_of(words), sizeof(client->failure) - 1), client->failure,
		        sizeof(client->failure));
}

const char *conn_client_failed(struct conn *conn, const char *words)
{
	struct conn_client_tls *client = conn->client;

	if (client == NULL)
		return words;
	if (client->verify != TLS_VERIFY_NONE && conn->ssl != NULL && SSL_get_verify_result(conn->ssl) != X509_V_OK)
		words = verify_words(conn);
	client->verified = false;
	(void)span_copy(
	        span_first(span_of(words), sizeof(client->failure) - 1), client->failure, sizeof(client->failure));
	return client->failure;
}

static bool prepare(struct conn *conn, const struct tls_client_request *request)
{
	const char *why;
	SSL *ssl;

	conn->client = calloc(1, sizeof(*conn->client));
	if (conn->client == NULL) {
		conn_end(conn, CONN_END_NO_MEMORY);
		return false;
	}
	conn->client->verify = request->verify;
	conn->client->has_names = request->name_count > 0 || request->verify == TLS_VERIFY_DANE;
	ssl = tls_client_ssl(conn->tls_client, request, &why);
	if (ssl == NULL) {
		(void)conn_client_failed(conn, why);
		conn_end(conn, CONN_END_TLS);
		return false;
	}
	SSL_set_app_data(ssl, conn);
	SSL_set_verify(ssl, request->verify == TLS_VERIFY_NONE ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, on_verify);
	if (conn_tls_attach(conn, ssl))
		return true;
	conn_end(conn, CONN_END_NO_MEMORY);
	return false;
}

bool conn_start_tls_client(struct conn *conn, const struct tls_client_request *request)
{
	CHECK(conn->tls_client != NULL && conn->client == NULL);
	if (conn->closing || conn->finishing || !prepare(conn, request))
		return false;
	if (conn->handler != NULL)
		return conn_tls_switch(conn);
	conn->implicit_tls = true; /* conn_start() begins */
	return true;
}

/* --- what the session asks ------------------------------------------------------------------------------------- */

bool conn_tls_verified(const struct conn *conn)
{
	return conn->client != NULL && conn->client->verified;
}

const char *conn_tls_failure(const struct conn *conn)
{
	if (conn->client == NULL)
		return NULL;
	if (conn->client->failure[0] != '\0')
		return conn->client->failure;
	if (!conn->closing || conn_has_tls(conn))
		return NULL;
	switch (conn->why) {
	case CONN_END_TIMEOUT: return "the handshake took too long";
	case CONN_END_PEER:
	case CONN_END_TLS: return "the connection was closed during the handshake";
	default: return NULL;
	}
}

const char *conn_tls_subject(const struct conn *conn)
{
	return conn->client == NULL || conn->client->subject[0] == '\0' ? NULL : conn->client->subject;
}
