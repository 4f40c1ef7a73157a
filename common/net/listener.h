/* common/net/listener.h — accepts on sockets that the supervisor opened, through the limiter, and hands out conns.
 *
 * Out of descriptors: accepting pauses for 100 ms at a time, sessions live on (no accept spin). Refused by the limiter:
 * the peer gets `refusal` (one line, with CRLF; only where TLS is not implicit) and is closed. TCP_NODELAY is set on
 * every conn: replies leave in one write (design 3). Thread: the loop's. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "base/error.h"
#include "net/conn.h"
#include "net/limiter.h"

struct listener;

struct listener_settings {
	const char *name;        /* "submission"; for the log, static */
	struct tls_context *tls; /* NULL: no TLS here, no STARTTLS */
	bool implicit_tls;
	const char *refusal; /* "421 4.7.0 too many connections\r\n" */
	/* A new conn; the callee starts its session and calls conn_start(), or conn_close(). */
	void (*on_accept)(void *arg, struct conn *conn);
	void *arg;
};

/* Takes the listening socket (already bound and listening). `settings` is copied. */
bool listener_new(uv_loop_t *loop, int fd, const struct listener_settings *settings, struct limiter *limiter,
        struct listener **out, struct error *err);
void listener_stop(struct listener *listener);  /* closes the socket's accepting; conns live on */
void listener_free(struct listener **listener); /* the memory goes once libuv has given the handle back */

#endif
