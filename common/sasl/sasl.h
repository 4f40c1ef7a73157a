/* common/sasl/sasl.h — the server side of a SASL exchange (RFC 4422), the same for SMTP, POP3 and IMAP.
 *
 * The daemon decodes nothing: it hands over the base64 text of each client line and writes the base64 text it is given,
 * in its protocol's framing ("334 ", "+ "). Mechanisms stand in one table (mechanisms.c): PLAIN (RFC 4616), LOGIN (draft-
 * murchison-sasl-login, with or without an initial response), SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 7677). authzid
 * must be empty or equal authcid. "*" cancels (RFC 4954 §4).
 * Owner: the session, until sasl_free(); freeing while a step is pending cancels it. Thread: the loop's.
 * Callback: one for each sasl_start() and sasl_step(), always later from the loop, never from inside the call; it may free the
 * sasl. `text` lives until it returns. After any outcome but SASL_CHALLENGE only sasl_free() may follow.
 * None of the three protocols has a place for data beside success, so SCRAM's server-final goes out as one more challenge that
 * the client answers with an empty line (RFC 4954 §4, RFC 5034 §4). Nor for data beside a failure: there `text` is what a
 * protocol with such a place would send ("e=invalid-proof", RFC 5802 §7, in base64), and may be left out (RFC 5802 §5.1). */
#ifndef SASL_SASL_H
#define SASL_SASL_H

#include "base/buffer.h"
#include "sasl/auth_client.h"

#define SASL_LINE_MAX    12288 /* octets of base64 in one line that the daemon must be able to read (RFC 4954 §4) */
#define SASL_MESSAGE_MAX 4096  /* octets of base64 that any mechanism of ours can mean; longer is SASL_MALFORMED */
#define SASL_NAME_MAX    20    /* of a mechanism (RFC 4422 §3.1) */

struct sasl;

enum sasl_outcome {
	SASL_CHALLENGE, /* send `text` as a continuation, then feed the client's next line to sasl_step() */
	SASL_OK,        /* answer->account_id is logged in; text is empty, see below */
	SASL_WRONG,     /* AUTH_WRONG: 535 5.7.8, [AUTHENTICATIONFAILED] */
	SASL_DISABLED,
	SASL_THROTTLED,
	SASL_UNAVAILABLE,
	SASL_CANCELLED, /* the client sent "*": 501 */
	SASL_MALFORMED, /* bad base64, or not the mechanism's grammar, or too long: 501 */
};

typedef void sasl_callback(void *arg, enum sasl_outcome outcome, struct span text, const struct auth_answer *answer);

#define SASL_BINDING_MAX   64
#define SASL_BINDING_COUNT 3

/* The types of channel binding that are taken, by their registered names. The last one alone is not enough to offer -PLUS:
 * clients expect tls-exporter with TLS 1.3 (RFC 9266 §3) and tls-unique below it (RFC 5802 §6.1). */
extern const char *const sasl_binding_types[SASL_BINDING_COUNT];

/* What the daemon says of its connection, as it is now: the same for the announcement and for the exchange. */
struct sasl_channel {
	bool secure; /* TLS, or loopback where the admin allows it */
	struct {
		size_t len; /* 0: this connection does not have it, or the admin does not want it */
		uint8_t octets[SASL_BINDING_MAX];
	} bindings[SASL_BINDING_COUNT]; /* in the order of the types */
};

/* The rule for every daemon: nobody logs in on a connection that is not `secure`, by whatever mechanism. SCRAM sends no
 * password, but the mail behind it would go in the clear (RFC 8314 §3), and a client that finds a mechanism there does not
 * look for STARTTLS. So without `secure` no mechanism is there.
 * Where the channel can bind (it has one of the first two bindings), SCRAM-SHA-256-PLUS is there too, and a client that says it saw none is refused: somebody
 * between us took it out of the list (RFC 5802 §6). Elsewhere there is no -PLUS, and that client is right.
 * The names, blank-separated, in the order to announce; "" when there is none: then leave the announcement out. */
const char *sasl_mechanism_names(const struct sasl_channel *channel);
/* The channel is copied. ERR_TLS_REQUIRED: not `secure`. ERR_UNSUPPORTED: no such mechanism here. */
bool sasl_new(struct auth_client *client, const struct auth_peer *peer, struct span mechanism,
        const struct sasl_channel *channel, sasl_callback *callback, void *arg, struct sasl **out, struct error *err);
/* initial: the base64 initial response; has_initial false when there was none; "=" means an empty one (RFC 4954 §4). */
void sasl_start(struct sasl *sasl, bool has_initial, struct span initial);
void sasl_step(struct sasl *sasl, struct span line);
void sasl_free(struct sasl **sasl);

#endif
