#include "net/conn_internal.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_READ_SIZE (4 * KIB)

struct conn_waits conn_waits = {
	.handshake = 30000,
	.finish = 10000,
	.evict = 1000,
	.linger = 2000,
	.rate_grace = 60000,
	.rate_window = 30000,
};

/* --- addresses ------------------------------------------------------------------------------------------------- */

static bool is_mapped(const struct sockaddr *address)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;

	return address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
}

void conn_address_text(const struct sockaddr *address, char out[CONN_ADDRESS_TEXT])
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;

	if (is_mapped(address)) /* an IPv4 peer on a socket for both */
		inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], out, CONN_ADDRESS_TEXT);
	else if (address->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &in6->sin6_addr, out, CONN_ADDRESS_TEXT);
	else if (address->sa_family == AF_INET)
		inet_ntop(AF_INET, &in4->sin_addr, out, CONN_ADDRESS_TEXT);
	else
		snprintf(out, CONN_ADDRESS_TEXT, "local");
}

static void set_peer(struct conn *conn, const struct sockaddr *peer)
{
	if (peer->sa_family == AF_INET)
		memcpy(&conn->peer.in4, peer, sizeof(conn->peer.in4));
	else if (peer->sa_family == AF_INET6)
		memcpy(&conn->peer.in6, peer, sizeof(conn->peer.in6));
	else
		conn->peer.any.sa_family = peer->sa_family;
	conn_address_text(&conn->peer.any, conn->peer_text);
}

bool conn_set_peer(struct conn *conn, const struct sockaddr *peer, struct error *err)
{
	CHECK(peer->sa_family == AF_INET || peer->sa_family == AF_INET6);
	if (conn->limiter != NULL && conn->slot != NULL && !limiter_move(conn->limiter, conn->slot, peer, err))
		return false;
	set_peer(conn, peer);
	return true;
}

static void set_addresses(struct conn *conn, const struct sockaddr *peer)
{
	struct sockaddr_storage local = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(local);

	set_peer(conn, peer);
	if (getsockname(conn->fd, (struct sockaddr *)&local, &len) != 0)
		local.ss_family = AF_UNSPEC;
	conn_address_text((struct sockaddr *)&local, conn->local_text);
}

const char *conn_peer_text(const struct conn *conn)
{
	return conn->peer_text;
}

bool conn_peer_user(const struct conn *conn, uint32_t *uid)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (conn->peer.any.sa_family == AF_INET || conn->peer.any.sa_family == AF_INET6 ||
	        getsockopt(conn->fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
		return false;
	*uid = who.uid;
	return true;
}

const struct sockaddr *conn_peer(const struct conn *conn)
{
	return &conn->peer.any;
}

const char *conn_local_text(const struct conn *conn)
{
	return conn->local_text;
}

bool conn_peer_is_loopback(const struct conn *conn)
{
	const uint8_t *bytes = conn->peer.in6.sin6_addr.s6_addr;

	switch (conn->peer.any.sa_family) {
	case AF_INET: return ntohl(conn->peer.in4.sin_addr.s_addr) >> 24 == 127;
	case AF_INET6:
		if (is_mapped(&conn->peer.any))
			return bytes[12] == 127;
		return IN6_IS_ADDR_LOOPBACK(&conn->peer.in6.sin6_addr);
	default: return true; /* a socketpair or a Unix socket */
	}
}

uint64_t conn_id(const struct conn *conn)
{
	return conn->id;
}

uv_loop_t *conn_loop(const struct conn *conn)
{
	return conn->hub->loop;
}

/* --- the socket's events --------------------------------------------------------------------------------------- */

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct conn *conn = container_of(poll, struct conn, poll);

	if (conn->closing)
		return;
	if (status <
	        0) { /* an error waits in the socket, maybe behind bytes: recv() and send() tell; libuv stopped polling */
		conn->events = 0;
		events = UV_READABLE | UV_WRITABLE;
	}
	if (conn->tls_state == CONN_TLS_HANDSHAKE) {
		conn_tls_handshake(conn);
	} else {
		if (events & UV_WRITABLE)
			conn_flush(conn);
		if ((events & UV_READABLE) && !conn->closing && conn->lingering)
			conn_linger(conn);
		else if ((events & UV_READABLE) && !conn_wants_input(conn))
			conn_poll_for(conn, 0, UV_READABLE);        /* until it is wanted again */
		else if ((events & UV_READABLE) && !conn->is_ready) /* else what is left over goes first */
			conn_receive(conn);
	}
	if (status < 0 && !conn->closing && (conn->lingering || conn_wants_input(conn)))
		conn_poll_for(conn, UV_READABLE, 0);
}

/* A change costs two system calls, so nobody takes READABLE away before an unwanted event came. */
void conn_poll_for(struct conn *conn, int add, int remove)
{
	int events = (conn->events | add) & ~remove;

	if (conn->closing || events == conn->events)
		return;
	conn->events = events;
	if (events == 0)
		uv_poll_stop(&conn->poll);
	else if (uv_poll_start(&conn->poll, events, on_poll) != 0)
		conn_end(conn, CONN_END_NO_MEMORY);
}

/* --- birth and death ------------------------------------------------------------------------------------------- */

static void conn_release(struct conn *conn)
{
	if (conn->handler != NULL)
		conn->handler->on_closed(conn->session, conn->why);
	free(conn->client);
	SSL_free(conn->ssl);
	conn_free_input(conn);
	buffer_free(&conn->out);
	buffer_free(&conn->cipher);
	conn_hub_release(conn->hub);
	free(conn);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct conn *conn = handle->data;

	CHECK(conn->open_handles > 0);
	if (--conn->open_handles == 0)
		conn_release(conn);
}

static bool open_handles(struct conn *conn, uv_loop_t *loop)
{
	if (uv_poll_init(loop, &conn->poll, conn->fd) != 0)
		return false;
	uv_timer_init(loop, &conn->timer); /* cannot fail */
	conn->poll.data = conn;
	conn->timer.data = conn;
	conn->open_handles = 2;
	return true;
}

struct conn *conn_new(uv_loop_t *loop, const struct conn_origin *origin)
{
	static atomic_uint_fast64_t last_id;
	struct conn *conn = calloc(1, sizeof(*conn));
	struct conn_hub *hub = conn_hub_hold(loop);

	if (conn != NULL)
		conn->fd = origin->fd;
	if (conn == NULL || hub == NULL || !open_handles(conn, loop)) {
		if (hub != NULL)
			conn_hub_release(hub);
		free(conn);
		close(origin->fd);
		return NULL;
	}
	conn->hub = hub;
	conn->tls = origin->tls;
	conn->tls_client = origin->tls_client;
	conn->implicit_tls = origin->implicit_tls;
	conn->id = atomic_fetch_add(&last_id, 1) + 1;
	conn->read_size = DEFAULT_READ_SIZE;
	conn->line_limit = DEFAULT_READ_SIZE;
	conn->active_at = uv_now(loop);
	buffer_init(&conn->in, CONN_SCRATCH);
	buffer_init(&conn->out, CONN_OUTPUT_MAX);
	buffer_init(&conn->cipher, CONN_CIPHER_MAX);
	set_addresses(conn, origin->peer);
	return conn;
}

void conn_hold_tls(struct conn *conn)
{
	CHECK(conn->handler == NULL);
	conn->implicit_tls = false;
}

void conn_start(struct conn *conn, const struct conn_handler *handler, void *session, size_t line_limit)
{
	CHECK(conn->handler == NULL && handler->on_closed != NULL);
	conn->handler = handler;
	conn->session = session;
	conn->line_limit = line_limit;
	if (conn->closing)
		return;
	if (conn->implicit_tls && !conn_tls_begin(conn))
		return;
	conn_poll_for(conn, UV_READABLE, 0);
}

void conn_end(struct conn *conn, enum conn_end why)
{
	if (conn->closing)
		return;
	conn->closing = true;
	conn->why = conn->finishing ? conn->why : why;
	conn_hub_forget(conn);
	if (conn->limiter != NULL)
		limiter_remove(conn->limiter, &conn->slot);
	uv_close((uv_handle_t *)&conn->poll, on_handle_closed);
	uv_close((uv_handle_t *)&conn->timer, on_handle_closed);
	close(conn->fd); /* after uv_close(): libuv has taken it out of epoll */
	conn->fd = -1;
}

void conn_close(struct conn *conn)
{
	conn_end(conn, CONN_END_LOCAL);
}

bool conn_is_closing(const struct conn *conn)
{
	return conn->closing || conn->finishing;
}

void conn_evict(struct conn *conn)
{
	if (conn->closing)
		return;
	if (conn->handler == NULL || conn->handler->on_evict == NULL) {
		conn_end(conn, CONN_END_EVICTED);
		return;
	}
	if (!conn->finishing) {
		conn->handler->on_evict(conn->session);
		conn->why = conn->closing ? conn->why : CONN_END_EVICTED;
	}
	conn_finish_as(conn, conn->why, conn_waits.evict);
}

void conn_set_logged_in(struct conn *conn)
{
	if (conn->limiter != NULL && conn->slot != NULL)
		limiter_logged_in(conn->limiter, conn->slot);
}

void conn_set_evictable(struct conn *conn, bool evictable)
{
	if (conn->limiter == NULL || conn->slot == NULL)
		return;
	if (evictable)
		limiter_unshelter(conn->limiter, conn->slot);
	else
		limiter_shelter(conn->limiter, conn->slot);
}
