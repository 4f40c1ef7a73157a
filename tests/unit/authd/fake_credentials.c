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
static bool broken;
static unsigned finds, notes;

struct credentials {
	int unused;
};

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
	broken = false;
	finds = notes = 0;
	pthread_mutex_unlock(&lock);
}

void fake_credentials_set(int64_t account_id, const char *login, const char *password)
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
	memcpy(credential->scram_salt, keys->scram_salt, sizeof(credential->scram_salt));
	credential->scram_iterations = keys->scram_iterations;
	memcpy(credential->scram_stored_key, keys->scram_stored_key, sizeof(credential->scram_stored_key));
	memcpy(credential->scram_server_key, keys->scram_server_key, sizeof(credential->scram_server_key));
	version++;
	pthread_mutex_unlock(&lock);
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

bool credentials_version(struct credentials *credentials, uint32_t *out, struct error *err)
{
	bool ok;

	pthread_mutex_lock(&lock);
	ok = !broken;
	*out = version;
	pthread_mutex_unlock(&lock);
	return ok || error_set(err, ERR_IO, "broken by the test");
}
