/* common/sasl/mechanism.h — what a mechanism is to sasl.c; private to this folder.
 *
 * A mechanism is a row of the table in mechanisms.c. Its respond() gets each decoded client message and must do exactly one of
 * sasl_challenge(), sasl_finish(), sasl_ask_*(); answered() gets authd's answer and must do exactly one of the same.
 * To add one: a file like plain.c, a row in mechanisms.c, what it keeps between steps in the union of struct sasl. */
#ifndef SASL_MECHANISM_H
#define SASL_MECHANISM_H

#include "sasl/later.h"
#include "sasl/sasl.h"
#include "sasl/scram.h"

struct mechanism {
	const char *name;
	bool binds;             /* there only where the channel can bind (RFC 5802 §6) */
	const char *invitation; /* the challenge when the client did not begin by itself */
	void (*respond)(struct sasl *sasl, struct span message);
	void (*answered)(struct sasl *sasl, const struct auth_answer *answer);
	void (*release)(struct sasl *sasl); /* NULL: keeps nothing that needs it */
};

/*   sasl_start, sasl_step            sasl_challenge
 *  IDLE ----------------> BUSY -----------------------> IDLE     (IDLE: it is the client's turn)
 *                          |  `--sasl_finish----------> DONE
 *                          `--sasl_ask_*--> (authd) --> answered(): again one of these three */
enum sasl_state { SASL_IDLE, SASL_BUSY, SASL_DONE };

struct sasl {
	const struct mechanism *mechanism;
	struct auth_client *client;
	struct auth_peer peer; /* its address points to `address` */
	char address[AUTH_ADDRESS_MAX + 1];
	struct sasl_channel channel;
	sasl_callback *callback;
	void *arg;
	enum sasl_state state;
	unsigned step; /* client messages seen */
	struct auth_request *request;
	struct later later;
	/* What the callback is going to get. */
	enum sasl_outcome outcome;
	struct auth_answer answer;
	struct buffer text;
	union {
		struct buffer login_name; /* LOGIN: after its first message */
		struct scram scram;
	};
};

const struct mechanism *mechanism_find(struct span name, const struct sasl_channel *channel);
bool channel_can_bind(const struct sasl_channel *channel);

void sasl_challenge(struct sasl *sasl, struct span message);
void sasl_finish(struct sasl *sasl, enum sasl_outcome outcome, struct span message);
/* The outcome that an answer of authd means. */
void sasl_finish_with(struct sasl *sasl, const struct auth_answer *answer, struct span failure);
void sasl_ask_password(struct sasl *sasl, struct span login, struct span password);
void sasl_ask_scram_first(struct sasl *sasl, struct span login);
void sasl_ask_scram_final(
        struct sasl *sasl, struct span login, struct span auth_message, const uint8_t proof[AUTH_PROOF_LEN]);

extern const struct mechanism plain_mechanism;
extern const struct mechanism login_mechanism;
extern const struct mechanism scram_sha_256_mechanism;
extern const struct mechanism scram_sha_256_plus_mechanism;

#endif
