/* Events in plain words. */
#include "posthouse/story.h"

#include "base/macros.h"
#include "posthouse/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	enum event_kind kind;
	const char *recipient, *text, *detail, *want;
} cases[] = {
	{ EVENT_RECEIVED, "", "from c.example [192.0.2.9] with ESMTPS, 2 recipients", "peer=192.0.2.9 size=20480",
	        "came in from c.example [192.0.2.9] with ESMTPS, 2 recipients, 20.0K" },
	{ EVENT_REFUSED, "a@b.example", "550 5.1.1 nobody here", "",
	        "a@b.example: refused with the words \"550 5.1.1 nobody here\"" },
	{ EVENT_DELIVERED, "", "bob@b.example: INBOX", "account=1 uid=2", "delivered: bob@b.example: INBOX" },
	{ EVENT_DELIVERED, "bob@b.example", "delivered to INBOX, UID 1", "status=2.0.0",
	        "bob@b.example: delivered to INBOX, UID 1" },
	{ EVENT_QUEUED, "", "1 recipient", "recipients=1 not_before=1000000000000 from=old",
	        "put into the queue: 1 recipient; waits until 2001-09-09 01:46:40Z; see also `posthouse explain old`" },
	{ EVENT_RELAYED, "a@b.example", "mx.b.example [192.0.2.1] said: 250 OK", "tls=TLSv1.3 verified=dane",
	        "a@b.example: the other server has it: mx.b.example [192.0.2.1] said \"250 OK\", over TLSv1.3 with a "
	        "certificate that its DNS vouches for (DANE)" },
	{ EVENT_RELAYED, "a@b.example", "mx said: 250 he said: yes", "tls=none verified=no",
	        "a@b.example: the other server has it: mx said \"250 he said: yes\", without TLS" },
	{ EVENT_DEFERRED, "a@b.example", "no answer", "status=4.4.1 next=1000000000",
	        "a@b.example: not yet: no answer; tried again at 2001-09-09 01:46:40Z" },
	{ EVENT_DEFERRED, "a@b.example", "no answer", "next=x", "a@b.example: not yet: no answer" },
	{ EVENT_FAILED, "a@b.example", "mx said: 550 no", "", "a@b.example: given up: mx said \"550 no\"" },
	{ EVENT_REPORT, "", "a report went to c@d.example", "report=abc",
	        "a report went to c@d.example; see `posthouse explain abc`" },
	{ EVENT_ADMIN, "a@b.example", "held", "", "a@b.example: held" },
	{ EVENT_LIMIT, "", "451 4.7.1 too many", "", "refused, a limit was reached: \"451 4.7.1 too many\"" },
	{ 99, "", "new", "", "event 99: new" },
	{ EVENT_FAILED, "", "mx said: \033[2J\n", "", "given up: mx said \"?[2J?\"" }, /* a terminal obeys none of it */
};

static void test_words(void **state)
{
	char out[STORY_WORDS_MAX];

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct event event = { .kind = cases[i].kind,
			.trace = SPAN("t"),
			.recipient = span_of(cases[i].recipient),
			.text = span_of(cases[i].text),
			.detail = span_of(cases[i].detail) };

		story_words(&event, out, sizeof(out));
		assert_string_equal(out, cases[i].want);
	}
}

static void test_detail(void **state)
{
	struct span detail = SPAN("tls=TLSv1.3 xtls=no empty= last=1");

	assert_true(span_equal(story_detail(detail, "tls"), SPAN("TLSv1.3")));
	assert_true(span_equal(story_detail(detail, "last"), SPAN("1")));
	assert_int_equal(story_detail(detail, "empty").len, 0);
	assert_int_equal(story_detail(detail, "ls").len, 0);
	assert_int_equal(story_detail(SPAN_EMPTY, "tls").len, 0);
}

static void test_next(void **state)
{
	struct queue_rcpt rcpt = { .next_attempt_ms = 1000000000000, .attempts = 1 };
	char out[200];

	next_words(&rcpt, 1000000000000 - 725000, out, sizeof(out));
	assert_string_equal(out, "the next try is in 12m 5s, at 2001-09-09 01:46:40Z");
	next_words(&rcpt, 1000000000000, out, sizeof(out));
	assert_string_equal(out, "the next try is due now");
	rcpt.held = true;
	next_words(&rcpt, 0, out, sizeof(out));
	assert_string_equal(out, "held: nothing happens until it is released");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_detail),
		cmocka_unit_test(test_next),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
