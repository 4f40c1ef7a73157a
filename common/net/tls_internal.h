/* common/net/tls_internal.h — what the files of TLS contexts (tls*.c) and conn_tls.c share; nobody else includes it. */
#ifndef NET_TLS_INTERNAL_H
#define NET_TLS_INTERNAL_H

#include "base/buffer.h"
#include "net/tls.h"

#include <openssl/ssl.h>

#define TLS_SECRET_LEN 32
#define TLS_ALPN_MAX   32
#define TLS_FILE_MAX   (1 * MIB)
#define TLS_NAME_MAX   253
#define TLS_DIGEST_LEN 32

/* What all certificates of a context share and never changes; copied into each generation (tls_certs.c). */
struct tls_policy {
	uint8_t secret[TLS_SECRET_LEN];
	char alpn[TLS_ALPN_MAX]; /* "": none is ours */
};

struct tls_paths {
	char *certificate;
	char *key;
};

/* tls_certs.c — one generation: an SSL_CTX for each pair, of which the first owns all others. Any thread. The first context
 * is also what sessions hold, so a generation lives as long as its last session. */
SSL_CTX *tls_certs_load(
        const struct tls_policy *policy, const struct tls_paths *pairs, size_t count, struct error *err);
/* A digest over all the files as they are now. */
bool tls_certs_digest(const struct tls_paths *pairs, size_t count, uint8_t digest[TLS_DIGEST_LEN], struct error *err);
bool tls_openssl_error(struct error *err, const char *what); /* false; empties OpenSSL's queue */
void tls_openssl_words(char *out, size_t size);              /* its first error in words */

/* tls_names.c — the certificate for a name of SNI. */
struct tls_names;
struct tls_names *tls_names_new(void);
void tls_names_free(struct tls_names *names);
/* Takes the subjectAltNames (or, without any, the common name) of the certificate of pair `pair`. */
bool tls_names_add(struct tls_names *names, X509 *certificate, size_t pair);
size_t tls_names_find(const struct tls_names *names, struct span name); /* 0, the default, when there is none */

/* tls_ticket.c. scope: a ticket is good only where the same scope was given. */
void tls_ticket_setup(SSL_CTX *ctx);
bool tls_ticket_set_scope(SSL_CTX *ctx, const uint8_t scope[TLS_DIGEST_LEN]);
const struct tls_policy *tls_policy_of(SSL_CTX *ctx); /* tls_certs.c */

/* tls_watch.c */
struct tls_watch;

struct tls_context {
	struct tls_policy policy;
	struct tls_paths pairs[TLS_CERTIFICATES_MAX];
	size_t pair_count;
	SSL_CTX *current;
	uint8_t digest[TLS_DIGEST_LEN]; /* of the files as last looked at */
	struct tls_watch *watch;
};

SSL *tls_context_ssl(struct tls_context *context); /* NULL: memory is out */

#endif
