/* pop3d/reply_for_error.h — what went wrong below, said in POP3: one row for each error code.
 *
 * Response codes: RFC 2449 §8 (IN-USE, LOGIN-DELAY), RFC 3206 (SYS/TEMP: try again later; SYS/PERM: somebody must mend it;
 * AUTH: the credentials). A client shows or retries by the code; the text is for people. */
#ifndef POP3D_REPLY_FOR_ERROR_H
#define POP3D_REPLY_FOR_ERROR_H

#include "base/error.h"

struct pop3_reply {
	const char *code; /* "[SYS/TEMP]", or NULL: none fits */
	const char *text; /* NULL: the error's own reason is fit for the client */
	bool log;         /* ours or the site's trouble, not the client's slip */
};

const struct pop3_reply *reply_for_error(enum error_code code);

#endif
