/* posthouse/sendmail/letter.h — the message as it comes from a program, made into one that may travel (RFC 5322).
 *
 * Line ends LF, CRLF and CR all become CRLF (programs write bare CRs when they show progress), a NUL becomes "?"; a first line
 * "From ..." of an mbox goes; a text that does not begin with a header gets the empty line that ends one.
 * Owner: whoever called letter_init(), until letter_free(). Any thread. */
#ifndef POSTHOUSE_SENDMAIL_LETTER_H
#define POSTHOUSE_SENDMAIL_LETTER_H

#include "base/buffer.h"
#include "base/error.h"

#define LETTER_RECIPIENTS_TEXT_MAX (4 * MIB)

struct letter {
	struct buffer text;       /* the whole message, CRLF lines, the last one ended too */
	struct buffer recipients; /* "a@b" NUL "c@d" NUL ... */
	size_t recipient_count;
	size_t header_len; /* without the empty line */
	bool eight_bit;
	/* while it is read */
	bool ended;     /* by a line of a dot */
	bool after_cr;  /* the last octet was a CR: an LF now belongs to it */
	size_t line_at; /* where the line being read began */
};

void letter_init(struct letter *letter, size_t limit);
void letter_free(struct letter *letter);

/* The next octets. ERR_TOO_LARGE: over the limit. What comes after a dot alone (unless ignore_dots) is left out. */
bool letter_feed(struct letter *letter, struct span octets, bool ignore_dots, struct error *err);
/* After the last octet: ends the last line and finds where the header ends. */
bool letter_finish(struct letter *letter, struct error *err);

/* One recipient of the command line: an address, or a list of them with names and comments. Without a domain: "@domain" is added.
 * ERR_BAD_ADDRESS. */
bool letter_add_recipients(struct letter *letter, struct span list, const char *domain, struct error *err);
/* -t: those of To, Cc and Bcc, or of their Resent- sisters when there is one; Bcc then goes (RFC 5322 §3.6.3). */
bool letter_take_recipients(struct letter *letter, const char *domain, struct error *err);
/* A From field where there is none: the server adds what else is missing. */
bool letter_add_from(struct letter *letter, const char *name, const char *address, struct error *err);

#endif
