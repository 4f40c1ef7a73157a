/* A client that sends mail also appends it to Sent; where we have filed it there already (account option file_sent), its copy is the same
 * message and not another one. */
#include "imapd/append.h"

#include "base/clock.h"
#include "message/header.h"
#include "storage/messages.h"

#define LOOKED_AT 50 /* newest messages of Sent */
#define KNOWN_MS  (24 * 3600 * (int64_t)1000)
#define LINE_END  2 /* octets: SMTP ends the last line, also where the client's copy does not */

struct look {
	struct span message_id;
	int64_t since_ms;
	uint64_t body; /* octets */
	bool found[LOOKED_AT];
	bool filed_by_us;
};

/* The header may differ (Bcc, marks of the client's). The body must not: a message that the client writes anew, as without its
 * attachments, has the same Message-ID, and the client deletes the first one next. */
static bool is_same_body(const struct look *look, const struct stored_message *message)
{
	uint64_t body = message->size - message->header_length;

	return body <= look->body + LINE_END && look->body <= body + LINE_END;
}

static bool compare(void *arg, size_t i, const struct stored_message *message)
{
	struct look *look = arg;

	look->found[i] = span_equal(message->rfc_message_id, look->message_id) &&
	                 message->internal_date_ms >= look->since_ms && is_same_body(look, message);
	return true;
}

/* What came by submission has a Received field; what a client has appended has none. */
static bool see_header(void *arg, size_t i, const struct stored_message *message)
{
	struct look *look = arg;
	struct header_field field;

	(void)i;
	look->filed_by_us = header_find(message->header, SPAN("Received"), &field);
	return true;
}

static bool is_filed_by_us(struct account *account, struct look *look, int64_t id)
{
	struct error err;

	look->filed_by_us = false;
	return messages_read(account, &id, 1, WANT_HEADER, see_header, look, &err) && look->filed_by_us;
}

uint32_t append_known(const struct append *a, struct account *account, int64_t sent)
{
	const struct message_summary *summary = &a->parts[0].summary;
	struct look look = {
		.message_id = summary->message_id,
		.since_ms = clock_wall_ms() - KNOWN_MS,
		.body = summary->size - summary->header_len,
	};
	struct message_row rows[LOOKED_AT];
	int64_t ids[LOOKED_AT];
	struct error err;
	size_t count;

	if (a->count != 1 || look.message_id.len == 0 || !mailbox_newest(account, sent, rows, LOOKED_AT, &count, &err))
		return 0;
	for (size_t i = 0; i < count; i++)
		ids[i] = rows[i].message_id;
	if (count == 0 || !messages_read(account, ids, count, WANT_META | WANT_THREADING, compare, &look, &err))
		return 0;
	for (size_t i = count; i-- > 0;)
		if (look.found[i] && is_filed_by_us(account, &look, ids[i]))
			return rows[i].uid;
	return 0;
}
