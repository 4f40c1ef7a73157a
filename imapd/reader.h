/* imapd/reader.h — commands with their literals off the wire (RFC 9051 §2.2.1, §4.3, RFC 7888), within the budget of a session.
 *
 * The reader cuts the stream into commands and gives each to command_dispatch(): the line without its last CRLF, literals in place
 * ("{5}" CRLF and five octets). A synchronizing literal that is allowed is answered with "+ OK"; one that is not is refused at its
 * announcement, and a non-synchronizing one that is too large ends the session (RFC 7888 §4: its octets cannot be told from commands).
 * While the session's on_line is set, lines go there instead. A bare LF ends a line as well; empty lines between commands are
 * skipped (Apple Mail sends them). Limits: COMMAND_BEFORE_LOGIN_MAX, COMMAND_MAX, LITERAL_COUNT_MAX. Before login all memory is wiped.
 *
 * The messages of an APPEND are not collected. At the announcement of the first one the command is dispatched as far as it came,
 * up to and with "{n}"; its handler calls reader_take_message(), at once or later, and until it does nothing is read. Or it
 * ends the command, and then the reader drops what the client sends of it all the same (up to SWALLOW_MAX, beyond that BYE).
 * Owner: the session. Thread: the loop's. */
#ifndef IMAPD_READER_H
#define IMAPD_READER_H

#include "imapd/session.h"

struct reader_taker {
	/* Octets of the message, never more than it has. To slow the client down: session_hold_input(). */
	void (*on_bytes)(struct imap_session *s, struct span bytes);
	/* The message is whole. rest: what came behind it: to the end of the command, or (more) up to and with the announcement
	 * of the next message (MULTIAPPEND, RFC 3502): then reader_take_message() again. Valid until the next call of any of these,
	 * or the command's end. A rest over the limit ends the command without a call. */
	void (*on_rest)(struct imap_session *s, struct span rest, bool more);
};

struct reader *reader_new(struct imap_session *s); /* NULL: out of memory */
void reader_free(struct reader **reader);

/* Returns how much was consumed: at least one octet, and not beyond the end of a command or line. Call while session_reads(). */
size_t reader_feed(struct reader *r, struct span bytes);
/* The message that was announced last; answers "+" when the client waits for it. */
void reader_take_message(struct reader *r, const struct reader_taker *taker);
bool reader_in_message(const struct reader *r); /* octets of a message, or what follows it, are awaited */
bool reader_is_partial(const struct reader *r); /* a command, line or literal has begun and is not whole */
void reader_command_ended(struct reader *r);    /* drops what is left of it */
void reader_forget(struct reader *r);           /* STARTTLS: all that came */

#endif
