/* posthouse/sendmail/options.h — the command line of the sendmail command, as programs have called it for forty years. Any thread. */
#ifndef POSTHOUSE_SENDMAIL_OPTIONS_H
#define POSTHOUSE_SENDMAIL_OPTIONS_H

#include "base/error.h"

#include <stddef.h>

#define SENDMAIL_RECIPIENTS_MAX 10000

enum sendmail_mode {
	SENDMAIL_SEND,
	SENDMAIL_SMTP,   /* -bs: SMTP on standard input and output */
	SENDMAIL_LIST,   /* -bp, mailq */
	SENDMAIL_RETRY,  /* -q */
	SENDMAIL_ALIASES /* -bi, newaliases: nothing to do here, they are always current */
};

struct sendmail_options {
	enum sendmail_mode mode;
	bool from_header;      /* -t */
	bool ignore_dots;      /* -i, -oi: a "." alone does not end the message */
	bool verbose;          /* -v */
	const char *sender;    /* -f, -r; NULL: the user */
	const char *full_name; /* -F, or NULL */
	const char *body;      /* -B: "7BIT", "8BITMIME", or NULL */
	const char *notify;    /* -N (RFC 3461 §4.1), or NULL */
	const char *ret;       /* -R: "FULL", "HDRS", or NULL */
	const char *envid;     /* -V, or NULL */
	const char *config;    /* -C, or NULL */
	char *const *recipients;
	size_t recipient_count;
};

/* Pointers go into argv. ERR_SYNTAX (reason for the person); ERR_UNSUPPORTED: a mode that a mail server of today does not have here. */
bool sendmail_options(int argc, char **argv, struct sendmail_options *out, struct error *err);

#endif
