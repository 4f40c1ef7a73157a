#include "authd/remembered.h"

#include "base/macros.h"
#include "base/random.h"
#include "base/secret.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct remembered {
	uint8_t secret[crypto_generichash_KEYBYTES];
	int64_t keep_ms;
	struct table *table;
};

struct remembered *remembered_new(int64_t keep_ms)
{
	struct remembered *remembered = calloc(1, sizeof(*remembered));

	if (remembered == NULL)
		return NULL;
	random_bytes(remembered->secret, sizeof(remembered->secret));
	remembered->keep_ms = keep_ms;
	remembered->table = table_new(REMEMBERED_MAX);
	if (remembered->table == NULL)
		remembered_free(&remembered);
	return remembered;
}

static void release_login(struct table_entry *entry)
{
	free(container_of(entry, struct remembered_login, entry));
}

void remembered_free(struct remembered **remembered)
{
	if (*remembered == NULL)
		return;
	table_free(&(*remembered)->table, release_login);
	secret_wipe((*remembered)->secret, sizeof((*remembered)->secret));
	free(*remembered);
	*remembered = NULL;
}

void remembered_key(struct remembered *remembered, struct span login, struct span password, struct table_key *out)
{
	crypto_generichash_state state;
	uint64_t login_len = login.len; /* before the login, so that no two pairs run together to the same bytes */

	crypto_generichash_init(&state, remembered->secret, sizeof(remembered->secret), TABLE_KEY_LEN);
	crypto_generichash_update(&state, (const uint8_t *)&login_len, sizeof(login_len));
	crypto_generichash_update(&state, (const uint8_t *)login.ptr, login.len);
	crypto_generichash_update(&state, (const uint8_t *)password.ptr, password.len);
	crypto_generichash_final(&state, out->bytes, TABLE_KEY_LEN);
	secret_wipe(&state, sizeof(state));
}

void remembered_digest(struct remembered *remembered, const char *stored_hash, uint8_t out[REMEMBERED_DIGEST_LEN])
{
	crypto_generichash(out, REMEMBERED_DIGEST_LEN, (const uint8_t *)stored_hash, strlen(stored_hash),
	        remembered->secret, sizeof(remembered->secret));
}

static void forget(struct remembered *remembered, struct table_entry *entry)
{
	table_remove(remembered->table, entry);
	release_login(entry);
}

struct remembered_login *remembered_find(struct remembered *remembered, const struct table_key *key, int64_t now)
{
	struct table_entry *entry = table_find(remembered->table, key);
	struct remembered_login *login;

	if (entry == NULL)
		return NULL;
	login = container_of(entry, struct remembered_login, entry);
	if (now < login->ends_ms)
		return login;
	forget(remembered, entry);
	return NULL;
}

void remembered_add(struct remembered *remembered, const struct table_key *key, int64_t account_id, const char *login,
        const char *stored_hash, uint64_t version, int64_t now)
{
	struct remembered_login *added;
	size_t login_size = strlen(login) + 1;

	remembered_forget(remembered, key);
	if (remembered->keep_ms == 0)
		return;
	added = calloc(1, sizeof(*added) + login_size);
	if (added == NULL)
		return; /* the next login pays once more */
	if (table_is_full(remembered->table))
		forget(remembered, table_oldest(remembered->table));
	added->entry.key = *key;
	added->ends_ms = now + remembered->keep_ms;
	added->version = version;
	remembered_digest(remembered, stored_hash, added->digest);
	added->account_id = account_id;
	memcpy(added->login, login, login_size);
	table_add(remembered->table, &added->entry);
}

void remembered_forget(struct remembered *remembered, const struct table_key *key)
{
	struct table_entry *entry = table_find(remembered->table, key);

	if (entry != NULL)
		forget(remembered, entry);
}
