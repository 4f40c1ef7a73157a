/* LIST and UIDL (RFC 1939 §5, §7): one line, or one for each message, written as the client takes them. */
#include "pop3d/command.h"

#include <string.h>

#define PIECE_MAX    (8 * KIB)
#define LISTING_LINE (10 + 1 + MAILDROP_UID_LEN + 2) /* "4294967295 0123456789abcdef\r\n" */

static char *put_number(char *out, uint32_t value)
{
	char digits[10];
	size_t len = 0;

	do {
		digits[len++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	while (len > 0)
		*out++ = digits[--len];
	return out;
}

static char *put_size(char *out, const struct maildrop *maildrop, const struct maildrop_message *message)
{
	return put_number(out, message->size);
}

static char *put_uid(char *out, const struct maildrop *maildrop, const struct maildrop_message *message)
{
	maildrop_uid_text(maildrop, message, out);
	return out + MAILDROP_UID_LEN;
}

/* The next lines of a listing, up to PIECE_MAX octets; false after the last. */
static bool produce(struct pop3_session *s,
        char *(*put)(char *out, const struct maildrop *maildrop, const struct maildrop_message *message))
{
	struct maildrop *maildrop = s->maildrop;
	char piece[PIECE_MAX], *at = piece;

	while (s->produced < maildrop->total && (size_t)(at - piece) + LISTING_LINE <= sizeof(piece)) {
		const struct maildrop_message *message = &maildrop->messages[s->produced++];

		if (message->deleted)
			continue;
		at = put_number(at, s->produced);
		*at++ = ' ';
		at = put(at, maildrop, message);
		*at++ = '\r';
		*at++ = '\n';
	}
	conn_write(s->conn, piece, (size_t)(at - piece));
	if (s->produced < maildrop->total)
		return true;
	conn_write_text(s->conn, ".\r\n");
	return false;
}

static bool produce_list(struct pop3_session *s)
{
	return produce(s, put_size);
}

static bool produce_uidl(struct pop3_session *s)
{
	return produce(s, put_uid);
}

void cmd_list(struct pop3_session *s, const struct pop3_request *req)
{
	const struct maildrop_message *message;
	uint32_t number;

	if (req->arg_count == 0) {
		reply_ok(s, "%u messages (%llu octets)", s->maildrop->count, (unsigned long long)s->maildrop->size);
		s->produced = 0;
		session_produce(s, produce_list);
	} else if ((message = take_message(s, req->args[0], &number)) != NULL) {
		reply_ok(s, "%u %u", number, message->size);
	}
}

void cmd_uidl(struct pop3_session *s, const struct pop3_request *req)
{
	const struct maildrop_message *message;
	char uid[MAILDROP_UID_LEN];
	uint32_t number;

	if (req->arg_count == 0) {
		reply_ok(s, "unique-id listing follows");
		s->produced = 0;
		session_produce(s, produce_uidl);
	} else if ((message = take_message(s, req->args[0], &number)) != NULL) {
		maildrop_uid_text(s->maildrop, message, uid);
		reply_ok(s, "%u %.*s", number, MAILDROP_UID_LEN, uid);
	}
}
