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
	const struct sockaddr *to;   /* IPv4, IPv6, or a whole sockaddr_un (LMTP). Copied */
	const struct sockaddr *from; /* source address, port 0; NULL: the kernel's choice. Copied */
	unsigned timeout_ms;         /* until connected */
	struct tls_client *tls;      /* NULL: no TLS here */
};
/* conn: not yet started: conn_start() (or conn_close()) it inside done(). NULL: *err says why (ERR_TIMEOUT, ERR_CLOSED: refused or no
 * route, ERR_LIMIT: no descriptor or port left, ERR_BAD_VALUE: `from` is no address of this machine, ERR_NO_MEMORY; detail: the
 * system's words). Never from inside dial_start(). The dial is gone when done() comes. */
typedef void dial_done(void *arg, struct conn *conn, const struct error *err);
struct dial *dial_start(const struct dial_request *request, dial_done *done, void *arg); /* NULL: out of memory */
void dial_cancel(struct dial **dial); /* done() will not come; also of NULL; sets NULL. Not after done() began */

/* TLS 1.2 and later. ca_file: PEM; NULL or "": the system's, and when it has none only DANE verifies anything (logged). Blocks on files:
 * create it before the sandbox; nothing is read later. Revocation is not looked at: neither RFC 8461 nor RFC 7672 ask for it. */
bool tls_client_new(const char *ca_file, struct tls_client **out, struct error *err);
void tls_client_free(struct tls_client **client); /* after its last conn */

#define TLS_CLIENT_NAMES_MAX 16

enum tls_verify {
	TLS_VERIFY_NONE, /* opportunistic: any certificate; whether it would have been good is found out all the same */
	TLS_VERIFY_NAMES, /* from a CA we know, for one of `names` (RFC 6125; RFC 8461 §4.2: "*.example.net" in the certificate matches one label) */
	TLS_VERIFY_DANE, /* RFC 7672: by `tlsa`, usages DANE-TA(2) and DANE-EE(3); names are checked for usage 2 only */
};
struct tls_client_request {
	const char *server_name; /* SNI (RFC 7672 §8.1: the TLSA base domain); NULL for an address */
	enum tls_verify verify;
	const char *const *names; /* reference names, the first TLS_CLIENT_NAMES_MAX; copied */
	size_t name_count;
	const struct span *tlsa; /* rdata; unusable records (usage 0, 1, unknown parameters) are left out; copied */
	size_t tlsa_count;       /* none usable: the handshake is refused: the caller looks before (tls_usable_tlsa) */
};
/* Only on a conn that was dialled with request.tls, once: before conn_start() for implicit TLS (the handshake then begins with it), or in
 * on_line() of the server's answer to STARTTLS (then like conn_start_tls(): bytes that came with it end the conn). A certificate that does
 * not verify, or a request that nothing can satisfy (then false), ends the conn with CONN_END_TLS; on_tls() comes otherwise. After false
 * before conn_start(): conn_start() it all the same, and on_closed() comes. */
bool conn_start_tls_client(struct conn *conn, const struct tls_client_request *request);
/* Also with TLS_VERIFY_NONE: would the names and the CA have been right? False before on_tls(). */
bool conn_tls_verified(const struct conn *conn);
/* "certificate has expired": why TLS ended the conn, or (TLS_VERIFY_NONE) why it is not verified. Also inside on_closed(). NULL: nothing. */
const char *conn_tls_failure(const struct conn *conn);
/* The certificate's first name, printable, for the log; also of one that was refused. NULL: none was seen. */
const char *conn_tls_subject(const struct conn *conn);
size_t tls_usable_tlsa(const struct span *tlsa, size_t count); /* RFC 7672 §3.1 */

#endif
