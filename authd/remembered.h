/* authd/remembered.h — good logins, kept for a short while, so that a client that reconnects every minute does not pay
 * Argon2id each time.
 *
 * What is kept is a keyed hash (BLAKE2b) of login and password; the key is random, made at start, and never leaves the process.
 * An entry is no answer by itself: it says which stored hash the password was checked against and in which version of auth.db,
 * and the caller confirms that auth.db still has it (attempt.c), so a changed password counts from its commit on.
 * It ends `keep_ms` after the check, however often it is used. Thread: the loop's. */
#ifndef AUTHD_REMEMBERED_H
#define AUTHD_REMEMBERED_H

#include "authd/table.h"
#include "base/span.h"

#define REMEMBERED_MAX        8192
#define REMEMBERED_DIGEST_LEN 32

struct remembered;

struct remembered_login {
	struct table_entry entry;
	int64_t ends_ms;
	uint64_t version;                      /* of auth.db, in which the digest was last seen to hold */
	uint8_t digest[REMEMBERED_DIGEST_LEN]; /* of the stored hash */
	int64_t account_id;
	char login[]; /* normalised */
};

struct remembered *remembered_new(int64_t keep_ms); /* NULL: out of memory. keep_ms 0: remembers nothing */
void remembered_free(struct remembered **remembered);
void remembered_key(struct remembered *remembered, struct span login, struct span password, struct table_key *out);
void remembered_digest(struct remembered *remembered, const char *stored_hash, uint8_t out[REMEMBERED_DIGEST_LEN]);
/* NULL: unknown or over. Valid until the next call that adds or forgets. */
struct remembered_login *remembered_find(struct remembered *remembered, const struct table_key *key, int64_t now_ms);
void remembered_add(struct remembered *remembered, const struct table_key *key, int64_t account_id, const char *login,
        const char *stored_hash, uint64_t version, int64_t now_ms);
void remembered_forget(struct remembered *remembered, const struct table_key *key);

#endif
