/* Every error has a reply at every stage, with codes that agree with each other and with RFC 5321 §4.3.2. */
#include "smtpd/server/reply_for_error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_every_error(void **state)
{
	for (int stage = 0; stage < STAGE_COUNT; stage++)
		for (int code = 0; code < ERROR_CODE_COUNT; code++) {
			struct smtp_reply reply = reply_for_error((enum smtp_stage)stage, (enum error_code)code);

			if (reply.enhanced == NULL || reply.code < (code == ERR_NONE ? 200u : 400u) || reply.code > 599)
				fail_msg("%s at stage %d has no reply", error_name((enum error_code)code), stage);
			/* RFC 2034 §4: the classes agree */
			assert_int_equal(reply.enhanced[0], '0' + (int)(reply.code / 100));
		}
}

static const struct {
	enum smtp_stage stage;
	enum error_code error;
	unsigned code;
	const char *enhanced;
} promised[] = {
	{ STAGE_RECIPIENT, ERR_NO_SUCH_ADDRESS, 550, "5.1.1" },
	{ STAGE_RECIPIENT, ERR_NO_SUCH_DOMAIN, 550, "5.7.1" },
	{ STAGE_RECIPIENT, ERR_OVER_QUOTA, 452, "4.2.2" },
	{ STAGE_RECIPIENT, ERR_TOO_LARGE, 552, "5.2.2" },
	{ STAGE_RECIPIENT, ERR_LIMIT, 452, "4.5.3" },
	{ STAGE_RECIPIENT, ERR_UNSUPPORTED, 555, "5.5.4" },
	{ STAGE_SENDER, ERR_TOO_LARGE, 552, "5.3.4" },
	{ STAGE_SENDER, ERR_DENIED, 550, "5.7.1" },
	{ STAGE_DATA, ERR_SYNTAX, 550, "5.6.11" },
	{ STAGE_DELIVERY, ERR_LIMIT, 554, "5.4.6" },
	{ STAGE_DATA, ERR_TOO_LARGE, 552, "5.3.4" },
	{ STAGE_DELIVERY, ERR_TOO_LARGE, 552, "5.2.2" },
	{ STAGE_DELIVERY, ERR_NO_SPACE, 452, "4.3.1" },
	{ STAGE_DELIVERY, ERR_OVER_QUOTA, 452, "4.2.2" },
	{ STAGE_COMMAND, ERR_AUTH_FAILED, 535, "5.7.8" },
};

static void test_promised(void **state)
{
	for (size_t i = 0; i < sizeof(promised) / sizeof(promised[0]); i++) {
		struct smtp_reply reply = reply_for_error(promised[i].stage, promised[i].error);

		assert_int_equal(reply.code, promised[i].code);
		assert_string_equal(reply.enhanced, promised[i].enhanced);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_error), cmocka_unit_test(test_promised) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
