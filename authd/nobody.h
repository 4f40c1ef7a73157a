/* authd/nobody.h — believable SCRAM figures for logins that do not exist, so that asking for a salt tells nobody who is a user.
 *
 * They are derived from the login and a key that outlives restarts (a salt that changed would give it away): 32 random bytes in
 * data_dir/auth.key, mode 0600, made at the first start. Losing it does no harm but that. Any thread. */
#ifndef AUTHD_NOBODY_H
#define AUTHD_NOBODY_H

#include "base/error.h"
#include "storage/credentials.h"

#include <stdint.h>

#define NOBODY_KEY_LEN  32
#define NOBODY_KEY_FILE "auth.key"

struct nobody {
	uint8_t key[NOBODY_KEY_LEN];
};

bool nobody_load(const char *data_dir, struct nobody *out, struct error *err); /* blocks on the disk */
/* The salt that nobody_fill() gives. */
void nobody_salt(const struct nobody *nobody, struct span login, uint8_t salt[SCRAM_SALT_LEN]);
/* Fills the scram_* members; no proof is right for its keys, which are a hash of nobody's password. */
void nobody_fill(const struct nobody *nobody, struct span login, struct credential *credential);

#endif
