/* APPEND on the loop; see imapd/append.h for its way. */
#include "imapd/append.h"

#include "base/check.h"
#include "base/clock.h"
#include "imapd/command.h"
#include "imapd/reader.h"

#include <stdlib.h>

/* --- giving back --- */

struct discard {
	struct worker_job job;
	struct append_part *parts;
	size_t count;
};

static void free_spools(struct append_part *parts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		spool_free(&parts[i].spool);
	free(parts);
}

static void run_discard(struct worker_job *job)
{
	struct discard *discard = container_of(job, struct discard, job);

	free_spools(discard->parts, discard->count);
}

static void on_discarded(struct worker_job *job)
{
	free(container_of(job, struct discard, job));
}

static bool has_files(const struct append *a)
{
	for (size_t i = 0; i < a->count; i++) {
		if (a->parts[i].spool != NULL && !spool_fits(a->parts[i].spool, 0))
			return true;
	}
	return false;
}

/* The kernel gives back the blocks of a large file when it is closed, which may take its time: not on the loop. */
static void discard_parts(struct append *a)
{
	struct discard *discard = has_files(a) ? calloc(1, sizeof(*discard)) : NULL;

	if (discard == NULL) {
		free_spools(a->parts, a->count);
		return;
	}
	discard->job = (struct worker_job) { .run = run_discard, .done = on_discarded, .lane = WORKER_WRITE };
	discard->parts = a->parts;
	discard->count = a->count;
	worker_submit(a->session->server->pool, &discard->job);
}

static void append_free(void *state)
{
	struct append *a = state;

	a->session->append_memory -= a->memory;
	discard_parts(a);
	buffer_free(&a->chunk);
	buffer_free(&a->uids);
	arena_free(&a->arena);
	free(a);
}

/* --- how much may be on the way --- */

static unsigned count_detached(const struct imap_session *s)
{
	unsigned count = 0;

	for (const struct imap_request *req = s->detached; req != NULL; req = req->next)
		count++;
	return count;
}

/* The message that came last has grown by what was added to its spool. */
static void count_memory(struct append *a, size_t added)
{
	a->part_memory += added;
	a->memory += added;
	a->session->append_memory += added;
}

static void update_hold(struct imap_session *s)
{
	if (s->append_waits || s->append_writes)
		session_hold_input(s);
	else if (s->held)
		session_release_input(s);
}

static void throttle(struct imap_session *s)
{
	s->append_waits = s->detached != NULL &&
	                  (s->append_memory > APPEND_PIPELINE_MAX || count_detached(s) >= APPEND_DETACHED_MAX);
}

/* --- the end --- */

static void end(struct imap_session *s, struct append *a)
{
	if (a->error.code == ERR_NONE)
		request_end(s, a->request, "OK", a->uids.len > 0 ? buffer_text(&a->uids) : NULL, "APPEND completed");
	else if (a->try_create)
		request_end(s, a->request, "NO", "TRYCREATE", a->error.reason);
	else
		request_refuse(s, a->request, &a->error);
}

static void on_committed(struct worker_job *job)
{
	struct append *a = container_of(job, struct append, job);
	struct imap_session *s = a->session;

	if (!s->closing) {
		s->append_memory -= a->memory;
		a->memory = 0;
		end(s, a);
		throttle(s);
		update_hold(s);
	}
	session_release(s);
}

static void submit_commit(struct append *a)
{
	a->job = (struct worker_job) {
		.run_batch = append_commit,
		.done = on_committed,
		.lane = WORKER_WRITE,
		.key = account_writing_key(a->account_id),
	};
	worker_submit(a->session->server->pool, &a->job);
}

/* Also when the session is closing: it came whole, and others may be behind it. */
static void on_prepared(struct worker_job *job)
{
	struct append *a = container_of(job, struct append, job);

	a->preparing = false;
	submit_commit(a);
}

static void submit_prepare(struct append *a)
{
	a->preparing = true;
	a->job = (struct worker_job) {
		.run_batch = append_prepare,
		.done = on_prepared,
		.lane = WORKER_WRITE,
		.key = account_writing_key(a->account_id) | APPEND_PREPARE_KEY,
	};
	worker_submit(a->session->server->pool, &a->job);
}

/* A large one is prepared while those before it commit, and the small ones behind it follow it: answers keep their order. Small ones alone
 * are best prepared by the commit, where more of them come together. */
static bool is_to_be_prepared(const struct imap_session *s, const struct append *a)
{
	if (s->detached == NULL)
		return false;
	for (const struct imap_request *req = s->detached; req != NULL; req = req->next) {
		const struct append *before = req->state;

		if (before->preparing)
			return true;
	}
	return a->memory >= APPEND_PREPARE_MIN;
}

/* The command waits for its turn among the account's writes; the next APPEND is read meanwhile. */
static void submit(struct imap_session *s, struct append *a)
{
	bool prepare = is_to_be_prepared(s, a);

	session_hold(s);
	(void)session_detach(s);
	if (prepare)
		submit_prepare(a);
	else
		submit_commit(a);
	throttle(s);
	update_hold(s);
}

/* a->error is set. What still comes of the command is dropped. */
static void refuse(struct imap_session *s, struct append *a)
{
	if (s->detached != NULL)
		submit(s, a); /* behind those before it */
	else
		end(s, a);
}

static void refuse_for(struct imap_session *s, struct append *a, enum error_code code, const char *reason)
{
	error_set(&a->error, code, "%s", reason);
	refuse(s, a);
}

/* --- octets --- */

static void write_chunk(struct imap_session *s)
{
	struct append *a = s->request->state;

	(void)spool_append(a->parts[a->count - 1].spool, buffer_span(&a->chunk), &a->error);
}

static void chunk_written(struct imap_session *s)
{
	struct append *a = s->request->state;

	s->append_writes = false;
	buffer_free(&a->chunk); /* whoever sends slowly has no claim to it */
	if (a->error.code != ERR_NONE)
		refuse(s, a);
	update_hold(s);
}

/* In memory, or in the chunk that goes to a worker once all octets at hand are in it. */
static bool keep(struct append *a, struct span run)
{
	struct spool *spool = a->parts[a->count - 1].spool;

	if (a->chunk.len > 0 || !spool_fits(spool, run.len)) {
		if (a->part_memory < STORE_INLINE_BODY_MAX) /* it becomes a file (append.h) */
			count_memory(a, STORE_INLINE_BODY_MAX - a->part_memory);
		return buffer_append_span(&a->chunk, run) ||
		       error_set(&a->error, ERR_NO_MEMORY, "out of memory, try again later");
	}
	count_memory(a, run.len);
	return spool_append(spool, run, &a->error);
}

static bool keep_all(struct append *a, struct span bytes)
{
	struct span run;

	if (!append_text_allows(&a->text, bytes))
		return error_set(&a->error, ERR_BAD_VALUE, "NUL in the message: only a literal8 may have them");
	while (append_text_next(&a->text, &bytes, &run)) {
		if (!keep(a, run))
			return false;
	}
	return true;
}

static void on_bytes(struct imap_session *s, struct span bytes)
{
	struct append *a = s->request->state;

	if (!keep_all(a, bytes)) {
		refuse(s, a);
		return;
	}
	if (a->memory > APPEND_COMMAND_MAX) {
		refuse_for(s, a, ERR_LIMIT, "too much for one APPEND: send them one by one");
		return;
	}
	throttle(s);
	if (a->chunk.len > 0) {
		s->append_writes = true;
		session_work_apart(s, write_chunk, chunk_written);
	}
	update_hold(s);
}

static void on_rest(struct imap_session *s, struct span rest, bool more);
static const struct reader_taker taker = { .on_bytes = on_bytes, .on_rest = on_rest };

/* --- a message is announced --- */

static void run_check(struct imap_session *s)
{
	append_check(s->request->state);
}

static void on_checked(struct imap_session *s)
{
	struct append *a = s->request->state;

	if (a->error.code != ERR_NONE)
		refuse(s, a);
	else
		reader_take_message(s->reader, &taker);
}

static bool copy_flags(struct append *a, const struct flag_list *flags, struct message_flags *out)
{
	struct span *keywords = arena_alloc(&a->arena, (flags->keyword_count + 1) * sizeof(*keywords));

	for (size_t i = 0; keywords != NULL && i < flags->keyword_count; i++)
		keywords[i] = arena_copy(&a->arena, flags->keywords[i]);
	*out = (struct message_flags) { flags->system, keywords, flags->keyword_count };
	return !a->arena.failed;
}

static bool add_part(struct append *a)
{
	const struct append_message *head = &a->head;
	struct append_part part = { .internal_date_ms = head->has_date ? head->internal_date * 1000 : clock_wall_ms() };

	if (a->count == APPEND_MESSAGES_MAX)
		return error_set(&a->error, ERR_LIMIT, "too many messages in one APPEND");
	if (a->count == a->capacity) {
		size_t capacity = a->capacity == 0 ? 1 : 2 * a->capacity;
		struct append_part *parts = reallocarray(a->parts, capacity, sizeof(*parts));

		if (parts == NULL)
			return error_set(&a->error, ERR_NO_MEMORY, "out of memory, try again later");
		a->parts = parts;
		a->capacity = capacity;
	}
	if (!copy_flags(a, &head->flags, &part.flags))
		return error_set(&a->error, ERR_LIMIT, "too many keywords in one APPEND");
	/* What is stored may be twice as long as what was announced (append_text.h), and no longer than a message can be. */
	if (!spool_new(a->store, UINT32_MAX, &part.spool, &a->error))
		return false;
	a->parts[a->count++] = part;
	a->part_memory = 0;
	return true;
}

static bool check_size(struct append *a, uint64_t message_size_max)
{
	if (a->head.size == 0) /* RFC 3502: a way to call the whole APPEND off */
		return error_set(&a->error, ERR_BAD_SEQUENCE, "the message is empty: nothing was appended");
	if (a->head.size > message_size_max) /* RFC 7889 §4 */
		return error_set(&a->error, ERR_TOO_LARGE, "message too large: at most %llu octets",
		        (unsigned long long)message_size_max);
	a->announced += a->head.size;
	return true;
}

/* p stands before what comes behind the mailbox, or the message before. */
static void next_message(struct imap_session *s, struct append *a, struct parser *p)
{
	if (!parse_append_message(p, &a->head)) {
		a->error = *p->err;
		refuse(s, a);
		return;
	}
	if (!check_size(a, s->server->settings.message_size_max) || !add_part(a)) {
		refuse(s, a);
		return;
	}
	a->text = (struct append_text) { .binary = a->head.literal8 };
	if (a->head.synchronizing || a->head.size > STORE_INLINE_BODY_MAX)
		session_work(s, WORKER_READ, run_check, on_checked);
	else
		reader_take_message(s->reader, &taker);
}

static void on_rest(struct imap_session *s, struct span rest, bool more)
{
	struct append *a = s->request->state;
	struct error err;
	struct parser p = { rest, &s->request->arena, &err, session_utf8(s) };
	bool another;

	arena_reset(&s->request->arena); /* a long MULTIAPPEND has many flags */
	if (!parse_append_next(&p, &a->head, &another)) {
		a->error = err;
		refuse(s, a);
	} else if (another != more) {
		refuse_for(s, a, ERR_SYNTAX, "expected another message or the end of the command");
	} else if (another) {
		next_message(s, a, &p);
	} else {
		submit(s, a);
	}
}

static struct append *append_new(struct imap_session *s, struct imap_request *req)
{
	struct append *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->session = s;
	a->request = req;
	a->store = s->server->store;
	a->directory = s->server->directory;
	a->account_id = s->account_id;
	arena_init(&a->arena, APPEND_ARENA_MAX);
	buffer_init(&a->chunk, APPEND_CHUNK_MAX);
	buffer_init(&a->uids, APPEND_ARENA_MAX);
	req->state = a;
	req->free_state = append_free;
	return a;
}

void cmd_append(struct imap_session *s, struct imap_request *req)
{
	struct append *a = append_new(s, req);
	struct span name;

	if (a == NULL) {
		command_no(s, "UNAVAILABLE", "out of memory, try again later");
		return;
	}
	if (!parse_append_mailbox(&req->parser, &name)) {
		a->error = *req->parser.err;
		refuse(s, a);
		return;
	}
	a->mailbox = arena_copy(&a->arena, name);
	if (a->arena.failed)
		refuse_for(s, a, ERR_NO_MEMORY, "out of memory, try again later");
	else
		next_message(s, a, &req->parser);
}
