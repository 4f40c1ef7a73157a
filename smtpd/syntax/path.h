/* smtpd/syntax/path.h — RFC 5321 §4.1.2 paths: "<a@example.org>", "<>", "<Postmaster>", source routes, literals.
 *
 * Grammar only: nothing here knows which domains are ours. A source route ("@a,@b:") is recognised and dropped; "%" and "!"
 * are ordinary characters of a local part and never a route (promises.md, "relay"). Non-ASCII characters are read as
 * valid UTF-8 (RFC 6531 §3.3) and reported in `utf8`; whether they are allowed is for the command to say. Any thread. */
#ifndef SMTPD_SYNTAX_PATH_H
#define SMTPD_SYNTAX_PATH_H

#include "base/error.h"
#include "base/span.h"

/* RFC 5321 §4.5.3.1.1 asks for at least 64; list managers and SRS rewriters send longer ones, so we take them. */
#define PATH_LOCAL_MAX   256
#define PATH_DOMAIN_MAX  255 /* RFC 5321 §4.5.3.1.2 */
#define PATH_LABEL_MAX   63  /* RFC 1035 §2.3.4 */
#define PATH_MAILBOX_MAX 320 /* local part, "@" and domain together; what the directory compares */
#define PATH_ROUTE_MAX   1024

struct smtp_path {
	struct span mailbox;        /* as sent, without "<", route and ">"; empty for "<>" */
	struct span domain;         /* as sent, "[...]" for a literal; empty for "<>" and "<Postmaster>" */
	char local[PATH_LOCAL_MAX]; /* unquoted: "a" and "\a" are the same (RFC 5321 §4.1.2) */
	size_t local_len;
	bool literal; /* the domain is an address literal */
	bool routed;  /* there was a source route; it was dropped */
	bool utf8;    /* the mailbox is not plain ASCII */
};

/* All three consume the path from *in or leave it untouched and fill *err: ERR_BAD_ADDRESS, ERR_TOO_LONG.
 * Reverse-path: Path or "<>". Forward-path: Path or "<Postmaster>" in any case (RFC 5321 §4.1.1.3). */
bool path_take_reverse(struct span *in, struct smtp_path *out, struct error *err);
bool path_take_forward(struct span *in, struct smtp_path *out, struct error *err);
/* Mailbox = Local-part "@" ( Domain / address-literal ), the whole of `text`. */
bool path_parse_mailbox(struct span text, struct smtp_path *out, struct error *err);

/* Domain or address-literal (RFC 5321 §4.1.2, §4.1.3), the whole of the span. */
bool domain_is_valid(struct span domain);
bool address_literal_is_valid(struct span literal);

struct span path_local(const struct smtp_path *path);

#endif
