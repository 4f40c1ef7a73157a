/* common/sasl/scram_keys.h — the arithmetic of SCRAM with SHA-256 (RFC 5802 §3, RFC 7677). Pure; any thread. */
#ifndef SASL_SCRAM_KEYS_H
#define SASL_SCRAM_KEYS_H

#include "base/span.h"

#include <stdint.h>

#define SCRAM_HASH_LEN 32
/* RFC 7677 §4 asks for at least 4096. About 10 ms here and on a phone; whoever steals auth.db has it easier with these keys
 * than with the Argon2id hash beside them. */
#define SCRAM_ITERATIONS 16384

struct scram_keys {
	uint8_t stored_key[SCRAM_HASH_LEN];
	uint8_t server_key[SCRAM_HASH_LEN];
};

/* Hi(password, salt, i) and the two keys of it. password: as prepared by password_prepare(). */
void scram_make_keys(struct span password, struct span salt, uint32_t iterations, struct scram_keys *out);
/* True when the proof is of a client that knows the password; the signature is filled in any case. Constant time. */
bool scram_check(const struct scram_keys *keys, struct span auth_message, const uint8_t proof[SCRAM_HASH_LEN],
        uint8_t server_signature[SCRAM_HASH_LEN]);
/* The client's side: the proof for an auth message, and both keys of the password. */
void scram_make_proof(struct span password, struct span salt, uint32_t iterations, struct span auth_message,
        uint8_t proof[SCRAM_HASH_LEN], struct scram_keys *keys);
void scram_sign(const uint8_t key[SCRAM_HASH_LEN], struct span auth_message, uint8_t out[SCRAM_HASH_LEN]);

#endif
