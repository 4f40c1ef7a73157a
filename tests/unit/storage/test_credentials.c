/* storage/credentials.h */
#include "fixture.h"

#include "storage/credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct credential example(int64_t id, const char *login)
{
	struct credential c = { .account_id = id, .scram_iterations = 4096 };

	snprintf(c.login, sizeof(c.login), "%s", login);
	snprintf(c.password_hash, sizeof(c.password_hash), "$argon2id$%lld", (long long)id);
	memset(c.scram_salt, 1, sizeof(c.scram_salt));
	memset(c.scram_stored_key, (int)id, sizeof(c.scram_stored_key));
	memset(c.scram_server_key, 0, sizeof(c.scram_server_key)); /* zero octets are kept */
	return c;
}

static void test_all(void **state)
{
	struct credential alice = example(1, "Alice@Example.TEST"), bob = example(2, "bob@example.test"), got;
	struct credentials *mine, *other;
	uint32_t before, after;
	struct error err;
	char dir[64];

	(void)state;
	make_dir(dir, sizeof(dir));
	assert_true(credentials_open(dir, &mine, &err));
	assert_true(credentials_open(dir, &other, &err));
	assert_true(credentials_put(mine, &alice, &err));
	assert_true(credentials_version(mine, &before, &err));
	assert_true(credentials_put(other, &bob, &err));
	assert_true(credentials_version(mine, &after, &err));
	assert_int_not_equal(before, after);

	assert_true(credentials_find(mine, SPAN("ALICE@example.test"), &got, &err));
	assert_string_equal(got.login, "alice@example.test");
	assert_string_equal(got.password_hash, alice.password_hash);
	assert_memory_equal(got.scram_stored_key, alice.scram_stored_key, SCRAM_KEY_LEN);
	assert_memory_equal(got.scram_server_key, alice.scram_server_key, SCRAM_KEY_LEN);
	assert_int_equal(got.scram_iterations, 4096);
	assert_false(got.disabled);

	static const char *const nobody[] = { "carol@example.test", "alice", "", "\xff@x", "alice@example.test@x" };
	for (size_t i = 0; i < ARRAY_LEN(nobody); i++) {
		assert_false(credentials_find(mine, span_of(nobody[i]), &got, &err));
		assert_int_equal(err.code, ERR_NO_SUCH_ACCOUNT);
	}
	snprintf(bob.login, sizeof(bob.login), "alice@example.test");
	assert_false(credentials_put(mine, &bob, &err));
	assert_int_equal(err.code, ERR_EXISTS);
	snprintf(alice.password_hash, sizeof(alice.password_hash), "new");
	assert_true(credentials_put(mine, &alice, &err));
	assert_true(credentials_set_disabled(mine, 1, true, &err));
	assert_true(credentials_find(other, SPAN("alice@example.test"), &got, &err));
	assert_string_equal(got.password_hash, "new");
	assert_true(got.disabled);
	assert_false(credentials_set_disabled(mine, 9, true, &err));
	assert_int_equal(err.code, ERR_NO_SUCH_ACCOUNT);

	assert_true(credentials_note_login(mine, 1, 1234, SPAN("imap"), SPAN("192.0.2.1"), &err));
	assert_true(credentials_note_login(mine, 1, 1235, SPAN("imap"), SPAN("192.0.2.1"), &err));
	assert_false(credentials_note_login(mine, 9, 1234, SPAN("imap"), SPAN("192.0.2.1"), &err));
	assert_int_equal(err.code, ERR_NO_SUCH_ACCOUNT);
	assert_true(credentials_remove(mine, 1, &err));
	assert_false(credentials_remove(mine, 1, &err));
	assert_false(credentials_find(mine, SPAN("alice@example.test"), &got, &err));
	credentials_close(&mine);
	credentials_close(&other);
	remove_dir(dir);
}

/* Keys for who has none, of the hash that is stored: compared and set in one. */
static void test_add_scram(void **state)
{
	static const struct row {
		const char *stored; /* NULL: the account is gone */
		uint32_t iterations;
		bool disabled;
		bool added;
	} rows[] = {
		{ "$argon2id$1", 0, false, true },
		{ "$argon2id$1", 0, true, true },      /* and stays disabled */
		{ "$argon2id$2", 0, false, false },    /* another password, imported too */
		{ "$argon2id$2", 4096, false, false }, /* another password */
		{ "$argon2id$1", 4096, false, false }, /* somebody else added them first */
		{ NULL, 0, false, false },
	};
	struct credentials *mine, *other;
	struct error err;
	char dir[64];

	(void)state;
	make_dir(dir, sizeof(dir));
	assert_true(credentials_open(dir, &mine, &err));
	assert_true(credentials_open(dir, &other, &err));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct credential stored = example(1, "alice@example.test"), keys = example(1, "alice@example.test"),
		                  got;
		bool added = !rows[i].added;

		stored.scram_iterations = rows[i].iterations;
		stored.disabled = rows[i].disabled;
		memset(stored.scram_stored_key, 7, sizeof(stored.scram_stored_key));
		if (rows[i].stored != NULL) {
			snprintf(stored.password_hash, sizeof(stored.password_hash), "%s", rows[i].stored);
			assert_true(credentials_put(other, &stored, &err));
		} else {
			assert_true(credentials_remove(other, 1, &err));
		}
		assert_true(credentials_add_scram(mine, &keys, &added, &err));
		assert_int_equal(added, rows[i].added);
		if (rows[i].stored == NULL) {
			assert_false(credentials_find(other, SPAN("alice@example.test"), &got, &err));
			assert_int_equal(err.code, ERR_NO_SUCH_ACCOUNT);
			continue;
		}
		assert_true(credentials_find(other, SPAN("alice@example.test"), &got, &err));
		assert_string_equal(got.password_hash, rows[i].stored);
		assert_int_equal(got.disabled, rows[i].disabled);
		assert_int_equal(got.scram_iterations, rows[i].added ? 4096 : rows[i].iterations);
		assert_int_equal(got.scram_stored_key[0], rows[i].added ? 1 : 7);
	}
	credentials_close(&mine);
	credentials_close(&other);
	remove_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_all), cmocka_unit_test(test_add_scram) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
