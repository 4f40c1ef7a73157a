/* STAT, RETR, TOP, DELE, NOOP, RSET: the TRANSACTION state but for the listings (cmd_listing.c). */
#include "pop3d/body_stream.h"
#include "pop3d/command.h"
#include "pop3d/message_reply.h"
#include "pop3d/read_ahead.h"

struct maildrop_message *take_message(struct pop3_session *s, struct span text, uint32_t *number)
{
	struct maildrop_message *message = NULL;
	uint64_t value;

	if (!span_number(text, UINT32_MAX, &value)) {
		reply_bad(s, "that is no message number");
		return NULL;
	}
	*number = (uint32_t)value;
	message = maildrop_get(s->maildrop, *number);
	if (message == NULL)
		reply_err(s, "no such message, only %u messages in maildrop", s->maildrop->total);
	else if (message->deleted)
		reply_err(s, "message %u already deleted", *number);
	return message != NULL && !message->deleted ? message : NULL;
}

void cmd_stat(struct pop3_session *s, const struct pop3_request *req)
{
	(void)req;
	reply_ok(s, "%u %llu", s->maildrop->count, (unsigned long long)s->maildrop->size);
}

void cmd_retr(struct pop3_session *s, const struct pop3_request *req)
{
	uint32_t number;
	const struct maildrop_message *message = take_message(s, req->args[0], &number);

	if (message == NULL)
		return;
	if (message->size <= WHOLE_MESSAGE_MAX)
		read_ahead_retr(s, number);
	else
		body_stream_begin(s, number, STUFFING_ALL);
}

void cmd_top(struct pop3_session *s, const struct pop3_request *req)
{
	uint64_t lines;
	uint32_t number;

	if (!span_number(req->args[1], UINT64_MAX, &lines)) {
		reply_bad(s, "that is no number of lines");
		return;
	}
	if (take_message(s, req->args[0], &number) == NULL)
		return;
	body_stream_begin(s, number, lines < STUFFING_ALL ? (uint32_t)lines : STUFFING_ALL - 1);
}

void cmd_dele(struct pop3_session *s, const struct pop3_request *req)
{
	uint32_t number;
	struct maildrop_message *message = take_message(s, req->args[0], &number);

	if (message == NULL)
		return;
	maildrop_mark(s->maildrop, message);
	reply_ok(s, "message %u deleted", number);
}

void cmd_noop(struct pop3_session *s, const struct pop3_request *req)
{
	(void)req;
	reply_ok(s, "nothing done");
}

void cmd_rset(struct pop3_session *s, const struct pop3_request *req)
{
	(void)req;
	maildrop_unmark_all(s->maildrop);
	reply_ok(
	        s, "maildrop has %u messages (%llu octets)", s->maildrop->count, (unsigned long long)s->maildrop->size);
}
