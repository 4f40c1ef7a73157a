/* FETCH and UID FETCH (RFC 9051 §6.4.5, §6.4.9): the loop's half.
 *
 * The set becomes ranges of sequence numbers; these are taken a slice at a time (what the index knows of each message), \Seen is set for the
 * slice in one commit where an item asks for it, and the slice is rendered a chunk at a time. While a chunk goes out the
 * next one is rendered, no further: a client that does not read stops its producer. What the index alone can answer for a few
 * messages needs no job. */
#include "base/log.h"
#include "imapd/command.h"
#include "imapd/fetch_ranges.h"
#include "imapd/fetch_render.h"
#include "imapd/fetch_vanished.h"
#include "imapd/view.h"

#include <stdlib.h>

#define SLICE_MESSAGES 8192 /* 48 octets each, and ids */
#define SLICE_UNSEEN   256  /* when \Seen is set: so many may be marked that a lost connection kept from being read */
#define FIRST_CHUNK    (4 * KIB) /* most commands are about one message and a few items */
#define LOOP_MESSAGES  1000      /* rendered on the loop, when the index knows it all */

struct fetch {
	struct fetch_args args;
	struct fetch_plan plan;
	struct fetch_ranges ranges;
	struct fetch_slice slice;
	struct fetch_render render;
	struct buffer out[2]; /* one being rendered, one going out */
	unsigned filling;
	int64_t mailbox_id;
	size_t gone;
	bool sets_seen, last_slice;
	struct batch *seen;
	struct vanished vanished;
	struct sequence_set vanished_set;
};

static void free_fetch(void *state)
{
	struct fetch *f = state;

	fetch_render_free(&f->render);
	fetch_slice_free(&f->slice);
	fetch_ranges_free(&f->ranges);
	fetch_plan_free(&f->plan);
	vanished_free(&f->vanished);
	buffer_free(&f->out[0]);
	buffer_free(&f->out[1]);
	free(f);
}

static void refuse_memory(struct imap_session *s)
{
	struct error err;

	error_set(&err, ERR_NO_MEMORY, "out of memory");
	command_refuse(s, &err);
}

/* --- the end --- */

static void finish(struct imap_session *s)
{
	const struct fetch *f = s->request->state;
	size_t gone = f->gone + f->render.gone;

	fetch_ahead_tidy(&s->ahead);
	if (f->render.unknown_cte)
		command_no(
		        s, "UNKNOWN-CTE", "a part has a transfer encoding that is not known here"); /* RFC 3516 §4.3 */
	else if (f->render.failure.code != ERR_NONE)
		command_refuse(s, &f->render.failure);
	else if (gone > 0 && !s->request->uid)
		command_ok(s, "EXPUNGEISSUED", "some of the messages are no longer there"); /* RFC 5530 §3 */
	else
		command_ok(s, NULL, "FETCH completed");
}

/* A message of which a part is out cannot be taken back, and nothing can be said inside a literal. */
static void cut_off(struct imap_session *s)
{
	const struct fetch *f = s->request->state;

	LOG(LOG_WARNING, "imap.cut", LOG_NUMBER("session", s->id), LOG_NUMBER("account", s->account_id),
	        LOG_FAILURE(f->render.failure.code != ERR_NONE ? &f->render.failure : &s->job_error));
	s->ended = true;
	conn_close(s->conn);
}

/* --- one slice --- */

static void next_slice(struct imap_session *s);
static void on_chunk(struct imap_session *s);

static void run_chunk(struct imap_session *s)
{
	struct fetch *f = s->request->state;
	struct account *account = NULL;

	if (!f->render.from_ahead && fetch_render_needs_store(&f->plan) &&
	        !account_open(s->server->store, s->account_id, &account, &s->job_error))
		return;
	fetch_render_chunk(&f->render, account, &f->out[f->filling], &s->job_error);
	if (account != NULL)
		account_release(&account);
}

/* What is in the buffer is whole messages, and may go out. */
static void fail_chunk(struct imap_session *s)
{
	const struct fetch *f = s->request->state;

	if (f->render.cut || f->render.in_message) {
		cut_off(s);
		return;
	}
	session_write(s, buffer_span(&f->out[f->filling]));
	if (s->job_error.code == ERR_NONE)
		error_set(&s->job_error, ERR_NO_MEMORY, "out of memory");
	command_refuse(s, &s->job_error);
}

/* A chunk is rendered: once there is room it goes out, and meanwhile the next one is rendered. */
static void deliver(struct imap_session *s)
{
	struct fetch *f = s->request->state;
	struct buffer *chunk = &f->out[f->filling], *next = &f->out[f->filling ^ 1];
	bool more = !fetch_render_done(&f->render), room;

	if (session_full(s)) {
		session_wait_for_room(s, deliver);
		return;
	}
	buffer_clear(next);
	f->filling ^= 1;
	room = !more || buffer_reserve(next, FETCH_CHUNK);
	if (more && room)
		session_work(
		        s, WORKER_READ, run_chunk, on_chunk); /* from here on `next` and the render are the job's */
	session_write(s, buffer_span(chunk));
	if (!room)
		fail_chunk(s);
	else if (!more)
		next_slice(s);
}

static void on_chunk(struct imap_session *s)
{
	if (s->job_error.code != ERR_NONE)
		fail_chunk(s);
	else
		deliver(s);
}

static bool write_flags(struct imap_session *s, struct fetch_slice *slice)
{
	uint64_t all = 0;

	for (size_t i = 0; i < slice->count; i++)
		all |= slice->messages[i].row.flags;
	view_tell_keywords(s->view, all);
	return fetch_slice_write_flags(slice, view_write_flags, s->view);
}

static void start_slice(struct imap_session *s)
{
	struct fetch *f = s->request->state;

	if ((f->plan.has_flags || f->slice.changed != NULL) && !write_flags(s, &f->slice)) {
		refuse_memory(s);
		return;
	}
	fetch_render_begin(&f->render, &f->slice);
	error_clear(&s->job_error);
	if (!buffer_reserve(&f->out[f->filling], FIRST_CHUNK)) {
		fail_chunk(s);
		return;
	}
	if (!fetch_render_from_ahead(&f->render) &&
	        (fetch_render_needs_store(&f->plan) || f->slice.count > LOOP_MESSAGES)) {
		session_work(s, WORKER_READ, run_chunk, on_chunk);
		return;
	}
	fetch_render_chunk(&f->render, NULL, &f->out[f->filling], &s->job_error);
	on_chunk(s);
}

/* --- \Seen --- */

/* The new flags and modseqs of what the commit touched; both rise by UID. Returns the modseq of what it changed, 0: nothing. */
static uint64_t take_new_flags(struct fetch_slice *slice, const struct batch_result *result)
{
	uint64_t modseq = 0;
	size_t at = 0;

	for (size_t i = 0; i < result->row_count; i++) {
		const struct flags_row *row = &result->rows[i];

		while (at < slice->count && slice->uids[at] < row->uid)
			at++;
		if (at == slice->count || slice->uids[at] != row->uid)
			continue;
		slice->messages[at].row.flags = row->flags;
		slice->messages[at].row.modseq = row->modseq;
		slice->changed[at] = row->changed;
		if (row->changed)
			modseq = row->modseq;
	}
	return modseq;
}

/* A failure to set it does not hide the message. */
static void on_seen(struct imap_session *s, struct batch *batch, const struct error *failed)
{
	struct fetch *f = s->request->state;
	const struct batch_result *result = failed == NULL ? batch_result(batch) : NULL;
	const struct error *err = failed != NULL ? failed : &result->error;
	uint64_t modseq;

	if (err->code != ERR_NONE) {
		LOG(LOG_WARNING, "imap.not_seen", LOG_NUMBER("session", s->id), LOG_NUMBER("account", s->account_id),
		        LOG_FAILURE(err));
	} else {
		f->slice.changed = calloc(f->slice.count, sizeof(*f->slice.changed));
		modseq = f->slice.changed != NULL ? take_new_flags(&f->slice, result) : 0;
		if (modseq != 0)
			view_own_change(s->view, modseq);
	}
	batch_free(&batch);
	start_slice(s);
}

/* False: nothing is to be set, or it cannot be. */
static bool set_seen(struct imap_session *s)
{
	static const struct message_flags seen = { .system = FLAG_SEEN };
	struct fetch *f = s->request->state;
	uint32_t *uids = malloc(f->slice.count * sizeof(*uids));
	struct batch *batch = uids != NULL ? batch_new(NULL) : NULL;
	size_t count = 0;
	bool ok;

	for (size_t i = 0; uids != NULL && i < f->slice.count; i++)
		if ((f->slice.messages[i].row.flags & FLAG_SEEN) == 0)
			uids[count++] = f->slice.uids[i];
	ok = count > 0 && batch != NULL && batch_flags(batch, f->mailbox_id, uids, count, FLAGS_ADD, &seen, UINT64_MAX);
	free(uids);
	if (ok)
		session_commit(s, batch, on_seen);
	else if (batch != NULL)
		batch_free(&batch);
	return ok;
}

/* --- slices --- */

/* RFC 7162 §3.1.4.1 */
static size_t keep_changed(struct view_message *messages, size_t count, uint64_t since)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		if (messages[i].row.modseq > since)
			messages[kept++] = messages[i];
	return kept;
}

/* The next messages; f->slice.count is 0 when none are left. False: out of memory. */
static bool take_slice(struct imap_session *s, struct fetch *f)
{
	size_t most = f->sets_seen ? SLICE_UNSEEN : SLICE_MESSAGES, count = 0;
	struct view_message *messages = NULL;

	fetch_slice_free(&f->slice);
	while (count == 0 && !f->last_slice) {
		free(messages);
		if (!fetch_ranges_next(&f->ranges, s->view, most, &messages, &count, &f->gone, &f->last_slice))
			return false;
		if (f->args.has_changedsince)
			count = keep_changed(messages, count, f->args.changedsince);
	}
	return fetch_slice_init(&f->slice, messages, count);
}

static void next_slice(struct imap_session *s)
{
	struct fetch *f = s->request->state;

	if (!take_slice(s, f))
		refuse_memory(s);
	else if (f->slice.count == 0)
		finish(s);
	else if (!f->sets_seen || !set_seen(s))
		start_slice(s);
}

/* --- VANISHED --- */

static void run_vanished(struct imap_session *s)
{
	struct fetch *f = s->request->state;
	struct account *account;

	if (!account_open(s->server->store, s->account_id, &account, &s->job_error))
		return;
	vanished_read(&f->vanished, account, f->mailbox_id, f->args.changedsince, &s->job_error);
	account_release(&account);
}

/* RFC 7162 §3.2.6: before any FETCH response */
static void on_vanished(struct imap_session *s)
{
	struct fetch *f = s->request->state;
	struct buffer out;
	bool ok;

	if (s->job_error.code != ERR_NONE) {
		command_refuse(s, &s->job_error);
		return;
	}
	buffer_init(&out, VANISHED_TEXT_MAX);
	ok = vanished_write(&f->vanished, s->view, &f->vanished_set, &out);
	if (ok)
		session_write(s, buffer_span(&out));
	buffer_free(&out);
	vanished_free(&f->vanished);
	if (ok)
		next_slice(s);
	else
		refuse_memory(s);
}

/* --- begin --- */

static bool check_vanished(struct imap_session *s, const struct imap_request *req, const struct fetch_args *args)
{
	const char *wrong = NULL;

	if (!args->vanished)
		return true;
	if (!req->uid)
		wrong = "VANISHED is for UID FETCH";
	else if (!args->has_changedsince)
		wrong = "VANISHED needs CHANGEDSINCE";
	else if ((s->enabled & ENABLED_QRESYNC) == 0)
		wrong = "VANISHED needs ENABLE QRESYNC";
	if (wrong != NULL)
		command_bad(s, wrong);
	return wrong == NULL;
}

/* In a client's cache "1:*" goes on behind the last message that there is now: here "*" is the largest UID that ever was. */
static bool init_vanished_set(struct imap_session *s, struct imap_request *req, struct fetch *f)
{
	const struct sequence_set *set = &f->args.set;
	struct number_range *ranges = arena_alloc(&req->arena, (set->count + 1) * sizeof(*ranges));

	if (ranges == NULL)
		return false;
	for (size_t i = 0; i < set->count; i++)
		ranges[i] = set->ranges[i];
	f->vanished_set = (struct sequence_set) { .ranges = ranges, .count = set->count };
	sequence_set_resolve(&f->vanished_set, view_info(s->view)->uid_next - 1);
	return true;
}

static bool begin(struct imap_session *s, struct imap_request *req, struct fetch *f, bool *beyond)
{
	buffer_init(&f->out[0], FETCH_OUT_MAX);
	buffer_init(&f->out[1], FETCH_OUT_MAX);
	f->mailbox_id = view_info(s->view)->id;
	if (f->args.vanished && !init_vanished_set(s, req, f))
		return false;
	if (!fetch_plan_init(&f->plan, &f->args, req->uid, f->args.has_changedsince) ||
	        !fetch_ranges_init(&f->ranges, s->view, &f->args.set, req->uid, beyond))
		return false;
	f->plan.utf8 = session_utf8(s);
	if (f->plan.has_modseq)
		session_enable_condstore(s);                                            /* RFC 7162 §3.1 */
	f->plan.tell_uid = f->plan.tell_modseq = (s->enabled & ENABLED_CONDSTORE) != 0; /* RFC 7162 §3.2.4 */
	f->sets_seen = f->plan.sets_seen && !s->view->read_only;
	fetch_render_init(&f->render, &f->plan, f->mailbox_id, &s->binary);
	f->render.ahead = &s->ahead;
	return true;
}

void cmd_fetch(struct imap_session *s, struct imap_request *req)
{
	struct fetch *f = calloc(1, sizeof(*f));
	bool beyond;

	if (f == NULL) {
		refuse_memory(s);
		return;
	}
	req->state = f;
	req->free_state = free_fetch;
	if (!parse_fetch(&req->parser, &f->args)) {
		command_refuse(s, req->parser.err);
		return;
	}
	if (!check_vanished(s, req, &f->args))
		return;
	if (!begin(s, req, f, &beyond))
		refuse_memory(s);
	else if (beyond)
		command_bad(s, "there is no message of that number");
	else if (f->args.vanished)
		session_work(s, WORKER_READ, run_vanished, on_vanished);
	else
		next_slice(s);
}
