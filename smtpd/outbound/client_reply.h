/* smtpd/outbound/client_reply.h — reading another server's replies (RFC 5321 §4.2) and its EHLO offers. Pure; any thread.
 *
 * Forgiving where nothing is lost by it: any text, lines that end with LF alone, codes that differ from line to line (the
 * worst counts). Everything is bounded; what is no reply at all is said so. */
#ifndef SMTPD_OUTBOUND_CLIENT_REPLY_H
#define SMTPD_OUTBOUND_CLIENT_REPLY_H

#include "smtpd/outbound/client.h"

struct reply_reader {
	struct client_reply reply; /* so far */
	size_t lines, octets, text_len;
};

enum reply_state { REPLY_MORE, REPLY_WHOLE, REPLY_GARBAGE };

void reply_begin(struct reply_reader *reader);
/* One line without its end. WHOLE: reader->reply is complete. GARBAGE: no reply, or too long: reply.text says which, its code is 0. */
enum reply_state reply_line(struct reply_reader *reader, struct span line);

/* A reason of ours in place of a reply. */
void reply_local(struct client_reply *reply, const char *format, ...) PRINTF_LIKE(2, 3);

/* One line of an EHLO reply after the first, without its code: "SIZE 10240000". Unknown ones are passed over. */
void offer_line(struct client_offer *offer, struct span line);

#endif
