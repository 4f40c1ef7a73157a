/* Addresses for users and aliases. */
#include "posthouse/address.h"

#include "base/macros.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct address_case {
	const char *text;
	bool user, alias;
} cases[] = {
	{ "alice@example.test", true, true },
	{ "Alice.B@example.test", true, true },
	{ "a!#$%&'*+-/=?^_`{|}~z@example.test", true, true },
	{ "b\303\274cher@example.test", true, true },
	{ "alice@b\303\274cher.test", true, true },
	{ "*@example.test", false, true },
	{ "*a@example.test", true, true },
	{ "0123456789012345678901234567890123456789012345678901234567890123@e.test", true, true },
	{ "01234567890123456789012345678901234567890123456789012345678901234@e.test", false, false },
	{ "", false, false },
	{ "alice", false, false },
	{ "@example.test", false, false },
	{ "alice@", false, false },
	{ "*@", false, false },
	{ "a@b@example.test", false, false },
	{ "*@b@example.test", false, false },
	{ "a b@example.test", false, false },
	{ "\"a b\"@example.test", false, false },
	{ ".a@example.test", false, false },
	{ "a.@example.test", false, false },
	{ "a..b@example.test", false, false },
	{ "<a@example.test>", false, false },
	{ "a\n@example.test", false, false },
	{ "a\377@example.test", false, false }, /* no UTF-8 */
	{ "a,b@example.test", false, false },
};

static void test_addresses(void **state)
{
	struct error err;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (address_check(span_of(cases[i].text), &err) != cases[i].user)
			fail_msg("user %s", cases[i].text);
		if (address_check_alias(span_of(cases[i].text), &err) != cases[i].alias)
			fail_msg("alias %s", cases[i].text);
		assert_true(cases[i].alias || err.code == ERR_BAD_ADDRESS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_addresses) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
