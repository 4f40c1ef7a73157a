/* common/base/error.h — what went wrong, in no protocol's words (lesson 12).
 *
 * A function that can fail returns false and fills *err; the caller decides. `reason` may be shown to the peer or the
 * person at the terminal: ASCII, no path of ours, no secret. `detail` is for the log only. Each daemon has one table
 * from error_code to its protocol's replies; a unit test walks ERROR_CODES so that no row can be missing. Any thread. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "base/macros.h"

#include <stdbool.h>

/*  code                 what it means */
#define ERROR_CODES(X)                                                                                                 \
	X(ERR_NONE, "no error")                                                                                        \
	X(ERR_SYNTAX, "the input does not follow the grammar")                                                         \
	X(ERR_BAD_ADDRESS, "an address does not follow the grammar")                                                   \
	X(ERR_BAD_VALUE, "a value is well-formed but not allowed")                                                     \
	X(ERR_BAD_SEQUENCE, "not now: the state does not allow it")                                                    \
	X(ERR_UNSUPPORTED, "a feature or parameter that we do not have")                                               \
	X(ERR_TOO_LONG, "a line, name or number of items is over its limit")                                           \
	X(ERR_TOO_LARGE, "the message is over the size limit")                                                         \
	X(ERR_NO_SUCH_DOMAIN, "the domain is not ours")                                                                \
	X(ERR_NO_SUCH_ACCOUNT, "no account of that name")                                                              \
	X(ERR_NO_SUCH_ADDRESS, "no such address in a domain of ours")                                                  \
	X(ERR_NO_SUCH_MAILBOX, "no mailbox of that name")                                                              \
	X(ERR_NO_SUCH_MESSAGE, "the message is not (or no longer) there")                                              \
	X(ERR_EXISTS, "a thing of that name is there already")                                                         \
	X(ERR_DENIED, "this user may not do that")                                                                     \
	X(ERR_DISABLED, "the account is disabled")                                                                     \
	X(ERR_AUTH_FAILED, "wrong user name or password")                                                              \
	X(ERR_AUTH_REQUIRED, "log in first")                                                                           \
	X(ERR_TLS_REQUIRED, "use TLS first")                                                                           \
	X(ERR_OVER_QUOTA, "the account is over its quota")                                                             \
	X(ERR_CONFLICT, "what the change expected is no longer so")                                                    \
	X(ERR_BUSY, "somebody else holds it; try again")                                                               \
	X(ERR_LIMIT, "a limit per peer, account or session is reached")                                                \
	X(ERR_NO_MEMORY, "out of memory")                                                                              \
	X(ERR_NO_SPACE, "the disk (or its quota, or its inodes) is full")                                              \
	X(ERR_IO, "the disk or the file system failed")                                                                \
	X(ERR_DAMAGED, "a file of the store is damaged")                                                               \
	X(ERR_TEMPORARY, "a part of the server is not available now; try again")                                       \
	X(ERR_TIMEOUT, "it took too long")                                                                             \
	X(ERR_CLOSED, "the connection or the server is going down")                                                    \
	X(ERR_INTERNAL, "a bug of ours")

enum error_code {
#define ERROR_ENUM(code, meaning) code,
	ERROR_CODES(ERROR_ENUM)
#undef ERROR_ENUM
	        ERROR_CODE_COUNT
};

struct error {
	enum error_code code;
	char reason[128]; /* for the peer: ASCII, no paths, no secrets */
	char detail[256]; /* for the log only */
};

/* Sets code and reason, clears detail; cut to fit. Always returns false, so: return error_set(err, ...). */
bool error_set(struct error *err, enum error_code code, const char *reason_format, ...) PRINTF_LIKE(3, 4);
/* The same, and a detail for the log; the reason is what ERROR_CODES says of the code. Always returns false. */
bool error_detail(struct error *err, enum error_code code, const char *detail_format, ...) PRINTF_LIKE(3, 4);
/* From errno: ENOSPC, EDQUOT -> ERR_NO_SPACE, ENOMEM -> ERR_NO_MEMORY, other -> ERR_IO; detail "what: strerror". */
bool error_errno(struct error *err, int errnum, const char *what);
void error_clear(struct error *err);

const char *error_name(enum error_code code);    /* "ERR_OVER_QUOTA" */
const char *error_meaning(enum error_code code); /* "the account is over its quota" */

#endif
