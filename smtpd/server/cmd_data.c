#include "smtpd/server/commands.h"

#include "base/check.h"

/* The way of a message: data_receive() takes the octets out of the receive buffer, octets.c keeps them. What becomes of it at its
 * end: message_end.c. */

static void end_of_data(struct smtp_session *s)
{
	conn_set_min_rate(s->conn, 0);
	octets_read_narrowly(s);
	conn_set_mode(s->conn, CONN_LINES);
	message_end(s);
}

static void flushed(struct smtp_session *s)
{
	if (s->transaction->complete)
		end_of_data(s);
}

size_t data_receive(struct smtp_session *s, struct span bytes)
{
	struct transaction *transaction = s->transaction;
	struct span in = span_first(bytes, DATA_CHUNK_MAX), text;
	size_t offered = in.len;
	enum data_found found;

	CHECK(s->state == RECEIVING && s->waiting == WAIT_NOTHING);
	while ((found = data_scan_next(&transaction->scan, &in, &text)) == DATA_TEXT)
		octets_keep(s, text);
	if (found == DATA_BAD) {
		octets_bad(s);
		return bytes.len;
	}
	transaction->complete = found == DATA_END;
	if (octets_flush(s, flushed)) {
		return offered - in.len;
	} else if (transaction->complete) {
		end_of_data(s);
	} else if (octets_far_too_many(s)) {
		error_set(&transaction->failure, ERR_TOO_LARGE, "message far too large, goodbye");
		message_refuse(s, STAGE_DATA, &transaction->failure);
		session_end(s);
	}
	return offered - in.len;
}

/* RFC 5321 §4.1.1.4. */
void cmd_data(struct smtp_session *s, struct span args)
{
	struct transaction *transaction = s->transaction;
	struct error err;

	(void)args;
	if (transaction->mail.body == BODY_BINARYMIME) { /* RFC 3030 §3 */
		session_bad_command(s, 503, "5.5.1", "a message with BODY=BINARYMIME comes by BDAT");
		return;
	}
	if (!octets_begin(s, &err)) {
		session_refuse(s, STAGE_DATA, &err);
		return;
	}
	data_scan_init(&transaction->scan);
	s->state = RECEIVING;
	conn_set_mode(s->conn, CONN_BYTES);
	octets_read_widely(s);
	conn_set_min_rate(s->conn, DATA_MIN_RATE);
	session_reply(s, 354, NULL, "send the message, end with CR LF . CR LF");
}
