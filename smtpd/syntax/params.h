/* smtpd/syntax/params.h — the arguments of MAIL and RCPT: a path, then ESMTP parameters (RFC 5321 §4.1.2).
 *
 * Grammar and the parameters' own rules; no policy. Which parameters exist depends on what EHLO announced: the caller says
 * which extensions are on. Spans point into the command line. Any thread. */
#ifndef SMTPD_SYNTAX_PARAMS_H
#define SMTPD_SYNTAX_PARAMS_H

#include "base/buffer.h"
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

enum mail_body { BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME }; /* RFC 6152 §2, RFC 3030 §3 */
enum mail_ret { RET_NOT_SAID, RET_FULL, RET_HDRS };           /* RFC 3461 §4.3 */
enum mail_by { BY_NOT_SAID, BY_RETURN, BY_NOTIFY };           /* RFC 2852 §4: R, N */
enum mail_hold { HOLD_NOT_SAID, HOLD_FOR, HOLD_UNTIL };       /* RFC 4865 §3 */
enum rcpt_notify {
	RCPT_NOTIFY_NEVER = 1,
	RCPT_NOTIFY_SUCCESS = 2,
	RCPT_NOTIFY_FAILURE = 4,
	RCPT_NOTIFY_DELAY = 8
}; /* RFC 3461 §4.1 */

struct mail_args {
	struct smtp_path sender;
	bool has_size;
	uint64_t size; /* RFC 1870 §3: 1*20DIGIT */
	bool eight_bit;
	bool smtputf8;
	enum mail_body body;
	enum mail_ret ret;
	struct span envid;     /* RFC 3461 §4.4, still in xtext; or empty */
	bool requiretls;       /* RFC 8689 */
	enum mail_hold hold;   /* RFC 4865 */
	uint32_t hold_seconds; /* as HOLDFOR said it */
	int64_t hold_until_ms; /* by the wall clock; 0: none */
	enum mail_by by_mode;  /* RFC 2852 */
	int64_t deliver_by_ms; /* the same, counted from MAIL (RFC 2852 §4); may be in the past */
	bool by_trace;
	bool has_priority; /* RFC 6710 */
	int priority;      /* -9..9; 0 when it was not said */
};

struct rcpt_args {
	struct smtp_path recipient;
	unsigned notify;   /* enum rcpt_notify; 0: not said */
	struct span orcpt; /* RFC 3461 §4.2, as sent; or empty */
};

/* What EHLO announced to this client: only that is known. */
struct smtp_offers {
	bool extended;       /* EHLO was said, and not HELO */
	bool auth;           /* AUTH= is taken, and not believed (RFC 4954 §5) */
	bool requiretls;     /* there is TLS (RFC 8689 §2) */
	bool future_release; /* RFC 4865 §4.2: submission only */
	int64_t now_ms;      /* wall clock, for HOLDFOR and HOLDUNTIL */
	bool no_queue;       /* LMTP: neither DSN, DELIVERBY nor MT-PRIORITY */
};

#define SMTP_ENVID_MAX     100          /* RFC 3461 §4.4 */
#define SMTP_ORCPT_MAX     500          /* RFC 3461 §4.2 */
#define SMTP_HOLD_MAX      (28 * 86400) /* seconds; announced by FUTURERELEASE (RFC 4865 §3) */
#define SMTP_BY_MAX        999999999    /* seconds: nine digits (RFC 2852 §4; RFC 4865 §3) */
#define SMTP_BY_RETURN_MIN 300          /* announced by DELIVERBY (RFC 2852 §2): sooner cannot be promised */

/* "FROM:" Reverse-path [SP Mail-parameters]. ERR_SYNTAX, ERR_BAD_ADDRESS, ERR_TOO_LONG; ERR_UNSUPPORTED: a parameter that was not
 * announced, or a time that is too short; ERR_BAD_VALUE: its value. */
bool parse_mail(struct span in, const struct smtp_offers *offers, struct mail_args *args, struct error *err);
/* "TO:" ( "<Postmaster>" / Forward-path ) [SP Rcpt-parameters]. The same. */
bool parse_rcpt(struct span in, const struct smtp_offers *offers, struct rcpt_args *args, struct error *err);

/* RFC 3339 §5.6 date-time, the whole span: "2026-11-21T12:00:00Z", "...+01:00", fractions of a second are dropped. */
bool parse_date_time(struct span text, int64_t *unix_seconds);
bool date_time_write(int64_t unix_seconds, struct buffer *out); /* "2026-11-21T12:00:00Z"; false when out is full */

#endif
