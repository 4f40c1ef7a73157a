/* tests/unit/authd/fake_hashes.h — Argon2 as libsodium's callers know it, counted instead of paid for.
 * Linked with --wrap: crypto_pwhash_str() and crypto_pwhash_str_verify() come here. A faked hash has the true form, so that all checks of
 * its figures are made; it takes FAKE_HASH_MS of sleep and no memory, so that threads overlap as they do in life.
 * Thread: any. */
#ifndef FAKE_HASHES_H
#define FAKE_HASHES_H

#include <stdbool.h>

#define FAKE_HASH_MS 3

/* From here on libsodium itself hashes, or the fake again (as at the start). A hash is checked by who made it. */
void fake_hashes_real(bool real);

/* Passwords checked against a hash since the start, and the costs of the last of them as they stand in its hash: "m=65536,t=2,p=1". */
unsigned fake_hashes_checked(void);
void fake_hashes_last_cost(char *out, unsigned long size);

#endif
