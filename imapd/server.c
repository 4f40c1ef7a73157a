/* All sessions of a process together: their shared handles, and the end (imapd/session.h). */
#include "imapd/session_private.h"

#define DRAIN_LOOK_MS 250

static void on_handle_closed(uv_handle_t *handle)
{
	struct imap_server *server = handle->data;

	if (--server->open_handles == 0 && server->on_empty != NULL)
		server->on_empty(server->arg);
}

void server_open(struct imap_server *server)
{
	uv_idle_init(server->loop, &server->turn);
	server->turn.data = server;
	uv_timer_init(server->loop, &server->drain_timer);
	server->drain_timer.data = server;
	server->open_handles = 2;
}

void server_check_empty(struct imap_server *server)
{
	if (!server->draining || server->sessions != NULL || uv_is_closing((uv_handle_t *)&server->drain_timer))
		return;
	uv_close((uv_handle_t *)&server->turn, on_handle_closed);
	uv_close((uv_handle_t *)&server->drain_timer, on_handle_closed);
}

/* Who is between two commands is left alone for DRAIN_IDLE_MS: the next may be on its way. Who waits in IDLE, or has not logged
 * in, is told at once, also while authd is at it, which may take as long as a queue of guesses; who has a command under way, after
 * it (session_command.c). */
static bool may_go(const struct imap_session *s, int64_t now)
{
	if (s->closing || s->ended || s->handshaking)
		return false;
	if (s->auth != NULL || s->sasl != NULL)
		return true;
	if (s->request != NULL || s->detached != NULL || s->ending != NULL)
		return s->request != NULL && s->on_line != NULL && s->detached == NULL;
	return s->state == NOT_AUTHENTICATED || now - s->last_command_ms >= DRAIN_IDLE_MS;
}

static void on_drain_look(uv_timer_t *timer)
{
	struct imap_server *server = timer->data;
	struct imap_session *s, *next;

	for (s = server->sessions; s != NULL; s = next) {
		next = s->next;
		if (may_go(s, (int64_t)uv_now(server->loop)))
			session_bye(s, "UNAVAILABLE", "the server is going down; try again soon"); /* RFC 5530 §3 */
	}
}

void server_drain(struct imap_server *server)
{
	if (server->draining)
		return;
	server->draining = true;
	uv_timer_start(&server->drain_timer, on_drain_look, 0, DRAIN_LOOK_MS);
	server_check_empty(server);
}

void server_close_all(struct imap_server *server)
{
	for (struct imap_session *s = server->sessions; s != NULL; s = s->next) {
		if (!s->closing) {
			s->ended = true;
			conn_close(s->conn);
		}
	}
}
