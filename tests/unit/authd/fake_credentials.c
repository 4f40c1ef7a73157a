#include "fake_credentials.h"

#include "base/check.h"
#include "sasl/password.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ACCOUNTS_MAX  64
#define PASSWORDS_MAX 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct credential accounts[ACCOUNTS_MAX];
static size_t account_count;
static uint32_t version;
static bool broken, writes_broken;
static unsigned finds, notes, keys_asked, keys_added;

struct credentials {
	int unused;
};

static void set_scram(struct credential *to, const uint8_t *salt, uint32_t iterations, const uint8_t *stored_key,
        const uint8_t *server_key)
{
	memcpy(to->scram_salt, salt, sizeof(to->scram_salt));
	to->scram_iterations = iterations;
	memcpy(to->scram_stored_key, stored_key, sizeof(to->scram_stored_key));
	memcpy(to->scram_server_key, server_key, sizeof(to->scram_server_key));
}

static const struct password_keys *keys_of(const char *password)
{
	static struct {
		char password[64];
		struct password_keys keys;
	} made[PASSWORDS_MAX];
	static size_t count;
	struct error err;

	for (size_t i = 0; i < count; i++)
		if (strcmp(made[i].password, password) == 0)
			return &made[i].keys;
	CHECK(count < PASSWORDS_MAX);
	CHECK(span_copy(span_of(password), made[count].password, sizeof(made[count].password)));
	CHECK(password_make(span_of(password), &made[count].keys, &err));
	return &made[count++].keys;
}

void fake_credentials_reset(void)
{
	pthread_mutex_lock(&lock);
	account_count = 0;
	version++;
	broken = writes_broken = false;
	finds = notes = keys_asked = keys_added = 0;
	pthread_mutex_unlock(&lock);
}

static void set(int64_t account_id, const char *login, const char *password, bool with_scram)
{
	const struct password_keys *keys = keys_of(password);
	struct credential *credential = NULL;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < account_count; i++)
		if (accounts[i].account_id == account_id)
			credential = &accounts[i];
	if (credential == NULL) {
		CHECK(account_count < ACCOUNTS_MAX);
		credential = &accounts[account_count++];
		memset(credential, 0, sizeof(*credential));
	}
	credential->account_id = account_id;
	CHECK(span_copy(span_of(login), credential->login, sizeof(credential->login)));
	memcpy(credential->password_hash, keys->hash, sizeof(credential->password_hash));
	credential->scram_iterations = 0;
	if (with_scram)
		set_scram(credential, keys->scram_salt, keys->scram_iterations, keys->scram_stored_key,
		        keys->scram_server_key);
	version++;
	pthread_mutex_unlock(&lock);
}

void fake_credentials_set(int64_t account_id, const char *login, const char *password)
{
	set(account_id, login, password, true);
}

void fake_credentials_import(int64_t account_id, const char *login, const char *password)
{
	set(account_id, login, password, false);
}

void fake_credentials_disable(int64_t account_id, bool disabled)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < account_count; i++)
		if (accounts[i].account_id == account_id)
			accounts[i].disabled = disabled;
	version++;
	pthread_mutex_unlock(&lock);
}

void fake_credentials_break(bool now)
{
	pthread_mutex_lock(&lock);
	broken = now;
	pthread_mutex_unlock(&lock);
}

void fake_credentials_break_writes(bool now)
{
	pthread_mutex_lock(&lock);
	writes_broken = now;
	pthread_mutex_unlock(&lock);
}

static unsigned read_counter(const unsigned *counter)
{
	unsigned value;

	pthread_mutex_lock(&lock);
	value = *counter;
	pthread_mutex_unlock(&lock);
	return value;
}

unsigned fake_credentials_finds(void)
{
	return read_counter(&finds);
}

unsigned fake_credentials_notes(void)
{
	return read_counter(&notes);
}

unsigned fake_credentials_keys(unsigned *added)
{
	*added = read_counter(&keys_added);
	return read_counter(&keys_asked);
}

bool credentials_open(const char *data_dir, struct credentials **out, struct error *err)
{
	*out = calloc(1, sizeof(**out));
	return *out != NULL;
}

void credentials_close(struct credentials **credentials)
{
	free(*credentials);
	*credentials = NULL;
}

static bool find(struct span login, struct credential *out, struct error *err)
{
	finds++;
	if (broken)
		return error_set(err, ERR_IO, "broken by the test");
	for (size_t i = 0; i < account_count; i++) {
		if (!span_equal_nocase(login, span_of(accounts[i].login)))
			continue;
		*out = accounts[i];
		return true;
	}
	return error_set(err, ERR_NO_SUCH_ACCOUNT, "no such account");
}

bool credentials_find(struct credentials *credentials, struct span login, struct credential *out, struct error *err)
{
	bool found;

	pthread_mutex_lock(&lock);
	found = find(login, out, err);
	pthread_mutex_unlock(&lock);
	return found;
}

bool credentials_note_login(struct credentials *credentials, int64_t account_id, int64_t when_ms, struct span service,
        struct span peer, struct error *err)
{
	bool ok;

	pthread_mutex_lock(&lock);
	ok = !broken;
	notes += ok;
	version += ok;
	pthread_mutex_unlock(&lock);
	return ok || error_set(err, ERR_IO, "broken by the test");
}

static bool matches(const struct credential *stored, const struct credential *c)
{
	return stored->account_id == c->account_id && stored->scram_iterations == 0 &&
	       strcmp(stored->password_hash, c->password_hash) == 0;
}

bool credentials_add_scram(struct credentials *credentials, const struct credential *c, bool *added, struct error *err)
{
	bool ok;

	*added = false;
	pthread_mutex_lock(&lock);
	ok = !broken && !writes_broken;
	for (size_t i = 0; ok && i < account_count; i++) {
		if (!matches(&accounts[i], c))
			continue;
		set_scram(&accounts[i], c->scram_salt, c->scram_iterations, c->scram_stored_key, c->scram_server_key);
		*added = true;
		keys_added++;
		version++;
	}
	keys_asked++;
	pthread_mutex_unlock(&lock);
	return ok || error_set(err, ERR_IO, "broken by the test");
}

bool credentials_version(struct credentials *credentials, uint32_t *out, struct error *err)
{
	bool ok;

	pthread_mutex_lock(&lock);
	ok = !broken;
	*out = version;
	pthread_mutex_unlock(&lock);
	return ok || error_set(err, ERR_IO, "broken by the test");
}
