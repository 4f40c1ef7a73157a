/* Who waits for an account gets it in the order in which they came (storage/store.h). */
#include "fixture.h"

#include "storage/account.h"

#include <string.h>
#include <time.h>

#define WAITERS 5
#define LAPS    3

struct lap {
	struct fixture *fixture;
	pthread_t thread;
	char name;
	char *order; /* who had it, one letter each; written by who has it */
};

static void *take_once(void *arg)
{
	struct lap *lap = arg;
	struct account *account = borrow(lap->fixture);

	lap->order[strlen(lap->order)] = lap->name;
	account_release(&account);
	return NULL;
}

static void wait_for_line(struct account *account, size_t length)
{
	const struct timespec moment = { .tv_nsec = 1000000 };
	size_t there;

	do {
		(void)nanosleep(&moment, NULL);
		there = 0;
		pthread_mutex_lock(&account->store->mutex);
		for (const struct waiter *waiter = account->waiting; waiter != NULL; waiter = waiter->next)
			there++;
		pthread_mutex_unlock(&account->store->mutex);
	} while (there < length);
}

/* One thread has the account again and again, as a long SEARCH does: each time all who came meanwhile have it first. */
static void test_first_come_first_served(void **state)
{
	struct fixture *fixture = *state;
	char order[LAPS * (WAITERS + 1) + 1] = "";
	struct lap laps[WAITERS];
	struct account *account;

	for (int lap = 0; lap < LAPS; lap++) {
		account = borrow(fixture);
		order[strlen(order)] = 'S';
		for (int i = 0; i < WAITERS; i++) {
			laps[i] = (struct lap) { .fixture = fixture, .name = (char)('a' + i), .order = order };
			assert_int_equal(pthread_create(&laps[i].thread, NULL, take_once, &laps[i]), 0);
			wait_for_line(account, (size_t)i + 1);
		}
		account_release(&account);
		account = borrow(fixture);
		assert_null(account->waiting);
		account_release(&account);
		for (int i = 0; i < WAITERS; i++)
			assert_int_equal(pthread_join(laps[i].thread, NULL), 0);
	}
	assert_string_equal(order, "SabcdeSabcdeSabcde");
}

/* The one who had it could not open its file: the next in line tries himself. */
static void test_line_behind_a_failure(void **state)
{
	struct fixture *fixture = *state;
	char order[2] = "";
	struct lap lap = { .fixture = fixture, .name = 'a', .order = order };
	struct account *account = borrow(fixture);

	assert_int_equal(pthread_create(&lap.thread, NULL, take_once, &lap), 0);
	wait_for_line(account, 1);
	database_close(&account->database);
	account_release(&account);
	assert_int_equal(pthread_join(lap.thread, NULL), 0);
	assert_string_equal(order, "a");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_first_come_first_served),
		TEST(test_line_behind_a_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
