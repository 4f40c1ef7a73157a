/* The relay's traffic: what is taken, where connections are opened, what comes back, with thousands of messages and servers of every kind,
 * in no time: the clock is moved by hand. Real: scheduler, destinations, lanes, links, attempts, settling, finishing. Faked: the
 * queue (a table), the network and its sessions, routes, the worker pool, events. */
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "message/transcode.h"
#include "smtpd/outbound/bounce.h"
#include "smtpd/outbound/finish.h"
#include "smtpd/outbound/local.h"
#include "smtpd/outbound/scheduler.h"
#include "storage/address_key.h"

#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW      1795000000000
#define TURN_MS  10
#define ROWS_MAX 20000
#define FARS_MAX 256
#define HOUR     3600000

/* --- time -------------------------------------------------------------------------------------------------------------- */

static int64_t mono_ms, wall_shift_ms;

static void move_clock(int64_t ms)
{
	mono_ms += ms;
	clock_set_for_test(mono_ms, NOW + mono_ms + wall_shift_ms);
}

/* --- other servers ------------------------------------------------------------------------------------------------------ */

enum far_kind {
	FAR_GOOD,
	FAR_REFUSES, /* connections */
	FAR_SILENT,  /* no answer to a connection */
	FAR_SLOW,    /* takes 20 s for each message */
	FAR_TARDY,   /* 2 s, which is not called slow */
	FAR_BUSY,    /* 421 at the greeting */
	FAR_SAYS_NO, /* 550 to each recipient */
	FAR_TIRED,   /* 421 after `patience` messages of a session */
	FAR_ABRUPT,  /* closes instead */
	FAR_FEW,     /* 452 after two recipients */
	FAR_DROPS,   /* closes at each message */
	FAR_UNKNOWN, /* its domain has no route now */
	FAR_NO_DNS,  /* nobody answers for its domain */
	FAR_LATER,   /* 450 to each recipient */
	FAR_FADES,   /* closes when it should get its first message */
	FAR_BAD_TLS, /* no handshake works; without TLS: 530 */
};

static struct far {
	char domain[QUEUE_DOMAIN_MAX + 1];
	enum far_kind kind;
	unsigned patience;
	const char *mx[2]; /* domains of other fars, which get the mail of this one; NULL: itself */
	unsigned dials, connected, most_connected, taken, quits;
	int64_t last_ms;
} fars[FARS_MAX];
static size_t far_count;

static struct far *far_of(const char *domain)
{
	for (size_t i = 0; i < far_count; i++)
		if (strcmp(fars[i].domain, domain) == 0)
			return &fars[i];
	fail_msg("unknown domain %s", domain);
	return NULL;
}

static struct far *add_far(const char *domain, enum far_kind kind)
{
	struct far *far = &fars[far_count++];

	assert_true(far_count <= FARS_MAX);
	memset(far, 0, sizeof(*far));
	(void)snprintf(far->domain, sizeof(far->domain), "%s", domain);
	far->kind = kind;
	far->patience = 3;
	return far;
}

/* --- the queue ---------------------------------------------------------------------------------------------------------- */

static struct row {
	int64_t id, message_id, next_ms, created_ms;
	unsigned flags; /* enum queue_flag */
	char domain[64];
	unsigned attempts,
	        recipients; /* recipients: rows of the same message that follow, itself included; 0: not the first */
	bool gone;
	unsigned delivered; /* how often a server took it */
	char reply[64];
} rows[ROWS_MAX];
static size_t row_count;
static unsigned takes, finishes, reports;
static bool disk_full;

static void add_rows(const char *domain, unsigned recipients)
{
	for (unsigned i = 0; i < recipients; i++) {
		struct row *row = &rows[row_count++];

		assert_true(row_count <= ROWS_MAX);
		memset(row, 0, sizeof(*row));
		row->id = (int64_t)row_count;
		row->message_id = row->id - i;
		row->recipients = i == 0 ? recipients : 0;
		row->next_ms = row->created_ms = clock_wall_ms();
		(void)snprintf(row->domain, sizeof(row->domain), "%s", domain);
	}
}

bool queue_due(struct queue *queue, int64_t now_ms, struct queue_destination *out, size_t max, size_t *count,
        int64_t *next_due_ms, struct error *err)
{
	(void)queue;
	(void)err;
	*count = 0;
	*next_due_ms = INT64_MAX;
	for (size_t i = 0; i < row_count; i++) {
		bool listed = rows[i].gone;

		if (!rows[i].gone && rows[i].next_ms > now_ms) {
			*next_due_ms = rows[i].next_ms < *next_due_ms ? rows[i].next_ms : *next_due_ms;
			continue;
		}
		for (size_t k = 0; k < *count && !listed; k++)
			listed = strcmp(out[k].domain, rows[i].domain) == 0;
		if (!listed && *count < max)
			(void)snprintf(out[(*count)++].domain, sizeof(out->domain), "%s", rows[i].domain);
	}
	return true;
}

static struct queue_message *message_of(const struct row *row)
{
	struct queue_message *message = calloc(1, sizeof(*message));

	assert_non_null(message);
	message->id = row->message_id;
	message->created_ms = row->created_ms;
	message->expires_ms = row->created_ms + 120 * (int64_t)HOUR;
	message->size = 4096;
	message->flags = row->flags;
	(void)snprintf(message->trace, sizeof(message->trace), "%016llx", (unsigned long long)row->message_id);
	(void)snprintf(message->sender, sizeof(message->sender), "sender@here.test");
	message->recipients = calloc(row->recipients > 0 ? row->recipients : 1, sizeof(*message->recipients));
	assert_non_null(message->recipients);
	return message;
}

static void add_recipient(struct queue_message *message, const struct row *row)
{
	struct queue_rcpt *rcpt = &message->recipients[message->recipient_count++];

	rcpt->id = row->id;
	rcpt->kind = QUEUE_REMOTE;
	rcpt->attempts = row->attempts;
	rcpt->next_attempt_ms = row->next_ms;
	(void)snprintf(rcpt->address, sizeof(rcpt->address), "u%lld@%s", (long long)row->id, row->domain);
}

bool queue_take(struct queue *queue, const char *domain, int64_t now_ms,
        bool (*leave_out)(void *arg, int64_t recipient_id), void *arg, struct queue_message **out, size_t max_messages,
        size_t max_recipients, size_t *count, struct error *err)
{
	(void)queue;
	(void)err;
	takes++;
	*count = 0;
	for (size_t i = 0; i < row_count && *count < max_messages; i++) {
		unsigned recipients = rows[i].recipients;
		struct queue_message *message = NULL;

		for (size_t k = i; k < i + recipients; k++) {
			if (rows[k].gone || rows[k].next_ms > now_ms || strcmp(rows[k].domain, domain) != 0 ||
			        leave_out(arg, rows[k].id))
				continue;
			if (max_recipients == 0)
				break;
			max_recipients--;
			if (message != NULL && message->recipient_count == QUEUE_TAKE_MAX) {
				out[(*count)++] = message;
				message = NULL;
				if (*count == max_messages)
					break;
			}
			if (message == NULL)
				message = message_of(&rows[i]);
			add_recipient(message, &rows[k]);
		}
		if (message != NULL)
			out[(*count)++] = message;
	}
	return true;
}

void queue_message_free(struct queue_message **message)
{
	if (*message == NULL)
		return;
	free((*message)->recipients);
	free(*message);
	*message = NULL;
}

bool queue_finish(struct queue *queue, const struct queue_outcome *outcomes, size_t outcome_count,
        struct queue_entry **entries, size_t report_count, struct error *err)
{
	(void)queue;
	(void)entries;
	if (disk_full)
		return error_set(err, ERR_NO_SPACE, "the disk is full");
	finishes++;
	reports += (unsigned)report_count;
	for (size_t i = 0; i < outcome_count; i++) {
		struct row *row = &rows[outcomes[i].recipient_id - 1];

		assert_false(row->gone);
		row->gone = outcomes[i].result == QUEUE_DONE;
		if (outcomes[i].result == QUEUE_DONE)
			continue;
		row->attempts += outcomes[i].result == QUEUE_AGAIN;
		row->next_ms = outcomes[i].next_attempt_ms;
		(void)snprintf(row->reply, sizeof(row->reply), "%.*s", SPAN_FMT(span_first(outcomes[i].reply, 60)));
	}
	return true;
}

enum queue_hint queue_watch_next(int fd)
{
	char byte;

	if (recv(fd, &byte, 1, MSG_DONTWAIT) != 1)
		return QUEUE_HINT_NONE;
	return byte == 'c' ? QUEUE_HINT_CHANGED : QUEUE_HINT_WORK;
}

/* --- the worker pool: jobs run when the test says so ------------------------------------------------------------------------ */

static struct worker_job *jobs, **jobs_end = &jobs;

void worker_submit(struct worker_pool *pool, struct worker_job *job)
{
	(void)pool;
	job->next = NULL;
	*jobs_end = job;
	jobs_end = &job->next;
}

static bool disk_waits; /* nothing that writes ends */

static void run_jobs(void)
{
	struct worker_job *list = jobs;

	jobs = NULL;
	jobs_end = &jobs;
	while (list != NULL) {
		struct worker_job *job = list;

		list = job->next;
		if (disk_waits && job->lane == WORKER_WRITE) {
			worker_submit(NULL, job);
			continue;
		}
		job->run(job);
		job->done(job);
	}
}

/* --- the network ------------------------------------------------------------------------------------------------------------- */

struct dial {
	struct dial *next;
	struct far *far;
	dial_done *done;
	void *arg;
	int64_t at_ms;
	bool cancelled;
};
static struct dial *dials;

struct client {
	struct client *next;
	struct far *far;
	const struct client_events *events;
	void *arg;
	const struct client_message *message;
	enum { C_GREETING, C_READY, C_SENDING, C_OVER } state;
	int64_t at_ms; /* when the next thing happens */
	bool tls, tls_failed;
	unsigned sent;
	bool unused;                      /* the last message was not looked at */
	int64_t said_250[QUEUE_TAKE_MAX]; /* to the last message: recipients */
	size_t said_count;
	struct client_offer offer;
	struct client_reply why;
};
static struct client *clients;
static int64_t fading_ms; /* from the loss of a connection to on_closed() */

static struct far *far_at(const struct sockaddr *address)
{
	return &fars[ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) & 0xffff];
}

struct dial *dial_start(const struct dial_request *request, dial_done *done, void *arg)
{
	struct dial *dial = calloc(1, sizeof(*dial));

	assert_non_null(dial);
	dial->far = far_at(request->to);
	dial->far->dials++;
	dial->done = done;
	dial->arg = arg;
	dial->at_ms = mono_ms + (dial->far->kind == FAR_SILENT ? RELAY_CONNECT_MS : 1);
	dial->next = dials;
	dials = dial;
	return dial;
}

void dial_cancel(struct dial **dial)
{
	if (*dial != NULL)
		(*dial)->cancelled = true;
	*dial = NULL;
}

static void run_dials(void)
{
	struct dial **at = &dials, *due = NULL;

	while (*at != NULL) {
		struct dial *dial = *at;

		if (!dial->cancelled && dial->at_ms > mono_ms) {
			at = &dial->next;
			continue;
		}
		*at = dial->next;
		dial->next = due;
		due = dial;
	}
	while (due != NULL) {
		struct dial *dial = due;
		struct error err;

		due = dial->next;
		(void)error_set(&err, dial->far->kind == FAR_SILENT ? ERR_TIMEOUT : ERR_CLOSED, "no");
		if (!dial->cancelled)
			dial->done(dial->arg,
			        dial->far->kind == FAR_SILENT || dial->far->kind == FAR_REFUSES
			                ? NULL
			                : (struct conn *)dial->far,
			        &err);
		free(dial);
	}
}

struct client *client_new(
        struct conn *conn, const struct client_settings *settings, const struct client_events *events, void *arg)
{
	struct client *client = calloc(1, sizeof(*client));

	assert_non_null(client);
	client->tls = settings->use_starttls;
	client->far = (struct far *)conn;
	client->far->connected++;
	if (client->far->connected > client->far->most_connected)
		client->far->most_connected = client->far->connected;
	client->events = events;
	client->arg = arg;
	client->at_ms = mono_ms + 1;
	client->next = clients;
	clients = client;
	return client;
}

bool client_is_ready(const struct client *client)
{
	return client->state == C_READY;
}

const struct client_offer *client_offer(const struct client *client)
{
	return &client->offer;
}

const struct conn *client_conn(const struct client *client)
{
	(void)client;
	return NULL;
}

const char *conn_tls_version(const struct conn *conn)
{
	(void)conn;
	return NULL;
}

const char *conn_tls_cipher(const struct conn *conn)
{
	(void)conn;
	return NULL;
}

const char *conn_tls_subject(const struct conn *conn)
{
	(void)conn;
	return NULL;
}

bool conn_tls_verified(const struct conn *conn)
{
	(void)conn;
	return false;
}

/* Whatever comes after a 250 on its connection says that it was written down. */
static void assert_written(const struct client *client)
{
	for (size_t i = 0; i < client->said_count; i++)
		assert_true(rows[client->said_250[i] - 1].gone);
}

void client_send(struct client *client, const struct client_message *message)
{
	assert_int_equal(client->state, C_READY);
	assert_written(client);
	client->said_count = 0;
	client->state = C_SENDING;
	client->message = message;
	client->at_ms = mono_ms + (client->far->kind == FAR_SLOW ? 20000 : client->far->kind == FAR_TARDY ? 2000 : 1);
}

static void over(struct client *client, unsigned code)
{
	client->state = C_OVER;
	client->at_ms = mono_ms;
	client->why = (struct client_reply) { .code = code, .text = "gone" };
}

void client_quit(struct client *client)
{
	if (client->state == C_READY) {
		assert_written(client);
		client->far->quits++;
	}
	if (client->state != C_OVER)
		over(client, client->state == C_READY ? 221 : 0);
}

void client_abort(struct client *client)
{
	if (client->state != C_OVER)
		over(client, 0);
}

bool client_took_nothing(const struct client *client)
{
	return client->state == C_OVER && client->unused;
}

static struct client_reply reply_for(struct client *client, size_t i)
{
	const struct queue_rcpt *rcpt = &client->message->message->recipients[i];
	struct row *row = &rows[rcpt->id - 1];

	switch (client->far->kind) {
	case FAR_SAYS_NO: return (struct client_reply) { 550, "5.1.1", "550 5.1.1 no" };
	case FAR_LATER: return (struct client_reply) { 450, "4.2.0", "450 later" };
	case FAR_BAD_TLS: return (struct client_reply) { 530, "5.7.0", "530 Must issue a STARTTLS command first" };
	case FAR_TIRED:
		if (client->sent >= client->far->patience)
			return (struct client_reply) { 421, "4.3.2", "421 enough" };
		break;
	case FAR_FEW:
		if (i >= 2)
			return (struct client_reply) { 452, "4.5.3", "452 too many" };
		break;
	default: break;
	}
	assert_false(row->gone);
	row->delivered++;
	client->far->taken++;
	client->said_250[client->said_count++] = rcpt->id;
	client->far->last_ms = mono_ms;
	return (struct client_reply) { 250, "2.0.0", "250 ok" };
}

static void answer_message(struct client *client)
{
	size_t count = client->message->message->recipient_count;
	struct client_reply replies[QUEUE_TAKE_MAX] = { { .code = 0 } };
	bool tired = client->far->kind == FAR_ABRUPT && client->sent >= client->far->patience;
	bool drops = client->far->kind == FAR_DROPS || client->state == C_OVER || tired;

	for (size_t i = 0; i < count; i++)
		replies[i] = drops ? (struct client_reply) { .text = "lost" } : reply_for(client, i);
	client->message = NULL;
	client->sent++;
	client->unused = tired || replies[0].code == 421;
	if (drops || replies[0].code == 421)
		over(client, replies[0].code);
	else
		client->state = C_READY;
	client->events->on_sent(client->arg, replies, count, false);
}

static void step_client(struct client *client)
{
	switch (client->state) {
	case C_GREETING:
		client->tls_failed = client->far->kind == FAR_BAD_TLS && client->tls;
		if (client->far->kind == FAR_BUSY || client->tls_failed) {
			over(client, client->tls_failed ? 0 : 421);
			break;
		}
		client->state = C_READY;
		client->events->on_ready(client->arg, &client->offer);
		if (client->far->kind == FAR_FADES && client->state == C_READY) {
			over(client, 0);
			client->at_ms = mono_ms + fading_ms;
		}
		break;
	case C_SENDING: answer_message(client); break;
	case C_READY:
	case C_OVER: break;
	}
}

static void run_clients(void)
{
	struct client **at;

	for (struct client *client = clients; client != NULL; client = client->next)
		if (client->at_ms <= mono_ms && client->state != C_READY && client->state != C_OVER)
			step_client(client);
	for (at = &clients; *at != NULL;) {
		struct client *client = *at;

		if (client->state != C_OVER || client->at_ms > mono_ms) {
			at = &client->next;
			continue;
		}
		*at = client->next;
		if (client->message != NULL)
			answer_message(client);
		client->far->connected--;
		client->events->on_closed(client->arg, &client->why, client->tls_failed);
		free(client);
		at = &clients; /* callbacks may have changed the list */
	}
}

/* --- routes ------------------------------------------------------------------------------------------------------------------ */

struct route_query {
	struct route_query *next;
	char domain[QUEUE_DOMAIN_MAX + 1];
	route_done *done;
	void *arg;
};
static struct route_query *queries;
static unsigned route_count;

struct route_query *route_find(struct router *router, const char *domain, const char *sender_domain, unsigned flags,
        route_done *done, void *arg)
{
	struct route_query *query = calloc(1, sizeof(*query));

	(void)router;
	(void)sender_domain;
	(void)flags;
	assert_non_null(query);
	(void)snprintf(query->domain, sizeof(query->domain), "%s", domain);
	query->done = done;
	query->arg = arg;
	query->next = queries;
	queries = query;
	route_count++;
	return query;
}

void route_cancel(struct route_query **query)
{
	if (*query != NULL)
		(*query)->done = NULL;
	*query = NULL;
}

static void put_host(struct route_host *out, const struct far *far)
{
	struct sockaddr_in *address = (struct sockaddr_in *)&out->addresses[0];

	*out = (struct route_host) { .level = TLS_LEVEL_MAY, .address_count = 1 };
	(void)snprintf(out->name, sizeof(out->name), "mx.%.200s", far->domain);
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(0x0a000000u | (uint32_t)(far - fars));
}

static void run_routes(void)
{
	struct route_query *list = queries;

	queries = NULL;
	while (list != NULL) {
		struct route_query *query = list;
		struct route_host hosts[2];
		struct route_result result = { .code = ERR_NONE, .hosts = hosts, .host_count = 1 };
		struct far *far = far_of(query->domain);

		list = query->next;
		if (far->kind == FAR_NO_DNS && query->done != NULL) {
			query->next = queries;
			queries = query;
			continue;
		}
		put_host(&hosts[0], far->mx[0] != NULL ? far_of(far->mx[0]) : far);
		if (far->mx[1] != NULL)
			put_host(&hosts[result.host_count++], far_of(far->mx[1]));
		if (far->kind == FAR_UNKNOWN)
			result = (struct route_result) { .code = ERR_TEMPORARY, .status = "4.4.3", .why = "no answer" };
		if (query->done != NULL)
			query->done(query->arg, &result);
		free(query);
	}
}

struct route_result *route_result_copy(const struct route_result *result)
{
	struct route_result *copy = calloc(1, sizeof(*copy) + result->host_count * sizeof(struct route_host));

	assert_non_null(copy);
	*copy = *result;
	memcpy(copy + 1, result->hosts, result->host_count * sizeof(struct route_host));
	copy->hosts = (struct route_host *)(copy + 1);
	return copy;
}

void route_result_free(struct route_result **result)
{
	free(*result);
	*result = NULL;
}

/* --- not of interest here ------------------------------------------------------------------------------------------------------ */

const struct sockaddr *sources_for(const struct sources *sources, sa_family_t family)
{
	(void)sources;
	(void)family;
	return NULL;
}

bool relay_store_find_route(struct relay_store *store, struct span recipient_domain, struct span sender_domain,
        struct route *out, bool *found, struct error *err)
{
	(void)store;
	(void)recipient_domain;
	(void)sender_domain;
	(void)out;
	(void)err;
	*found = false;
	return true;
}

void event_note(struct event_log *log, const struct event *event)
{
	(void)log;
	assert_true(event->trace.len > 0 && event->kind != 0);
}

bool event_log_wants_flush(const struct event_log *log)
{
	(void)log;
	return false;
}

void events_flush(struct event_log *log)
{
	(void)log;
}

bool bounce_make(
        struct relay *relay, struct parcel *const *parcels, size_t count, struct bounce **out, struct error *err)
{
	unsigned told = 0;

	(void)relay;
	(void)err;
	*out = NULL;
	for (size_t p = 0; p < count; p++)
		for (size_t i = 0; i < parcels[p]->part.recipient_count; i++)
			told += parcels[p]->fates[i].report;
	assert_true(told <= BOUNCE_TOLD_MAX);
	reports += told;
	return true;
}

void bounce_free(struct bounce **bounce)
{
	*bounce = NULL;
}

struct queue_entry *bounce_entry(struct bounce *bounce)
{
	(void)bounce;
	return NULL;
}

void local_deliver(struct parcel *parcel)
{
	scheduler_parcel_back(parcel->relay->scheduler, parcel);
}

static bool converts; /* an 8-bit message can be converted */

void spool_free(struct spool **spool)
{
	*spool = NULL;
}

uint64_t spool_size(const struct spool *spool)
{
	(void)spool;
	return 0;
}

bool spool_new(struct store *store, uint64_t limit, struct spool **out, struct error *err)
{
	(void)store;
	(void)limit;
	*out = (struct spool *)&converts;
	return converts || error_set(err, ERR_NO_SPACE, "not here");
}

bool spool_append(struct spool *spool, struct span bytes, struct error *err)
{
	(void)spool;
	(void)bytes;
	return error_set(err, ERR_NO_SPACE, "not here");
}

bool spool_read(struct spool *spool, uint64_t offset, void *out, size_t size, size_t *got, struct error *err)
{
	(void)spool;
	(void)offset;
	(void)out;
	(void)size;
	(void)got;
	return error_set(err, ERR_NO_SPACE, "not here");
}

bool queue_read(struct queue *queue, int64_t message_id, uint64_t offset, void *out, size_t size, size_t *got,
        struct error *err)
{
	(void)queue;
	(void)message_id;
	return spool_read(NULL, offset, out, size, got, err);
}

bool domain_key(struct span domain, char *out, size_t size, struct error *err)
{
	(void)domain;
	(void)out;
	(void)size;
	return error_set(err, ERR_BAD_ADDRESS, "not here");
}

bool transcode(const struct transcode_io *io, enum transcode_target target, struct error *err)
{
	(void)io;
	(void)target;
	return converts || error_set(err, ERR_UNSUPPORTED, "not here");
}

bool transcode_look(const struct transcode_io *io, struct transcode_need *out, struct error *err)
{
	(void)io;
	*out = (struct transcode_need) { .eight_bit = true };
	return converts || error_set(err, ERR_UNSUPPORTED, "not here");
}

/* --- a relay ---------------------------------------------------------------------------------------------------------------------- */

static uv_loop_t loop;
static struct relay relay;
static int ear[2];
static struct relay_settings settings;

static int setup(void **state)
{
	struct error err;

	(void)state;
	far_count = row_count = 0;
	takes = finishes = reports = route_count = 0;
	disk_full = disk_waits = converts = false;
	fading_ms = 0;
	mono_ms = 1000;
	wall_shift_ms = 0;
	move_clock(0);
	random_seed_for_test(11);
	log_set_level(LOG_ERROR);
	settings = (struct relay_settings) {
		.hostname = "relay.test",
		.schedule = { .retry_ms = { 60000, 300000, 1800000 },
		        .retry_count = 3,
		        .warn_after_ms = 4 * HOUR,
		        .give_up_after_ms = 120 * (int64_t)HOUR },
		.connections = 100,
		.connections_per_destination = 10,
	};
	relay = (struct relay) { .settings = &settings, .loop = &loop };
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ear), 0);
	id_set_init(&relay.under_way);
	relay_clock_start(&relay.clock);
	assert_true(finisher_new(&relay, &relay.finisher, &err));
	assert_true(scheduler_new(&relay, ear[0], &relay.scheduler, &err));
	scheduler_start(relay.scheduler);
	return 0;
}

/* The loop's timers run by the real clock: each turn all of them are as if their time had come. */
static void fire(uv_timer_t *timer)
{
	if (uv_is_active((uv_handle_t *)timer) && !uv_is_closing((uv_handle_t *)timer))
		timer->timer_cb(timer);
}

static int64_t next_sweep;

static void turn(void)
{
	struct scheduler *scheduler = relay.scheduler;

	move_clock(TURN_MS);
	run_jobs();
	run_routes();
	run_dials();
	run_clients();
	(void)uv_run(&loop, UV_RUN_NOWAIT); /* what begins when a turn of the loop has nothing else at hand */
	fire(&scheduler->kick_timer);
	fire(&scheduler->look_timer);
	if (mono_ms >= next_sweep) {
		next_sweep = mono_ms + 1000;
		fire(&scheduler->sweep_timer);
	}
	assert_true(scheduler->counts.active <= settings.connections + RELAY_UNPROVEN_MAX);
	assert_true(scheduler->recipients <= RELAY_RECIPIENTS_MAX);
}

static void run_for(int64_t ms)
{
	for (int64_t i = 0; i < ms; i += TURN_MS)
		turn();
}

static bool ended;

static void on_empty(void *arg)
{
	(void)arg;
	ended = true;
}

static int teardown(void **state)
{
	(void)state;
	ended = false;
	scheduler_drain(relay.scheduler, on_empty, NULL);
	for (int i = 0; i < 20 && !ended; i++)
		turn();
	scheduler_close_all(relay.scheduler);
	for (int i = 0; i < 20 && !ended; i++)
		turn();
	assert_true(ended);
	assert_int_equal(relay.under_way.count, 0); /* nothing is forgotten in memory */
	scheduler_stop(relay.scheduler);
	finisher_stop(relay.finisher);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	finisher_free(&relay.finisher);
	scheduler_free(&relay.scheduler);
	id_set_free(&relay.under_way);
	assert_int_equal(uv_loop_close(&loop), 0);
	(void)close(ear[1]);
	assert_null(clients);
	clock_set_for_test(-1, -1);
	random_seed_for_test(0);
	next_sweep = 0;
	return 0;
}

static void count_rows(const char *prefix, unsigned *gone, unsigned *twice, unsigned *tried)
{
	*gone = *twice = *tried = 0;
	for (size_t i = 0; i < row_count; i++) {
		if (strncmp(rows[i].domain, prefix, strlen(prefix)) != 0)
			continue;
		*gone += rows[i].gone;
		*twice += rows[i].delivered > 1;
		*tried += rows[i].attempts > 0;
	}
}

/* --- an admin ---------------------------------------------------------------------------------------------------------------------- */

static void say(char what)
{
	assert_int_equal(send(ear[1], &what, 1, 0), 1);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void set_next(int64_t next_ms)
{
	for (size_t i = 0; i < row_count; i++)
		rows[i].next_ms = next_ms;
	say(next_ms == INT64_MAX ? 'c' : 'q');
}

/* --- the tests --------------------------------------------------------------------------------------------------------------------- */

static void hint(void)
{
	assert_int_equal(send(ear[1], "h", 1, 0), 1);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void one(void **state)
{
	struct far *far = add_far("good.test", FAR_GOOD);

	(void)state;
	add_rows("good.test", 3);
	run_for(500);
	assert_int_equal(far->taken, 3);
	assert_int_equal(far->dials, 1);
	assert_int_equal(finishes, 1);
	assert_int_equal(reports, 0);
	run_for(RELAY_IDLE_MS / 2);
	add_rows("good.test", 1);
	assert_int_equal(send(ear[1], "h", 1, 0), 1);
	(void)uv_run(&loop, UV_RUN_NOWAIT); /* the hint */
	run_for(300);
	assert_int_equal(far->taken, 4);
	assert_int_equal(far->dials, 1); /* over the same connection */
	run_for(RELAY_IDLE_MS + 3000);
	assert_int_equal(far->connected, 0); /* which is not kept for ever */
}

/* What came right after a take is asked for RELAY_TAKE_AGAIN_MS later: the end of a look, which knows of nothing before long, does not put
 * that off until the sweep. */
static void soon_again(void **state)
{
	(void)state;
	add_far("good.test", FAR_GOOD);
	add_rows("good.test", 1);
	run_for(50);
	assert_int_equal(takes, 1);
	add_rows("good.test", 1);
	hint();
	fire(&relay.scheduler->look_timer);
	(void)uv_timer_stop(&relay.scheduler->look_timer);
	run_jobs();
	assert_true(uv_is_active((uv_handle_t *)&relay.scheduler->look_timer));
	assert_in_range(uv_timer_get_due_in(&relay.scheduler->look_timer), 1, RELAY_TAKE_AGAIN_MS);
}

static void many(void **state)
{
	struct far *far = add_far("good.test", FAR_GOOD);

	(void)state;
	for (int i = 0; i < 3000; i++)
		add_rows("good.test", 1);
	run_for(20000);
	assert_int_equal(far->taken, 3000);
	assert_true(far->most_connected > RELAY_START_LIMIT); /* it grew */
	assert_true(far->most_connected <= 10);
	assert_true(far->dials <= 30);
	assert_true(finishes < 1500); /* many outcomes in one transaction */
	assert_int_equal(route_count, 1);
}

/* 5 good destinations with much mail among 200 bad ones, and fewer places than connections that hang: the good ones are done as fast as if the others were not there, and each gets what it should. */
static int64_t good_ones_take(bool with_bad)
{
	static const enum far_kind kinds[] = { FAR_REFUSES, FAR_SILENT, FAR_SLOW, FAR_BUSY, FAR_UNKNOWN };
	int64_t last = 0, start;

	settings.connections = 30;
	for (int i = 0; i < 5 + 200; i++) {
		char domain[64];
		bool bad = i >= 5;

		(void)snprintf(domain, sizeof(domain), "%s%d.test", bad ? "bad" : "good", i);
		if (bad && !with_bad)
			continue;
		add_far(domain, bad ? kinds[i % 5] : FAR_GOOD);
	}
	for (int round = 0; round < 20; round++)
		for (size_t i = 5; i < far_count; i++)
			add_rows(fars[i].domain, 1);
	run_for(45000); /* the bad ones hold all that they can get */
	start = mono_ms;
	for (int round = 0; round < 600; round++)
		for (size_t i = 0; i < 5; i++)
			add_rows(fars[i].domain, 1);
	scheduler_look(relay.scheduler);
	run_for(30000);
	for (size_t i = 0; i < far_count; i++)
		if (fars[i].kind == FAR_GOOD) {
			assert_int_equal(fars[i].taken, 600);
			last = fars[i].last_ms > last ? fars[i].last_ms : last;
		}
	return last - start;
}

static void fairness(void **state)
{
	int64_t alone = good_ones_take(false), among;
	unsigned gone, twice, tried;

	teardown(state);
	(void)setup(state);
	among = good_ones_take(true);
	if (among > alone + alone / 2 + 100)
		fail_msg("the good ones take %lld ms alone, %lld among bad ones", (long long)alone, (long long)among);
	run_for(10000);
	count_rows("good", &gone, &twice, &tried);
	assert_int_equal(gone, 3000);
	assert_int_equal(twice, 0);
	for (size_t i = 0; i < far_count; i++)
		if (fars[i].kind == FAR_REFUSES || fars[i].kind == FAR_SILENT || fars[i].kind == FAR_BUSY)
			assert_true(fars[i].dials <= 5); /* not one for each message */
	for (size_t i = 0; i < row_count; i++)
		if (far_of(rows[i].domain)->kind == FAR_REFUSES || far_of(rows[i].domain)->kind == FAR_UNKNOWN)
			assert_true(rows[i].attempts >= 1 && !rows[i].gone && rows[i].next_ms > NOW + 50000);
}

static void add_fars(const char *name, enum far_kind kind, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char domain[64];

		(void)snprintf(domain, sizeof(domain), "%s%u.test", name, i);
		add_far(domain, kind);
	}
}

static void mail_for(enum far_kind kind, unsigned messages)
{
	for (unsigned round = 0; round < messages; round++)
		for (size_t i = 0; i < far_count; i++)
			if (fars[i].kind == kind)
				add_rows(fars[i].domain, 1);
	hint();
}

/* How long the good ones have to wait for all of it. */
static int64_t good_mail_takes(unsigned messages)
{
	int64_t start = mono_ms, last = 0;
	unsigned before[FARS_MAX];

	for (size_t i = 0; i < far_count; i++)
		before[i] = fars[i].taken;
	mail_for(FAR_GOOD, messages);
	run_for(60000);
	for (size_t i = 0; i < far_count; i++)
		if (fars[i].kind == FAR_GOOD) {
			assert_int_equal(fars[i].taken - before[i], messages);
			last = fars[i].last_ms > last ? fars[i].last_ms : last;
		}
	return last - start;
}

/* Servers that take 2 s for a message, with much mail: they would have ten connections each, and all places for as long as that lasts. */
static void tardy_ones_share(void **state)
{
	int64_t took;

	(void)state;
	settings.connections = 30;
	add_fars("tardy", FAR_TARDY, 20);
	add_fars("good", FAR_GOOD, 10);
	mail_for(FAR_TARDY, 200);
	mail_for(FAR_GOOD, 1);
	run_for(30000); /* all work; the good ones have no connection any more */
	took = good_mail_takes(60);
	if (took > 8000)
		fail_msg("the good ones wait %lld ms", (long long)took);
	assert_true(fars[0].taken > 10 && fars[0].taken < 200); /* it had mail all the time, and went on */
}

/* More destinations with one connection each than places: they take turns. */
static void tardy_ones_take_turns(void **state)
{
	int64_t took;

	(void)state;
	settings.connections = 4;
	settings.connections_per_destination = 1;
	add_fars("tardy", FAR_TARDY, 8);
	add_fars("good", FAR_GOOD, 4);
	mail_for(FAR_TARDY, 100);
	mail_for(FAR_GOOD, 1);
	run_for(20000); /* all work; the good ones have no connection any more */
	took = good_mail_takes(20);
	if (took > 10000)
		fail_msg("the good ones wait %lld ms", (long long)took);
	for (size_t i = 0; i < 8; i++)
		assert_true(fars[i].taken > 10 && fars[i].taken < 100);
}

/* The DNS of hundreds of domains is silent, and holds all look-ups that it can get. Who works finds its way again when it has to be looked up anew,
 * and nobody is kept to one connection meanwhile. */
static void silent_dns(void **state)
{
	struct far *good = add_far("good.test", FAR_GOOD), *tardy = add_far("tardy.test", FAR_TARDY);

	(void)state;
	while (mono_ms < RELAY_ROUTE_KEEP_MS - 10000) { /* it is known, and works, all the time */
		add_rows("good.test", 1);
		hint();
		run_for(30000);
	}
	mail_for(FAR_TARDY, 1);
	run_for(5000);
	add_fars("silent", FAR_NO_DNS, 200);
	mail_for(FAR_NO_DNS, 1);
	run_for(20000);
	good->taken = 0;
	add_rows("good.test", 1);
	mail_for(FAR_TARDY, 200);
	run_for(20000);
	assert_in_range(tardy->most_connected, RELAY_START_LIMIT, settings.connections_per_destination);
	assert_int_equal(good->taken, 1);
	for (struct route_query *query = queries; query != NULL; query = query->next)
		far_of(query->domain)->kind = FAR_UNKNOWN; /* else the end waits for them */
	run_routes();
}

/* Letters to long lists at slow servers fill what memory they may, and no more; one to somebody else goes at once. */
static void lists_to_slow_ones(void **state)
{
	struct far *good;

	(void)state;
	for (int i = 0; i < 60; i++) {
		char domain[64];

		(void)snprintf(domain, sizeof(domain), "slow%d.test", i);
		add_far(domain, FAR_SLOW);
		for (int k = 0; k < 3; k++)
			add_rows(domain, 100);
	}
	run_for(5000);
	good = add_far("good.test", FAR_GOOD);
	for (int i = 0; i < 50; i++)
		add_rows("good.test", 1);
	hint();
	run_for(2000);
	assert_int_equal(good->taken, 50);
	for (size_t i = 0; i < far_count; i++)
		fars[i].kind = FAR_GOOD;
	run_for(60000);
	for (size_t i = 0; i < row_count; i++)
		assert_true(rows[i].gone && rows[i].delivered == 1);
}

static void down_and_up(void **state)
{
	struct far *far = add_far("down.test", FAR_REFUSES);

	(void)state;
	for (int i = 0; i < 500; i++)
		add_rows("down.test", 1);
	run_for(5000);
	for (size_t i = 0; i < row_count; i++)
		assert_int_equal(rows[i].attempts, 1);
	assert_true(far->dials <= 2);
	add_rows("down.test", 1); /* new mail does not try again at once ... */
	run_for(2000);
	assert_int_equal(rows[500].attempts, 0);
	assert_string_equal(rows[500].reply, rows[499].reply); /* and what it waits for can be seen */
	assert_true(rows[500].next_ms > clock_wall_ms());
	rows[3].next_ms = clock_wall_ms(); /* ... what an admin wants tried now is tried */
	far->kind = FAR_GOOD;
	run_for(2000 + RELAY_LOOK_MAX_MS);
	assert_true(rows[3].gone);
	run_for(120000);
	for (size_t i = 0; i < row_count; i++)
		assert_true(rows[i].gone && rows[i].delivered == 1);
}

/* As many destinations are known as may be, all of them dead: one more is found room for. */
static void full_of_dead_ones(void **state)
{
	struct far *good = add_far("good.test", FAR_GOOD);

	(void)state;
	add_far("dead.test", FAR_REFUSES);
	add_rows("dead.test", 1);
	run_for(3000);
	relay.scheduler->destination_count = RELAY_DESTINATIONS_MAX;
	add_rows("good.test", 1);
	hint();
	run_for(RELAY_LOOK_MAX_MS);
	assert_int_equal(good->taken, 1);
}

/* The clock is set back while a destination is down: what is new seems to be older than the failure, and must be tried all the same. */
static void down_and_set_back(void **state)
{
	struct far *far = add_far("down.test", FAR_REFUSES);

	(void)state;
	add_rows("down.test", 1);
	run_for(5000);
	assert_int_equal(rows[0].attempts, 1);
	far->kind = FAR_GOOD;
	wall_shift_ms = -24 * (int64_t)HOUR;
	for (int i = 0; i < 10; i++) {
		add_rows("down.test", 1);
		hint();
		run_for(30000);
	}
	far->kind = FAR_REFUSES;
	add_rows("down.test", 1);
	run_for(300000);
	assert_in_range(rows[row_count - 1].attempts, 1, 6); /* nor as often as the machine can */
	far->kind = FAR_GOOD;
	run_for(RELAY_BACKOFF_MAX_MS + 2 * RELAY_SET_BACK_MS);
	for (size_t i = 0; i < row_count; i++)
		assert_true(rows[i].gone && rows[i].delivered == 1);
}

static void said_no(void **state)
{
	struct far *far = add_far("no.test", FAR_SAYS_NO);

	(void)state;
	for (int i = 0; i < 200; i++)
		add_rows("no.test", 2);
	run_for(10000);
	for (size_t i = 0; i < row_count; i++)
		assert_true(rows[i].gone && rows[i].delivered == 0);
	assert_int_equal(reports, 400);
	assert_true(far->dials <= 12);
}

/* Nobody at all, of a long list: several reports, each of a size that can be written. */
static void said_no_to_thousands(void **state)
{
	(void)state;
	add_far("no.test", FAR_SAYS_NO);
	add_rows("no.test", 10000);
	run_for(20000);
	for (size_t i = 0; i < row_count; i++)
		assert_true(rows[i].gone && rows[i].delivered == 0);
	assert_int_equal(reports, 10000);
}

static void tired(void **state)
{
	struct far *far = add_far("tired.test", FAR_TIRED);

	(void)state;
	for (int i = 0; i < 60; i++)
		add_rows("tired.test", 1);
	run_for(20000);
	for (size_t i = 0; i < row_count; i++)
		assert_true(rows[i].gone && rows[i].delivered == 1 && rows[i].attempts == 0);
	assert_true(far->dials >= 20);
}

/* A server that takes one message a connection, and closes, or says 421, when the next comes: with much waiting that costs no try, few connections
 * more than messages, and is forgotten when it was only a restart. */
static void one_a_connection(void **state)
{
	static const enum far_kind kinds[] = { FAR_TIRED, FAR_ABRUPT };

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
		struct far *far;
		unsigned before;

		if (k > 0) {
			teardown(state);
			(void)setup(state);
		}
		far = add_far("one.test", kinds[k]);
		far->patience = 1;
		for (int i = 0; i < 300; i++)
			add_rows("one.test", 1);
		run_for(20000);
		for (size_t i = 0; i < row_count; i++)
			assert_true(rows[i].gone && rows[i].delivered == 1 && rows[i].attempts == 0);
		assert_in_range(far->dials, 300, 360); /* some find out, one in RELAY_SESSIONS_TRUSTED looks again */
		far->kind = FAR_GOOD;
		before = far->dials;
		for (int i = 0; i < 2000; i++)
			add_rows("one.test", 1);
		hint();
		run_for(30000);
		assert_int_equal(far->taken, 2300);
		assert_true(far->dials - before < 200);
	}
}

static void few_recipients(void **state)
{
	(void)state;
	add_far("few.test", FAR_FEW);
	add_rows("few.test", 25);
	run_for(3000);
	for (size_t i = 0; i < row_count; i++)
		assert_true(rows[i].gone && rows[i].delivered == 1 && rows[i].attempts == 0);
}

static void drops(void **state)
{
	struct far *far = add_far("drops.test", FAR_DROPS);

	(void)state;
	for (int i = 0; i < 300; i++)
		add_rows("drops.test", 1);
	run_for(20000);
	for (size_t i = 0; i < row_count; i++)
		assert_true(!rows[i].gone && rows[i].attempts == 1 && rows[i].delivered == 0);
	assert_true(far->dials < 100); /* after a few of them the destination is down */
}

/* What another server has taken is written down as often as it needs; meanwhile nothing new is sent. */
static void full_disk(void **state)
{
	struct far *far = add_far("good.test", FAR_GOOD);
	unsigned taken;

	(void)state;
	for (int i = 0; i < 500; i++)
		add_rows("good.test", 1);
	disk_full = true;
	run_for(3000);
	taken = far->taken;
	assert_true(taken > 0 && taken < 500);
	run_for(3000);
	assert_int_equal(far->taken, taken);
	disk_full = false;
	/* the finisher's timer is the real clock's: wait for its event */
	while (finisher_in_trouble(relay.finisher)) {
		(void)uv_run(&loop, UV_RUN_ONCE);
		run_jobs();
	}
	run_for(10000);
	for (size_t i = 0; i < row_count; i++)
		assert_true(rows[i].gone && rows[i].delivered == 1);
}

/* A connection that was opened for another domain, which has the same first server: its next server is none of ours. */
static void whose_next_host(void **state)
{
	struct far *shared = add_far("shared.test", FAR_GOOD), *second = add_far("second.test", FAR_GOOD);

	(void)state;
	add_far("a.test", FAR_GOOD)->mx[0] = "shared.test";
	far_of("a.test")->mx[1] = "second.test";
	add_far("b.test", FAR_GOOD)->mx[0] = "shared.test";
	add_rows("a.test", 1);
	run_for(300);
	assert_int_equal(shared->taken, 1);
	shared->kind = FAR_LATER;
	add_rows("b.test", 1);
	hint();
	run_for(300);
	assert_int_equal(shared->dials, 1); /* the same connection */
	assert_int_equal(second->dials, 0);
	assert_true(!rows[1].gone && rows[1].attempts == 1);
	add_rows("a.test", 1); /* which has another one */
	hint();
	run_for(300);
	assert_int_equal(shared->dials, 1);
	assert_int_equal(second->taken, 1);
	assert_true(rows[2].gone);
}

/* RFC 8689: never to a server that does not offer it, also not over a connection that is there. */
static void requiretls_over_an_idle_one(void **state)
{
	struct far *far = add_far("good.test", FAR_GOOD);

	(void)state;
	add_rows("good.test", 1);
	run_for(300);
	add_rows("good.test", 1);
	rows[1].flags = QUEUE_REQUIRETLS;
	hint();
	run_for(500);
	assert_int_equal(far->taken, 1);
	assert_int_equal(far->dials, 2);
	assert_true(rows[1].gone && rows[1].delivered == 0 && reports == 1);
}

/* The server goes while a message is converted for it: before the conversion has ended, or before we have been told. */
static void gone_while_converting(void **state)
{
	struct far *far = add_far("fades.test", FAR_FADES);

	(void)state;
	converts = true;
	for (int i = 0; i < 2; i++) {
		add_rows("fades.test", 1);
		rows[i].flags = QUEUE_8BIT;
		fading_ms = i * 5 * TURN_MS;
		hint();
		run_for(3000);
		assert_true(!rows[i].gone && rows[i].attempts == 1);
		assert_int_equal(far->dials, (i + 1) * (1 + PARCEL_REQUEUES_MAX)); /* and not for ever */
	}
	far->kind = FAR_GOOD;
	run_for(70000);
	assert_true(rows[0].gone && rows[1].gone && far->taken == 2);
}

/* Opportunistic TLS that does not work is done without; who insists on it then may be mended. */
static void tls_is_broken(void **state)
{
	struct far *far = add_far("tls.test", FAR_BAD_TLS);

	(void)state;
	add_rows("tls.test", 1);
	run_for(1000);
	assert_int_equal(far->dials, 2);
	assert_true(!rows[0].gone && rows[0].attempts == 1 && reports == 0);
	far->kind = FAR_GOOD;
	run_for(70000);
	assert_true(rows[0].gone && rows[0].delivered == 1);
}

/* The server closes every connection that is at rest. */
static void hang_up(const struct far *far)
{
	for (struct client *client = clients; client != NULL; client = client->next)
		if (client->far == far && client->state == C_READY)
			over(client, 0);
}

/* Nothing follows a 250 on its connection before the outcome is durable, from whichever lane; then it is used again. */
static void nothing_before_it_is_written(void **state)
{
	struct far *far = add_far("good.test", FAR_GOOD);

	(void)state;
	settings.connections_per_destination = 1;
	add_far("too.test", FAR_GOOD)->mx[0] = "good.test";
	for (int i = 0; i < 3; i++)
		add_rows("good.test", 2);
	disk_waits = true;
	run_for(2 * RELAY_IDLE_MS);
	assert_true(far->taken == 2 && far->dials == 1 && far->quits == 0);
	assert_int_equal(relay.scheduler->links->state, LINK_WRITING);
	add_rows("too.test", 1);
	hint();
	run_for(1000);
	assert_true(far->taken == 3 && far->dials == 2 && far->quits == 0);
	disk_waits = false;
	run_for(1000);
	assert_true(far->taken == 7 && far->dials == 2 && far->quits == 0);
	run_for(RELAY_IDLE_MS + 3000);
	assert_int_equal(far->quits, 2);
}

/* A refusal is no 250: nothing waits for it. */
static void refused_and_not_written(void **state)
{
	struct far *far = add_far("no.test", FAR_SAYS_NO);

	(void)state;
	settings.connections_per_destination = 1;
	for (int i = 0; i < 3; i++)
		add_rows("no.test", 1);
	disk_waits = true;
	run_for(1000);
	assert_int_equal(far->connected, 1);
	assert_int_equal(relay.scheduler->links->state, LINK_IDLE);
	disk_waits = false;
	run_for(1000);
	assert_true(rows[0].gone && rows[1].gone && rows[2].gone);
}

/* The server goes meanwhile: what waits goes over a new connection, and the outcome of the old one is written down all the same. */
static void closed_and_not_written(void **state)
{
	struct far *far = add_far("good.test", FAR_GOOD);

	(void)state;
	settings.connections_per_destination = 1;
	add_rows("good.test", 1);
	add_rows("good.test", 1);
	disk_waits = true;
	run_for(500);
	hang_up(far);
	run_for(500);
	assert_true(far->taken == 2 && far->dials == 2 && far->connected == 1);
	assert_false(rows[0].gone || rows[1].gone);
	disk_waits = false;
	run_for(500);
	assert_true(rows[0].gone && rows[1].gone && rows[0].delivered == 1 && rows[1].delivered == 1);
}

/* A full disk: the connection is kept for as long as a server waits, and closed without a word; nothing is sent. */
static void never_written(void **state)
{
	struct far *far = add_far("good.test", FAR_GOOD);

	(void)state;
	add_rows("good.test", 1);
	disk_full = true;
	run_for(RELAY_WRITING_MS - 1000);
	assert_true(far->connected == 1 && far->taken == 1);
	add_rows("good.test", 1);
	hint();
	run_for(3000);
	assert_true(far->connected == 0 && far->taken == 1 && far->quits == 0);
	disk_full = false;
	while (finisher_in_trouble(relay.finisher)) {
		(void)uv_run(&loop, UV_RUN_ONCE);
		run_jobs();
	}
	run_for(RELAY_LOOK_MAX_MS);
	assert_true(rows[0].gone && rows[1].gone && far->taken == 2);
}

/* TERM: QUIT waits for the commit too. */
static void drained_and_not_written(void **state)
{
	struct far *far = add_far("good.test", FAR_GOOD);

	(void)state;
	add_rows("good.test", 1);
	disk_waits = true;
	run_for(500);
	ended = false;
	scheduler_drain(relay.scheduler, on_empty, NULL);
	run_for(2 * RELAY_IDLE_MS);
	assert_true(!ended && far->connected == 1 && far->quits == 0);
	disk_waits = false;
	run_for(100);
	assert_true(ended && rows[0].gone && far->quits == 1);
}

/* What is held while it waits in memory for a place, or is just being taken, does not go before it is released. */
static void held_while_it_waits(void **state)
{
	struct far *far = add_far("tardy.test", FAR_TARDY);
	unsigned taken;

	(void)state;
	settings.connections_per_destination = 1;
	for (int i = 0; i < 20; i++)
		add_rows("tardy.test", 1);
	run_for(5000);
	taken = far->taken;
	assert_in_range(taken, 1, 5);
	assert_true(relay.under_way.count > 3);
	set_next(INT64_MAX);
	run_for(30000);
	assert_in_range(far->taken, taken, taken + 1); /* the one that was being sent */
	assert_int_equal(relay.under_way.count, 0);
	set_next(clock_wall_ms());
	run_for(60000);
	for (size_t i = 0; i < row_count; i++)
		assert_int_equal(rows[i].delivered, 1);
}

static void held_while_it_is_taken(void **state)
{
	struct far *far = add_far("good.test", FAR_GOOD);
	struct worker_job *take;

	(void)state;
	run_for(100);
	add_rows("good.test", 5);
	say('q');
	fire(&relay.scheduler->look_timer);
	run_jobs(); /* the look; now the take waits for a thread */
	assert_non_null(jobs);
	take = jobs;
	jobs = NULL;
	jobs_end = &jobs;
	take->run(take);
	set_next(INT64_MAX);
	take->done(take);
	run_for(5000);
	assert_int_equal(far->taken, 0);
	set_next(clock_wall_ms());
	run_for(5000);
	assert_int_equal(far->taken, 5);
}

static void drained(void **state)
{
	struct far *far = add_far("slow.test", FAR_SLOW);

	(void)state;
	for (int i = 0; i < 50; i++)
		add_rows("slow.test", 1);
	run_for(1000);
	assert_true(far->connected > 0);
	scheduler_drain(relay.scheduler, on_empty, NULL);
	run_for(1000);
	assert_true(far->connected > 0); /* what is being sent goes on */
	run_for(25000);
	assert_int_equal(far->connected, 0);
	assert_true(far->taken > 0 && far->taken < 50);
	for (size_t i = 0; i < row_count; i++)
		assert_true(rows[i].gone == (rows[i].delivered == 1) && rows[i].attempts == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one, setup, teardown),
		cmocka_unit_test_setup_teardown(soon_again, setup, teardown),
		cmocka_unit_test_setup_teardown(many, setup, teardown),
		cmocka_unit_test_setup_teardown(fairness, setup, teardown),
		cmocka_unit_test_setup_teardown(tardy_ones_share, setup, teardown),
		cmocka_unit_test_setup_teardown(tardy_ones_take_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(silent_dns, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_to_slow_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(down_and_up, setup, teardown),
		cmocka_unit_test_setup_teardown(full_of_dead_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(down_and_set_back, setup, teardown),
		cmocka_unit_test_setup_teardown(said_no, setup, teardown),
		cmocka_unit_test_setup_teardown(said_no_to_thousands, setup, teardown),
		cmocka_unit_test_setup_teardown(tired, setup, teardown),
		cmocka_unit_test_setup_teardown(one_a_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(few_recipients, setup, teardown),
		cmocka_unit_test_setup_teardown(drops, setup, teardown),
		cmocka_unit_test_setup_teardown(full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(whose_next_host, setup, teardown),
		cmocka_unit_test_setup_teardown(requiretls_over_an_idle_one, setup, teardown),
		cmocka_unit_test_setup_teardown(gone_while_converting, setup, teardown),
		cmocka_unit_test_setup_teardown(tls_is_broken, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_before_it_is_written, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_and_not_written, setup, teardown),
		cmocka_unit_test_setup_teardown(closed_and_not_written, setup, teardown),
		cmocka_unit_test_setup_teardown(never_written, setup, teardown),
		cmocka_unit_test_setup_teardown(drained_and_not_written, setup, teardown),
		cmocka_unit_test_setup_teardown(held_while_it_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(held_while_it_is_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(drained, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
