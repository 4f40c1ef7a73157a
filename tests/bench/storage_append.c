/* What a delivery costs in the store: storage_append DIR [messages] [per commit] [octets]
 * Prints CPU and commits per second, what was written, and the same again at each tenfold of the mailbox. */
#include "base/clock.h"
#include "base/random.h"
#include "message/summary.h"
#include "storage/batch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define GROUP_MAX 64

struct usage {
	double cpu;
	int64_t wall;
	uint64_t written;
};

static uint64_t octets_written(void)
{
	char text[512];
	int fd = open("/proc/self/io", O_RDONLY);
	ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	struct span rest = span_make(text, len > 0 ? (size_t)len : 0), line;
	uint64_t number = 0;

	if (fd >= 0)
		close(fd);
	while (span_take_until(&rest, '\n', &line)) {
		if (span_take_word(&line, "wchar: "))
			(void)span_number(line, UINT64_MAX, &number);
	}
	return number;
}

static struct usage now(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (struct usage) {
		(double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
		        (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6,
		clock_mono_ms(),
		octets_written(),
	};
}

static _Noreturn void die(const struct error *err)
{
	fprintf(stderr, "%s: %s\n", err->reason, err->detail);
	exit(1);
}

static void commit_group(struct store *store, struct account *account, unsigned group, struct span body)
{
	struct message_summary summaries[GROUP_MAX];
	struct batch *batches[GROUP_MAX];
	struct spool *spools[GROUP_MAX];
	char ids[GROUP_MAX][40];
	struct error err;

	for (unsigned i = 0; i < group; i++) {
		struct new_message message = { .prefix = SPAN(
			                               "Return-Path: <a@example.test>\r\nReceived: from b by c\r\n"),
			.summary = &summaries[i],
			.internal_date_ms = clock_wall_ms() };

		snprintf(ids[i], sizeof(ids[i]), "%016lx@example.test", (unsigned long)random_u64());
		summaries[i] = (struct message_summary) { .envelope = span_first(body, 300),
			.body = span_first(body, 100),
			.body_structure = span_first(body, 160),
			.parts = span_first(body, 20),
			.preview = span_first(body, 200),
			.base_subject = SPAN("a subject of ordinary length"),
			.message_id = span_of(ids[i]),
			.size = body.len,
			.header_len = 300 + message.prefix.len };
		if (!spool_new(store, UINT64_MAX, &spools[i], &err) || !spool_append(spools[i], body, &err))
			die(&err);
		message.body = spools[i];
		batches[i] = batch_new(NULL);
		if (batches[i] == NULL || !batch_append_to_use(batches[i], USE_INBOX, &message))
			exit(1);
	}
	if (!account_commit(account, batches, group, &err))
		die(&err);
	for (unsigned i = 0; i < group; i++) {
		if (batch_result(batches[i])->error.code != ERR_NONE)
			die(&batch_result(batches[i])->error);
		batch_free(&batches[i]);
		spool_free(&spools[i]);
	}
}

static void measure(
        struct store *store, struct account *account, uint64_t from, uint64_t to, unsigned group, struct span body)
{
	struct usage before = now(), after;
	double count = (double)(to - from), seconds;

	for (uint64_t i = from; i < to; i += group)
		commit_group(store, account, group, body);
	after = now();
	seconds = (double)(after.wall - before.wall) / 1000;
	printf("%8lu - %8lu: %6.1f us CPU, %5.1f KiB written a message, %7.0f messages/s\n", (unsigned long)from,
	        (unsigned long)to, (after.cpu - before.cpu) * 1e6 / count,
	        (double)(after.written - before.written) / 1024 / count, count / seconds);
}

int main(int argc, char **argv)
{
	uint64_t messages = 10000, group = 1, octets = 4096;
	struct store_settings settings = { .data_dir = argc > 1 ? argv[1] : NULL };
	struct account *account;
	struct store *store;
	struct error err;
	char *body;

	if (argc < 2 || (argc > 2 && !span_number(span_of(argv[2]), UINT32_MAX, &messages)) ||
	        (argc > 3 && !span_number(span_of(argv[3]), GROUP_MAX, &group)) ||
	        (argc > 4 && !span_number(span_of(argv[4]), 1 << 30, &octets)) || group == 0 || octets < 400) {
		fprintf(stderr, "usage: %s DIR [messages] [per commit, up to %d] [octets, from 400]\n", argv[0],
		        GROUP_MAX);
		return 2;
	}
	if (!store_open(&settings, &store, &err) || !store_create_account(store, 1, &err) ||
	        !account_open(store, 1, &account, &err))
		die(&err);
	body = malloc(octets);
	if (body == NULL)
		return 1;
	memset(body, 'x', octets);
	for (uint64_t from = 0, step = 1000; from < messages; from = step, step *= 10)
		measure(store, account, from, step < messages ? step : messages, (unsigned)group,
		        span_make(body, octets));
	free(body);
	account_release(&account);
	store_close(&store);
	return 0;
}
