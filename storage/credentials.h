/* storage/credentials.h — auth.db: what proves that a user is who they say. Opened by authd and, for changes, by the command
 * line; no other process can (sandbox). One handle, one thread at a time; every call may wait for the disk. */
#ifndef STORAGE_CREDENTIALS_H
#define STORAGE_CREDENTIALS_H

#include "storage/directory.h"

#define PASSWORD_HASH_MAX 128 /* crypto_pwhash_STRBYTES */
#define SCRAM_SALT_LEN    16
#define SCRAM_KEY_LEN     32

struct credentials;

struct credential {
	int64_t account_id;
	char login[ADDRESS_TEXT_MAX + 1]; /* as stored: normalised lower case */
	bool disabled;
	char password_hash[PASSWORD_HASH_MAX]; /* "$argon2id$..." */
	uint8_t scram_salt[SCRAM_SALT_LEN];
	uint32_t scram_iterations;
	uint8_t scram_stored_key[SCRAM_KEY_LEN]; /* RFC 5802 §3 with SHA-256 (RFC 7677) */
	uint8_t scram_server_key[SCRAM_KEY_LEN];
};

bool credentials_open(const char *data_dir, struct credentials **out, struct error *err);
void credentials_close(struct credentials **credentials);
bool credentials_find(struct credentials *credentials, struct span login, struct credential *out, struct error *err);
bool credentials_put(struct credentials *credentials, const struct credential *credential, struct error *err);
/* Gives SCRAM keys to a credential that has none (scram_iterations 0: a hash was imported), if it still has the hash that the
 * keys are of: c->account_id, password_hash and scram_* count. One transaction. *added false, though true is returned: it has
 * keys, or another hash, or is gone; then nothing has changed. */
bool credentials_add_scram(struct credentials *credentials, const struct credential *c, bool *added, struct error *err);
bool credentials_set_disabled(struct credentials *credentials, int64_t account_id, bool disabled, struct error *err);
bool credentials_remove(struct credentials *credentials, int64_t account_id, struct error *err);
/* Last successful logins, written lazily (not durable at once) by authd: when, from where, by which service. */
bool credentials_note_login(struct credentials *credentials, int64_t account_id, int64_t when_ms, struct span service,
        struct span peer, struct error *err);
/* Changes whenever another process has changed the file; cheap (PRAGMA data_version). */
bool credentials_version(struct credentials *credentials, uint32_t *version, struct error *err);

#endif
