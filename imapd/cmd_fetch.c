/* FETCH and UID FETCH (RFC 9051 §6.4.5, §6.4.9): the loop's half.
 *
 * The set becomes ranges of sequence numbers; these are taken a slice at a time (what the index knows of each message), \Seen is set for the
 * slice in one commit where an item asks for it (fetch_seen.c), and the slice is rendered a chunk at a time (fetch_chunks.c). */
#include "imapd/command.h"
#include "imapd/fetch_command.h"
#include "imapd/view.h"

#include <stdlib.h>

#define SLICE_MESSAGES 8192 /* 48 octets each, and ids */
#define SLICE_UNSEEN   256  /* when \Seen is set: so many may be marked that a lost connection kept from being read */

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

void fetch_refuse_memory(struct imap_session *s)
{
	struct error err;

	error_set(&err, ERR_NO_MEMORY, "out of memory");
	command_refuse(s, &err);
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

void fetch_next_slice(struct imap_session *s)
{
	struct fetch *f = s->request->state;

	if (!take_slice(s, f))
		fetch_refuse_memory(s);
	else if (f->slice.count == 0)
		fetch_finish(s);
	else if (!f->sets_seen || !fetch_set_seen(s))
		fetch_start_slice(s);
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
		fetch_next_slice(s);
	else
		fetch_refuse_memory(s);
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
		fetch_refuse_memory(s);
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
		fetch_refuse_memory(s);
	else if (beyond)
		command_bad(s, "there is no message of that number");
	else if (f->args.vanished)
		session_work(s, WORKER_READ, run_vanished, on_vanished);
	else
		fetch_next_slice(s);
}
