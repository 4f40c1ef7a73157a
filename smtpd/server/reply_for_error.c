#include "smtpd/server/reply_for_error.h"

#include "base/check.h"
#include "base/macros.h"

/* One row per error code; a unit test walks enum error_code. Enhanced codes: RFC 3463, and RFC 5248's registry. */
static const struct smtp_reply replies[ERROR_CODE_COUNT] = {
	[ERR_NONE] = { 250, "2.0.0" },
	[ERR_SYNTAX] = { 501, "5.5.2" },
	[ERR_BAD_ADDRESS] = { 501, "5.1.3" },
	[ERR_BAD_VALUE] = { 501, "5.5.4" },
	[ERR_BAD_SEQUENCE] = { 503, "5.5.1" },
	[ERR_UNSUPPORTED] = { 504, "5.5.4" },
	[ERR_TOO_LONG] = { 500, "5.5.2" },       /* RFC 5321 §4.5.3.1.9 */
	[ERR_TOO_LARGE] = { 552, "5.3.4" },      /* RFC 1870 §6.1 (2) */
	[ERR_NO_SUCH_DOMAIN] = { 550, "5.7.1" }, /* no relaying */
	[ERR_NO_SUCH_ACCOUNT] = { 550, "5.1.1" },
	[ERR_NO_SUCH_ADDRESS] = { 550, "5.1.1" },
	[ERR_NO_SUCH_MAILBOX] = { 450, "4.2.0" }, /* an account without INBOX: the admin can mend it */
	[ERR_NO_SUCH_MESSAGE] = { 451, "4.3.0" },
	[ERR_EXISTS] = { 451, "4.3.0" },
	[ERR_DENIED] = { 550, "5.7.1" },
	[ERR_DISABLED] = { 535, "5.7.13" },     /* RFC 5248: user account disabled */
	[ERR_AUTH_FAILED] = { 535, "5.7.8" },   /* RFC 4954 §6 */
	[ERR_AUTH_REQUIRED] = { 530, "5.7.0" }, /* RFC 4954 §6 */
	[ERR_TLS_REQUIRED] = { 538, "5.7.11" }, /* RFC 4954 §6 */
	[ERR_OVER_QUOTA] = { 452, "4.2.2" },    /* 4yz: the owner may make room, so let the sender retry */
	[ERR_CONFLICT] = { 451, "4.3.0" },
	[ERR_BUSY] = { 451, "4.3.0" },
	[ERR_LIMIT] = { 452, "4.5.3" }, /* RFC 5321 §4.5.3.1.10 */
	[ERR_NO_MEMORY] = { 451, "4.3.0" },
	[ERR_NO_SPACE] = { 452, "4.3.1" }, /* RFC 5321 §4.2.3: insufficient system storage */
	[ERR_IO] = { 451, "4.3.0" },
	[ERR_DAMAGED] = { 451, "4.3.0" }, /* kept by the sender until the admin has repaired the account */
	[ERR_TEMPORARY] = { 451, "4.3.0" },
	[ERR_TIMEOUT] = { 451, "4.3.0" },
	[ERR_CLOSED] = { 421, "4.3.2" },
	[ERR_INTERNAL] = { 451, "4.3.0" },
};

/* Where a stage needs another reply than the one above. */
static const struct {
	enum smtp_stage stage;
	enum error_code code;
	struct smtp_reply reply;
} at_stage[] = {
	{ STAGE_SENDER, ERR_BAD_ADDRESS, { 501, "5.1.7" } }, { STAGE_SENDER, ERR_TOO_LONG, { 501, "5.1.7" } },
	{ STAGE_SENDER, ERR_UNSUPPORTED, { 555, "5.5.4" } },  /* RFC 5321 §4.1.1.11 */
	{ STAGE_SENDER, ERR_BAD_SEQUENCE, { 550, "5.6.7" } }, /* RFC 6531 §3.5: non-ASCII without SMTPUTF8 */
	{ STAGE_SENDER, ERR_DISABLED, { 550, "5.7.13" } },    /* 535 is AUTH's */
	{ STAGE_SENDER, ERR_NO_SUCH_ACCOUNT, { 550, "5.7.1" } }, { STAGE_RECIPIENT, ERR_TOO_LONG, { 501, "5.1.3" } },
	{ STAGE_RECIPIENT, ERR_UNSUPPORTED, { 555, "5.5.4" } },
	{ STAGE_RECIPIENT, ERR_BAD_SEQUENCE, { 553, "5.6.7" } }, /* RFC 6531 §3.5 */
	{ STAGE_RECIPIENT, ERR_TOO_LARGE, { 552, "5.2.2" } },    /* larger than the whole mailbox: RFC 1870 §6.4 (2) */
	{ STAGE_DATA, ERR_SYNTAX, { 550, "5.6.11" } }, /* bare CR, bare LF, NUL (X.6.11: invalid characters) */
	{ STAGE_DATA, ERR_UNSUPPORTED,
	        { 554, "5.6.3" } }, /* binary, and signed (X.6.3: conversion required but not supported) */
	{ STAGE_DELIVERY, ERR_BAD_VALUE, { 554, "5.6.0" } }, /* its header cannot be accepted */
	{ STAGE_DELIVERY, ERR_LIMIT, { 554, "5.4.6" } },     /* RFC 5321 §6.3: a loop */
	{ STAGE_LIMIT, ERR_LIMIT, { 451, "4.7.1" } }, /* enough for today; 4yz: the client may keep it until tomorrow */
	{ STAGE_DELIVERY, ERR_TOO_LARGE, { 552, "5.2.2" } }, /* larger than the whole mailbox */
};

struct smtp_reply reply_for_error(enum smtp_stage stage, enum error_code code)
{
	CHECK(code < ERROR_CODE_COUNT);
	for (size_t i = 0; i < ARRAY_LEN(at_stage); i++)
		if (at_stage[i].stage == stage && at_stage[i].code == code)
			return at_stage[i].reply;
	return replies[code];
}
