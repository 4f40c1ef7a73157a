#include "authd/nobody.h"

#include "base/file.h"
#include "base/random.h"
#include "base/secret.h"
#include "sasl/scram_keys.h"

#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool make_key(const char *path, struct nobody *out, struct error *err)
{
	random_bytes(out->key, sizeof(out->key));
	return file_replace(path, span_make(out->key, sizeof(out->key)), 0600, err);
}

bool nobody_load(const char *data_dir, struct nobody *out, struct error *err)
{
	char path[PATH_MAX];
	struct buffer key;
	bool ok;

	if (snprintf(path, sizeof(path), "%s/" NOBODY_KEY_FILE, data_dir) >= (int)sizeof(path))
		return error_set(err, ERR_BAD_VALUE, "the data directory's name is too long");
	if (access(path, F_OK) != 0 && errno == ENOENT)
		return make_key(path, out, err);
	buffer_init(&key, NOBODY_KEY_LEN);
	ok = file_read_path(path, &key, err);
	if (ok && key.len == NOBODY_KEY_LEN)
		memcpy(out->key, key.data, NOBODY_KEY_LEN);
	else if (ok)
		ok = make_key(path, out, err); /* not ours, or cut short: any key is as good */
	secret_buffer_free(&key);
	return ok;
}

static void derive(const struct nobody *nobody, char purpose, struct span login, uint8_t out[SCRAM_HASH_LEN])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, nobody->key, sizeof(nobody->key));
	crypto_auth_hmacsha256_update(&state, (const uint8_t *)&purpose, 1);
	for (size_t i = 0; i < login.len; i++) { /* as the store does, "Bob" and "bob" are one */
		uint8_t c = (uint8_t)ascii_lower(login.ptr[i]);

		crypto_auth_hmacsha256_update(&state, &c, 1);
	}
	crypto_auth_hmacsha256_final(&state, out);
}

void nobody_salt(const struct nobody *nobody, struct span login, uint8_t salt[SCRAM_SALT_LEN])
{
	uint8_t whole[SCRAM_HASH_LEN];

	derive(nobody, 's', login, whole);
	memcpy(salt, whole, SCRAM_SALT_LEN);
}

void nobody_fill(const struct nobody *nobody, struct span login, struct credential *credential)
{
	nobody_salt(nobody, login, credential->scram_salt);
	credential->scram_iterations = SCRAM_ITERATIONS;
	derive(nobody, 'c', login, credential->scram_stored_key);
	derive(nobody, 'v', login, credential->scram_server_key);
}
