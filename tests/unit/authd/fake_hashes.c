#include "fake_hashes.h"

#include "base/macros.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SALT_LEN  16
#define HASH_LEN  32
#define COST_AT   (sizeof("$argon2id$v=19$") - 1)
#define FORM      "$argon2id$v=19$m=%u,t=%u,p=1$%s$%s"
#define SALT_TEXT 24 /* base64 with its NUL */
#define HASH_TEXT 44

int __real_crypto_pwhash_str(
        char *out, const char *password, unsigned long long len, unsigned long long passes, size_t memory);
int __real_crypto_pwhash_str_verify(const char *hash, const char *password, unsigned long long len);
int __wrap_crypto_pwhash_str(
        char *out, const char *password, unsigned long long len, unsigned long long passes, size_t memory);
int __wrap_crypto_pwhash_str_verify(const char *hash, const char *password, unsigned long long len);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_real;
static unsigned checked;
static char last_cost[64];

void fake_hashes_real(bool real)
{
	pthread_mutex_lock(&lock);
	is_real = real;
	pthread_mutex_unlock(&lock);
}

unsigned fake_hashes_checked(void)
{
	unsigned count;

	pthread_mutex_lock(&lock);
	count = checked;
	pthread_mutex_unlock(&lock);
	return count;
}

void fake_hashes_last_cost(char *out, unsigned long size)
{
	pthread_mutex_lock(&lock);
	snprintf(out, size, "%s", last_cost);
	pthread_mutex_unlock(&lock);
}

static bool note(const char *hash)
{
	bool real;

	pthread_mutex_lock(&lock);
	checked++;
	snprintf(last_cost, sizeof(last_cost), "%.*s", (int)strcspn(hash + COST_AT, "$"), hash + COST_AT);
	real = is_real;
	pthread_mutex_unlock(&lock);
	return real;
}

static void base64(const unsigned char *bytes, size_t len, char *out, size_t size)
{
	sodium_bin2base64(out, size, bytes, len, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
}

/* The last field of a faked hash: of the salt's text and the password. */
static void digest(const char *salt, size_t salt_len, const char *password, unsigned long long len, char out[HASH_TEXT])
{
	crypto_generichash_state state;
	unsigned char bytes[HASH_LEN];

	crypto_generichash_init(&state, NULL, 0, sizeof(bytes));
	crypto_generichash_update(&state, (const unsigned char *)salt, salt_len);
	crypto_generichash_update(&state, (const unsigned char *)password, len);
	crypto_generichash_final(&state, bytes, sizeof(bytes));
	base64(bytes, sizeof(bytes), out, HASH_TEXT);
}

int __wrap_crypto_pwhash_str(
        char *out, const char *password, unsigned long long len, unsigned long long passes, size_t memory)
{
	unsigned char bytes[SALT_LEN];
	char salt[SALT_TEXT], last[HASH_TEXT];
	bool real;

	pthread_mutex_lock(&lock);
	real = is_real;
	pthread_mutex_unlock(&lock);
	if (real)
		return __real_crypto_pwhash_str(out, password, len, passes, memory);
	randombytes_buf(bytes, sizeof(bytes));
	base64(bytes, sizeof(bytes), salt, sizeof(salt));
	digest(salt, strlen(salt), password, len, last);
	snprintf(out, crypto_pwhash_STRBYTES, FORM, (unsigned)(memory / KIB), (unsigned)passes, salt, last);
	return 0;
}

int __wrap_crypto_pwhash_str_verify(const char *hash, const char *password, unsigned long long len)
{
	const struct timespec pause = { .tv_nsec = FAKE_HASH_MS * 1000000L };
	const char *last = strrchr(hash, '$') + 1;
	const char *salt = last - 1;
	char wanted[HASH_TEXT];

	if (note(hash))
		return __real_crypto_pwhash_str_verify(hash, password, len);
	nanosleep(&pause, NULL);
	while (salt[-1] != '$')
		salt--;
	digest(salt, (size_t)(last - 1 - salt), password, len, wanted);
	return strcmp(last, wanted) == 0 ? 0 : -1;
}
