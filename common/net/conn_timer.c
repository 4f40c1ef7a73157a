#include "net/conn_internal.h"

/* One timer for all waits of a conn. It is not moved at every byte: it fires at the earliest moment that something could be
 * due, looks, and is set again. */

void conn_touch(struct conn *conn)
{
	conn->active_at = uv_now(conn->hub->loop);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static uint64_t next_due(const struct conn *conn)
{
	uint64_t due = conn->deadline;

	if (conn->timeout > 0 && !conn->finishing)
		due = earlier(due, conn->active_at + conn->timeout);
	if (conn->min_rate > 0 && !conn->finishing)
		due = earlier(due, conn->window_since + conn_waits.rate_window);
	return due;
}

void conn_arm_timer(struct conn *conn)
{
	uint64_t due = next_due(conn), now = uv_now(conn->hub->loop);

	if (conn->closing || due == 0 || (conn->timer_due != 0 && conn->timer_due <= due))
		return;
	conn->timer_due = due;
	uv_timer_start(&conn->timer, conn_on_timer, due > now ? due - now : 0, 0);
}

static void timed_out(struct conn *conn)
{
	conn_touch(conn); /* a session that does nothing is asked again after the same time */
	if (conn->handler != NULL && conn->handler->on_timeout != NULL)
		conn->handler->on_timeout(conn->session);
	else
		conn_end(conn, CONN_END_TIMEOUT);
}

static void start_window(struct conn *conn, uint64_t now)
{
	conn->window_since = now;
	conn->window_bytes = 0;
	conn->window_paused = 0;
	conn->paused_at = now;
}

/* True when the window that ends now was too slow. */
static bool rate_is_too_low(struct conn *conn, uint64_t now)
{
	uint64_t paused = conn->window_paused + (conn->paused ? now - conn->paused_at : 0);
	uint64_t open = now - conn->window_since - paused;

	return now - conn->rate_since >= conn_waits.rate_grace && conn->window_bytes < conn->min_rate * open / 1000;
}

void conn_on_timer(uv_timer_t *timer)
{
	struct conn *conn = container_of(timer, struct conn, timer);
	uint64_t now = uv_now(timer->loop);

	conn->timer_due = 0;
	if (conn->deadline != 0 && now >= conn->deadline) {
		conn_end(conn, CONN_END_TIMEOUT); /* while finishing, the reason for that stays */
		return;
	}
	if (conn->timeout > 0 && !conn->finishing && now >= conn->active_at + conn->timeout)
		timed_out(conn);
	if (conn->min_rate > 0 && !conn->finishing && !conn->closing &&
	        now >= conn->window_since + conn_waits.rate_window) {
		bool too_low = rate_is_too_low(conn, now);

		start_window(conn, now);
		if (too_low)
			timed_out(conn);
	}
	conn_arm_timer(conn);
}

void conn_set_deadline(struct conn *conn, unsigned milliseconds)
{
	conn->deadline = milliseconds == 0 ? 0 : uv_now(conn->hub->loop) + milliseconds;
	conn_arm_timer(conn);
}

void conn_set_timeout(struct conn *conn, unsigned milliseconds)
{
	conn->timeout = milliseconds;
	conn_touch(conn);
	conn_arm_timer(conn);
}

void conn_set_min_rate(struct conn *conn, unsigned octets_per_second)
{
	conn->min_rate = octets_per_second;
	conn->rate_since = uv_now(conn->hub->loop);
	start_window(conn, conn->rate_since);
	conn_arm_timer(conn);
}
