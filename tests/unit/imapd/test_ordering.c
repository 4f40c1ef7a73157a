/* What SORT and THREAD may hold (imapd/ordering.h): small limits instead of large mailboxes; and that what they take while they run is what the
 * sums say. */
#include "fixture.h"

#include "imapd/ordering.h"
#include "imapd/sort.h"
#include "imapd/thread.h"
#include "storage/mailbox.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MESSAGES 40

static struct view_message messages[MESSAGES];
static size_t count;

static void append(const char *header)
{
	char line[8 * KIB];

	(void)snprintf(line, sizeof(line), "a APPEND INBOX {%zu+}\r\n%s", strlen(header), header);
	assert_non_null(strstr(place_ask(line), "a OK "));
}

static void look(void)
{
	struct mailbox_snapshot snapshot;
	struct mailbox_info info;
	struct account *account;
	struct error err;

	assert_true(account_open(place.server.store, fake_auth_account, &account, &err));
	assert_true(mailbox_find(account, SPAN("INBOX"), &info, &err));
	assert_true(mailbox_snapshot(account, info.id, &snapshot, &err));
	account_release(&account);
	count = snapshot.count;
	assert_true(count <= MESSAGES);
	for (size_t i = 0; i < count; i++)
		messages[i] = (struct view_message) { .sequence = (uint32_t)i + 1, .row = snapshot.rows[i] };
	mailbox_snapshot_free(&snapshot);
}

static int setup(void **state)
{
	(void)state;
	place_open_with_store();
	place_connect();
	place_ask("a LOGIN alice@example.test secret");
	place_ask("a SELECT INBOX");
	place_ask("a STORE 1:* +FLAGS.SILENT (\\Deleted)");
	place_ask("a EXPUNGE");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	place_close();
	return 0;
}

static const struct sort_criterion by_subject[] = { { SORT_SUBJECT, false } };

static struct ordering_plan plan_of(const struct sort_criterion *criteria, size_t memory_max)
{
	return (struct ordering_plan) { .store = place.server.store,
		.account_id = fake_auth_account,
		.messages = messages,
		.count = count,
		.criteria = criteria,
		.criterion_count = criteria != NULL,
		.algorithm = THREAD_REFERENCES,
		.held = 100,
		.memory_max = memory_max };
}

/* What came of it, or the error. */
static enum error_code order(const struct sort_criterion *criteria, size_t memory_max, char *answer, size_t size)
{
	const struct ordering_plan plan = plan_of(criteria, memory_max);
	struct ordering *ordering;
	struct error err;
	bool done;

	error_clear(&err);
	if (!ordering_new(&plan, &ordering, &err))
		return err.code;
	done = ordering_work(ordering, 0, 0, count / 2, &err) &&
	       ordering_work(ordering, 1, count / 2, count - count / 2, &err) &&
	       ordering_compute(ordering, 0, 0, 1, &err);
	assert_true(!done || span_copy(ordering_answer(ordering), answer, size));
	ordering_free(&ordering);
	return done ? ERR_NONE : err.code;
}

static void test_sort_limits(void **state)
{
	const size_t each = sizeof(struct sort_message) + 1 + 11 + SORT_COST, text = 2000;
	char header[2 * KIB], answer[1000], want[1000] = "";

	(void)state;
	for (int i = 0; i < 20; i++) {
		(void)snprintf(header, sizeof(header), "Subject: %c%0500d\r\n\r\n", 'z' - i, i);
		append(header);
		(void)snprintf(want + strlen(want), sizeof(want) - strlen(want), " %d", 20 - i);
	}
	look();
	assert_int_equal(order(by_subject, 99, answer, sizeof(answer)), ERR_LIMIT); /* less than the search holds */
	assert_int_equal(order(by_subject, 100 + 20 * each - 1, answer, sizeof(answer)), ERR_LIMIT);
	assert_int_equal(order(by_subject, 100 + 20 * each + text, answer, sizeof(answer)), ERR_LIMIT);
	assert_int_equal(order(by_subject, 100 + 20 * (each + 600), answer, sizeof(answer)), ERR_NONE);
	assert_string_equal(answer, want);
}

/* Nobody makes long subjects dear: what they are sorted by is short. */
static void test_keys_are_cut(void **state)
{
	char header[6 * KIB], answer[100];

	(void)state;
	for (int i = 0; i < 3; i++) {
		(void)snprintf(
		        header, sizeof(header), "Subject: %0*d\r\n %d\r\n\r\n", ORDERING_KEY_MAX + 100, 1, 9 - i);
		append(header);
	}
	append("Subject: 0\r\n\r\n");
	look();
	assert_int_equal(
	        order(by_subject, 100 + 4 * (200 + ORDERING_KEY_MAX * 5 / 4), answer, sizeof(answer)), ERR_NONE);
	assert_string_equal(answer, " 4 1 2 3"); /* the first three are the same as far as that goes */
}

/* References of strangers cost dummies as long as there is room, and then nothing. */
static void test_thread_limits(void **state)
{
	const size_t each = sizeof(struct thread_message) + 1 + 14 + THREAD_MESSAGE_COST;
	char header[2 * KIB], answer[1000];

	(void)state;
	for (int i = 0; i < 10; i++) { /* two threads, by ids that no message has; another subject each */
		(void)snprintf(
		        header, sizeof(header), "Subject: %d\r\nReferences: <%c@strange>\r\n\r\n", i, 'a' + i % 2);
		append(header);
	}
	look();
	assert_int_equal(order(NULL, 100 + 10 * each - 1, answer, sizeof(answer)), ERR_LIMIT);
	assert_int_equal(
	        order(NULL, 100 + 10 * each + 50, answer, sizeof(answer)), ERR_LIMIT); /* the references themselves */
	assert_int_equal(order(NULL, 100 + 10 * (each + 20), answer, sizeof(answer)), ERR_NONE);
	assert_string_equal(answer, " (1)(2)(3)(4)(5)(6)(7)(8)(9)(10)");
	assert_int_equal(order(NULL, 100 + 10 * (each + 20) + THREAD_DUMMY_COST, answer, sizeof(answer)), ERR_NONE);
	assert_string_equal(answer, " ((1)(3)(5)(7)(9))(2)(4)(6)(8)(10)");
	assert_int_equal(order(NULL, MIB, answer, sizeof(answer)), ERR_NONE);
	assert_string_equal(answer, " ((1)(3)(5)(7)(9))((2)(4)(6)(8)(10))");
}

/* --- the sums --- */

static _Thread_local int64_t most, now_held;

void *__real_malloc(size_t size);
void *__real_calloc(size_t members, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t members, size_t size);
void __real_free(void *old);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t members, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t members, size_t size);
void __wrap_free(void *old);

/* A block that moves is there twice for a moment. */
static void *note(void *made, size_t before)
{
	now_held += made == NULL ? 0 : (int64_t)malloc_usable_size(made);
	most = now_held > most ? now_held : most;
	now_held -= made == NULL ? 0 : (int64_t)before;
	return made;
}

void *__wrap_malloc(size_t size)
{
	return note(__real_malloc(size), 0);
}

void *__wrap_calloc(size_t members, size_t size)
{
	return note(__real_calloc(members, size), 0);
}

void *__wrap_realloc(void *old, size_t size)
{
	size_t before = old == NULL ? 0 : malloc_usable_size(old);

	return note(__real_realloc(old, size), before);
}

void *__wrap_reallocarray(void *old, size_t members, size_t size)
{
	size_t before = old == NULL ? 0 : malloc_usable_size(old);

	return note(__real_reallocarray(old, members, size), before);
}

void __wrap_free(void *old)
{
	now_held -= old == NULL ? 0 : (int64_t)malloc_usable_size(old);
	__real_free(old);
}

/* The worst there is: every message a thread of its own or not, with as many strangers as it may name. */
static void test_what_threads_take(void **state)
{
	static const size_t sizes[] = { 1, 500, 1365, 1366, 5000, 21845,
		30000 }; /* also where a table has just grown */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		for (uint32_t references = 0; references <= 3; references++) {
			struct thread_message *mails = calloc(sizes[i], sizeof(*mails));
			uint64_t *ids = calloc(sizes[i] * references + 1, sizeof(*ids));
			struct buffer out;
			int64_t before, allowed;

			for (size_t n = 0; n < sizes[i]; n++) {
				mails[n] = (struct thread_message) { .number = (uint32_t)n + 1,
					.subject = (n + 1) * 0x9e3779b97f4a7c15u,
					.id = (n + 1) * 0xd6e8feb86659fd93u,
					.references = ids + n * references,
					.reference_count = references };
				for (uint32_t r = 0; r < references; r++)
					ids[n * references + r] = (n * references + r + 1) * 0xa0761d6478bd642fu;
			}
			buffer_init(&out, sizes[i] * 14 + 2);
			assert_true(buffer_reserve(&out, out.limit));
			before = most = now_held;
			allowed = (int64_t)(sizes[i] * (THREAD_MESSAGE_COST + (size_t)references * THREAD_DUMMY_COST) +
			                    64 * KIB);
			assert_true(thread_references(mails, sizes[i], SIZE_MAX, &out));
			assert_true(most > before); /* it is counted */
			if (most - before > allowed)
				fail_msg("%zu messages, %u references: %lld octets, not %lld", sizes[i], references,
				        most - before, allowed);
			buffer_free(&out);
			free(ids);
			free(mails);
		}
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_sort_limits),
		TEST(test_keys_are_cut),
		TEST(test_thread_limits),
		cmocka_unit_test(test_what_threads_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
