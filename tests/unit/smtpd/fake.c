#include "fake.h"

#include "base/check.h"
#include "message/summary.h"
#include "storage/batch.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- conn ------------------------------------------------------------------------------------------------------ */

struct conn {
	struct fake_world *world;
	const struct conn_handler *handler;
	void *session;
	struct buffer in, out;
	size_t line_limit;
	enum conn_mode mode;
	size_t read_size;
	size_t delivering; /* raw octets that the session is looking at */
	union {
		struct sockaddr any;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} peer;
	char peer_text[CONN_ADDRESS_TEXT];
	bool paused, finishing, closed_told, tls, tls_pending, tls_held, skipping, sheltered;
	struct conn *next;
};

static struct conn *all_conns;
static struct worker_job *jobs_head, *jobs_tail;
static struct fake_world *the_world;

void conn_start(struct conn *conn, const struct conn_handler *handler, void *session, size_t line_limit)
{
	conn->handler = handler;
	conn->session = session;
	conn->line_limit = line_limit;
}

void conn_set_mode(struct conn *conn, enum conn_mode mode)
{
	CHECK(!conn->closed_told);
	conn->mode = mode;
}

void conn_set_line_limit(struct conn *conn, size_t octets)
{
	conn->line_limit = octets;
}

void conn_set_read_size(struct conn *conn, size_t octets)
{
	CHECK(!conn->closed_told && octets > 0);
	CHECK(octets <= COMMAND_READ_SIZE || !session_needs_login(conn->session)); /* 16 KiB before login */
	conn->read_size = octets;
}

void conn_hold_tls(struct conn *conn)
{
	CHECK(conn->handler == NULL);
	conn->tls_held = true;
}

void conn_pause(struct conn *conn)
{
	CHECK(!conn->closed_told && !conn->paused);
	conn->paused = true;
}

void conn_resume(struct conn *conn)
{
	CHECK(!conn->closed_told && conn->paused);
	conn->paused = false;
}

bool conn_write(struct conn *conn, const void *bytes, size_t len)
{
	CHECK(!conn->closed_told);
	return conn->finishing || buffer_append(&conn->out, bytes, len);
}

bool conn_start_tls(struct conn *conn)
{
	CHECK(!conn->tls);
	if (conn->in.len > conn->delivering) {
		conn->finishing = true;
		return false;
	}
	conn->tls_pending = true;
	return true;
}

bool conn_has_tls(const struct conn *conn)
{
	return conn->tls;
}

size_t conn_channel_binding(const struct conn *conn, const char *type, uint8_t out[CONN_BINDING_MAX])
{
	(void)type;
	memset(out, 0x5A, 32);
	return conn->tls ? 32 : 0;
}

bool conn_can_start_tls(const struct conn *conn)
{
	return conn->world->have_tls && !conn->tls;
}

const char *conn_tls_version(const struct conn *conn)
{
	return conn->tls ? "TLSv1.3" : NULL;
}

const char *conn_tls_cipher(const struct conn *conn)
{
	return conn->tls ? "TLS_AES_256_GCM_SHA384" : NULL;
}

void conn_set_timeout(struct conn *conn, unsigned milliseconds)
{
	CHECK(!conn->closed_told);
}

void conn_set_min_rate(struct conn *conn, unsigned octets_per_second)
{
	CHECK(!conn->closed_told);
}

void conn_finish(struct conn *conn)
{
	conn->finishing = true;
}

void conn_close(struct conn *conn)
{
	conn->finishing = true;
}

void conn_set_secret_input(struct conn *conn, bool on)
{
	(void)conn;
	(void)on;
}

void conn_set_logged_in(struct conn *conn)
{
	CHECK(!conn->closed_told);
}

void conn_set_evictable(struct conn *conn, bool evictable)
{
	CHECK(!conn->closed_told);
	conn->sheltered = !evictable;
}

const char *conn_peer_text(const struct conn *conn)
{
	CHECK(!conn->closed_told);
	return conn->peer_text;
}

const struct sockaddr *conn_peer(const struct conn *conn)
{
	CHECK(!conn->closed_told);
	return &conn->peer.any;
}

static void set_peer(struct conn *conn, const struct sockaddr *peer)
{
	bool is_in4 = peer->sa_family == AF_INET;

	memcpy(&conn->peer, peer, is_in4 ? sizeof(conn->peer.in4) : sizeof(conn->peer.in6));
	CHECK(inet_ntop(peer->sa_family, is_in4 ? (void *)&conn->peer.in4.sin_addr : (void *)&conn->peer.in6.sin6_addr,
	              conn->peer_text, sizeof(conn->peer_text)) != NULL);
}

bool conn_peer_user(const struct conn *conn, uint32_t *uid)
{
	*uid = the_world->uid;
	return true;
}

bool conn_set_peer(struct conn *conn, const struct sockaddr *peer, struct error *err)
{
	CHECK(!conn->closed_told && (peer->sa_family == AF_INET || peer->sa_family == AF_INET6));
	if (conn->world->address_is_full)
		return error_set(err, ERR_LIMIT, "too many connections from one address");
	set_peer(conn, peer);
	return true;
}

bool conn_peer_is_loopback(const struct conn *conn)
{
	return conn->world->looks_near;
}

uint64_t conn_id(const struct conn *conn)
{
	return 1;
}

uv_loop_t *conn_loop(const struct conn *conn)
{
	return &conn->world->loop;
}

/* --- worker ---------------------------------------------------------------------------------------------------- */

void worker_submit(struct worker_pool *pool, struct worker_job *job)
{
	job->next = NULL;
	if (jobs_head == NULL)
		jobs_head = job;
	else
		jobs_tail->next = job;
	jobs_tail = job;
}

static bool run_one_job(void)
{
	struct worker_job *job = jobs_head;

	if (job == NULL)
		return false;
	jobs_head = job->next;
	if (job->run_batch != NULL)
		job->run_batch(&job, 1);
	else
		job->run(job);
	job->done(job);
	return true;
}

/* --- directory ------------------------------------------------------------------------------------------------- */

static const struct {
	const char *local;
	int64_t ids[2];
} addresses[] = {
	{ "alice", { 1 } },
	{ "bob", { 2 } },
	{ "full", { 3 } },
	{ "broken", { 4 } },
	{ "postmaster", { 1 } },
	{ "team", { 1, 2 } },
	{ "mixed", { 1, 4 } },
	{ "j\xc3\xb6rg", { 2 } },
	{ "away", { 0 } },
	{ "both", { 2 } },
	{ "half", { 4 } },
	{ "world", { 0 } },
};

bool directory_resolve(
        struct directory *directory, struct span local, struct span domain, struct resolution *out, struct error *err)
{
	out->count = out->remote_count = 0;
	out->remote_text_len = 0;
	out->detail[0] = '\0';
	out->catch_all = false;
	if (local.len > 64)
		return error_set(err, ERR_BAD_ADDRESS, "too long");
	if (domain.len > 0 && !span_equal_nocase(domain, SPAN("example.test")))
		return error_set(err, ERR_NO_SUCH_DOMAIN, "not ours");
	for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
		if (!span_equal_nocase(local, span_of(addresses[i].local)))
			continue;
		for (size_t k = 0; k < 2 && addresses[i].ids[k] != 0; k++) {
			out->targets[out->count].account_id = addresses[i].ids[k];
			out->targets[out->count].quota_bytes = addresses[i].ids[k] == 3 ? 1000 : 0;
			out->targets[out->count].detail_folders = false;
			out->targets[out->count++].quota_messages = 0;
		}
		if (span_equal_nocase(local, SPAN("away")))
			fake_add_remote(out, "away@elsewhere.example", "away@example.test");
		if (span_equal_nocase(local, SPAN("both")))
			fake_add_remote(out, "away@elsewhere.example", "both@example.test");
		if (span_equal_nocase(local, SPAN("world")))
			fake_add_remote(out, "w\xc3\xb6rld@elsewhere.example", "world@example.test");
		if (span_equal_nocase(local, SPAN("half")))
			fake_add_remote(out, "away@elsewhere.example", "half@example.test");
		error_set(err, ERR_NO_SUCH_DOMAIN, "a target that is gone"); /* says nothing when it is true */
		return true;
	}
	return error_set(err, ERR_NO_SUCH_ADDRESS, "nobody");
}

bool directory_may_send_as(
        struct directory *directory, int64_t id, struct span local, struct span domain, struct error *err)
{
	struct resolution out;

	if (!directory_resolve(directory, local, domain, &out, err))
		return false;
	for (size_t i = 0; i < out.count; i++)
		if (out.targets[i].account_id == id)
			return true;
	return error_set(err, ERR_DENIED, "not yours");
}

bool directory_each_domain(struct directory *directory,
        bool (*each)(void *arg, struct span name, uint64_t accounts, uint64_t aliases), void *arg, struct error *err)
{
	(void)directory;
	(void)err;
	(void)(each(arg, SPAN("example.test"), 3, 1) && each(arg, SPAN("second.test"), 0, 0));
	return true;
}

bool directory_find_account(
        struct directory *directory, struct span address, struct account_info *out, struct error *err)
{
	(void)directory;
	*out = (struct account_info) { .id = 1, .disabled = span_equal(address, SPAN("disabled@example.test")) };
	if (!span_equal(address, SPAN("alice@example.test")) && !out->disabled)
		return error_set(err, ERR_NO_SUCH_ACCOUNT, "no such account");
	return span_copy(address, out->address, sizeof(out->address));
}

bool directory_version(const struct directory *directory, uint64_t *version)
{
	(void)directory;
	(void)version;
	return false; /* every recipient is looked up */
}

/* --- store ----------------------------------------------------------------------------------------------------- */

struct account {
	int64_t id;
};

bool account_open(struct store *store, int64_t id, struct account **out, struct error *err)
{
	if (id == 4 && !the_world->mended)
		return error_set(err, ERR_DAMAGED, "this mailbox is damaged");
	*out = malloc(sizeof(**out));
	(*out)->id = id;
	return true;
}

void account_release(struct account **account)
{
	free(*account);
	*account = NULL;
}

bool account_usage(struct account *account, struct account_usage *out, struct error *err)
{
	*out = (struct account_usage) { .bytes = account->id == 3 ? 990 : 0 };
	return true;
}

struct spool {
	struct buffer bytes;
	bool leaves;
};

bool spool_new(struct store *store, uint64_t limit, struct spool **out, struct error *err)
{
	*out = calloc(1, sizeof(**out));
	buffer_init(&(*out)->bytes, limit);
	return true;
}

bool spool_fits(const struct spool *spool, size_t more)
{
	return !spool->leaves && spool->bytes.len + more <= the_world->spool_memory;
}

void spool_leave_memory(struct spool *spool)
{
	spool->leaves = true;
}

bool spool_append(struct spool *spool, struct span bytes, struct error *err)
{
	return buffer_append_span(&spool->bytes, bytes) || error_set(err, ERR_NO_SPACE, "the disk is full");
}

uint64_t spool_size(const struct spool *spool)
{
	return spool->bytes.len;
}

bool spool_read(struct spool *spool, uint64_t offset, void *out, size_t size, size_t *got, struct error *err)
{
	struct span rest = span_first(span_skip(buffer_span(&spool->bytes), offset), size);

	if (rest.len > 0)
		memcpy(out, rest.ptr, rest.len);
	*got = rest.len;
	return true;
}

bool spool_sync(struct spool *spool, struct error *err)
{
	return true;
}

void spool_free(struct spool **spool)
{
	if (*spool == NULL)
		return;
	buffer_free(&(*spool)->bytes);
	free(*spool);
	*spool = NULL;
}

struct batch {
	const struct new_message *message;
	struct buffer text;
	bool append, record, forget, sent;
	struct batch_result result;
};

struct batch *batch_new(const uint8_t *op_id)
{
	struct batch *batch = calloc(1, sizeof(*batch));

	buffer_init(&batch->text, 64 * MIB);
	return batch;
}

void batch_free(struct batch **batch)
{
	if (*batch == NULL)
		return;
	buffer_free(&(*batch)->text);
	free(*batch);
	*batch = NULL;
}

void batch_record_op(struct batch *batch)
{
	batch->record = true;
}

void batch_forget_op(struct batch *batch)
{
	batch->forget = true;
}

void batch_limit_usage(struct batch *batch, uint64_t bytes, uint64_t messages)
{
	if (bytes > 0 && batch->text.len > bytes)
		error_set(&batch->result.error, ERR_OVER_QUOTA, "over quota");
}

bool batch_append_to_use(struct batch *batch, enum special_use use, const struct new_message *message)
{
	CHECK(use == USE_INBOX || use == USE_SENT);
	CHECK((message->flags.system == FLAG_SEEN) == (use == USE_SENT));
	if (use == USE_SENT && the_world->no_sent)
		error_set(&batch->result.error, ERR_NO_SUCH_MAILBOX, "no such mailbox");
	batch->sent = use == USE_SENT;
	CHECK(message->summary->size == message->prefix.len + spool_size(message->body));
	batch->append = true;
	buffer_append_span(&batch->text, message->prefix);
	return buffer_append_span(&batch->text, buffer_span(&message->body->bytes));
}

bool batch_append(struct batch *batch, int64_t mailbox_id, const struct new_message *message)
{
	CHECK(mailbox_id == 0); /* mailbox_find_any_case() finds none here */
	(void)batch;
	(void)message;
	return false;
}

bool mailbox_find_any_case(struct account *account, struct span name, char stored[MAILBOX_NAME_MAX + 1],
        struct mailbox_info *out, struct error *err)
{
	(void)account;
	(void)name;
	(void)stored;
	(void)out;
	return error_set(err, ERR_NO_SUCH_MAILBOX, "no such mailbox");
}

bool account_commit(struct account *account, struct batch **batches, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (batches[i]->result.error.code != ERR_NONE)
			continue;
		/* One id is as good as another: the tests send one message at a time. */
		batches[i]->result.already_done = batches[i]->append && the_world->recorded[account->id] > 0;
		if (batches[i]->sent)
			the_world->sent[account->id] += !batches[i]->result.already_done;
		else
			the_world->delivered[account->id] += batches[i]->append && !batches[i]->result.already_done;
		if (batches[i]->append && !batches[i]->result.already_done) {
			static const uint32_t uid = 1;

			batches[i]->result.uids = &uid;
			batches[i]->result.uid_count = 1;
		}
		the_world->recorded[account->id] += batches[i]->record;
		if (batches[i]->forget)
			the_world->recorded[account->id] = 0;
		if (batches[i]->append) {
			buffer_clear(&the_world->last);
			buffer_append_span(&the_world->last, buffer_span(&batches[i]->text));
		}
	}
	return true;
}

const struct batch_result *batch_result(const struct batch *batch)
{
	return &batch->result;
}

/* --- sasl: "PLAIN <login>" with a good or a bad text, and a two-step mechanism --------------------------------- */

struct sasl {
	sasl_callback *callback;
	void *arg;
	bool two_steps; /* the last word comes as a challenge (sasl/sasl.h) */
	bool said_last;
	struct sasl *next;
	struct sasl **link;
	enum sasl_outcome outcome;
	bool pending;
};

static struct sasl *all_sasl;

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
	bool scram = span_equal_nocase(mechanism, SPAN("SCRAM-SHA-256"));

	CHECK(channel->secure); /* session_offers_auth() is asked before */
	if (!scram && !span_equal_nocase(mechanism, SPAN("PLAIN")))
		return error_set(err, ERR_UNSUPPORTED, "no such mechanism");
	*out = calloc(1, sizeof(**out));
	**out = (struct sasl) {
		.callback = callback, .arg = arg, .two_steps = scram, .next = all_sasl, .link = &all_sasl
	};
	if (all_sasl != NULL)
		all_sasl->link = &(*out)->next;
	all_sasl = *out;
	return true;
}

void sasl_step(struct sasl *sasl, struct span line)
{
	CHECK(!sasl->pending);
	sasl->pending = true;
	if (span_equal(line, SPAN("*")))
		sasl->outcome = SASL_CANCELLED;
	else if (sasl->said_last)
		sasl->outcome = line.len == 0 ? SASL_OK : SASL_MALFORMED;
	else if (span_equal(line, SPAN("good")) && sasl->two_steps) {
		sasl->outcome = SASL_CHALLENGE;
		sasl->said_last = true;
	} else if (span_equal(line, SPAN("good")))
		sasl->outcome = SASL_OK;
	else if (span_equal(line, SPAN("more")))
		sasl->outcome = SASL_CHALLENGE;
	else if (span_equal(line, SPAN("bad")))
		sasl->outcome = SASL_WRONG;
	else
		sasl->outcome = SASL_MALFORMED;
}

void sasl_start(struct sasl *sasl, bool has_initial, struct span initial)
{
	if (has_initial) {
		sasl_step(sasl, initial);
		return;
	}
	sasl->pending = true;
	sasl->outcome = SASL_CHALLENGE;
}

void sasl_free(struct sasl **sasl)
{
	struct sasl *it = *sasl;

	if (it == NULL)
		return;
	*it->link = it->next;
	if (it->next != NULL)
		it->next->link = it->link;
	free(it);
	*sasl = NULL;
}

static bool run_one_login(void)
{
	const struct auth_answer answer = { .status = AUTH_OK, .account_id = 1, .login = "alice@example.test" };

	for (struct sasl *it = all_sasl; it != NULL; it = it->next)
		if (it->pending) {
			struct span text = it->said_last && it->outcome == SASL_CHALLENGE ? SPAN("dj0=") : SPAN_EMPTY;

			it->pending = false;
			it->callback(it->arg, it->outcome, text, it->outcome == SASL_OK ? &answer : NULL);
			return true;
		}
	return false;
}

/* --- the loop -------------------------------------------------------------------------------------------------- */

static bool deliver_line(struct conn *conn)
{
	struct span in = buffer_span(&conn->in), line;
	char *copy;
	size_t lf, len;
	bool crlf;

	if (!span_find(in, '\n', &lf)) {
		if (in.len > conn->line_limit) {
			buffer_clear(&conn->in);
			conn->skipping = true;
		}
		return false;
	}
	crlf = lf > 0 && in.ptr[lf - 1] == '\r';
	len = crlf ? lf - 1 : lf;
	if (conn->skipping || lf + 1 > conn->line_limit) {
		conn->skipping = false;
		buffer_consume(&conn->in, lf + 1);
		conn->handler->on_line_too_long(conn->session);
		return true;
	}
	copy = malloc(len + 1); /* exactly as long as the line, so that a step too far is seen */
	if (len > 0)
		memcpy(copy, in.ptr, len);
	buffer_consume(&conn->in, lf + 1);
	line = span_make(copy, len);
	conn->handler->on_line(conn->session, line, crlf ? LINE_END_CRLF : LINE_END_LF);
	free(copy);
	return true;
}

static bool deliver_bytes(struct conn *conn)
{
	size_t len = conn->in.len < conn->read_size ? conn->in.len : conn->read_size, took;
	char *copy = malloc(len);

	memcpy(copy, conn->in.data, len);
	conn->delivering = len;
	took = conn->handler->on_bytes(conn->session, span_make(copy, len));
	conn->delivering = 0;
	free(copy);
	CHECK(took <= len);
	if (!conn->finishing)
		buffer_consume(&conn->in, took);
	return took > 0;
}

static bool turn(struct conn *conn)
{
	if (conn->closed_told)
		return false;
	if (conn->finishing) {
		conn->closed_told = true;
		conn->handler->on_closed(conn->session, CONN_END_LOCAL);
		return true;
	}
	if (conn->tls_pending) {
		conn->tls_pending = false;
		conn->tls = true;
		conn->handler->on_tls(conn->session);
		return true;
	}
	if (conn->paused || conn->in.len == 0)
		return false;
	return conn->mode == CONN_LINES ? deliver_line(conn) : deliver_bytes(conn);
}

static bool turn_one(void)
{
	for (struct conn *conn = all_conns; conn != NULL; conn = conn->next)
		if (turn(conn))
			return true;
	return false;
}

bool fake_step(struct fake_world *world)
{
	return turn_one() || run_one_job() || run_one_login();
}

void fake_settle(struct fake_world *world)
{
	while (fake_step(world))
		continue;
	uv_run(&world->loop, UV_RUN_NOWAIT);
}

static void on_empty(void *arg)
{
	struct fake_world *world = arg;

	world->emptied = true;
}

void fake_init(struct fake_world *world)
{
	memset(world, 0, sizeof(*world));
	the_world = world;
	CHECK(uv_loop_init(&world->loop) == 0);
	buffer_init(&world->last, 64 * MIB);
	world->spool_memory = 64 * KIB;
	world->server.own_uid = 999;
	world->have_tls = true;
	world->server.settings = (struct smtpd_settings) {
		.hostname = "mail.example.test",
		.max_message_size = 100000,
		.max_recipients = 100,
		.max_hops = 50,
		.idle_timeout_ms = 300000,
		.tls_timeout_ms = 30000,
		.login_timeout_ms = 60000,
		.bad_commands = 10,
		.recipients_a_day = 1000,
		.give_up_ms = 432000000,
	};
	fake_queue_init(world);
	world->server.accept.events = (struct event_log *)world; /* only handed on */
	world->server.accept.settings = &world->server.settings;
	world->server.on_empty = on_empty;
	world->server.arg = world;
}

void fake_free(struct fake_world *world)
{
	fake_settle(world);
	CHECK(world->server.sessions == NULL && jobs_head == NULL && all_sasl == NULL && all_conns == NULL);
	CHECK(world->server.spooled == 0 && world->server.wide_readers == 0);
	uv_run(&world->loop, UV_RUN_NOWAIT);
	CHECK(uv_loop_close(&world->loop) == 0);
	buffer_free(&world->last);
	fake_queue_free(world);
}

struct conn *fake_connect(struct fake_world *world, enum smtp_port port)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	const struct sockaddr_in peer = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000207) }; /* 192.0.2.7 */

	conn->world = world;
	conn->read_size = 4 * KIB;
	set_peer(conn, (const struct sockaddr *)&peer);
	buffer_init(&conn->in, 64 * MIB);
	buffer_init(&conn->out, 64 * MIB);
	conn->next = all_conns;
	all_conns = conn;
	session_start(&world->server, conn, port);
	conn->tls_pending = port == PORT_SUBMIT_TLS && !conn->tls_held;
	fake_settle(world);
	return conn;
}

void fake_queue(struct conn *conn, struct span bytes)
{
	buffer_append_span(&conn->in, bytes);
}

void fake_send(struct conn *conn, struct span bytes)
{
	fake_queue(conn, bytes);
	fake_settle(conn->world);
}

void fake_hang_up(struct conn *conn)
{
	if (!conn->closed_told) {
		conn->closed_told = true;
		conn->handler->on_closed(conn->session, CONN_END_PEER);
	}
}

void fake_time_out(struct conn *conn)
{
	conn->handler->on_timeout(conn->session);
	fake_settle(conn->world);
}

void fake_evict(struct conn *conn)
{
	if (conn->sheltered)
		return;
	conn->handler->on_evict(conn->session);
	conn->finishing = true;
}

const char *fake_output(struct conn *conn)
{
	return buffer_text(&conn->out);
}

void fake_clear(struct conn *conn)
{
	buffer_clear(&conn->out);
}

bool fake_is_open(struct conn *conn)
{
	return !conn->finishing && !conn->closed_told;
}

void fake_release(struct conn **conn)
{
	struct conn **link = &all_conns;

	fake_hang_up(*conn);
	fake_settle((*conn)->world);
	while (*link != *conn)
		link = &(*link)->next;
	*link = (*conn)->next;
	buffer_free(&(*conn)->in);
	buffer_free(&(*conn)->out);
	free(*conn);
	*conn = NULL;
}

/* --- what EXPN and ETRN ask ------------------------------------------------------------------------------------ */

bool directory_each_alias(struct directory *directory, struct span domain,
        bool (*each)(void *arg, struct span address, struct span target), void *arg, struct error *err)
{
	(void)(each(arg, SPAN("sales@example.test"), SPAN("alice@example.test")) &&
	        each(arg, SPAN("sales@example.test"), SPAN("bob@example.net")));
	return true;
}

bool queue_retry(
        struct queue *queue, const struct queue_filter *filter, int64_t now_ms, uint64_t *changed, struct error *err)
{
	if (span_equal(filter->recipient, SPAN("@broken.example")))
		return error_set(err, ERR_IO, "the disk failed");
	*changed = span_equal(filter->recipient, SPAN("@waiting.example"))   ? 3
	           : span_equal(filter->recipient, SPAN(".waiting.example")) ? 2
	                                                                     : 0;
	return true;
}
