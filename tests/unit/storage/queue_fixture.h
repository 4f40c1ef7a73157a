/* tests/unit/storage/queue_fixture.h — a queue in a store of its own, with what is in it written as words. */
#ifndef TEST_QUEUE_FIXTURE_H
#define TEST_QUEUE_FIXTURE_H

#include "fixture.h"

#include "storage/queue.h"

#define NOW    INT64_C(1800000000000)
#define MINUTE INT64_C(60000)

struct site {
	struct fixture *fixture;
	struct queue *queue;
};

int queue_setup(void **state); /* cmocka: *state is a struct site */
int queue_teardown(void **state);
void open_again(struct site *site);

void put_text(char *text, size_t size, const char *format, ...) PRINTF_LIKE(3, 4); /* after what is there */

/* addresses: "a@one.test b@two.test here": one without an @ is of the account. */
struct spec {
	const char *trace, *addresses;
	int priority;
	int64_t created_ms, not_before_ms;
	size_t size;        /* of the body; 0: 100 */
	const char *sender; /* NULL: s@here.test */
	int64_t account_id;
	struct sending_limits limits;
	bool held;
};
enum error_code add_spec(struct site *site, const struct spec *spec);
void add(struct site *site, const char *trace, const char *addresses); /* at NOW */

/* posthouse check finds this: "<severity> <what>\n" each */
void check_is(struct site *site, bool repair, const char *expected);
/* "one.test:0 two.test:5": destinations that are due, with their priorities */
void due_is(struct site *site, int64_t now, const char *expected, int64_t next);

struct taken {
	struct queue_message *list[10];
	size_t count;
};
struct taken take(struct site *site, const char *domain, int64_t now, size_t max);
void give_back(struct taken *taken);
/* "t1(a@one.test b@one.test) t2(c@one.test)" */
void take_is(struct site *site, const char *domain, int64_t now, size_t max, const char *expected);

int64_t recipient_id(struct site *site, const char *address);
void finish(struct site *site, const char *address, enum queue_result result, int64_t next, const char *reply);
unsigned files_in(struct site *site); /* body files */

#endif
