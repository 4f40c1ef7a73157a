#include "posthouse/user.h"

#include "base/secret.h"
#include "posthouse/address.h"
#include "sasl/password.h"

#include <string.h>

_Static_assert(sizeof(((struct password_keys *)0)->hash) == PASSWORD_HASH_MAX, "both are crypto_pwhash_STRBYTES");

/* A hash brings no SCRAM keys (they cannot be made from it): authd adds them when that user first logs in by PLAIN or LOGIN. */
static bool make_credential(struct span password, bool hash_allowed, struct credential *out, struct error *err)
{
	struct password_keys keys;

	if (hash_allowed && span_starts(password, SPAN("$argon2id$"))) {
		if (!span_copy(password, out->password_hash, sizeof(out->password_hash)))
			return error_set(err, ERR_BAD_VALUE, "the password hash is too long");
		return true;
	}
	if (!password_make(password, &keys, err))
		return false;
	memcpy(out->password_hash, keys.hash, sizeof(out->password_hash));
	memcpy(out->scram_salt, keys.scram_salt, sizeof(out->scram_salt));
	out->scram_iterations = keys.scram_iterations;
	memcpy(out->scram_stored_key, keys.scram_stored_key, sizeof(out->scram_stored_key));
	memcpy(out->scram_server_key, keys.scram_server_key, sizeof(out->scram_server_key));
	secret_wipe(&keys, sizeof(keys));
	return true;
}

static bool put_credential(
        struct site *site, const struct account_info *info, struct credential *credential, struct error *err)
{
	credential->account_id = info->id;
	credential->disabled = info->disabled;
	memcpy(credential->login, info->address, sizeof(credential->login));
	return credentials_put(site->credentials, credential, err);
}

bool user_set_password(
        struct site *site, const struct account_info *info, struct span password, bool hash_allowed, struct error *err)
{
	struct credential credential = { 0 };
	bool ok = make_credential(password, hash_allowed, &credential, err) &&
	          put_credential(site, info, &credential, err);

	secret_wipe(&credential, sizeof(credential));
	return ok;
}

/* Somebody's add was killed before its last step: the address is there, its password is not. */
static bool is_unfinished(struct site *site, const struct account_info *info)
{
	struct credential credential;
	struct error err;
	bool found = credentials_find(site->credentials, span_of(info->address), &credential, &err);

	secret_wipe(&credential, sizeof(credential));
	return !found && err.code == ERR_NO_SUCH_ACCOUNT;
}

/* The directory's row: a new one, or that of an unfinished add. */
static bool take_address(struct site *site, const struct new_user *user, struct account_info *info, struct error *err)
{
	int64_t id;

	if (directory_find_account(
	            site->directory, user->address, info, err)) /* unfinished, or user_create() had stopped */
		return directory_set_quota(site->directory, info->id, user->quota_bytes, user->quota_messages, err);
	return directory_add_account(
	               site->directory, user->address, user->name, user->quota_bytes, user->quota_messages, &id, err) &&
	       directory_account(site->directory, id, info, err);
}

bool user_create(struct site *site, const struct new_user *user, struct error *err)
{
	struct credential credential = { 0 };
	struct account_info info;
	bool ok;

	if (!address_check(user->address, err))
		return false;
	if (directory_find_account(site->directory, user->address, &info, err) && !is_unfinished(site, &info))
		return error_set(err, ERR_EXISTS, "there is a user of that address already");
	/* What is slow, and what may be refused, before anything is written. */
	ok = make_credential(user->password, user->hash_allowed, &credential, err) &&
	     take_address(site, user, &info, err) && store_create_account(site->store, info.id, err) &&
	     put_credential(site, &info, &credential, err);
	secret_wipe(&credential, sizeof(credential));
	return ok;
}

bool user_destroy(struct site *site, struct span address, struct error *err)
{
	struct account_info info;

	if (!directory_find_account(site->directory, address, &info, err))
		return false;
	/* An add or a remove that was killed has left no password: go on. */
	if (!credentials_remove(site->credentials, info.id, err) && err->code != ERR_NO_SUCH_ACCOUNT)
		return false;
	return queue_forget_account(site->queue, info.id, err) &&
	       directory_remove_account(site->directory, info.id, err) &&
	       store_remove_account(site->store, info.id, err);
}
