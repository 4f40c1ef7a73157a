#include "net/listener.h"

#include "base/clock.h"
#include "base/log.h"
#include "net/conn_internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define PAUSE_MS         100   /* without descriptors or memory */
#define LOG_EVERY_MS     60000 /* the same trouble is told once a minute */

struct listener {
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned open_handles;
	int fd;
	bool stopped;
	bool freed;
	struct listener_settings settings;
	struct limiter *limiter;
	struct conn_hub *hub;
	int64_t told_at;  /* of the last warning; 0: never */
	unsigned refused; /* since then */
};

static void on_connection(uv_poll_t *poll, int status, int events);

/* --- refusing -------------------------------------------------------------------------------------------------- */

static bool may_tell(struct listener *listener)
{
	int64_t now = clock_mono_ms();

	if (listener->told_at != 0 && now - listener->told_at < LOG_EVERY_MS)
		return false;
	listener->told_at = now;
	return true;
}

static void refuse(struct listener *listener, int fd, const char *peer, const struct error *why)
{
	const char *text = listener->settings.refusal;

	if (text != NULL && !listener->settings.implicit_tls)
		(void)!send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
	listener->refused++;
	if (!may_tell(listener))
		return;
	LOG(LOG_WARNING, "listener.refused", LOG_TEXT("service", listener->settings.name), LOG_TEXT("peer", peer),
	        LOG_TEXT("reason", why->reason), LOG_NUMBER("refused", listener->refused));
	listener->refused = 0;
}

/* --- accepting ------------------------------------------------------------------------------------------------- */

static void start_polling(struct listener *listener)
{
	if (!listener->stopped)
		uv_poll_start(&listener->poll, UV_READABLE, on_connection);
}

static void on_pause_over(uv_timer_t *timer)
{
	start_polling(container_of(timer, struct listener, timer));
}

/* Level-triggered, the loop would spin on a connection that cannot be accepted. */
static void pause_accepting(struct listener *listener, int errnum)
{
	if (may_tell(listener))
		LOG(LOG_WARNING, "listener.paused", LOG_TEXT("service", listener->settings.name),
		        LOG_TEXT("reason", strerror(errnum)));
	uv_poll_stop(&listener->poll);
	uv_timer_start(&listener->timer, on_pause_over, PAUSE_MS, 0);
}

static void admit(struct listener *listener, int fd, const struct sockaddr *peer)
{
	struct conn_origin origin = {
		.fd = fd,
		.peer = peer,
		.tls = listener->settings.tls,
		.implicit_tls = listener->settings.implicit_tls && listener->settings.tls != NULL,
	};
	char text[CONN_ADDRESS_TEXT];
	struct conn *conn;
	struct error err;
	void *evict;

	conn = conn_new(listener->hub->loop, &origin);
	if (conn == NULL)
		return; /* out of memory: closed */
	if (limiter_add(listener->limiter, peer, conn, &conn->slot, &evict, &err)) {
		conn->limiter = listener->limiter;
		if (evict != NULL)
			conn_evict(evict);
		listener->settings.on_accept(listener->settings.arg, conn);
		return;
	}
	conn_address_text(peer, text);
	refuse(listener, fd, text, &err);
	conn_close(conn);
}

static bool is_transient(int errnum)
{
	return errnum == EINTR || errnum == ECONNABORTED || errnum == EPROTO || errnum == EPERM;
}

/* False when there is nothing more to accept now. */
static bool accept_one(struct listener *listener)
{
	struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(peer);
	int fd = accept4(listener->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		admit(listener, fd, (struct sockaddr *)&peer);
		return true;
	}
	if (is_transient(errno))
		return true;
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		pause_accepting(listener, errno);
	return false;
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
	struct listener *listener = container_of(poll, struct listener, poll);

	for (int i = 0; i < ACCEPTS_PER_TURN && !listener->stopped && accept_one(listener); i++)
		;
	if (status < 0) /* libuv has stopped polling */
		pause_accepting(listener, EIO);
}

/* --- birth and death ------------------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
	struct listener *listener = handle->data;

	if (--listener->open_handles == 0 && listener->freed)
		free(listener);
}

static bool open_handles(struct listener *listener, uv_loop_t *loop, int fd, struct error *err)
{
	int on = 1;

	listener->hub = conn_hub_hold(loop);
	if (listener->hub == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	if (uv_poll_init(loop, &listener->poll, fd) != 0) {
		conn_hub_release(listener->hub);
		return error_detail(err, ERR_IO, "%s: not a socket to listen on", listener->settings.name);
	}
	uv_timer_init(loop, &listener->timer);
	listener->poll.data = listener->timer.data = listener;
	listener->open_handles = 2;
	/* What is accepted inherits it on Linux; it fails on Unix sockets, which need none. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return true;
}

bool listener_new(uv_loop_t *loop, int fd, const struct listener_settings *settings, struct limiter *limiter,
        struct listener **out, struct error *err)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (listener == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	listener->fd = fd;
	listener->settings = *settings;
	listener->limiter = limiter;
	if (!open_handles(listener, loop, fd, err)) {
		free(listener);
		return false;
	}
	start_polling(listener);
	*out = listener;
	return true;
}

void listener_stop(struct listener *listener)
{
	if (listener->stopped)
		return;
	listener->stopped = true;
	uv_close((uv_handle_t *)&listener->poll, on_handle_closed);
	uv_close((uv_handle_t *)&listener->timer, on_handle_closed);
	close(listener->fd);
	conn_hub_release(listener->hub);
}

void listener_free(struct listener **listener_ptr)
{
	struct listener *listener = *listener_ptr;

	if (listener == NULL)
		return;
	*listener_ptr = NULL;
	listener_stop(listener);
	listener->freed = true;
	if (listener->open_handles == 0)
		free(listener);
}
