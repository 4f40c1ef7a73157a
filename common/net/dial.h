/* common/net/dial.h — connections that we open, and TLS as a client. What comes out is a conn (net/conn.h) like any other.
 *
 * Thread: the loop's. Nothing here looks anything up: addresses come from net/dns. */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "net/conn.h"
#include "net/dns.h"

#include <uv.h>

struct dial;
struct tls_client; /* one for the process: OpenSSL's client context, the system's CAs, session cache off */

struct dial_request {
	uv_loop_t *loop;
	const struct sockaddr *to;   /* copied */
	const struct sockaddr *from; /* source address, port 0; NULL: the kernel's choice. Copied */
	unsigned timeout_ms;         /* until connected */
	struct tls_client *tls;      /* NULL: no TLS here */
};
/* conn: not yet started: conn_start() (or conn_close()) it inside done(). NULL: *err says why (ERR_TIMEOUT, ERR_CLOSED: refused or no
 * route, ERR_LIMIT: no descriptor; detail: the system's words). Never from inside dial_start(). */
typedef void dial_done(void *arg, struct conn *conn, const struct error *err);
struct dial *dial_start(const struct dial_request *request, dial_done *done, void *arg); /* NULL: out of memory */
void dial_cancel(struct dial **dial); /* done() will not come; also of NULL */
/* A Unix socket, for LMTP. The same otherwise. */
struct dial *dial_unix(const struct dial_request *request, const char *path, dial_done *done, void *arg);

/* ca_file: PEM; NULL: the system's. Blocks on files. Create it before the sandbox. */
bool tls_client_new(const char *ca_file, struct tls_client **out, struct error *err);
void tls_client_free(struct tls_client **client); /* after its last conn */

enum tls_verify {
	TLS_VERIFY_NONE, /* opportunistic: any certificate; whether it would have been good is found out all the same */
	TLS_VERIFY_NAMES, /* from a CA we know, for one of `names` (RFC 6125; RFC 8461 §4.1: "*.example.net" in the certificate matches one label) */
	TLS_VERIFY_DANE, /* RFC 7672: by `tlsa`, usages DANE-TA(2) and DANE-EE(3); names are checked for usage 2 only */
};
struct tls_client_request {
	const char *server_name; /* SNI (RFC 7672 §8.1: the TLSA base domain); NULL for an address */
	enum tls_verify verify;
	const char *const *names; /* reference names; copied */
	size_t name_count;
	const struct span *tlsa; /* rdata; unusable records (usage 0, 1, unknown parameters) are left out; copied */
	size_t tlsa_count;       /* none usable: the handshake is refused: the caller looks before (tls_usable_tlsa) */
};
/* Before conn_start() for implicit TLS, or after the server's answer to STARTTLS (then like conn_start_tls(): bytes that came with it end
 * the conn). A certificate that does not verify ends it with CONN_END_TLS; conn_tls_failure() says why. on_tls() otherwise. */
bool conn_start_tls_client(struct conn *conn, const struct tls_client_request *request);
bool conn_tls_verified(
        const struct conn *conn); /* also with TLS_VERIFY_NONE: would the names and the CA have been right? */
const char *conn_tls_failure(
        const struct conn *conn); /* "certificate has expired", also inside on_closed(); NULL: none */
const char *conn_tls_subject(const struct conn *conn);         /* the certificate's first name, for the log; NULL */
size_t tls_usable_tlsa(const struct span *tlsa, size_t count); /* RFC 7672 §3.1 */

#endif
