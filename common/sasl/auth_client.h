/* common/sasl/auth_client.h — how a daemon asks authd, without ever waiting.
 *
 * One client per process: a SOCK_SEQPACKET connection to run/authd.sock, made again by itself when authd was restarted
 * (requests under way then are asked again once; after that they end with AUTH_UNAVAILABLE). A request keeps its packet for
 * that second asking, so a password is wiped when its request ends, not before. Thread: the loop's; each callback comes
 * later, from the loop, exactly once, unless the request was cancelled. A request that gets no answer within AUTH_TIMEOUT_MS, or
 * finds no authd for AUTH_CONNECT_MS, ends with AUTH_UNAVAILABLE; so does one whose login or password is over its limit. */
#ifndef SASL_AUTH_CLIENT_H
#define SASL_AUTH_CLIENT_H

#include "base/error.h"
#include "base/span.h"

#include <uv.h>

#define AUTH_LOGIN_MAX     320
#define AUTH_PASSWORD_MAX  1024
#define AUTH_ADDRESS_MAX   63
#define AUTH_MESSAGE_MAX   4096 /* SCRAM AuthMessage */
#define AUTH_SALT_LEN      16
#define AUTH_PROOF_LEN     32
#define AUTH_SIGNATURE_LEN 32
#define AUTH_PENDING_MAX   4096  /* per process; more end with AUTH_UNAVAILABLE at once */
#define AUTH_TIMEOUT_MS    60000 /* authd's own waits end well before (authd/attempt.h) */
#define AUTH_CONNECT_MS    5000  /* a refusal must come within 10 s (promises: faults) */
#define AUTH_RETRY_MS      50    /* between attempts to connect while requests wait */

struct auth_client;
struct auth_request;

enum auth_service { AUTH_SMTP, AUTH_POP3, AUTH_IMAP };

enum auth_status {
	AUTH_OK,
	AUTH_WRONG,       /* user unknown or password wrong: nobody can tell which, neither by words nor by time */
	AUTH_DISABLED,    /* the password was right, the account may not log in (RFC 5530 CONTACTADMIN) */
	AUTH_THROTTLED,   /* too many failures from this address: try later */
	AUTH_UNAVAILABLE, /* authd does not answer, or could not read its file: temporary */
};

struct auth_answer {
	enum auth_status status;
	int64_t account_id;             /* AUTH_OK */
	char login[AUTH_LOGIN_MAX + 1]; /* AUTH_OK: normalised */
	/* SCRAM, first step */
	uint8_t salt[AUTH_SALT_LEN];
	uint32_t iterations;
	/* SCRAM, second step, AUTH_OK */
	uint8_t server_signature[AUTH_SIGNATURE_LEN];
};

struct auth_peer {
	enum auth_service service;
	const char *address; /* text; what failures are counted by: an IPv4 address or an IPv6 /64 */
};

typedef void auth_callback(void *arg, const struct auth_answer *answer);

/* authd need not be there yet. ERR_BAD_VALUE: a path too long for a socket; ERR_NO_MEMORY. */
bool auth_client_new(uv_loop_t *loop, const char *socket_path, struct auth_client **out, struct error *err);
/* The same by the site's data directory, where authd's socket has its place. */
bool auth_client_new_in(uv_loop_t *loop, const char *data_dir, struct auth_client **out, struct error *err);
/* No callback comes any more; the handles close with the loop. Requests still open stay their owners' until auth_cancel(). */
void auth_client_close(struct auth_client **client);

/* NULL: over AUTH_PENDING_MAX or out of memory (treat as AUTH_UNAVAILABLE). */
struct auth_request *auth_password(struct auth_client *client, const struct auth_peer *peer, struct span login,
        struct span password, auth_callback *callback, void *arg);
/* SCRAM-SHA-256 (RFC 5802, RFC 7677). First: salt and iterations of the user, believable ones for an unknown user. */
struct auth_request *auth_scram_first(struct auth_client *client, const struct auth_peer *peer, struct span login,
        auth_callback *callback, void *arg);
/* Second: authd checks ClientProof over AuthMessage and returns the ServerSignature. Keys never leave authd. */
struct auth_request *auth_scram_final(struct auth_client *client, const struct auth_peer *peer, struct span login,
        struct span auth_message, const uint8_t proof[AUTH_PROOF_LEN], auth_callback *callback, void *arg);
void auth_cancel(struct auth_request **request); /* the session is gone: no callback */

#endif
