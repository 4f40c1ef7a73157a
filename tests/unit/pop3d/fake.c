#include "fake.h"

#include "base/base64.h"
#include "base/check.h"
#include "storage/batch.h"

#include <stdlib.h>
#include <string.h>

struct fake fake;

/* --- worker --- */

static struct worker_job *jobs, **jobs_end = &jobs;

void worker_submit(struct worker_pool *pool, struct worker_job *job)
{
	(void)pool;
	job->next = NULL;
	*jobs_end = job;
	jobs_end = &job->next;
}

static bool run_one_job(void)
{
	struct worker_job *job = jobs;

	if (job == NULL || fake.hold_jobs)
		return false;
	jobs = job->next;
	if (jobs == NULL)
		jobs_end = &jobs;
	job->run(job);
	job->done(job);
	return true;
}

/* --- conn --- */

struct conn {
	const struct conn_handler *handler;
	void *session;
	enum conn_end why;
	bool paused, closing, finishing, was_full, skipping, starting_tls;
	size_t line_limit, queued;
	char *in;
	size_t in_len, in_cap;
};

void conn_start(struct conn *conn, const struct conn_handler *handler, void *session, size_t line_limit)
{
	conn->handler = handler;
	conn->session = session;
	conn->line_limit = line_limit;
}

void conn_set_mode(struct conn *conn, enum conn_mode mode)
{
	(void)conn;
	(void)mode;
}

void conn_set_line_limit(struct conn *conn, size_t octets)
{
	conn->line_limit = octets;
}

void conn_set_read_size(struct conn *conn, size_t octets)
{
	(void)conn;
	(void)octets;
}

void conn_pause(struct conn *conn)
{
	CHECK(!conn->paused);
	conn->paused = true;
}

void conn_resume(struct conn *conn)
{
	CHECK(conn->paused);
	conn->paused = false;
}

bool conn_write(struct conn *conn, const void *bytes, size_t len)
{
	if (conn->closing)
		return false;
	CHECK(buffer_append(&fake.out, bytes, len));
	conn->queued += len;
	if (conn->queued > fake.queued_most)
		fake.queued_most = conn->queued;
	return true;
}

bool conn_write_text(struct conn *conn, const char *text)
{
	return conn_write(conn, text, strlen(text));
}

bool conn_printf(struct conn *conn, const char *format, ...)
{
	char line[2048];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	CHECK(len >= 0 && (size_t)len < sizeof(line));
	return conn_write(conn, line, (size_t)len);
}

bool conn_full(const struct conn *conn)
{
	bool full = fake.full_at > 0 && conn->queued >= fake.full_at;

	if (full)
		fake.conn->was_full = true;
	return full;
}

size_t conn_queued(const struct conn *conn)
{
	return conn->queued;
}

bool conn_start_tls(struct conn *conn)
{
	if (conn->in_len > 0) {
		conn_close(conn);
		return false;
	}
	conn->starting_tls = true;
	return true;
}

bool conn_has_tls(const struct conn *conn)
{
	(void)conn;
	return fake.tls;
}

size_t conn_channel_binding(const struct conn *conn, const char *type, uint8_t out[CONN_BINDING_MAX])
{
	(void)conn;
	(void)type;
	memset(out, 0x5A, 32);
	return fake.tls ? 32 : 0;
}

bool conn_can_start_tls(const struct conn *conn)
{
	(void)conn;
	return fake.offers_tls && !fake.tls;
}

void conn_set_timeout(struct conn *conn, unsigned milliseconds)
{
	(void)conn;
	(void)milliseconds;
}

void conn_finish(struct conn *conn)
{
	conn->finishing = true;
}

void conn_close(struct conn *conn)
{
	conn->closing = true;
}

bool conn_is_closing(const struct conn *conn)
{
	return conn->closing;
}

void conn_set_secret_input(struct conn *conn, bool on)
{
	(void)conn;
	(void)on;
}

void conn_set_logged_in(struct conn *conn)
{
	(void)conn;
}

const char *conn_peer_text(const struct conn *conn)
{
	(void)conn;
	return "192.0.2.1";
}

bool conn_peer_is_loopback(const struct conn *conn)
{
	(void)conn;
	return fake.loopback;
}

uint64_t conn_id(const struct conn *conn)
{
	(void)conn;
	return 1;
}

static void consume(struct conn *conn, size_t count)
{
	memmove(conn->in, conn->in + count, conn->in_len - count);
	conn->in_len -= count;
}

static bool deliver_line(void)
{
	struct conn *conn = fake.conn;
	char *lf, *line;
	size_t len;

	if (conn->paused || conn->closing || conn->finishing || conn->starting_tls || conn->in_len == 0)
		return false;
	lf = memchr(conn->in, '\n', conn->in_len);
	if (lf == NULL) {
		conn->skipping = conn->skipping || conn->in_len > conn->line_limit;
		if (conn->skipping)
			conn->in_len = 0;
		return false;
	}
	len = (size_t)(lf - conn->in) + 1;
	if (conn->skipping || len > conn->line_limit) {
		conn->skipping = false;
		consume(conn, len);
		conn->handler->on_line_too_long(conn->session);
		return true;
	}
	line = malloc(len); /* of its exact length, so that a read behind its end is seen */
	CHECK(line != NULL);
	memcpy(line, conn->in, len);
	consume(conn, len);
	if (len > 1 && line[len - 2] == '\r')
		conn->handler->on_line(conn->session, span_make(line, len - 2), LINE_END_CRLF);
	else
		conn->handler->on_line(conn->session, span_make(line, len - 1), LINE_END_LF);
	free(line);
	return true;
}

static bool drain_output(void)
{
	struct conn *conn = fake.conn;

	if (!fake.client_reads || conn->queued == 0)
		return false;
	conn->queued = 0;
	if (conn->was_full && !conn->closing && !conn->finishing && conn->handler->on_drained != NULL) {
		conn->was_full = false;
		conn->handler->on_drained(conn->session);
	}
	return true;
}

static bool close_conn(void)
{
	struct conn *conn = fake.conn;

	if (!conn->closing && !conn->finishing)
		return false;
	fake.conn = NULL;
	fake.closed = true;
	conn->handler->on_closed(conn->session, conn->why);
	free(conn->in);
	free(conn);
	return true;
}

bool fake_wants_tls(void)
{
	return fake.conn != NULL && fake.conn->starting_tls && !fake.conn->closing;
}

void fake_handshake(void)
{
	fake.tls = true;
	fake.conn->starting_tls = false;
	fake.conn->handler->on_tls(fake.conn->session);
	fake_run();
}

/* --- authd and SASL: PLAIN only, and a mechanism whose last word is the server's --- */

static struct auth_request {
	auth_callback *callback;
	void *arg;
	struct auth_answer answer;
	bool open;
} request;

static void judge(struct auth_answer *answer, struct span login, struct span password)
{
	*answer = (struct auth_answer) { .status = fake.auth_status, .account_id = 42 };
	if (answer->status == AUTH_OK &&
	        (!span_equal(login, SPAN("alice@example.test")) || !span_equal(password, SPAN("secret"))))
		answer->status = AUTH_WRONG;
	(void)span_copy(login, answer->login, sizeof(answer->login));
}

struct auth_request *auth_password(struct auth_client *client, const struct auth_peer *peer, struct span login,
        struct span password, auth_callback *callback, void *arg)
{
	(void)client;
	CHECK(peer->service == AUTH_POP3 && !request.open);
	request = (struct auth_request) { .callback = callback, .arg = arg, .open = true };
	judge(&request.answer, login, password);
	return &request;
}

void auth_cancel(struct auth_request **cancelled)
{
	(*cancelled)->open = false;
	*cancelled = NULL;
}

static bool answer_auth(void)
{
	if (!request.open)
		return false;
	request.open = false;
	request.callback(request.arg, &request.answer);
	return true;
}

struct sasl {
	sasl_callback *callback;
	void *arg;
	bool last_word, said_last;
	bool pending;
	enum sasl_outcome outcome;
	struct auth_answer answer;
};

static struct sasl *open_sasl;

const char *const sasl_binding_types[SASL_BINDING_COUNT] = { "tls-exporter", "tls-unique", "tls-server-end-point" };

const char *sasl_mechanism_names(const struct sasl_channel *channel)
{
	return !channel->secure               ? ""
	       : channel->bindings[0].len > 0 ? "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS"
	                                      : "PLAIN LOGIN SCRAM-SHA-256";
}

bool sasl_new(struct auth_client *client, const struct auth_peer *peer, struct span mechanism,
        const struct sasl_channel *channel, sasl_callback *callback, void *arg, struct sasl **out, struct error *err)
{
	struct sasl *sasl;

	(void)client;
	(void)peer;
	if (!span_equal_nocase(mechanism, SPAN("PLAIN")) && !span_equal_nocase(mechanism, SPAN("SCRAM-SHA-256")))
		return error_set(err, ERR_UNSUPPORTED, "no such authentication mechanism");
	CHECK(channel->secure); /* the gate in command.c is before this */
	sasl = calloc(1, sizeof(*sasl));
	CHECK(sasl != NULL && open_sasl == NULL);
	sasl->callback = callback;
	sasl->arg = arg;
	sasl->last_word = !span_equal_nocase(mechanism, SPAN("PLAIN"));
	*out = open_sasl = sasl;
	return true;
}

void sasl_start(struct sasl *sasl, bool has_initial, struct span initial)
{
	if (has_initial) {
		sasl_step(sasl, initial);
		return;
	}
	sasl->outcome = SASL_CHALLENGE;
	sasl->pending = true;
}

void sasl_step(struct sasl *sasl, struct span line)
{
	static const enum sasl_outcome outcomes[] = { SASL_OK, SASL_WRONG, SASL_DISABLED, SASL_THROTTLED,
		SASL_UNAVAILABLE };
	struct buffer plain;
	struct span rest, authzid, login;

	CHECK(!sasl->pending);
	sasl->pending = true;
	if (sasl->said_last) {
		sasl->outcome = line.len == 0 ? SASL_OK : SASL_MALFORMED;
		return;
	}
	buffer_init(&plain, SASL_LINE_MAX);
	sasl->outcome = span_equal(line, SPAN("*")) ? SASL_CANCELLED : SASL_MALFORMED;
	if (base64_decode(line, &plain)) {
		rest = buffer_span(&plain);
		if (span_take_until(&rest, '\0', &authzid) && span_take_until(&rest, '\0', &login)) {
			judge(&sasl->answer, login, rest);
			sasl->outcome = outcomes[sasl->answer.status];
			if (sasl->last_word && sasl->outcome == SASL_OK) {
				sasl->outcome = SASL_CHALLENGE;
				sasl->said_last = true;
			}
		}
	}
	buffer_free(&plain);
}

void sasl_free(struct sasl **sasl)
{
	CHECK(*sasl == open_sasl);
	free(*sasl);
	*sasl = open_sasl = NULL;
}

static bool answer_sasl(void)
{
	struct sasl *sasl = open_sasl;

	if (sasl == NULL || !sasl->pending || fake.hold_steps)
		return false;
	sasl->pending = false;
	sasl->callback(sasl->arg, sasl->outcome,
	        sasl->said_last && sasl->outcome == SASL_CHALLENGE ? SPAN("dj1zZXJ2ZXI=") : SPAN_EMPTY,
	        sasl->outcome == SASL_OK ? &sasl->answer : NULL);
	return true;
}

/* --- store --- */

struct account {
	int dummy;
};

struct maildrop_lock {
	int dummy;
};

static struct account the_account;
static struct maildrop_lock the_lock;

bool account_open(struct store *store, int64_t id, struct account **out, struct error *err)
{
	(void)store;
	CHECK(id == 42);
	fake.opens++;
	if (fake.fail_open != ERR_NONE)
		return error_set(err, fake.fail_open, "made to fail");
	*out = &the_account;
	return true;
}

void account_release(struct account **account)
{
	CHECK(*account == &the_account);
	*account = NULL;
}

bool store_lock_maildrop(struct store *store, int64_t id, struct maildrop_lock **out, struct error *err)
{
	(void)store;
	CHECK(id == 42 && !fake.locked);
	if (fake.locked_by_other)
		return error_set(err, ERR_BUSY, "locked");
	fake.locked = true;
	*out = &the_lock;
	return true;
}

void store_unlock_maildrop(struct maildrop_lock **lock)
{
	CHECK(fake.locked);
	fake.locked = false;
	*lock = NULL;
}

bool mailbox_find_use(struct account *account, enum special_use use, struct mailbox_info *out, struct error *err)
{
	(void)account;
	if (use == USE_TRASH && fake.no_trash)
		return error_set(err, ERR_NO_SUCH_MAILBOX, "no such mailbox");
	*out = (struct mailbox_info) { .id = use == USE_TRASH ? 6 : 1, .uid_validity = 7, .use = use };
	return true;
}

bool mailbox_find(struct account *account, struct span name, struct mailbox_info *out, struct error *err)
{
	(void)account;
	(void)name;
	(void)out;
	return error_set(err, ERR_NO_SUCH_MAILBOX, "no such mailbox");
}

bool mailbox_rows(
        struct account *account, int64_t mailbox_id, struct message_row **rows, size_t *count, struct error *err)
{
	(void)account;
	(void)err;
	CHECK(mailbox_id == 1);
	*rows = calloc(fake.count + 1, sizeof(**rows));
	CHECK(*rows != NULL);
	*count = 0;
	for (size_t i = 0; i < fake.count; i++) {
		if (!fake.messages[i].moved && !fake.messages[i].gone)
			(*rows)[(*count)++] = (struct message_row) {
				.uid = fake.messages[i].uid,
				.size = fake.messages[i].size,
				.message_id = (int64_t)i + 1000,
			};
	}
	return true;
}

/* Lines of 50 octets, each of which begins with a dot. */
char fake_big_octet(uint64_t at)
{
	uint64_t column = at % 50;

	return column == 0 ? '.' : column == 48 ? '\r' : column == 49 ? '\n' : (char)('a' + at / 50 % 26);
}

bool message_read(struct account *account, int64_t message_id, uint64_t offset, size_t size, struct buffer *out,
        struct error *err)
{
	const struct fake_message *m = &fake.messages[message_id - 1000];

	(void)account;
	CHECK(message_id >= 1000 && message_id < 1000 + (int64_t)fake.count);
	fake.reads++;
	if (m->gone)
		return error_set(err, ERR_NO_SUCH_MESSAGE, "gone");
	if (m->damaged && offset > 0)
		return error_set(err, ERR_DAMAGED, "damaged");
	if (offset >= m->size)
		return true;
	if (size > m->size - offset)
		size = (size_t)(m->size - offset);
	if (m->text != NULL)
		return buffer_append(out, m->text + offset, size);
	CHECK(buffer_reserve(out, size));
	for (size_t i = 0; i < size; i++)
		out->data[out->len++] = fake_big_octet(offset + i);
	return true;
}

struct batch {
	struct batch_result result;
	const uint32_t *uids;
	size_t count;
	bool move, expect, create;
};

struct batch *batch_new(const uint8_t *op_id)
{
	CHECK(op_id == NULL);
	return calloc(1, sizeof(struct batch));
}

void batch_free(struct batch **batch)
{
	free(*batch);
	*batch = NULL;
}

void batch_expect_uid_validity(struct batch *batch, int64_t mailbox_id, uint32_t uid_validity)
{
	batch->expect = mailbox_id == 1 && uid_validity == 7;
}

bool batch_move(struct batch *batch, int64_t from, const uint32_t *uids, size_t count, int64_t to)
{
	CHECK(from == 1 && to == 6);
	batch->uids = uids;
	batch->count = count;
	batch->move = true;
	return true;
}

bool batch_expunge(struct batch *batch, int64_t mailbox_id, const uint32_t *uids, size_t count)
{
	CHECK(mailbox_id == 1);
	batch->uids = uids;
	batch->count = count;
	return true;
}

bool batch_mailbox_create(struct batch *batch, struct span name, enum special_use use)
{
	CHECK(span_equal(name, SPAN("Trash")) && use == USE_TRASH);
	batch->create = true;
	return true;
}

static void apply(struct batch *batch)
{
	if (batch->create) {
		fake.no_trash = false;
		return;
	}
	CHECK(batch->expect);
	if (fake.uid_validity_changed) {
		error_set(&batch->result.error, ERR_CONFLICT, "another UIDVALIDITY");
		return;
	}
	for (size_t i = 0; i < batch->count; i++) {
		CHECK(i == 0 || batch->uids[i - 1] < batch->uids[i]);
		for (size_t j = 0; j < fake.count; j++) {
			if (fake.messages[j].uid == batch->uids[i])
				*(batch->move ? &fake.messages[j].moved : &fake.messages[j].gone) = true;
		}
	}
}

bool account_commit(struct account *account, struct batch **batches, size_t count, struct error *err)
{
	CHECK(account == &the_account && fake.locked);
	fake.commits++;
	if (fake.fail_commit != ERR_NONE)
		return error_set(err, fake.fail_commit, "made to fail");
	for (size_t i = 0; i < count; i++)
		apply(batches[i]);
	return true;
}

const struct batch_result *batch_result(const struct batch *batch)
{
	return &batch->result;
}

/* --- the test's side --- */

void fake_reset(void)
{
	struct fake_message *messages = fake.messages;
	size_t used = fake.count;

	memset(messages, 0, used * sizeof(*messages)); /* not all of the table: a fuzzer resets often */
	memset((char *)&fake + sizeof(fake.messages), 0, sizeof(fake) - sizeof(fake.messages));
	fake.loopback = true;
	fake.client_reads = true;
	fake.settings = (struct pop3d_settings) {
		.hostname = "pop.example.test",
		.version = "1",
		.plaintext_auth_on_loopback = true,
		.idle_timeout_ms = 600000,
		.tls_timeout_ms = 30000,
		.login_timeout_ms = 60000,
		.bad_commands = 10,
	};
	buffer_init(&fake.out, 256 * MIB);
}

static struct fake_message *add(uint32_t size)
{
	CHECK(fake.count < FAKE_MESSAGES_MAX);
	fake.messages[fake.count] = (struct fake_message) { .uid = (uint32_t)fake.count * 3 + 5, .size = size };
	return &fake.messages[fake.count++];
}

void fake_add(const char *text)
{
	add((uint32_t)strlen(text))->text = text;
}

void fake_add_big(uint32_t size)
{
	add(size);
}

void fake_connect(void)
{
	CHECK(uv_loop_init(&fake.loop) == 0);
	fake.server = (struct pop3_server) { .settings = fake.settings, .loop = &fake.loop };
	fake.conn = calloc(1, sizeof(*fake.conn));
	CHECK(fake.conn != NULL);
	session_start(&fake.server, fake.conn, fake.implicit_tls);
	fake_run();
}

void fake_run(void)
{
	bool moved;

	do {
		moved = run_one_job() || answer_auth() || answer_sasl();
		if (fake.conn != NULL)
			moved = close_conn() || deliver_line() || drain_output() || moved;
		uv_run(&fake.loop, UV_RUN_NOWAIT);
	} while (moved);
}

void fake_send(const void *bytes, size_t len)
{
	struct conn *conn = fake.conn;

	if (conn == NULL || len == 0)
		return;
	if (conn->in_len + len > conn->in_cap) {
		conn->in_cap = 2 * (conn->in_len + len);
		conn->in = realloc(conn->in, conn->in_cap);
		CHECK(conn->in != NULL);
	}
	memcpy(conn->in + conn->in_len, bytes, len);
	conn->in_len += len;
	fake_run();
}

void fake_hang_up(void)
{
	if (fake.conn == NULL)
		return;
	fake.conn->closing = true;
	fake.conn->why = CONN_END_PEER;
	fake_run();
}

void fake_free(void)
{
	fake.hold_jobs = false;
	fake_hang_up();
	fake_run();
	CHECK(fake.server.sessions == NULL && !fake.locked && jobs == NULL && open_sasl == NULL && !request.open);
	CHECK(uv_loop_close(&fake.loop) == 0);
	buffer_free(&fake.out);
}

const char *fake_take(void)
{
	static char *text;

	free(text);
	text = malloc(fake.out.len + 1);
	CHECK(text != NULL);
	memcpy(text, buffer_text(&fake.out), fake.out.len);
	text[fake.out.len] = '\0';
	buffer_clear(&fake.out);
	return text;
}

const char *fake_ask(const char *line)
{
	fake_take();
	fake_send(line, strlen(line));
	fake_send("\r\n", 2);
	return fake_take();
}
