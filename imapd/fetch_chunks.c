/* FETCH: a slice of messages goes out by chunks, and then the tagged line. While a chunk goes out the next one is rendered, no further: a client that does
 * not read stops its producer. What the index alone can answer for a few messages needs no job. */
#include "base/log.h"
#include "imapd/command.h"
#include "imapd/fetch_command.h"
#include "imapd/view.h"

#define FIRST_CHUNK   (4 * KIB) /* most commands are about one message and a few items */
#define LOOP_MESSAGES 1000      /* rendered on the loop, when the index knows it all */

/* --- the end --- */

void fetch_finish(struct imap_session *s)
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
		fetch_next_slice(s);
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

void fetch_start_slice(struct imap_session *s)
{
	struct fetch *f = s->request->state;

	if ((f->plan.has_flags || f->slice.changed != NULL) && !write_flags(s, &f->slice)) {
		fetch_refuse_memory(s);
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
