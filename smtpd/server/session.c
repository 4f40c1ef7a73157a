#include "smtpd/server/session.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "smtpd/server/commands.h"

#include <stdlib.h>

const char *session_port_name(const struct smtp_session *s)
{
	static const char *const names[] = { "smtp", "submission", "submissions", "sendmail", "lmtp" };

	return names[s->port];
}

void session_check(const struct smtp_session *s)
{
	CHECK((s->transaction != NULL) == ((s->state & IN_TRANSACTION) != 0));
	CHECK((s->sasl != NULL) == (s->state == AUTHENTICATING));
}

/* --- lifetime -------------------------------------------------------------------------------------------------- */

static void drop_transaction(struct smtp_session *s)
{
	transaction_free(&s->transaction);
	s->server->envelopes -= s->envelope;
	s->envelope = 0;
	octets_left_memory(s);
	octets_read_narrowly(s);
}

static void session_release(struct smtp_session *s)
{
	struct smtp_server *server = s->server;

	CHECK(s->holds > 0);
	if (--s->holds > 0)
		return;
	sasl_free(&s->sasl);
	drop_transaction(s);
	rcpt_job_free(&s->rcpt);
	free(s->xclient);
	free(s->peer_name);
	buffer_free(&s->answer);
	*s->link = s->next;
	if (s->next != NULL)
		s->next->link = s->link;
	free(s);
	if (server->draining && server->sessions == NULL)
		server->on_empty(server->arg);
}

static void on_timer_closed(uv_handle_t *handle)
{
	session_release(container_of(handle, struct smtp_session, timer));
}

static void on_closed(void *session, enum conn_end why)
{
	struct smtp_session *s = session;

	s->closing = true;
	if (s->waiting == WAIT_LOGIN || s->waiting == WAIT_DELAY) {
		s->waiting = WAIT_NOTHING;
		session_release(s);
	}
	sasl_free(&s->sasl);
	if (s->timer_open)
		uv_close((uv_handle_t *)&s->timer, on_timer_closed);
	LOG(LOG_DEBUG, "smtp.end", LOG_NUMBER("session", s->id), LOG_TEXT("port", session_port_name(s)),
	        LOG_NUMBER("why", why), LOG_NUMBER("messages", s->messages),
	        LOG_NUMBER("ms", clock_mono_ms() - s->started_ms));
	session_release(s);
}

void session_set_timer(struct smtp_session *s, unsigned milliseconds, uv_timer_cb callback)
{
	if (!s->timer_open) {
		uv_timer_init(conn_loop(s->conn), &s->timer);
		s->timer_open = true;
		s->holds++;
	}
	uv_timer_start(&s->timer, callback, milliseconds, 0);
}

void session_stop_timer(struct smtp_session *s)
{
	if (s->timer_open)
		uv_timer_stop(&s->timer);
}

/* --- waiting --------------------------------------------------------------------------------------------------- */

void session_wait(struct smtp_session *s, enum session_wait what)
{
	CHECK(s->waiting == WAIT_NOTHING);
	s->waiting = what;
	s->holds++;
	if (!s->paused) {
		s->paused = true;
		conn_pause(s->conn);
	}
}

bool session_woken(struct smtp_session *s)
{
	CHECK(s->waiting != WAIT_NOTHING);
	s->waiting = WAIT_NOTHING;
	if (!s->closing && !s->ended)
		return true;
	session_release(s);
	return false;
}

void session_go_on(struct smtp_session *s)
{
	session_leave_if_draining(s);
	if (s->waiting == WAIT_NOTHING && s->paused && !s->ended) {
		s->paused = false;
		conn_resume(s->conn);
	}
	session_release(s);
}

static void run_job(struct worker_job *job)
{
	struct smtp_session *s = container_of(job, struct smtp_session, job);

	s->job_run(s);
}

static void on_job_done(struct worker_job *job)
{
	struct smtp_session *s = container_of(job, struct smtp_session, job);

	if (!session_woken(s))
		return;
	s->job_done(s);
	session_go_on(s);
}

void session_work(struct smtp_session *s, enum worker_lane lane, void (*run)(struct smtp_session *s),
        void (*done)(struct smtp_session *s))
{
	session_wait(s, WAIT_JOB);
	s->job_run = run;
	s->job_done = done;
	s->job = (struct worker_job) { .run = run_job, .done = on_job_done, .lane = lane };
	error_clear(&s->job_error);
	worker_submit(s->server->pool, &s->job);
}

/* --- what is so ------------------------------------------------------------------------------------------------ */

bool session_is_private(const struct smtp_session *s)
{
	return conn_has_tls(s->conn) ||
	       (s->server->settings.plaintext_auth_on_loopback && !s->peer_unproven && conn_peer_is_loopback(s->conn));
}

/* Not on port 25: who logs in submits, and that has its own ports (RFC 6409 §3.1). */
bool session_offers_auth(const struct smtp_session *s)
{
	return session_needs_login(s) && session_is_private(s);
}

static bool peer_is_in(const struct smtp_session *s, const struct smtp_networks *networks)
{
	uint8_t address[NETWORK_KEY_LEN];

	if (networks->count == 0 || s->port == PORT_LOCAL || s->peer_unproven)
		return false;
	network_address(conn_peer(s->conn), address);
	return network_contains(networks->list, networks->count, address);
}

bool session_may_relay(const struct smtp_session *s)
{
	if (s->account_id != 0 || s->port == PORT_LOCAL)
		return true;
	return s->port != PORT_DELIVER && peer_is_in(s, &s->server->relay);
}

bool session_needs_login(const struct smtp_session *s)
{
	return (s->port == PORT_SUBMIT || s->port == PORT_SUBMIT_TLS) && s->account_id == 0;
}

bool session_offers_starttls(const struct smtp_session *s)
{
	return s->port != PORT_LOCAL && conn_can_start_tls(s->conn);
}

/* --- state changes --------------------------------------------------------------------------------------------- */

void session_begin(struct smtp_session *s, struct transaction *transaction)
{
	CHECK(s->state == READY);
	s->transaction = transaction;
	s->state = HAS_SENDER;
}

void session_count_envelope(struct smtp_session *s)
{
	size_t memory = envelope_memory(&s->transaction->envelope);

	s->server->envelopes += memory - s->envelope;
	s->envelope = memory;
}

void session_end_message(struct smtp_session *s)
{
	drop_transaction(s);
	if (s->state & IN_TRANSACTION)
		s->state = READY;
}

void session_log_in(struct smtp_session *s, int64_t account_id, struct span login)
{
	s->account_id = account_id;
	(void)span_copy(login, s->login, sizeof(s->login)); /* fits: AUTH_LOGIN_MAX */
	session_stop_timer(s);
	conn_set_logged_in(s->conn);
	conn_set_secret_input(s->conn, false);
	conn_set_line_limit(s->conn, session_line_limit(s));
}

static void on_login_timeout(uv_timer_t *timer)
{
	struct smtp_session *s = container_of(timer, struct smtp_session, timer);

	session_reply(s, 421, "4.7.0", "nobody logged in within %u seconds, goodbye",
	        s->server->settings.login_timeout_ms / 1000);
}

/* On the submission ports: a login comes first, within the time for it. */
static void await_login(struct smtp_session *s)
{
	if (!session_needs_login(s))
		return;
	conn_set_secret_input(s->conn, true);
	conn_set_line_limit(s->conn, session_line_limit(s));
	session_set_timer(s, s->server->settings.login_timeout_ms, on_login_timeout);
}

static void forget_login(struct smtp_session *s)
{
	if (s->account_id == 0)
		return;
	s->account_id = 0;
	s->login[0] = '\0';
	await_login(s);
}

void session_forget_client(struct smtp_session *s)
{
	session_end_message(s);
	forget_login(s);
	s->extended = false;
	s->helo_given = s->proto_given = false;
	s->helo[0] = '\0';
	s->state = GREETED;
}

/* --- events of the conn ---------------------------------------------------------------------------------------- */

void session_greet(struct smtp_session *s)
{
	CHECK(s->state == CONNECTED);
	s->state = GREETED;
	if (s->server->draining)
		session_reply(s, 421, "4.3.2", "%s is going down, try again later", s->server->settings.hostname);
	else if (s->port == PORT_DELIVER && !peer_is_in(s, &s->server->relay)) /* 4yz: the admin can mend it */
		session_reply(s, 421, "4.7.1", "%s takes mail by LMTP from its relay_networks only",
		        s->server->settings.hostname);
	else if (s->port == PORT_DELIVER) /* RFC 2033 §4.1 */
		session_reply(s, 220, NULL, "%s LMTP Posthouse", s->server->settings.hostname);
	else /* RFC 5321 §4.3.1: the name first. No version: it would only help those who look for one (§7.5). */
		session_reply(s, 220, NULL, "%s ESMTP Posthouse", s->server->settings.hostname);
}

static void on_line(void *session, struct span line, enum line_end end)
{
	struct smtp_session *s = session;

	if (s->ended)
		return;
	if (end != LINE_END_CRLF) /* RFC 5321 §2.3.8 */
		session_bad_command(s, 500, "5.5.2", "lines must end with CR LF");
	else if (s->state == AUTHENTICATING)
		auth_line(s, line);
	else
		command_dispatch(s, line);
	session_check(s);
}

static void on_line_too_long(void *session)
{
	struct smtp_session *s = session;

	if (s->ended)
		return;
	if (s->state == AUTHENTICATING)
		auth_line_too_long(s);
	else /* RFC 5321 §4.5.3.1.9 */
		session_bad_command(s, 500, "5.5.2", "line too long");
	session_check(s);
}

static size_t on_bytes(void *session, struct span bytes)
{
	struct smtp_session *s = session;
	size_t consumed = bytes.len;

	if (s->ended)
		return consumed;
	if (s->awaits_proxy)
		proxy_receive(s, bytes);
	else
		consumed = s->chunk.open ? chunk_receive(s, bytes) : data_receive(s, bytes);
	session_check(s);
	return consumed;
}

static void on_tls(void *session)
{
	struct smtp_session *s = session;

	conn_set_timeout(s->conn, s->server->settings.idle_timeout_ms);
	if (s->state == CONNECTED)
		session_greet(s);
	/* After STARTTLS there is no second greeting (RFC 3207 §4.2). */
}

static void on_timeout(void *session)
{
	struct smtp_session *s = session;

	if (s->waiting == WAIT_NOTHING)
		session_reply(s, 421, "4.4.2", "idle for too long, goodbye"); /* RFC 5321 §4.5.3.2.7 */
	else /* it is we who are slow: the client may wait 10 minutes (RFC 5321 §4.5.3.2.6) */
		conn_set_timeout(s->conn, s->server->settings.idle_timeout_ms);
}

/* Not in the middle of a delivery: see conn_set_evictable(). */
static void on_evict(void *session)
{
	session_reply(session, 421, "4.7.0", "too many connections, try again later");
}

static const struct conn_handler handler = {
	.on_line = on_line,
	.on_line_too_long = on_line_too_long,
	.on_bytes = on_bytes,
	.on_tls = on_tls,
	.on_timeout = on_timeout,
	.on_evict = on_evict,
	.on_closed = on_closed,
};

static void enlist(struct smtp_server *server, struct smtp_session *s)
{
	s->next = server->sessions;
	s->link = &server->sessions;
	if (s->next != NULL)
		s->next->link = &s->next;
	server->sessions = s;
}

void session_start(struct smtp_server *server, struct conn *conn, enum smtp_port port)
{
	struct smtp_session *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		conn_close(conn);
		return;
	}
	s->server = server;
	s->conn = conn;
	s->id = conn_id(conn);
	s->port = port;
	s->state = CONNECTED;
	s->holds = 1;
	s->started_ms = clock_mono_ms();
	buffer_init(&s->answer, SESSION_ANSWER_MAX);
	enlist(server, s);
	s->awaits_proxy = peer_is_in(s, &server->proxy);
	if (s->awaits_proxy)
		conn_hold_tls(conn);
	conn_start(conn, &handler, s, session_line_limit(s));
	if (s->awaits_proxy)
		proxy_await(s);
	else
		session_peer_known(s);
}

void session_peer_known(struct smtp_session *s)
{
	const struct smtpd_settings *settings = &s->server->settings;

	s->may_xclient = s->port != PORT_DELIVER && peer_is_in(s, &s->server->xclient);
	await_login(s);
	conn_set_timeout(s->conn, s->port == PORT_SUBMIT_TLS ? settings->tls_timeout_ms : settings->idle_timeout_ms);
	if (s->port == PORT_LOCAL)
		local_user_start(s);
	else if (s->port != PORT_SUBMIT_TLS)
		session_greet(s);
}

void session_greet_again(struct smtp_session *s)
{
	session_forget_client(s);
	s->bad_commands = s->idle_commands = s->refusals = s->unknown_recipients = s->auth_failures = 0;
	s->state = CONNECTED;
	session_greet(s);
}

/* RFC 4954 §4: an AUTH line may be 12288 octets long; others need far less. */
size_t session_line_limit(const struct smtp_session *s)
{
	return session_needs_login(s) ? SASL_LINE_MAX : COMMAND_LINE_MAX;
}

/* authd's answer may take as long as a queue of guesses: nobody waits for that to go. */
static bool may_leave(const struct smtp_session *s)
{
	return (s->waiting == WAIT_NOTHING || s->waiting == WAIT_LOGIN) && (s->state & IN_TRANSACTION) == 0;
}

void session_leave_if_draining(struct smtp_session *s)
{
	if (s->server->draining && may_leave(s))
		session_reply(s, 421, "4.3.2", "%s is going down, try again later", s->server->settings.hostname);
}

void server_drain(struct smtp_server *server)
{
	server->draining = true;
	for (struct smtp_session *s = server->sessions; s != NULL; s = s->next)
		session_leave_if_draining(s);
	if (server->sessions == NULL)
		server->on_empty(server->arg);
}

void server_close_all(struct smtp_server *server)
{
	for (struct smtp_session *s = server->sessions; s != NULL; s = s->next)
		if (!s->closing)
			conn_close(s->conn);
}
