#include "imapd/fetch_render.h"

#include "base/clock.h"
#include "imapd/fetch_literal.h"
#include "imapd/fetch_put.h"
#include "imapd/response.h"

#include <stdlib.h>
#include <string.h>

void fetch_render_init(
        struct fetch_render *render, const struct fetch_plan *plan, int64_t mailbox_id, struct binary_map **map)
{
	*render = (struct fetch_render) { .plan = plan, .mailbox_id = mailbox_id, .map = map };
	buffer_init(&render->fields, HEADER_BLOCK_MAX);
	buffer_init(&render->block, HEADER_BLOCK_MAX);
}

void fetch_render_free(struct fetch_render *render)
{
	buffer_free(&render->fields);
	buffer_free(&render->block);
	free(render->parts);
	render->parts = NULL;
}

void fetch_render_begin(struct fetch_render *render, const struct fetch_slice *slice)
{
	render->slice = slice;
	render->message = 0;
	render->item = 0;
	render->sent = 0;
	render->in_message = false;
	render->in_literal = false;
	render->from_ahead = false;
}

bool fetch_render_needs_store(const struct fetch_plan *plan)
{
	return plan->wants != 0 || plan->save_dates;
}

static bool item_is_ahead(const struct fetch_render *render, const struct fetch_item *item)
{
	switch (item->kind) {
	case FETCH_UID:
	case FETCH_FLAGS:
	case FETCH_RFC822_SIZE:
	case FETCH_MODSEQ:
	case FETCH_EMAILID: return true;
	default: return fetch_ahead_has(*render->ahead, render->slice->messages[0].row.message_id, item);
	}
}

bool fetch_render_from_ahead(struct fetch_render *render)
{
	if (render->ahead == NULL || *render->ahead == NULL || render->slice->count != 1)
		return false;
	for (size_t i = 0; i < render->plan->count; i++)
		if (!item_is_ahead(render, render->plan->items[i].item))
			return false;
	render->from_ahead = true;
	return true;
}

bool fetch_render_done(const struct fetch_render *render)
{
	return render->message == render->slice->count;
}

static bool chunk_is_full(const struct fetch_render *render)
{
	return render->out->len >= FETCH_CHUNK;
}

/* Between two messages. Not within one: what is out of it cannot be taken back. */
static bool is_enough(const struct fetch_render *render)
{
	return chunk_is_full(render) || render->late;
}

/* The index and small columns cost nothing to speak of; the octets of messages may. */
static void look_at_clock(struct fetch_render *render)
{
	if (render->plan->wants & (WANT_HEADER | WANT_BYTES))
		render->late = clock_mono_ms() >= render->until;
}

/* --- values that the index or a column of `message` knows --- */

static void put_object_id(struct buffer *out, char kind, int64_t id)
{
	char mark[2] = { '(', kind };

	buffer_append(out, mark, 2); /* RFC 8474 §5.1, §5.2 */
	fetch_put_number(out, (uint64_t)id);
	buffer_append_char(out, ')');
}

static void put_modseq(struct buffer *out, uint64_t modseq)
{
	buffer_append_char(out, '(');
	fetch_put_number(out, modseq);
	buffer_append_char(out, ')');
}

static void put_save_date(struct fetch_render *render)
{
	int64_t date = render->dates[render->message - render->dates_at];

	if (date == 0)
		buffer_append_text(render->out, "NIL"); /* RFC 8514 §4.3 */
	else
		response_put_date_time(render->out, date);
}

static void put_index_value(struct fetch_render *render, enum fetch_kind kind)
{
	const struct message_row *row = &render->slice->messages[render->message].row;

	switch (kind) {
	case FETCH_UID: fetch_put_number(render->out, row->uid); break;
	case FETCH_FLAGS: buffer_append_span(render->out, fetch_slice_flags(render->slice, row->flags)); break;
	case FETCH_RFC822_SIZE: fetch_put_number(render->out, row->size); break;
	case FETCH_MODSEQ: put_modseq(render->out, row->modseq); break;
	case FETCH_EMAILID: put_object_id(render->out, 'M', row->message_id); break;
	default: put_save_date(render); break;
	}
}

/* Begins the item: either all of it goes out, or *literal says what follows its name. False: nothing of the message can be given. */
static bool begin_item(
        struct fetch_render *render, const struct plan_item *planned, struct fetch_literal *literal, struct error *err)
{
	const struct stored_message *stored = render->stored;

	literal->source = LITERAL_NONE;
	switch (planned->item->kind) {
	case FETCH_INTERNALDATE:
		response_put_date_time(render->out, clock_seconds_of(stored->internal_date_ms));
		return true;
	case FETCH_THREADID: put_object_id(render->out, 'T', stored->thread_id); return true;
	case FETCH_PREVIEW:
		/* RFC 8970 §3.1: never NIL, since it is there without delay */
		response_put_string(render->out, stored->preview, render->plan->utf8);
		return true;
	case FETCH_ENVELOPE: fetch_literal_text(literal, stored->envelope); return true;
	case FETCH_BODY: fetch_literal_text(literal, stored->body); return true;
	case FETCH_BODYSTRUCTURE: fetch_literal_text(literal, stored->body_structure); return true;
	case FETCH_SECTION:
	case FETCH_RFC822:
	case FETCH_RFC822_HEADER:
	case FETCH_RFC822_TEXT:
	case FETCH_BINARY:
	case FETCH_BINARY_SIZE: return fetch_literal_find(render, planned, literal, err);
	case FETCH_UID:
	case FETCH_FLAGS:
	case FETCH_RFC822_SIZE:
	case FETCH_MODSEQ:
	case FETCH_EMAILID:
	case FETCH_SAVEDATE: break;
	}
	put_index_value(render, planned->item->kind);
	return true;
}

/* One item, or its continuation. *stop: the chunk is full, and the item is to be gone on with. */
static bool render_item(struct fetch_render *render, const struct plan_item *planned, bool *stop, struct error *err)
{
	struct fetch_literal literal;

	if (!render->in_literal)
		buffer_append_span(render->out, fetch_plan_name(render->plan, planned));
	if (!begin_item(render, planned, &literal, err))
		return false;
	if (literal.source == LITERAL_NONE)
		return true;
	if (!render->in_literal)
		fetch_literal_announce(&literal, render->out);
	render->in_literal = true;
	if (!fetch_literal_put(render, &literal, err))
		return false;
	*stop = render->sent < literal.len;
	if (!*stop) {
		render->in_literal = false;
		render->sent = 0;
	}
	return true;
}

/* Flags that changed because the message was fetched are told with it (RFC 9051 §6.4.5). */
static void put_changed_flags(struct fetch_render *render)
{
	const struct fetch_plan *plan = render->plan;
	const struct message_row *row = &render->slice->messages[render->message].row;

	if (render->slice->changed == NULL || !render->slice->changed[render->message])
		return;
	if (!plan->has_flags) {
		buffer_append_text(render->out, " FLAGS ");
		buffer_append_span(render->out, fetch_slice_flags(render->slice, row->flags));
	}
	if (plan->tell_uid && !plan->has_uid) {
		buffer_append_text(render->out, " UID ");
		fetch_put_number(render->out, row->uid);
	}
	if (plan->tell_modseq && !plan->has_modseq) {
		buffer_append_text(render->out, " MODSEQ ");
		put_modseq(render->out, row->modseq);
	}
}

static void next_message(struct fetch_render *render)
{
	render->message++;
	render->item = 0;
	render->sent = 0;
	render->in_message = false;
	render->in_literal = false;
}

/* The message, or what is left of it. *stop: the chunk is full. */
static bool render_items(struct fetch_render *render, bool *stop, struct error *err)
{
	const struct fetch_plan *plan = render->plan;

	if (!render->in_message) {
		buffer_append(render->out, "* ", 2);
		fetch_put_number(render->out, render->slice->messages[render->message].sequence);
		buffer_append(render->out, " FETCH (", 8);
		render->in_message = true;
	}
	while (render->item < plan->count) {
		if (chunk_is_full(render) && !render->in_literal && render->item > 0) {
			*stop = true;
			return true;
		}
		if (!render_item(render, &plan->items[render->item], stop, err))
			return false;
		if (*stop)
			return true;
		render->item++;
	}
	put_changed_flags(render);
	buffer_append(render->out, ")\r\n", 3);
	if (render->out->failed)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	return true;
}

/* Leaves the message out. False: part of it is out already. */
static bool leave_out(struct fetch_render *render, const struct error *why)
{
	if (why->code == ERR_NO_SUCH_MESSAGE)
		render->gone++;
	else if (why->code == ERR_BAD_VALUE) /* fetch_literal.h */
		render->unknown_cte = true;
	else if (render->failure.code == ERR_NONE)
		render->failure = *why;
	if (render->message_is_out) {
		render->cut = true;
		return false;
	}
	render->out->len = render->message_at;
	next_message(render);
	return true;
}

/* One message of the slice; stored: NULL where the plan wants nothing of it. False: the chunk ends here. */
static bool render_message(struct fetch_render *render, const struct stored_message *stored)
{
	struct error err;
	bool stop = false, ok;

	error_clear(&err);
	render->stored = stored;
	render->message_at = render->out->len;
	render->message_is_out = render->in_message;
	if (stored != NULL && stored->damaged)
		ok = error_detail(&err, ERR_DAMAGED, "message %lld: its octets are not as recorded",
		        (long long)stored->message_id);
	else
		ok = render_items(render, &stop, &err);
	if (ok && stop &&
	        render->out->failed) /* something of it is missing in the chunk: nothing may go on behind that */
		ok = error_set(&err, ERR_NO_MEMORY, "out of memory");
	look_at_clock(render);
	if (!ok)
		return leave_out(render, &err) && !is_enough(render);
	if (stop)
		return false;
	next_message(render);
	return !is_enough(render);
}

/* Messages that the walk stepped over are gone. */
static bool skip_to(struct fetch_render *render, size_t message)
{
	struct error gone;

	error_set(&gone, ERR_NO_SUCH_MESSAGE, "no such message");
	while (render->message < message) {
		render->message_at = render->out->len;
		render->message_is_out = render->in_message;
		if (!leave_out(render, &gone))
			return false;
	}
	return true;
}

static bool on_stored(void *arg, size_t i, const struct stored_message *message)
{
	struct fetch_render *render = arg;

	return skip_to(render, render->walk_at + i) && render_message(render, message);
}

static bool walk(struct fetch_render *render, size_t count, struct error *err)
{
	const struct fetch_slice *slice = render->slice;
	size_t at = render->message, end = at + count;

	render->dates_at = at;
	render->walk_at = at;
	if (render->plan->save_dates &&
	        !mailbox_save_dates(render->account, render->mailbox_id, slice->uids + at, count, render->dates, err))
		return false;
	if (render->plan->wants == 0 || render->from_ahead) {
		while (render->message < end && render_message(render, NULL))
			;
		return true;
	}
	if (!messages_read(render->account, slice->ids + at, count, render->plan->wants, on_stored, render, err))
		return false;
	/* Not stopped by a full chunk: the rest was not there. */
	return render->cut || is_enough(render) || render->in_message || skip_to(render, end);
}

bool fetch_render_chunk(struct fetch_render *render, struct account *account, struct buffer *out, struct error *err)
{
	render->account = account;
	render->out = out;
	render->until = clock_mono_ms() + FETCH_TURN_MS;
	render->late = false;
	while (!fetch_render_done(render) && !is_enough(render) && !render->cut) {
		size_t left = render->slice->count - render->message;

		if (!walk(render, left < FETCH_WALK_MAX ? left : FETCH_WALK_MAX, err)) {
			render->cut |= render->in_message;
			break;
		}
		if (render->in_message)
			break;
	}
	render->stored = NULL;
	if (render->cut && err->code == ERR_NONE)
		return error_set(err, ERR_TEMPORARY, "the message could not be read to its end");
	return !render->cut && err->code == ERR_NONE;
}
