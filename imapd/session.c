#include "imapd/session.h"

#include "base/check.h"
#include "base/log.h"
#include "imapd/capability.h"
#include "imapd/command.h"
#include "imapd/compress.h"
#include "imapd/fetch_ahead.h"
#include "imapd/reader.h"
#include "imapd/session_private.h"
#include "imapd/view.h"

#include <stdlib.h>

void session_check(const struct imap_session *s)
{
	if (s->closing)
		return;
	CHECK((s->state == SELECTED) == (s->view != NULL) || s->state == LOGGED_OUT);
	CHECK(s->state == NOT_AUTHENTICATED || (s->sasl == NULL && s->auth == NULL));
	CHECK(s->request != NULL || (s->on_line == NULL && s->on_room == NULL && !s->dispatching));
	CHECK(s->request != NULL || !s->job_busy);
}

/* --- the end --- */

void session_hold(struct imap_session *s)
{
	s->holds++;
}

static void free_requests(struct imap_session *s, struct imap_request *list)
{
	while (list != NULL) {
		struct imap_request *next = list->next;

		request_free(s, list);
		list = next;
	}
}

void session_release(struct imap_session *s)
{
	struct imap_server *server = s->server;

	CHECK(s->holds > 0);
	if (--s->holds > 0)
		return;
	CHECK(s->closing && s->view == NULL);
	*s->link = s->next;
	if (s->next != NULL)
		s->next->link = s->link;
	if (s->request != NULL)
		request_free(s, s->request);
	free_requests(s, s->ending);
	free_requests(s, s->detached);
	buffer_free(&s->parked);
	free(s->saved);
	free(s->binary);
	fetch_ahead_free(&s->ahead);
	free(s);
	server_check_empty(server);
}

static void on_timer_closed(uv_handle_t *handle)
{
	session_release(handle->data);
}

static void stop_timer(struct imap_session *s)
{
	if (s->timer_open)
		uv_close((uv_handle_t *)&s->timer, on_timer_closed);
	s->timer_open = false;
}

void session_forget_client(struct imap_session *s)
{
	if (s->auth != NULL)
		auth_cancel(&s->auth);
	if (s->sasl != NULL)
		sasl_free(&s->sasl);
}

static void on_closed(void *session, enum conn_end why)
{
	struct imap_session *s = session;

	if (s->account_id != 0)
		LOG(LOG_INFO, "imap.logout", LOG_NUMBER("session", s->id), LOG_NUMBER("account", s->account_id),
		        LOG_NUMBER("end", why));
	s->closing = true;
	s->conn = NULL;
	s->on_line = NULL;
	s->on_room = NULL;
	session_forget_client(s);
	if (s->view != NULL)
		view_close(&s->view);
	session_not_busy(s);
	compress_free(&s->compress);
	reader_free(&s->reader);
	stop_timer(s);
	session_release(s);
}

void session_end(struct imap_session *s)
{
	if (s->ended)
		return;
	s->ended = true;
	if (s->compress != NULL)
		compress_finish(s->compress, s->conn);
	conn_finish(s->conn);
}

void session_bye(struct imap_session *s, const char *code, const char *text)
{
	if (s->ended || s->closing)
		return;
	if (code != NULL)
		session_printf(s, "* BYE [%s] %s\r\n", code, text);
	else
		session_printf(s, "* BYE %s\r\n", text);
	session_end(s);
}

/* --- jobs --- */

static void run_job(struct worker_job *job)
{
	struct imap_session *s = container_of(job, struct imap_session, job);

	s->job_run(s);
}

static void on_job_done(struct worker_job *job)
{
	struct imap_session *s = container_of(job, struct imap_session, job);

	s->job_busy = false;
	if (!s->closing && !s->ended)
		s->job_done(s);
	session_release(s);
}

uint64_t account_writing_key(int64_t account_id)
{
	return (uint64_t)account_id;
}

uint64_t account_reading_key(int64_t account_id, uint64_t reader)
{
	return (uint64_t)account_id | (1 + reader % ACCOUNT_READERS) << 62; /* ids are far smaller */
}

static void submit_work(struct imap_session *s, enum worker_lane lane, uint64_t key,
        void (*run)(struct imap_session *s), void (*done)(struct imap_session *s))
{
	CHECK(!s->job_busy && !s->closing);
	s->job = (struct worker_job) { .run = run_job, .done = on_job_done, .lane = lane, .key = key };
	s->job_run = run;
	s->job_done = done;
	s->job_busy = true;
	error_clear(&s->job_error);
	session_hold(s);
	worker_submit(s->server->pool, &s->job);
}

void session_work(struct imap_session *s, enum worker_lane lane, void (*run)(struct imap_session *s),
        void (*done)(struct imap_session *s))
{
	bool reads = lane == WORKER_READ;

	CHECK(s->account_id > 0);
	submit_work(s, lane, reads ? account_reading_key(s->account_id, s->id) : account_writing_key(s->account_id),
	        run, done);
}

void session_work_apart(
        struct imap_session *s, void (*run)(struct imap_session *s), void (*done)(struct imap_session *s))
{
	submit_work(s, WORKER_WRITE, 0, run, done);
}

/* --- states --- */

bool session_is_private(const struct imap_session *s)
{
	return conn_has_tls(s->conn) ||
	       (s->server->settings.plaintext_auth_on_loopback && conn_peer_is_loopback(s->conn));
}

bool session_is_read_only(const struct imap_session *s)
{
	return s->view != NULL && s->view->read_only;
}

bool session_utf8(const struct imap_session *s)
{
	return (s->enabled & (ENABLED_UTF8 | ENABLED_REV2)) != 0;
}

void session_logged_in(struct imap_session *s, int64_t account_id, const char *login)
{
	CHECK(s->state == NOT_AUTHENTICATED);
	stop_timer(s);
	s->account_id = account_id;
	(void)span_copy(span_of(login), s->login, sizeof(s->login)); /* may be the exchange's */
	session_forget_client(s);
	s->state = AUTHENTICATED;
	s->bad_commands = 0;
	conn_set_logged_in(s->conn);
	conn_set_secret_input(s->conn, false);
	conn_set_read_size(s->conn, READ_SIZE);
	conn_set_timeout(s->conn, s->server->settings.idle_timeout_ms);
	LOG(LOG_INFO, "imap.login", LOG_NUMBER("session", s->id), LOG_TEXT("peer", conn_peer_text(s->conn)),
	        LOG_NUMBER("account", account_id), LOG_NUMBER("tls", conn_has_tls(s->conn)));
}

void session_select(struct imap_session *s, struct view *view)
{
	CHECK(s->state == AUTHENTICATED && s->view == NULL);
	s->view = view;
	s->state = SELECTED;
}

void session_unselect(struct imap_session *s)
{
	if (s->state != SELECTED)
		return;
	view_close(&s->view);
	free(s->saved);
	free(s->binary);
	fetch_ahead_free(&s->ahead);
	s->saved = NULL;
	s->binary = NULL;
	s->state = AUTHENTICATED;
}

/* --- time --- */

static void too_late(struct imap_session *s)
{
	session_bye(s, NULL, "you took too long to log in");
}

/* Time is up: to finish the handshake, or to log in. */
static void on_timer(uv_timer_t *timer)
{
	struct imap_session *s = timer->data;

	if (s->closing || s->ended || s->state != NOT_AUTHENTICATED)
		return;
	if (s->handshaking) {
		s->ended = true;
		conn_close(s->conn);
	} else if (s->request != NULL && s->on_line == NULL) {
		s->login_overdue = true; /* authd is at it: a last chance */
	} else {
		too_late(s);
	}
}

static void set_timer(struct imap_session *s, unsigned milliseconds)
{
	uv_timer_start(&s->timer, on_timer, milliseconds, 0);
}

void session_begin_handshake(struct imap_session *s)
{
	s->handshaking = true;
	set_timer(s, s->server->settings.tls_timeout_ms);
}

/* No byte came or went for the time that session_set_timeout() said. */
static void on_timeout(void *session)
{
	struct imap_session *s = session;

	if (s->ended)
		return;
	if (s->request != NULL && s->on_line == NULL && s->on_room == NULL && !reader_in_message(s->reader))
		return; /* a command of ours takes so long */
	if (conn_queued(s->conn) > 0) {
		s->ended = true;
		conn_close(s->conn); /* it reads nothing, so it reads no BYE */
	} else {
		session_bye(s, NULL, "you were silent for too long"); /* RFC 9051 §5.4 */
	}
}

/* --- begin --- */

static void greet(struct imap_session *s)
{
	char capabilities[CAPABILITIES_MAX];

	capability_list(s, capabilities);
	session_printf(s, "* OK [CAPABILITY %s] %s Posthouse ready\r\n", capabilities, s->server->settings.hostname);
	if (s->server->draining)
		session_bye(s, "UNAVAILABLE", "the server is going down; try again soon");
}

static void on_tls(void *session)
{
	struct imap_session *s = session;
	bool greeted = !s->tls_at_once;

	s->handshaking = false;
	s->tls_at_once = false;
	set_timer(s, s->server->settings.login_timeout_ms);
	if (!greeted)
		greet(s);
	session_update_input(s); /* STARTTLS held it back */
}

static void on_evict(void *session)
{
	struct imap_session *s = session;

	if (s->ended)
		return;
	if (s->handshaking) {
		s->ended = true;
		conn_close(s->conn);
	} else {
		session_bye(s, "UNAVAILABLE", "too many connections; try again later"); /* RFC 5530 §3 */
	}
}

static const struct conn_handler handler = {
	.on_bytes = session_on_bytes,
	.on_tls = on_tls,
	.on_drained = session_on_drained,
	.on_timeout = on_timeout,
	.on_evict = on_evict,
	.on_closed = on_closed,
};

static struct imap_session *make_session(struct imap_server *server)
{
	struct imap_session *s = server->draining ? NULL : calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->reader = reader_new(s);
	if (s->reader == NULL) {
		free(s);
		return NULL;
	}
	s->server = server;
	s->state = NOT_AUTHENTICATED;
	buffer_init(&s->parked, COMMAND_MAX);
	s->next = server->sessions;
	s->link = &server->sessions;
	if (s->next != NULL)
		s->next->link = &s->next;
	server->sessions = s;
	return s;
}

void session_start(struct imap_server *server, struct conn *conn, bool tls_at_once)
{
	struct imap_session *s = make_session(server);

	if (s == NULL) {
		conn_close(conn);
		return;
	}
	s->conn = conn;
	s->id = conn_id(conn);
	s->tls_at_once = tls_at_once;
	s->last_command_ms = (int64_t)uv_now(server->loop);
	s->peer = (struct auth_peer) { AUTH_IMAP, conn_peer_text(conn) };
	s->holds = 2; /* conn, timer */
	uv_timer_init(server->loop, &s->timer);
	s->timer.data = s;
	s->timer_open = true;
	conn_set_timeout(conn, 0); /* until login the timer is stricter, and says goodbye */
	conn_start(conn, &handler, s, READ_SIZE_BEFORE_LOGIN);
	conn_set_mode(conn, CONN_BYTES);
	conn_set_read_size(conn, READ_SIZE_BEFORE_LOGIN);
	conn_set_secret_input(conn, true);
	if (tls_at_once) {
		session_begin_handshake(s);
	} else {
		set_timer(s, server->settings.login_timeout_ms);
		greet(s);
	}
}
