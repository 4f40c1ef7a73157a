/* A long queue, by hand: queue_scale DIR [messages] [domains] fills DIR with deferred messages of 4 KiB, one recipient each; then, in a
 * process of its own: what opening it, looking for work, taking it, a page of a list and finishing cost, and its memory. */
#include "base/clock.h"
#include "storage/queue.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BODY     4096
#define GROUP    100
#define PAGE     50
#define LATER_MS (INT64_C(3600) * 1000)

struct scale {
	const char *dir;
	uint64_t messages, domains;
	int64_t now;
};

static _Noreturn void die(const struct error *err)
{
	fprintf(stderr, "%s: %s\n", err->reason, err->detail);
	exit(1);
}

static double milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static struct spool *make_body(struct store *store)
{
	char text[BODY];
	struct spool *spool;
	struct error err;

	memset(text, 'm', sizeof(text));
	if (!spool_new(store, UINT64_MAX, &spool, &err) || !spool_append(spool, span_make(text, sizeof(text)), &err))
		die(&err);
	return spool;
}

/* Due within an hour, in no order; all of them wait. */
static void fill_group(struct queue *queue, const struct scale *scale, struct spool *body, uint64_t first)
{
	static char traces[GROUP][QUEUE_TRACE_MAX + 1], addresses[GROUP][64];
	static struct queue_rcpt_new rcpts[GROUP];
	static struct queue_entry entries[GROUP];
	struct queue_entry *list[GROUP];
	struct error err;
	size_t at;

	for (uint64_t i = 0; i < GROUP; i++) {
		uint64_t n = first + i;

		snprintf(traces[i], sizeof(traces[i]), "T%lu", (unsigned long)n);
		snprintf(addresses[i], sizeof(addresses[i]), "user%lu@domain%lu.test", (unsigned long)n,
		        (unsigned long)(n % scale->domains));
		(void)span_find(span_of(addresses[i]), '@', &at);
		rcpts[i] = (struct queue_rcpt_new) { .address = span_of(addresses[i]),
			.domain = span_of(addresses[i] + at + 1) };
		entries[i] = (struct queue_entry) { .trace = span_of(traces[i]),
			.sender = SPAN("sender@example.test"),
			.message_id = SPAN("some-message-id@example.test"),
			.created_ms = scale->now,
			.not_before_ms = scale->now + 1 + (int64_t)(n * 2654435761u % LATER_MS),
			.expires_ms = scale->now + 5 * 24 * LATER_MS,
			.prefix = SPAN("Received: from somewhere by somebody with ESMTPSA; some day\r\n"),
			.body = body,
			.recipients = &rcpts[i],
			.recipient_count = 1 };
		list[i] = &entries[i];
	}
	if (!queue_add(queue, list, GROUP, &err))
		die(&err);
}

static void fill(const struct scale *scale)
{
	struct store_settings settings = { .data_dir = scale->dir };
	double begin = milliseconds();
	struct store *store;
	struct queue *queue;
	struct spool *body;
	struct error err;

	if (!store_open(&settings, &store, &err) || !queue_open(scale->dir, &queue, &err))
		die(&err);
	body = make_body(store);
	for (uint64_t n = 0; n + GROUP <= scale->messages; n += GROUP)
		fill_group(queue, scale, body, n);
	printf("filled with %lu messages to %lu domains: %.0f ms, %.1f us each\n", (unsigned long)scale->messages,
	        (unsigned long)scale->domains, milliseconds() - begin,
	        (milliseconds() - begin) * 1e3 / (double)scale->messages);
	fflush(stdout);
	spool_free(&body);
	queue_close(&queue);
	store_close(&store);
}

static bool count_row(void *arg, const struct queue_row *row)
{
	(void)row;
	++*(unsigned *)arg;
	return true;
}

static void time_list(struct queue *queue, const char *what, const struct queue_filter *filter, uint64_t skip)
{
	double begin = milliseconds();
	unsigned rows = 0;
	struct error err;

	if (!queue_list(queue, filter, skip, PAGE, count_row, &rows, &err))
		die(&err);
	printf("list %-28s %8.2f ms (%u rows)\n", what, milliseconds() - begin, rows);
}

static void time_lists(struct queue *queue, const struct scale *scale)
{
	const struct queue_filter all = { .held = -1 }, trace = { .held = -1, .trace = SPAN("T77") },
	                          domain = { .held = -1, .recipient = SPAN("@domain7.test") },
	                          nobody = { .held = -1, .sender = SPAN("nobody@example.test") };
	struct queue_counts counts;
	double begin = milliseconds();
	struct error err;

	time_list(queue, "first page", &all, 0);
	time_list(queue, "last page", &all, scale->messages - PAGE);
	time_list(queue, "one message", &trace, 0);
	time_list(queue, "a domain's first", &domain, 0);
	time_list(queue, "a sender who is not there", &nobody, 0);
	begin = milliseconds();
	if (!queue_count(queue, scale->now, &counts, &err))
		die(&err);
	printf("count                             %8.2f ms (%lu recipients)\n", milliseconds() - begin,
	        (unsigned long)counts.recipients);
}

/* The scheduler's round: what is due, its first messages, and one of them put off. */
static void time_round(struct queue *queue, int64_t now, const char *what)
{
	static struct queue_destination due[200];
	struct queue_message *taken[10];
	struct queue_outcome outcome = {
		.result = QUEUE_AGAIN, .next_attempt_ms = now + LATER_MS, .reply = SPAN("450 x")
	};
	size_t count, messages;
	struct error err;
	int64_t next;
	double begin = milliseconds(), finish;

	if (!queue_due(queue, now, due, 200, &count, &next, &err))
		die(&err);
	printf("due, %-28s %8.2f ms (%zu destinations)\n", what, milliseconds() - begin, count);
	if (count == 0)
		return;
	begin = milliseconds();
	if (!queue_take(queue, due[0].domain, now, NULL, NULL, taken, 10, SIZE_MAX, &messages, &err))
		die(&err);
	printf("take 10                           %8.2f ms (%zu messages)\n", milliseconds() - begin, messages);
	outcome.recipient_id = messages > 0 ? taken[0]->recipients[0].id : 0;
	finish = milliseconds();
	if (!queue_finish(queue, &outcome, 1, NULL, 0, &err))
		die(&err);
	printf("finish 1                          %8.2f ms\n", milliseconds() - finish);
	for (size_t i = 0; i < messages; i++)
		queue_message_free(&taken[i]);
}

static int measure(const struct scale *scale)
{
	double begin = milliseconds();
	struct rusage usage;
	struct queue *queue;
	struct error err;

	if (!queue_open(scale->dir, &queue, &err) || !queue_tidy(queue, scale->now, &err))
		die(&err);
	printf("open and tidy                     %8.2f ms\n", milliseconds() - begin);
	time_round(queue, scale->now, "nothing");
	time_round(queue, scale->now + LATER_MS / 2, "half of it");
	time_round(queue, scale->now + LATER_MS / 2, "half of it, again");
	time_lists(queue, scale);
	getrusage(RUSAGE_SELF, &usage);
	printf("most memory                       %8.1f MiB\n", (double)usage.ru_maxrss / 1024);
	queue_close(&queue);
	return 0;
}

int main(int argc, char **argv)
{
	struct scale scale = { .messages = 100000, .domains = 200, .now = clock_wall_ms() };
	pid_t pid;
	int status;

	if (argc < 2 || (argc > 2 && !span_number(span_of(argv[2]), 100000000, &scale.messages)) ||
	        (argc > 3 && !span_number(span_of(argv[3]), 100000000, &scale.domains)) || scale.domains == 0) {
		fprintf(stderr, "usage: %s DIR [messages] [domains]\n", argv[0]);
		return 2;
	}
	scale.dir = argv[1];
	pid = fork(); /* both halves begin small */
	if (pid == 0) {
		fill(&scale);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? measure(&scale) : 1;
}
