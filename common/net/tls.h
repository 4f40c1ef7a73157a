/* common/net/tls.h — server contexts: certificates by SNI, live reload, tickets, ALPN. OpenSSL stays behind this door.
 *
 * TLS 1.2 and later; server order of ciphers; no renegotiation, no compression. Certificates are chosen by the name of
 * SNI against their subjectAltNames (case-insensitive, one wildcard label, a trailing dot ignored: Outlook's cloud sends
 * one); unknown or absent names get the first certificate; a name from the network is compared, never used as a path.
 * Tickets: keys derive from a 32-byte secret shared by all workers and change every 12 hours; the previous one is still
 * accepted. ALPN: when the client offers ALPN and none of its names is ours the handshake fails (RFC 7301 §3.2; ALPACA).
 * Reload: tls_context_watch() looks at the files when their directory changes (inotify through libuv) and at least each
 * minute; a new pair is loaded and checked (key matches, certificate parses) before it replaces the old one; sessions
 * that exist keep what they have; a bad pair is logged and the old one stays in service.
 * Thread: the loop's. Reading two small local files at reload is done on a worker thread. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/error.h"
#include "base/span.h"

#include <uv.h>

#define TLS_CERTIFICATES_MAX 64

struct tls_context;
struct worker_pool;

struct tls_pair {
	const char *certificate_path; /* PEM, leaf first, then the chain */
	const char *key_path;         /* PEM */
};

struct tls_settings {
	const struct tls_pair *pairs;
	size_t pair_count;     /* 1..TLS_CERTIFICATES_MAX; the first is the default */
	const uint8_t *secret; /* 32 bytes: ticket keys derive from it; copied */
	const char *alpn;      /* the one ALPN name this service accepts: "smtp" has none registered -> NULL: any ALPN
	                          * offer is refused unless it contains it; "imap", "pop3" (RFC 7301 registry) */
};

/* Blocks on the files; call it before the loop runs. ERR_BAD_VALUE with the path and OpenSSL's words in detail. */
bool tls_context_new(const struct tls_settings *settings, struct tls_context **out, struct error *err);
bool tls_context_watch(struct tls_context *context, uv_loop_t *loop, struct worker_pool *pool, struct error *err);
void tls_context_reload(struct tls_context *context);  /* now, e.g. at HUP; asynchronous */
void tls_context_unwatch(struct tls_context *context); /* closes its loop handles */
void tls_context_free(struct tls_context **context);

#endif
