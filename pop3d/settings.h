/* pop3d/settings.h — what the admin decides (from config, by way of main.c) and the limits that nobody needs to decide.
 *
 * Owner: main.c; lives as long as the process. */
#ifndef POP3D_SETTINGS_H
#define POP3D_SETTINGS_H

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

enum pop3d_delete { DELETE_EXPUNGE, DELETE_TO_TRASH };

struct pop3d_settings {
	const char *hostname;            /* in the greeting and the farewell */
	const char *version;             /* for IMPLEMENTATION (RFC 2449 §6.9); one word */
	bool plaintext_auth_on_loopback; /* passwords without TLS from 127.0.0.0/8 and ::1 */
	bool channel_binding;            /* offer SCRAM-SHA-256-PLUS */
	enum pop3d_delete delete_to;     /* what QUIT does with messages marked by DELE */
	unsigned idle_timeout_ms;        /* RFC 1939 §3: at least 10 minutes */
	unsigned tls_timeout_ms;         /* to finish a handshake */
	unsigned login_timeout_ms;       /* a session that has not logged in by then ends */
	unsigned bad_commands;           /* then goodbye */
};

/* Lines. RFC 2449 §4 asks for 255 octets with CRLF; a long password (AUTH_PASSWORD_MAX) and an initial response that the
 * client did not split (RFC 5034 §4) need more. The answer to a SASL challenge has its own limit, SASL_LINE_MAX. */
#define COMMAND_LINE_MAX  2048
#define RESPONSE_LINE_MAX 512 /* of ours, with CRLF (RFC 1939 §3) */

#define LOGIN_FAILURES_MAX 3    /* then goodbye: guessing costs a connection, and authd counts by address anyway */
#define DRAIN_IDLE_MS      1000 /* while draining, a session that is silent for so long between commands is closed */

/* Memory of a session after login: the maildrop's list (16 octets a message), two read-ahead windows or one stream, and what
 * the conn has queued (CONN_OUTPUT_FULL and one reply). */
#define READ_AHEAD_BYTES    (128 * KIB) /* one window: messages read together by one job */
#define READ_AHEAD_MESSAGES 32
#define WHOLE_MESSAGE_MAX   (64 * KIB) /* larger ones are streamed */
#define STREAM_CHUNK        (64 * KIB)
#define READ_SIZE           (4 * KIB) /* commands off the wire at once */
#define MESSAGES_MAX        1000000   /* in one maildrop; what is beyond is not shown in this session */

#endif
