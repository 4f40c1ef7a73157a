#include "pop3d/message_reply.h"

#include "base/check.h"
#include "base/utf8.h"

#include <stdio.h>

void message_reply_init(struct message_reply *reply, int64_t message_id, uint32_t size, uint32_t top_lines, bool utf8)
{
	*reply = (struct message_reply) {
		.message_id = message_id,
		.size = size,
		.top_lines = top_lines,
		.utf8 = utf8,
	};
	stuffing_init(&reply->stuffing, top_lines);
	surrogate_init(&reply->surrogate);
}

void message_reply_free(struct message_reply *reply)
{
	surrogate_free(&reply->surrogate);
}

static bool read_chunk(
        struct message_reply *reply, struct account *account, uint64_t at, struct buffer *scratch, struct error *err)
{
	buffer_clear(scratch);
	return message_read(account, reply->message_id, at, STREAM_CHUNK, scratch, err);
}

/* Reads the message through from where scratch ends, so that its size is known before it is said; only when the message
 * has octets that are not ASCII. */
static bool plan_surrogate(
        struct message_reply *reply, struct account *account, uint64_t from, struct buffer *scratch, struct error *err)
{
	uint64_t at = from, end = reply->top_lines == STUFFING_ALL ? UINT64_MAX : TOP_SCAN_MAX;
	bool ok;

	do {
		ok = surrogate_feed(&reply->surrogate, buffer_span(scratch));
		at += scratch->len;
		if (ok && at < end && !read_chunk(reply, account, at, scratch, err))
			return false;
	} while (ok && at < end && scratch->len > 0);
	return (ok && surrogate_finish(&reply->surrogate)) || error_set(err, ERR_NO_MEMORY, "out of memory");
}

/* Does the message need a second look? ASCII through and through needs none, and nearly all large messages are. */
static bool find_non_ascii(
        struct message_reply *reply, struct account *account, struct buffer *scratch, bool *found, struct error *err)
{
	uint64_t at = 0, end = reply->top_lines == STUFFING_ALL ? UINT64_MAX : TOP_SCAN_MAX;

	*found = false;
	while (scratch->len > 0) {
		if (!utf8_is_ascii(buffer_span(scratch))) {
			*found = true;
			return true;
		}
		at += scratch->len;
		if (scratch->len < STREAM_CHUNK || at >= end)
			return true;
		if (!read_chunk(reply, account, at, scratch, err))
			return false;
	}
	return true;
}

/* scratch holds the first chunk, and does so again on return. */
static bool prepare_surrogate(
        struct message_reply *reply, struct account *account, struct buffer *scratch, struct error *err)
{
	bool whole = scratch->len < STREAM_CHUNK || scratch->len >= reply->size, found;

	if (whole) {
		if (utf8_is_ascii(buffer_span(scratch)))
			return true;
		return (surrogate_feed(&reply->surrogate, buffer_span(scratch)) &&
		               surrogate_finish(&reply->surrogate)) ||
		       error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	if (!find_non_ascii(reply, account, scratch, &found, err))
		return false;
	if (found && (!read_chunk(reply, account, 0, scratch, err) || !plan_surrogate(reply, account, 0, scratch, err)))
		return false;
	return read_chunk(reply, account, 0, scratch, err);
}

static bool begin(struct message_reply *reply, struct account *account, struct buffer *scratch, struct buffer *out,
        struct error *err)
{
	if (!reply->utf8 && !prepare_surrogate(reply, account, scratch, err))
		return false;
	reply->begun = true;
	if (reply->top_lines != STUFFING_ALL)
		return buffer_append_text(out, "+OK top of message follows\r\n");
	reply->size = (uint32_t)((int64_t)reply->size + reply->surrogate.growth);
	return buffer_printf(out, "+OK %u octets\r\n", reply->size);
}

bool message_reply_step(struct message_reply *reply, struct account *account, struct buffer *scratch,
        struct buffer *out, struct error *err)
{
	struct span bytes, run;
	bool last, ok = true;

	CHECK(!reply->finished);
	if (!read_chunk(reply, account, reply->at, scratch, err))
		return false;
	if (!reply->begun && !begin(reply, account, scratch, out, err))
		return false;
	last = scratch->len < STREAM_CHUNK;
	bytes = buffer_span(scratch);
	while (ok && surrogate_next(&reply->surrogate, &reply->at, &bytes, &run))
		ok = stuffing_feed(&reply->stuffing, run, out);
	if (ok && (last || reply->stuffing.ended)) {
		reply->finished = true;
		ok = stuffing_finish(&reply->stuffing, out);
	}
	return ok || error_set(err, ERR_NO_MEMORY, "out of memory");
}
