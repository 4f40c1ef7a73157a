/* common/sasl/auth_protocol.h — what a daemon and authd say to each other over run/authd.sock (SOCK_SEQPACKET).
 *
 * One question or reply is one packet: a fixed header, then fields of a 16-bit length and that many bytes, in the fixed order
 * of their kind; numbers little-endian. The two ends are of one build; the version byte only catches a suite that is upgraded
 * while it runs. Decoding is strict: a field over its limit, a missing or a further byte, and the packet is none.
 * Decoded spans point into the packet. Any thread. */
#ifndef SASL_AUTH_PROTOCOL_H
#define SASL_AUTH_PROTOCOL_H

#include "sasl/auth_client.h"

#define AUTH_PROTOCOL_VERSION 1
#define AUTH_QUESTION_HEADER  12
#define AUTH_REPLY_HEADER     24
/* The largest question is SCRAM's second step: five fields and their lengths. */
#define AUTH_QUESTION_MAX                                                                                              \
	(AUTH_QUESTION_HEADER + 4 * 2 + AUTH_ADDRESS_MAX + AUTH_LOGIN_MAX + AUTH_MESSAGE_MAX + AUTH_PROOF_LEN)
#define AUTH_REPLY_MAX (AUTH_REPLY_HEADER + 3 * 2 + AUTH_LOGIN_MAX + AUTH_SALT_LEN + AUTH_SIGNATURE_LEN)

enum auth_kind {
	AUTH_ASK_PASSWORD = 1, /* address, login, password */
	AUTH_ASK_SCRAM_FIRST,  /* address, login */
	AUTH_ASK_SCRAM_FINAL,  /* address, login, AuthMessage, ClientProof */
	AUTH_ASK_CANCEL,       /* nothing: the question of this id needs no reply any more */
};

struct auth_question {
	enum auth_kind kind;
	enum auth_service service;
	uint64_t id; /* chosen by the client, unique among its open questions */
	struct span address;
	struct span login;
	struct span password;
	struct span message;
	struct span proof; /* AUTH_PROOF_LEN bytes */
};

/* The number of bytes written, 0 when a field is over its limit or out is too small. */
size_t auth_question_encode(const struct auth_question *question, uint8_t *out, size_t size);
bool auth_question_decode(struct span packet, struct auth_question *out);

size_t auth_reply_encode(uint64_t id, const struct auth_answer *answer, uint8_t *out, size_t size);
bool auth_reply_decode(struct span packet, uint64_t *id, struct auth_answer *answer);

const char *auth_service_name(enum auth_service service); /* "smtp", "pop3", "imap" */

#endif
