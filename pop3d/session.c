#include "pop3d/session.h"

#include "base/check.h"
#include "base/log.h"
#include "base/secret.h"
#include "pop3d/body_stream.h"
#include "pop3d/command.h"
#include "pop3d/read_ahead.h"

#include <stdlib.h>

#define DRAIN_LOOK_MS 250

void session_check(const struct pop3_session *s)
{
	if (s->waiting || s->closing || s->ended)
		return;
	CHECK(s->state == AUTHORIZATION ||
	        s->state == TRANSACTION); /* UPDATE is waited for, and then the session ends */
	CHECK((s->state == TRANSACTION) == (s->maildrop != NULL));
	CHECK(s->state == AUTHORIZATION || (s->sasl == NULL && !s->has_user));
	CHECK(s->stream == NULL && s->auth == NULL && !s->job_busy);
}

/* --- end --- */

static void on_drain_timer_closed(uv_handle_t *handle)
{
	struct pop3_server *server = handle->data;

	if (server->on_empty != NULL)
		server->on_empty(server->arg);
}

static void server_check_empty(struct pop3_server *server)
{
	if (!server->draining || server->sessions != NULL || uv_is_closing((uv_handle_t *)&server->drain_timer))
		return;
	uv_close((uv_handle_t *)&server->drain_timer, on_drain_timer_closed);
}

void session_hold(struct pop3_session *s)
{
	s->holds++;
}

void session_release(struct pop3_session *s)
{
	struct pop3_server *server = s->server;

	CHECK(s->holds > 0);
	if (--s->holds > 0)
		return;
	CHECK(s->closing && s->maildrop == NULL);
	*s->link = s->next;
	if (s->next != NULL)
		s->next->link = s->link;
	if (s->ahead != NULL)
		read_ahead_free(&s->ahead);
	free(s);
	server_check_empty(server);
}

void session_end(struct pop3_session *s)
{
	s->ended = true;
	conn_finish(s->conn);
}

/* What a job may be using: after the conn is closed, and again after the job that was under way then. */
static void drop_all(struct pop3_session *s)
{
	if (s->job_busy)
		return;
	if (s->stream != NULL)
		body_stream_free(&s->stream);
	if (s->maildrop != NULL)
		maildrop_close(&s->maildrop);
}

static void on_timer_closed(uv_handle_t *handle)
{
	session_release(handle->data);
}

static void stop_timer(struct pop3_session *s)
{
	if (s->timer_open)
		uv_close((uv_handle_t *)&s->timer, on_timer_closed);
	s->timer_open = false;
}

void session_forget_client(struct pop3_session *s)
{
	if (s->auth != NULL)
		auth_cancel(&s->auth);
	if (s->sasl != NULL)
		sasl_free(&s->sasl);
	secret_wipe(s->user, sizeof(s->user));
	s->has_user = false;
}

static void on_closed(void *session, enum conn_end why)
{
	struct pop3_session *s = session;

	if (s->state != AUTHORIZATION)
		LOG(LOG_INFO, "pop3.logout", LOG_NUMBER("session", s->id), LOG_NUMBER("account", s->account_id),
		        LOG_NUMBER("retrieved", s->retrieved), LOG_NUMBER("deleted", s->deleted),
		        LOG_NUMBER("quit", s->state == UPDATE), LOG_NUMBER("end", why));
	s->closing = true;
	s->conn = NULL;
	session_forget_client(s);
	stop_timer(s);
	drop_all(s);
	session_release(s);
}

/* --- steps --- */

void session_wait(struct pop3_session *s)
{
	CHECK(!s->waiting);
	s->waiting = true;
	conn_pause(s->conn);
}

static void farewell(struct pop3_session *s)
{
	struct error err;

	error_set(&err, ERR_CLOSED, "the server is going down");
	reply_refuse(s, &err);
	session_end(s);
}

static void too_late(struct pop3_session *s)
{
	reply_err(s, "you took too long to log in");
	session_end(s);
}

void session_go_on(struct pop3_session *s)
{
	CHECK(s->waiting);
	s->waiting = false;
	if (s->ended)
		return;
	session_check(s);
	s->last_command_ms = (int64_t)uv_now(s->server->loop);
	if (s->server->draining && s->state == AUTHORIZATION)
		farewell(s);
	else if (s->login_overdue && s->state == AUTHORIZATION)
		too_late(s); /* that was the last chance: an exchange that only went a step further was not a login */
	else
		conn_resume(s->conn);
}

static void run_job(struct worker_job *job)
{
	struct pop3_session *s = container_of(job, struct pop3_session, job);

	s->job_run(s);
}

static void on_job_done(struct worker_job *job)
{
	struct pop3_session *s = container_of(job, struct pop3_session, job);

	s->job_busy = false;
	if (!s->closing && !s->ended)
		s->job_done(s);
	else if (s->closing)
		drop_all(s);
	session_release(s);
}

void session_work(struct pop3_session *s, enum worker_lane lane, void (*run)(struct pop3_session *s),
        void (*done)(struct pop3_session *s))
{
	CHECK(!s->job_busy);
	if (!s->closing && !s->waiting)
		session_wait(s);
	s->job = (struct worker_job) { .run = run_job, .done = on_job_done, .lane = lane };
	s->job_run = run;
	s->job_done = done;
	s->job_busy = true;
	error_clear(&s->job_error);
	session_hold(s);
	worker_submit(s->server->pool, &s->job);
}

static void run_produce(struct pop3_session *s)
{
	while (!conn_full(s->conn) && !conn_is_closing(s->conn)) {
		if (!s->produce(s)) {
			if (s->waiting)
				session_go_on(s);
			return;
		}
	}
	if (!s->waiting)
		session_wait(s);
	s->on_room = run_produce;
}

void session_produce(struct pop3_session *s, bool (*produce)(struct pop3_session *s))
{
	s->produce = produce;
	run_produce(s);
}

void session_wait_for_room(struct pop3_session *s)
{
	if (conn_full(s->conn)) {
		if (!s->waiting)
			session_wait(s);
		s->on_room = session_go_on;
	} else if (s->waiting) {
		session_go_on(s);
	}
}

static void on_drained(void *session)
{
	struct pop3_session *s = session;
	void (*on_room)(struct pop3_session *) = s->on_room;

	s->on_room = NULL;
	if (on_room != NULL && !s->ended)
		on_room(s);
}

/* --- begin --- */

bool session_is_private(const struct pop3_session *s)
{
	return conn_has_tls(s->conn) ||
	       (s->server->settings.plaintext_auth_on_loopback && conn_peer_is_loopback(s->conn));
}

void session_logged_in(struct pop3_session *s)
{
	CHECK(s->state == AUTHORIZATION && s->maildrop != NULL);
	session_forget_client(s);
	stop_timer(s);
	s->state = TRANSACTION;
	s->bad_commands = 0;
	conn_set_logged_in(s->conn);
	conn_set_secret_input(s->conn, false);
	conn_set_timeout(s->conn, s->server->settings.idle_timeout_ms);
	conn_set_read_size(s->conn, READ_SIZE);
}

/* Time is up: to finish the handshake, or to log in. */
static void on_timer(uv_timer_t *timer)
{
	struct pop3_session *s = timer->data;

	if (s->closing || s->ended || s->state != AUTHORIZATION)
		return;
	if (s->handshaking) {
		s->ended = true;
		conn_close(s->conn);
	} else if (s->waiting) {
		s->login_overdue = true; /* authd is at it: a last chance */
	} else {
		too_late(s);
	}
}

static void set_timer(struct pop3_session *s, unsigned milliseconds)
{
	uv_timer_start(&s->timer, on_timer, milliseconds, 0);
}

void session_begin_handshake(struct pop3_session *s)
{
	s->handshaking = true;
	set_timer(s, s->server->settings.tls_timeout_ms);
}

static void greet(struct pop3_session *s)
{
	/* No <timestamp>: it would announce APOP (RFC 1939 §7), which needs clear passwords on our side. */
	reply_ok(s, "%s POP3 ready", s->server->settings.hostname);
	if (s->server->draining)
		farewell(s);
}

static void on_tls(void *session)
{
	struct pop3_session *s = session;
	bool greeted = !s->tls_at_once;

	s->handshaking = false;
	s->tls_at_once = false;
	set_timer(s, s->server->settings.login_timeout_ms);
	if (!greeted)
		greet(s);
}

static void on_line(void *session, struct span line, enum line_end end)
{
	struct pop3_session *s = session;

	(void)end; /* a bare LF is forgiven: it can mean nothing else here */
	if (s->ended)
		return;
	s->last_command_ms = (int64_t)uv_now(s->server->loop);
	if (s->sasl != NULL)
		auth_line(s, line);
	else
		command_dispatch(s, line);
}

static void on_line_too_long(void *session)
{
	struct pop3_session *s = session;

	if (s->ended)
		return;
	if (s->sasl != NULL)
		auth_line_too_long(s);
	else
		reply_bad(s, "the line is too long");
}

static void on_evict(void *session)
{
	struct pop3_session *s = session;

	if (s->ended)
		return;
	if (!s->handshaking) {
		reply_err(s, "[SYS/TEMP] too many connections; try again later"); /* RFC 3206 §4 */
		session_end(s);
	} else {
		s->ended = true;
		conn_close(s->conn);
	}
}

/* RFC 1939 §3: when the time without a command runs out the session ends without a word (on_timeout NULL). */
static const struct conn_handler handler = {
	.on_line = on_line,
	.on_line_too_long = on_line_too_long,
	.on_tls = on_tls,
	.on_drained = on_drained,
	.on_evict = on_evict,
	.on_closed = on_closed,
};

static void link_session(struct pop3_session *s)
{
	s->next = s->server->sessions;
	s->link = &s->server->sessions;
	if (s->next != NULL)
		s->next->link = &s->next;
	s->server->sessions = s;
}

void session_start(struct pop3_server *server, struct conn *conn, bool tls_at_once)
{
	struct pop3_session *s = server->draining ? NULL : calloc(1, sizeof(*s));

	if (s == NULL) {
		conn_close(conn);
		return;
	}
	s->server = server;
	s->conn = conn;
	s->id = conn_id(conn);
	s->state = AUTHORIZATION;
	s->tls_at_once = tls_at_once;
	s->last_command_ms = (int64_t)uv_now(server->loop);
	s->peer = (struct auth_peer) { AUTH_POP3, conn_peer_text(conn) };
	s->holds = 2; /* conn, timer */
	uv_timer_init(server->loop, &s->timer);
	s->timer.data = s;
	s->timer_open = true;
	link_session(s);
	conn_set_timeout(conn, 0); /* until login the timer is stricter, and says goodbye */
	conn_start(conn, &handler, s, COMMAND_LINE_MAX);
	conn_set_secret_input(conn, true);
	if (tls_at_once) {
		session_begin_handshake(s);
	} else {
		set_timer(s, server->settings.login_timeout_ms);
		greet(s);
	}
}

/* --- drain --- */

/* A login that waits for authd is told at once (RFC 3206 §4: it is not about the password); the answer comes too late for it. */
static bool waits_for_authd(const struct pop3_session *s)
{
	return s->state == AUTHORIZATION && s->waiting && !s->job_busy;
}

/* A session between two commands is left alone for DRAIN_IDLE_MS: its client may be about to QUIT. */
static void on_drain_look(uv_timer_t *timer)
{
	struct pop3_server *server = timer->data;
	struct pop3_session *s, *next;
	int64_t now = (int64_t)uv_now(server->loop);

	for (s = server->sessions; s != NULL; s = next) {
		next = s->next;
		if (s->closing || s->ended || s->handshaking || (s->waiting && !waits_for_authd(s)))
			continue;
		if (s->state == AUTHORIZATION || now - s->last_command_ms >= DRAIN_IDLE_MS)
			farewell(s);
	}
}

void server_drain(struct pop3_server *server)
{
	if (server->draining)
		return;
	server->draining = true;
	uv_timer_init(server->loop, &server->drain_timer);
	server->drain_timer.data = server;
	uv_timer_start(&server->drain_timer, on_drain_look, 0, DRAIN_LOOK_MS);
	server_check_empty(server);
}

void server_close_all(struct pop3_server *server)
{
	for (struct pop3_session *s = server->sessions; s != NULL; s = s->next) {
		if (!s->closing) {
			s->ended = true;
			conn_close(s->conn);
		}
	}
}
