#include "imapd/response.h"

#include "base/check.h"

/* Response codes: RFC 5530 §3, RFC 9051 §7.1, RFC 9208 §4.3.1 (OVERQUOTA), RFC 4469 §4.2 (TOOBIG). */
static const struct row {
	const char *code; /* NULL: none */
	bool is_bad;
	bool ours;
} rows[ERROR_CODE_COUNT] = {
	[ERR_NONE] = { "SERVERBUG", false, true },
	[ERR_SYNTAX] = { NULL, true, false },
	[ERR_BAD_ADDRESS] = { NULL, true, false },
	[ERR_BAD_VALUE] = { "CANNOT", false, false },
	[ERR_BAD_SEQUENCE] = { "CLIENTBUG", false, false },
	[ERR_UNSUPPORTED] = { "CANNOT", false, false },
	[ERR_TOO_LONG] = { "LIMIT", false, false },
	[ERR_TOO_LARGE] = { "TOOBIG", false, false },
	[ERR_NO_SUCH_DOMAIN] = { "AUTHENTICATIONFAILED", false, false },
	[ERR_NO_SUCH_ACCOUNT] = { "CONTACTADMIN", false, true },
	[ERR_NO_SUCH_ADDRESS] = { "AUTHENTICATIONFAILED", false, false },
	[ERR_NO_SUCH_MAILBOX] = { "NONEXISTENT", false, false },
	[ERR_NO_SUCH_MESSAGE] = { "EXPUNGEISSUED", false, false },
	[ERR_EXISTS] = { "ALREADYEXISTS", false, false },
	[ERR_DENIED] = { "NOPERM", false, false },
	[ERR_DISABLED] = { "CONTACTADMIN", false, false },
	[ERR_AUTH_FAILED] = { "AUTHENTICATIONFAILED", false, false },
	[ERR_AUTH_REQUIRED] = { "CLIENTBUG", false, false },
	[ERR_TLS_REQUIRED] = { "PRIVACYREQUIRED", false, false },
	[ERR_OVER_QUOTA] = { "OVERQUOTA", false, false },
	[ERR_CONFLICT] = { "INUSE", false, false },
	[ERR_BUSY] = { "INUSE", false, false },
	[ERR_LIMIT] = { "LIMIT", false, false },
	[ERR_NO_MEMORY] = { "UNAVAILABLE", false, true },
	[ERR_NO_SPACE] = { "UNAVAILABLE", false, true },
	[ERR_IO] = { "UNAVAILABLE", false, true },
	[ERR_DAMAGED] = { "CORRUPTION", false, true },
	[ERR_TEMPORARY] = { "UNAVAILABLE", false, true },
	[ERR_TIMEOUT] = { "UNAVAILABLE", false, true },
	[ERR_CLOSED] = { "UNAVAILABLE", false, false },
	[ERR_INTERNAL] = { "SERVERBUG", false, true },
};

const char *response_code_for_error(enum error_code code, bool *is_bad)
{
	CHECK(code < ERROR_CODE_COUNT);
	*is_bad = rows[code].is_bad;
	return rows[code].code;
}

bool response_is_our_trouble(enum error_code code)
{
	CHECK(code < ERROR_CODE_COUNT);
	return rows[code].ours;
}
