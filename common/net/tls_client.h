/* common/net/tls_client.h — what tls_client.c has for conn_tls_client.c, and for who must have OpenSSL's own objects; everybody else includes net/dial.h. */
#ifndef NET_TLS_CLIENT_H
#define NET_TLS_CLIENT_H

#include "net/dial.h"

#include <openssl/ssl.h>

#define TLS_TLSA_MAX (8 * KIB) /* a whole certificate in a record (matching type 0); longer is unusable */

/* Ready for the handshake, its verification set up; the verify mode is the caller's. NULL: *why says why not. */
SSL *tls_client_ssl(struct tls_client *client, const struct tls_client_request *request, const char **why);

/* Its CAs, for who speaks TLS by other means; the client's. */
X509_STORE *tls_client_authorities(const struct tls_client *client);

#endif
