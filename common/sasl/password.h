/* common/sasl/password.h — making and checking what auth.db keeps: Argon2id (libsodium) and SCRAM-SHA-256 keys.
 * Slow on purpose (tens of milliseconds, 64 MiB): never on the event loop, at most two at once in a process. */
#ifndef SASL_PASSWORD_H
#define SASL_PASSWORD_H

#include "base/error.h"
#include "base/span.h"

#include <stdint.h>

#define PASSWORD_MIN       1
#define PASSWORD_MAX       1024
#define PASSWORD_HASH_TEXT 128
#define PASSWORD_SALT_LEN  16 /* of SCRAM */

struct password_keys {
	char hash[PASSWORD_HASH_TEXT];
	uint8_t scram_salt[PASSWORD_SALT_LEN];
	uint32_t scram_iterations;
	uint8_t scram_stored_key[32];
	uint8_t scram_server_key[32];
};

/* Forgiving about nothing: what SASLprep makes of the password is hashed, see saslprep.h.
 * ERR_BAD_VALUE: empty, too long, control characters or not preparable (SASLprep, RFC 4013); ERR_NO_MEMORY. */
bool password_make(struct span password, struct password_keys *out, struct error *err);
/* Only the scram_* members, with a salt of the caller's, for a password whose hash is stored already. About 10 ms. */
bool password_make_scram(
        struct span password, const uint8_t salt[PASSWORD_SALT_LEN], struct password_keys *out, struct error *err);
/* A hash that is not usable matches nothing. False with errno ENOMEM: it could not be computed, which says nothing of the password; else errno is 0. */
bool password_matches(const char *hash, struct span password);
/* False: not Argon2id, or one that takes more than 64 MiB or 16 passes to check; nobody can log in with such a hash (of an import). */
bool password_hash_usable(const char *hash);
/* Costs as much as password_matches() with a hash of today's parameters; for unknown users. */
void password_waste_time(struct span password);

#endif
