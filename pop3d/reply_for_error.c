#include "pop3d/reply_for_error.h"

#include "base/check.h"

#define TEMP "[SYS/TEMP]" /* RFC 3206 §4 */
#define PERM "[SYS/PERM]" /* RFC 3206 §4 */
#define AUTH "[AUTH]"     /* RFC 3206 §5 */

static const struct pop3_reply replies[ERROR_CODE_COUNT] = {
	[ERR_NONE] = { TEMP, "something went wrong", true },
	[ERR_SYNTAX] = { NULL, NULL, false },
	[ERR_BAD_ADDRESS] = { NULL, NULL, false },
	[ERR_BAD_VALUE] = { NULL, NULL, false },
	[ERR_BAD_SEQUENCE] = { NULL, NULL, false },
	[ERR_UNSUPPORTED] = { NULL, NULL, false },
	[ERR_TOO_LONG] = { NULL, NULL, false },
	[ERR_TOO_LARGE] = { PERM, "too large", true },
	[ERR_NO_SUCH_DOMAIN] = { AUTH, "wrong user name or password", false },
	[ERR_NO_SUCH_ACCOUNT] = { PERM, "your mailbox does not exist; ask your postmaster", true },
	[ERR_NO_SUCH_ADDRESS] = { AUTH, "wrong user name or password", false },
	[ERR_NO_SUCH_MAILBOX] = { PERM, "your mailbox has no INBOX; ask your postmaster", true },
	[ERR_NO_SUCH_MESSAGE] = { NULL, "the message is no longer there", false },
	[ERR_EXISTS] = { PERM, "it is there already", true },
	[ERR_DENIED] = { AUTH, "you may not do that", false },
	[ERR_DISABLED] = { AUTH, "this account is disabled; ask your postmaster", false },
	[ERR_AUTH_FAILED] = { AUTH, "wrong user name or password", false },
	[ERR_AUTH_REQUIRED] = { NULL, "log in first", false },
	[ERR_TLS_REQUIRED] = { AUTH, "use TLS first (STLS)", false },
	[ERR_OVER_QUOTA] = { PERM, "over quota", true },
	[ERR_CONFLICT] = { TEMP, "the mailbox has changed; nothing was deleted", true },
	[ERR_BUSY] = { "[IN-USE]", "another session has this mailbox; try again", false }, /* RFC 2449 §8.1.2 */
	[ERR_LIMIT] = { "[LOGIN-DELAY]", "too many failed logins from your address; try again later", false },
	[ERR_NO_MEMORY] = { TEMP, "out of memory; try again later", true },
	[ERR_NO_SPACE] = { TEMP, "the disk is full; try again later", true },
	[ERR_IO] = { TEMP, "the disk failed; try again later", true },
	[ERR_DAMAGED] = { PERM, "your mailbox is damaged; ask your postmaster", true },
	[ERR_TEMPORARY] = { TEMP, "not available now; try again later", true },
	[ERR_TIMEOUT] = { TEMP, "it took too long; try again later", true },
	[ERR_CLOSED] = { TEMP, "the server is going down; try again soon", false },
	[ERR_INTERNAL] = { TEMP, "something went wrong", true },
};

const struct pop3_reply *reply_for_error(enum error_code code)
{
	CHECK(code < ERROR_CODE_COUNT);
	return &replies[code];
}
