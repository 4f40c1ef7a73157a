#include "net/dial.h"

#include "net/conn_internal.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

/* Lifetime: dial_end() closes both handles, the memory goes once libuv has given them back. The fd is ours until a conn has it. */
struct dial {
	uv_poll_t poll;
	uv_timer_t timer; /* the time limit; or at once, to tell of a failure from the loop */
	unsigned open_handles;
	int fd; /* -1: there was none, or it is a conn's */
	bool ended;
	struct tls_client *tls;
	struct sockaddr_storage to;
	struct error err; /* of the start */
	dial_done *done;
	void *arg;
};

/* --- the end --------------------------------------------------------------------------------------------------- */

static void on_handle_closed(uv_handle_t *handle)
{
	struct dial *dial = handle->data;

	if (--dial->open_handles == 0)
		free(dial);
}

/* libuv forgets the fd first: a conn may then have it. */
static void dial_end(struct dial *dial)
{
	dial->ended = true;
	if (dial->open_handles == 2)
		uv_close((uv_handle_t *)&dial->poll, on_handle_closed);
	uv_close((uv_handle_t *)&dial->timer, on_handle_closed);
}

static void drop_fd(struct dial *dial)
{
	if (dial->fd >= 0)
		close(dial->fd);
	dial->fd = -1;
}

static void failed(struct dial *dial)
{
	dial_end(dial);
	drop_fd(dial);
	dial->done(dial->arg, NULL, &dial->err);
}

static void connected(struct dial *dial)
{
	struct conn_origin origin = { .fd = dial->fd, .peer = (struct sockaddr *)&dial->to, .tls_client = dial->tls };
	struct conn *conn;

	dial_end(dial);
	dial->fd = -1;
	conn = conn_new(dial->timer.loop, &origin);
	if (conn == NULL)
		error_set(&dial->err, ERR_NO_MEMORY, "out of memory");
	dial->done(dial->arg, conn, conn == NULL ? &dial->err : NULL);
}

void dial_cancel(struct dial **dial)
{
	if (*dial != NULL && !(*dial)->ended) {
		dial_end(*dial);
		drop_fd(*dial);
	}
	*dial = NULL;
}

/* --- connecting ------------------------------------------------------------------------------------------------ */

static bool system_error(struct error *err, int errnum, const char *what)
{
	switch (errnum) {
	case EMFILE:
	case ENFILE:
	case EAGAIN:        /* a Unix socket whose queue is full */
	case EADDRNOTAVAIL: /* no port left for this peer */
		return error_detail(err, ERR_LIMIT, "%s: %s", what, strerror(errnum));
	case ENOMEM:
	case ENOBUFS: return error_detail(err, ERR_NO_MEMORY, "%s: %s", what, strerror(errnum));
	case ETIMEDOUT: return error_detail(err, ERR_TIMEOUT, "%s: %s", what, strerror(errnum));
	default: return error_detail(err, ERR_CLOSED, "%s: %s", what, strerror(errnum));
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct dial *dial = container_of(poll, struct dial, poll);
	socklen_t len = sizeof(int);
	int problem = 0;

	if (dial->ended)
		return;
	if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &problem, &len) != 0)
		problem = errno;
	if (problem == 0 && status == 0) {
		connected(dial);
		return;
	}
	system_error(&dial->err, problem != 0 ? problem : ECONNRESET, "connect");
	failed(dial);
}

static void on_timer(uv_timer_t *timer)
{
	struct dial *dial = container_of(timer, struct dial, timer);

	if (dial->err.code == ERR_NONE)
		error_detail(&dial->err, ERR_TIMEOUT, "connect: no answer in time");
	failed(dial);
}

static socklen_t address_len(const struct sockaddr *address)
{
	switch (address->sa_family) {
	case AF_INET: return sizeof(struct sockaddr_in);
	case AF_INET6: return sizeof(struct sockaddr_in6);
	default: return sizeof(struct sockaddr_un);
	}
}

static bool bind_to(int fd, const struct sockaddr *from, struct error *err)
{
	int on = 1;

	if (from == NULL)
		return true;
	(void)setsockopt(
	        fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)); /* the port is for connect() to find */
	if (bind(fd, from, address_len(from)) == 0)
		return true;
	return error_detail(err, ERR_BAD_VALUE, "source address: %s", strerror(errno));
}

/* The socket, under way to its peer. */
static bool begin(struct dial *dial, const struct sockaddr *to, const struct sockaddr *from)
{
	int on = 1;

	dial->fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (dial->fd < 0)
		return system_error(&dial->err, errno, "socket");
	if (to->sa_family != AF_UNIX)
		(void)setsockopt(dial->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!bind_to(dial->fd, from, &dial->err))
		return false;
	if (connect(dial->fd, to, address_len(to)) != 0 && errno != EINPROGRESS)
		return system_error(&dial->err, errno, "connect");
	return true;
}

static bool watch(struct dial *dial, uv_loop_t *loop)
{
	if (uv_poll_init(loop, &dial->poll, dial->fd) != 0)
		return error_set(&dial->err, ERR_NO_MEMORY, "out of memory");
	dial->poll.data = dial;
	dial->open_handles = 2;
	return uv_poll_start(&dial->poll, UV_WRITABLE, on_poll) == 0 ||
	       error_set(&dial->err, ERR_NO_MEMORY, "out of memory");
}

/* One handle is open from here on; failures are told from the timer. */
static struct dial *dial_new(const struct dial_request *request, dial_done *done, void *arg)
{
	struct dial *dial = calloc(1, sizeof(*dial));

	if (dial == NULL)
		return NULL;
	dial->fd = -1;
	dial->done = done;
	dial->arg = arg;
	dial->tls = request->tls;
	uv_timer_init(request->loop, &dial->timer);
	dial->timer.data = dial;
	dial->open_handles = 1;
	return dial;
}

struct dial *dial_start(const struct dial_request *request, dial_done *done, void *arg)
{
	struct dial *dial = dial_new(request, done, arg);
	bool ok;

	if (dial == NULL)
		return NULL;
	memcpy(&dial->to, request->to, address_len(request->to));
	ok = begin(dial, request->to, request->from) && watch(dial, request->loop);
	uv_timer_start(&dial->timer, on_timer, ok ? request->timeout_ms : 0, 0);
	return dial;
}
