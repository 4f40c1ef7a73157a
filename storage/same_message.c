#include "storage/same_message.h"

#include "message/header.h"
#include "storage/messages.h"

#define LINE_END 2 /* octets: SMTP ends the last line, also where the client's copy does not */

struct look {
	const struct same_message *wanted;
	bool found[SAME_LOOKED_AT];
	bool submitted;
};

static bool is_same_body(const struct same_message *wanted, const struct stored_message *message)
{
	uint64_t body = message->size - message->header_length;

	return body <= wanted->body + LINE_END && wanted->body <= body + LINE_END;
}

static bool compare(void *arg, size_t i, const struct stored_message *message)
{
	struct look *look = arg;

	look->found[i] = span_equal(message->rfc_message_id, look->wanted->message_id) &&
	                 message->internal_date_ms >= look->wanted->since_ms && is_same_body(look->wanted, message);
	return true;
}

static bool see_header(void *arg, size_t i, const struct stored_message *message)
{
	struct look *look = arg;
	struct header_field field;

	(void)i;
	look->submitted = header_find(message->header, SPAN("Received"), &field);
	return true;
}

static bool is_right(struct account *account, struct look *look, int64_t id)
{
	struct error err;

	if (!look->wanted->submitted)
		return true;
	look->submitted = false;
	return messages_read(account, &id, 1, WANT_HEADER, see_header, look, &err) && look->submitted;
}

uint32_t mailbox_find_same(struct account *account, int64_t mailbox_id, const struct same_message *wanted)
{
	struct look look = { .wanted = wanted };
	struct message_row rows[SAME_LOOKED_AT];
	int64_t ids[SAME_LOOKED_AT];
	struct error err;
	size_t count;

	if (wanted->message_id.len == 0 || !mailbox_newest(account, mailbox_id, rows, SAME_LOOKED_AT, &count, &err) ||
	        count == 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		ids[i] = rows[i].message_id;
	if (!messages_read(account, ids, count, WANT_META | WANT_THREADING, compare, &look, &err))
		return 0;
	for (size_t i = count; i-- > 0;)
		if (look.found[i] && is_right(account, &look, ids[i]))
			return rows[i].uid;
	return 0;
}
