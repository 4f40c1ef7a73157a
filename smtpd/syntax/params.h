/* smtpd/syntax/params.h — the arguments of MAIL and RCPT: a path, then ESMTP parameters (RFC 5321 §4.1.2).
 *
 * Grammar and the parameters' own rules; no policy. Which parameters exist depends on what EHLO announced: the caller says
 * which extensions are on. Spans point into the command line. Any thread. */
#ifndef SMTPD_SYNTAX_PARAMS_H
#define SMTPD_SYNTAX_PARAMS_H

#include "smtpd/syntax/path.h"

#define SMTP_PARAMS_MAX 16 /* of one command */

struct smtp_param {
	struct span keyword;
	struct span value;
	bool has_value;
};

/* *(SP esmtp-param) up to the end of the line; blanks before the end are forgiven (RFC 5321 §4.1.1). Each keyword once.
 * ERR_SYNTAX, ERR_TOO_LONG. */
bool smtp_params_parse(struct span in, struct smtp_param params[SMTP_PARAMS_MAX], size_t *count, struct error *err);

struct mail_args {
	struct smtp_path sender;
	bool has_size;
	uint64_t size; /* RFC 1870 §3: 1*20DIGIT */
	bool eight_bit;
	bool smtputf8;
};

struct rcpt_args {
	struct smtp_path recipient;
};

/* "FROM:" Reverse-path [SP Mail-parameters]. extended: the client said EHLO; without it no parameter is known.
 * auth: AUTH was announced, so AUTH= is taken (and not believed, RFC 4954 §5).
 * ERR_SYNTAX, ERR_BAD_ADDRESS, ERR_TOO_LONG; ERR_UNSUPPORTED: a parameter we do not have; ERR_BAD_VALUE: its value. */
bool parse_mail(struct span in, bool extended, bool auth, struct mail_args *args, struct error *err);
/* "TO:" ( "<Postmaster>" / Forward-path ) [SP Rcpt-parameters]; no parameter is known yet. */
bool parse_rcpt(struct span in, struct rcpt_args *args, struct error *err);

#endif
