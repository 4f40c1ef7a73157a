#include "net/conn_internal.h"

#include "base/check.h"

#include <stdlib.h>

/* One hub per loop; a loop belongs to one thread. */
static _Thread_local struct conn_hub *hubs;

static void wake(struct conn_hub *hub);

/* Both rounds take only what was there when they began: what comes up meanwhile waits for the next turn of the loop, so
 * no conn keeps the others waiting. */
static void on_idle(uv_idle_t *idle)
{
	struct conn_hub *hub = container_of(idle, struct conn_hub, idle);
	struct conn *last = TAILQ_LAST(&hub->ready, conn_list);
	struct conn *conn;

	uv_idle_stop(idle);
	while ((conn = TAILQ_FIRST(&hub->ready)) != NULL) {
		bool is_last = conn == last;

		TAILQ_REMOVE(&hub->ready, conn, ready_link);
		conn->is_ready = false;
		conn_deliver_left(conn);
		if (is_last)
			break;
	}
	if (!TAILQ_EMPTY(&hub->ready))
		wake(hub);
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct conn_hub *hub = container_of(prepare, struct conn_hub, prepare);
	struct conn *last = TAILQ_LAST(&hub->dirty, conn_list);
	struct conn *conn;

	while ((conn = TAILQ_FIRST(&hub->dirty)) != NULL) {
		bool is_last = conn == last;

		TAILQ_REMOVE(&hub->dirty, conn, dirty_link);
		conn->is_dirty = false;
		conn_flush(conn);
		if (is_last)
			break;
	}
	if (!TAILQ_EMPTY(&hub->dirty))
		wake(hub);
}

/* The loop does not wait in its next turn. */
static void wake(struct conn_hub *hub)
{
	uv_idle_start(&hub->idle, on_idle);
}

void conn_make_ready(struct conn *conn)
{
	if (conn->is_ready || conn->closing)
		return;
	conn->is_ready = true;
	TAILQ_INSERT_TAIL(&conn->hub->ready, conn, ready_link);
	wake(conn->hub);
}

void conn_make_dirty(struct conn *conn)
{
	if (conn->is_dirty || conn->closing)
		return;
	conn->is_dirty = true;
	TAILQ_INSERT_TAIL(&conn->hub->dirty, conn, dirty_link);
}

void conn_hub_forget(struct conn *conn)
{
	if (conn->is_ready)
		TAILQ_REMOVE(&conn->hub->ready, conn, ready_link);
	if (conn->is_dirty)
		TAILQ_REMOVE(&conn->hub->dirty, conn, dirty_link);
	conn->is_ready = conn->is_dirty = false;
}

static struct conn_hub *hub_new(uv_loop_t *loop)
{
	struct conn_hub *hub = malloc(sizeof(*hub)); /* 136 KiB of which little is touched while nothing happens */

	if (hub == NULL)
		return NULL;
	hub->loop = loop;
	hub->users = 0;
	hub->cipher_len = 0;
	hub->bio_method = NULL;
	hub->open_handles = 2;
	TAILQ_INIT(&hub->ready);
	TAILQ_INIT(&hub->dirty);
	buffer_init(&hub->spare, CONN_OUTPUT_MAX);
	uv_idle_init(loop, &hub->idle);
	uv_prepare_init(loop, &hub->prepare);
	uv_prepare_start(&hub->prepare, on_prepare); /* also keeps the loop going while all conns are paused */
	hub->idle.data = hub->prepare.data = hub;
	hub->next = hubs;
	hubs = hub;
	return hub;
}

struct conn_hub *conn_hub_hold(uv_loop_t *loop)
{
	struct conn_hub *hub = hubs;

	while (hub != NULL && hub->loop != loop)
		hub = hub->next;
	if (hub == NULL)
		hub = hub_new(loop);
	if (hub != NULL)
		hub->users++;
	return hub;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct conn_hub *hub = handle->data;

	if (--hub->open_handles > 0)
		return;
	buffer_free(&hub->spare);
	BIO_meth_free(hub->bio_method);
	free(hub);
}

void conn_hub_release(struct conn_hub *hub)
{
	struct conn_hub **link = &hubs;

	CHECK(hub->users > 0);
	if (--hub->users > 0)
		return;
	while (*link != hub)
		link = &(*link)->next;
	*link = hub->next;
	uv_close((uv_handle_t *)&hub->idle, on_handle_closed);
	uv_close((uv_handle_t *)&hub->prepare, on_handle_closed);
}
