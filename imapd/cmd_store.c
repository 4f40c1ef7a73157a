/* STORE and UID STORE (RFC 9051 §6.4.6, §6.4.9; UNCHANGEDSINCE: RFC 7162 §3.1.3): one transaction for the whole set.
 *
 * What the answer tells, message by message, when the change is durable:
 *  - changed or not, without .SILENT: FLAGS, and MODSEQ for who knows CONDSTORE;
 *  - with .SILENT: MODSEQ for who knows CONDSTORE; FLAGS too if they are not what the client must think they are now, since another
 *    session changed them and this client has not been told yet;
 *  - refused by UNCHANGEDSINCE: FLAGS and MODSEQ, so that it need not ask (RFC 7162 §3.1.3 recommends it). */
#include "imapd/command.h"
#include "imapd/fetch_put.h"
#include "imapd/index.h"
#include "imapd/view.h"

#include <stdlib.h>

#define MODIFIED_MAX (16 * MIB)
#define LINE_ROOM    (FLAG_KEYWORD_COUNT * (KEYWORD_LEN_MAX + 1) + 256) /* for the longest line */

struct store_state {
	struct store_args args;
	struct view_message *messages;
	size_t count, gone;
	struct batch *batch;      /* done, while it is being answered */
	uint64_t bits;            /* the flags named, once their numbers are known */
	size_t at, row, modified; /* in messages, and in the rows and modified of the result */
};

static void free_store(void *state)
{
	struct store_state *st = state;

	if (st->batch != NULL)
		batch_free(&st->batch);
	free(st->messages);
	free(st);
}

static void refuse_memory(struct imap_session *s)
{
	struct error err;

	error_set(&err, ERR_NO_MEMORY, "out of memory");
	command_refuse(s, &err);
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

/* MODIFIED with the numbers that the command used. */
static bool put_modified(const struct imap_session *s, const struct batch_result *result, struct buffer *code)
{
	uint32_t *numbers = malloc(result->modified_count * sizeof(*numbers));
	size_t count = 0;
	bool ok;

	for (size_t i = 0; numbers != NULL && i < result->modified_count; i++) {
		if (s->request->uid)
			numbers[count++] = result->modified[i];
		else
			count += view_sequence(s->view, result->modified[i], &numbers[count]);
	}
	ok = numbers != NULL && buffer_append_text(code, "MODIFIED ") && sequence_set_write(code, numbers, count);
	free(numbers);
	return ok;
}

static void finish(struct imap_session *s)
{
	const struct store_state *st = s->request->state;
	const struct batch_result *result = batch_result(st->batch);
	/* they may also have gone between the index and the commit */
	bool gone = result->row_count + result->modified_count < st->count || st->gone > 0;
	struct buffer code;

	buffer_init(&code, MODIFIED_MAX);
	if (result->modified_count > 0) {
		if (put_modified(s, result, &code))
			command_ok_long(s, &code, "the others were changed in the meantime");
		else
			refuse_memory(s);
	} else if (gone && !s->request->uid && !st->args.silent) {
		command_no(s, "EXPUNGEISSUED", "some of the messages are no longer there"); /* RFC 5530 §3 */
	} else {
		command_ok(s, NULL, "STORE completed");
	}
	buffer_free(&code);
}

/* --- FETCH ------------------------------------------------------------------------------------------------------- */

static uint64_t flags_after(const struct store_state *st, uint64_t flags)
{
	switch (st->args.mode) {
	case STORE_ADD: return flags | st->bits;
	case STORE_REMOVE: return flags & ~st->bits;
	case STORE_REPLACE: break;
	}
	return st->bits;
}

/* The client has been told of these flags, or will work them out from its own command. */
static bool is_expected(const struct imap_session *s, const struct view_message *message, uint64_t flags)
{
	const struct store_state *st = s->request->state;

	return message->row.modseq <= s->view->told_modseq && flags_after(st, message->row.flags) == flags;
}

static bool put_line(
        struct imap_session *s, struct buffer *out, uint32_t sequence, const struct message_row *row, bool flags)
{
	bool condstore = (s->enabled & ENABLED_CONDSTORE) != 0, begun = false;

	buffer_append_text(out, "* ");
	fetch_put_number(out, sequence);
	buffer_append_text(out, " FETCH (");
	if (condstore || s->request->uid) { /* RFC 9051 §6.4.9, RFC 7162 §3.2.4 */
		buffer_append_text(out, "UID ");
		fetch_put_number(out, row->uid);
		begun = true;
	}
	if (condstore) {
		buffer_append_text(out, " MODSEQ (");
		fetch_put_number(out, row->modseq);
		buffer_append_char(out, ')');
	}
	if (flags) {
		buffer_append_text(out, begun ? " FLAGS " : "FLAGS ");
		view_write_flags(s->view, row->flags, out);
	}
	return buffer_append_text(out, ")\r\n") && !out->failed;
}

/* Of one that was in the set and is there. */
static bool answer_row(
        struct imap_session *s, struct buffer *out, const struct view_message *message, const struct flags_row *done)
{
	const struct store_state *st = s->request->state;
	bool condstore = (s->enabled & ENABLED_CONDSTORE) != 0, flags;
	struct message_row row = message->row;

	row.flags = done->flags;
	row.modseq = done->modseq;
	flags = !st->args.silent || !is_expected(s, message, done->flags);
	if (!flags && !(condstore && (done->changed || st->args.has_unchangedsince)))
		return true;
	return put_line(s, out, message->sequence, &row, flags);
}

/* Of one that UNCHANGEDSINCE has kept from being changed: as it is now. */
static bool answer_modified(struct imap_session *s, struct buffer *out, const struct view_message *message)
{
	const struct message_row *row = index_row(s->view->index, message->row.uid);

	return row == NULL || put_line(s, out, message->sequence, row, true);
}

static bool answer_message(struct imap_session *s, struct buffer *out, const struct batch_result *result)
{
	struct store_state *st = s->request->state;
	const struct view_message *message = &st->messages[st->at];
	uint32_t uid = message->row.uid;

	while (st->row < result->row_count && result->rows[st->row].uid < uid)
		st->row++;
	while (st->modified < result->modified_count && result->modified[st->modified] < uid)
		st->modified++;
	if (st->row < result->row_count && result->rows[st->row].uid == uid)
		return answer_row(s, out, message, &result->rows[st->row]);
	if (st->modified < result->modified_count && result->modified[st->modified] == uid)
		return answer_modified(s, out, message);
	return true;
}

/* As many as there is room for, then the rest. */
static void answer(struct imap_session *s)
{
	struct store_state *st = s->request->state;
	const struct batch_result *result = batch_result(st->batch);
	struct buffer out;
	bool ok = true;

	buffer_init(&out, FETCH_CHUNK + LINE_ROOM);
	for (; ok && st->at < st->count && out.len < FETCH_CHUNK; st->at++)
		ok = answer_message(s, &out, result);
	if (ok)
		session_write(s, buffer_span(&out));
	buffer_free(&out);
	if (!ok)
		refuse_memory(s);
	else if (st->at == st->count)
		finish(s);
	else
		session_wait_for_room(s, answer);
}

/* --- the change -------------------------------------------------------------------------------------------------- */

static uint64_t bits_of(const struct imap_session *s, const struct flag_list *flags)
{
	uint64_t bits = flags->system, bit;

	for (size_t i = 0; i < flags->keyword_count; i++)
		if (view_keyword_bit(s->view, flags->keywords[i], &bit))
			bits |= bit;
	return bits;
}

/* The number of this change: what has it is answered here, and is no news to this client. The names of keywords come before their use. */
static void note_own_change(struct imap_session *s, const struct batch_result *result)
{
	uint64_t modseq = 0, flags = 0;

	for (size_t i = 0; i < result->row_count; i++) {
		flags |= result->rows[i].flags;
		if (result->rows[i].changed)
			modseq = result->rows[i].modseq;
	}
	if (modseq > 0)
		view_own_change(s->view, modseq);
	view_tell_keywords(s->view, flags);
}

static void on_stored(struct imap_session *s, struct batch *batch, const struct error *failed)
{
	struct store_state *st = s->request->state;
	const struct batch_result *result;

	st->batch = batch;
	if (failed != NULL) {
		command_refuse(s, failed);
		return;
	}
	result = batch_result(batch);
	if (result->error.code != ERR_NONE) {
		command_refuse(s, &result->error);
		return;
	}
	st->bits = bits_of(s, &st->args.flags);
	note_own_change(s, result);
	answer(s);
}

static void change(struct imap_session *s, const struct store_state *st)
{
	static const enum flag_change changes[] = {
		[STORE_REPLACE] = FLAGS_SET, [STORE_ADD] = FLAGS_ADD, [STORE_REMOVE] = FLAGS_REMOVE
	};
	const struct message_flags flags = {
		.system = st->args.flags.system,
		.keywords = st->args.flags.keywords,
		.keyword_count = st->args.flags.keyword_count,
	};
	uint64_t since = st->args.has_unchangedsince ? st->args.unchangedsince : UINT64_MAX;
	uint32_t *uids = malloc((st->count + 1) * sizeof(*uids));
	struct batch *batch = batch_new(NULL);
	bool ok = uids != NULL && batch != NULL;

	for (size_t i = 0; ok && i < st->count; i++)
		uids[i] = st->messages[i].row.uid;
	ok = ok && batch_flags(batch, view_info(s->view)->id, uids, st->count, changes[st->args.mode], &flags, since);
	free(uids);
	if (ok) {
		session_commit(s, batch, on_stored);
		return;
	}
	if (batch != NULL)
		batch_free(&batch);
	refuse_memory(s);
}

void cmd_store(struct imap_session *s, struct imap_request *req)
{
	struct store_state *st = calloc(1, sizeof(*st));
	bool beyond;

	if (st == NULL) {
		refuse_memory(s);
		return;
	}
	req->state = st;
	req->free_state = free_store;
	if (!parse_store(&req->parser, &st->args)) {
		command_refuse(s, req->parser.err);
		return;
	}
	if (st->args.has_unchangedsince)
		session_enable_condstore(s);
	if (!view_collect(s->view, &st->args.set, req->uid, &st->messages, &st->count, &beyond, &st->gone))
		refuse_memory(s);
	else if (beyond)
		command_bad(s, "there is no message of that number");
	else
		change(s, st);
}
