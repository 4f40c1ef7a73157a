#include "sasl/password.h"

#include "base/random.h"
#include "base/secret.h"
#include "base/macros.h"
#include "sasl/saslprep.h"
#include "sasl/scram_keys.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

/* libsodium's "interactive" figures: two passes over 64 MiB. */
#define ARGON2_PASSES      crypto_pwhash_OPSLIMIT_INTERACTIVE
#define ARGON2_MEMORY      crypto_pwhash_MEMLIMIT_INTERACTIVE
#define FOREIGN_PASSES_MAX 16
#define FOREIGN_LANES_MAX  16
#define PREPARED_MAX       (PASSWORD_MAX * 12) /* NFKC makes up to 11 bytes of one (U+FDFA) */

_Static_assert(PASSWORD_HASH_TEXT >= crypto_pwhash_STRBYTES, "the hash text fits");

static bool prepare(struct span password, struct buffer *out, struct error *err)
{
	buffer_init(out, PREPARED_MAX);
	if (password.len < PASSWORD_MIN)
		return error_set(err, ERR_BAD_VALUE, "the password is empty");
	if (password.len > PASSWORD_MAX)
		return error_set(err, ERR_BAD_VALUE, "the password is longer than %d bytes", PASSWORD_MAX);
	/* All the room at once: growing would leave copies behind. */
	if (!buffer_reserve(out, PREPARED_MAX))
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	return saslprep(password, out, err);
}

static void make_scram(struct span prepared, const uint8_t salt[PASSWORD_SALT_LEN], struct password_keys *out)
{
	struct scram_keys keys;

	memcpy(out->scram_salt, salt, PASSWORD_SALT_LEN);
	out->scram_iterations = SCRAM_ITERATIONS;
	scram_make_keys(prepared, span_make(salt, PASSWORD_SALT_LEN), SCRAM_ITERATIONS, &keys);
	memcpy(out->scram_stored_key, keys.stored_key, SCRAM_HASH_LEN);
	memcpy(out->scram_server_key, keys.server_key, SCRAM_HASH_LEN);
	secret_wipe(&keys, sizeof(keys));
}

static bool make_prepared(struct span prepared, struct password_keys *out, struct error *err)
{
	uint8_t salt[PASSWORD_SALT_LEN];

	if (prepared.len == 0) /* it was made of characters that are mapped to nothing */
		return error_set(err, ERR_BAD_VALUE, "the password is empty");
	memset(out, 0, sizeof(*out));
	if (crypto_pwhash_str(out->hash, prepared.ptr, prepared.len, ARGON2_PASSES, ARGON2_MEMORY) != 0)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	random_bytes(salt, sizeof(salt));
	make_scram(prepared, salt, out);
	return true;
}

bool password_make(struct span password, struct password_keys *out, struct error *err)
{
	struct buffer prepared;
	bool ok = prepare(password, &prepared, err) && make_prepared(buffer_span(&prepared), out, err);

	secret_buffer_free(&prepared);
	return ok;
}

bool password_make_scram(
        struct span password, const uint8_t salt[PASSWORD_SALT_LEN], struct password_keys *out, struct error *err)
{
	struct buffer prepared;
	bool ok = prepare(password, &prepared, err);

	if (ok)
		make_scram(buffer_span(&prepared), salt, out);
	secret_buffer_free(&prepared);
	return ok;
}

/* A hash that no password is known for: its last field is 32 random bytes. */
static const char nobody[] =
        "$argon2id$v=19$m=65536,t=2,p=1$9jT2Ys0vQmWc5eXhLr8KbA$q0uV3mY7cZ1pXr5tB8nD2fG6hJ4kL9sA0wE3rT5yU7o";

static bool take_figure(struct span *in, const char *name, uint32_t most)
{
	uint32_t figure;

	return span_take_word(in, name) && span_take_number(in, most, &figure);
}

bool password_hash_usable(const char *hash)
{
	struct span rest = span_of(hash);

	return span_take_word(&rest, "$argon2id$v=19$") && take_figure(&rest, "m=", ARGON2_MEMORY / KIB) &&
	       take_figure(&rest, ",t=", FOREIGN_PASSES_MAX) && take_figure(&rest, ",p=", FOREIGN_LANES_MAX) &&
	       span_take_char(&rest, '$');
}

bool password_matches(const char *hash, struct span password)
{
	struct buffer prepared;
	struct error ignored;
	struct span text = password;
	bool prepared_well = prepare(password, &prepared, &ignored);
	bool usable = password_hash_usable(hash);
	bool right;
	int failure;

	/* What cannot be a password, or cannot be checked, costs the same as one that is wrong. */
	if (prepared_well)
		text = buffer_span(&prepared);
	errno = 0;
	right = password_hash_usable(hash) &&
	        crypto_pwhash_str_verify(hash, text.len > 0 ? text.ptr : "", text.len) == 0;
	failure = !right && errno == ENOMEM ? ENOMEM : 0;
	secret_buffer_free(&prepared);
	if (!prepared_well && ignored.code == ERR_NO_MEMORY)
		failure = ENOMEM;
	errno = failure;
	return prepared_well && usable && right;
}

void password_waste_time(struct span password)
{
	(void)password_matches(nobody, password);
}
