/* What a search costs inside imapd, without the protocol: search_scan DIR [CORPUS]
 * CORPUS (bench/corpus.py's name without .bin and .idx) fills an empty INBOX first; DIR may be kept. Then each search, SORT and THREAD, first and best of
 * three, with one thread and with two that share the blocks as imapd/scan.c shares them. */
#include "base/clock.h"
#include "imapd/ordering.h"
#include "imapd/search_run.h"
#include "message/summary.h"
#include "storage/batch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GROUP  500
#define ROUNDS 3

struct corpus_entry {
	uint64_t offset;
	uint32_t length, epoch;
};

struct bench {
	struct store *store;
	int64_t inbox;
	struct message_row *rows;
	size_t count;
	uint64_t octets;
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Of all threads: what a busy machine does not change. */
static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static _Noreturn void die(const struct error *err)
{
	fprintf(stderr, "%s: %s\n", err->reason, err->detail);
	exit(1);
}

static void *read_all(const char *name, const char *end, size_t *size)
{
	char path[512];
	FILE *file;
	void *data;

	snprintf(path, sizeof(path), "%s%s", name, end);
	file = fopen(path, "rb");
	if (file == NULL || fseek(file, 0, SEEK_END) != 0)
		exit(1);
	*size = (size_t)ftell(file);
	rewind(file);
	data = malloc(*size);
	if (data == NULL || fread(data, 1, *size, file) != *size)
		exit(1);
	fclose(file);
	return data;
}

static void append_group(struct bench *b, struct account *account, struct summary_builder *builder, const char *data,
        const struct corpus_entry *entries, size_t count)
{
	static struct message_summary summaries[GROUP];
	static struct spool *spools[GROUP];
	struct batch *batch = batch_new(NULL);
	struct error err;

	for (size_t i = 0; i < count; i++) {
		struct new_message message = { .summary = &summaries[i],
			.internal_date_ms = (int64_t)entries[i].epoch * 1000 };
		struct span text = span_make(data + entries[i].offset, entries[i].length);

		if (!summary_feed(builder, text) || !summary_finish(builder, &summaries[i], &err) ||
		        !spool_new(b->store, UINT64_MAX, &spools[i], &err) || !spool_append(spools[i], text, &err))
			die(&err);
		message.body = spools[i];
		if (!batch_append(batch, b->inbox, &message))
			exit(1);
	}
	if (!account_commit(account, &batch, 1, &err))
		die(&err);
	if (batch_result(batch)->error.code != ERR_NONE)
		die(&batch_result(batch)->error);
	batch_free(&batch);
	for (size_t i = 0; i < count; i++) {
		spool_free(&spools[i]);
		message_summary_free(&summaries[i]);
	}
}

static void fill(struct bench *b, struct account *account, const char *corpus)
{
	size_t size, entries_size;
	char *data = read_all(corpus, ".bin", &size);
	struct corpus_entry *entries = read_all(corpus, ".idx", &entries_size);
	struct summary_builder *builder = summary_builder_new();
	size_t count = entries_size / sizeof(*entries);
	double begin = now_ms();

	for (size_t i = 0; i < count; i += GROUP)
		append_group(b, account, builder, data, entries + i, count - i < GROUP ? count - i : GROUP);
	printf("%zu messages in, %.0f/s\n", count, (double)count * 1000 / (now_ms() - begin));
	summary_builder_free(&builder);
	free(entries);
	free(data);
}

static void open_inbox(struct bench *b, const char *dir, const char *corpus)
{
	struct store_settings settings = { .data_dir = dir };
	struct mailbox_info info;
	struct account *account;
	struct error err;

	if (!store_open(&settings, &b->store, &err) || !store_create_account(b->store, 1, &err) ||
	        !account_open(b->store, 1, &account, &err) || !mailbox_find_use(account, USE_INBOX, &info, &err))
		die(&err);
	b->inbox = info.id;
	if (info.messages == 0 && corpus != NULL)
		fill(b, account, corpus);
	if (!mailbox_rows(account, b->inbox, &b->rows, &b->count, &err))
		die(&err);
	account_release(&account);
	for (size_t i = 0; i < b->count; i++)
		b->octets += b->rows[i].size;
}

static bool keyword(const void *arg, struct span name, uint64_t *bit)
{
	(void)arg, (void)name, (void)bit;
	return false;
}

static struct view_message *messages_of(const struct bench *b)
{
	struct view_message *messages = calloc(b->count + 1, sizeof(*messages));

	for (size_t i = 0; messages != NULL && i < b->count; i++)
		messages[i] = (struct view_message) { .sequence = (uint32_t)i + 1, .row = b->rows[i] };
	return messages;
}

/* --- threads that take blocks, as scan.c does --- */

struct work {
	size_t (*block)(void *arg, size_t first);
	bool (*run)(void *arg, unsigned job, size_t first, size_t count, struct error *err);
	void *arg;
	size_t count, next;
	pthread_mutex_t mutex;
	atomic_uint jobs;
};

static void *work_thread(void *arg)
{
	struct work *w = arg;
	unsigned job = atomic_fetch_add(&w->jobs, 1);
	struct error err;

	for (;;) {
		size_t first, count = 0;

		pthread_mutex_lock(&w->mutex);
		first = w->next;
		if (first < w->count)
			count = w->block(w->arg, first);
		w->next += count;
		pthread_mutex_unlock(&w->mutex);
		if (count == 0)
			return NULL;
		do {
			if (!w->run(w->arg, job, first, count, &err))
				die(&err);
		} while (w->run == search_run_work && search_run_is_unfinished(w->arg, job));
	}
}

static void work_with(struct work *w, unsigned threads)
{
	pthread_t ids[SCAN_JOBS_MAX];

	pthread_mutex_init(&w->mutex, NULL);
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, work_thread, w) != 0)
			exit(1);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	pthread_mutex_destroy(&w->mutex);
}

/* --- what is measured --- */

static double search(const struct bench *b, const char *keys, unsigned threads, size_t *hits)
{
	struct search_context context = {
		.largest_sequence = (uint32_t)b->count, .largest_uid = UINT32_MAX, .keyword = keyword
	};
	struct search_program *program;
	struct search_args args = { 0 };
	struct search_run *run;
	struct arena arena;
	struct error err;
	struct parser parser = { .in = span_of(keys), .arena = &arena, .err = &err };
	struct work work = { .block = search_run_block, .run = search_run_work, .count = b->count };
	double begin;

	arena_init(&arena, PARSE_ARENA_MAX);
	if (!parse_search(&parser, &args) || !search_program_new(args.key, &context, &program, &err))
		die(&err);
	arena_free(&arena);
	begin = now_ms();
	work.arg = run = search_run_new(program, messages_of(b), b->count, b->store, 1, b->inbox);
	work_with(&work, threads);
	search_run_hits(run, hits);
	begin = now_ms() - begin;
	search_run_free(&run);
	return begin;
}

static double order(const struct bench *b, const struct sort_criterion *criterion, enum thread_algorithm algorithm,
        unsigned threads)
{
	struct view_message *messages = messages_of(b);
	struct ordering_plan plan = { .store = b->store,
		.account_id = 1,
		.messages = messages,
		.count = b->count,
		.criteria = criterion,
		.criterion_count = criterion != NULL,
		.algorithm = algorithm,
		.memory_max = ORDERING_MEMORY_MAX };
	double begin = now_ms();
	struct work work = { .block = ordering_block, .run = ordering_work, .count = b->count };
	struct ordering *ordering;
	struct error err;

	if (!ordering_new(&plan, &ordering, &err))
		die(&err);
	work.arg = ordering;
	work_with(&work, threads);
	if (!ordering_compute(ordering, 0, 0, 1, &err))
		die(&err);
	begin = now_ms() - begin;
	ordering_free(&ordering);
	free(messages);
	return begin;
}

static void measure_searches(const struct bench *b)
{
	static const char *const searches[] = { " UNSEEN", " FROM hannelore", " SUBJECT budgetplan",
		" SINCE 1-Jan-2020", " SENTSINCE 1-Jan-2020", " HEADER Message-ID nowhere", " BODY kilimanjaro",
		" BODY zebrafish", " TEXT kilimanjaro", " TEXT nowhere", " OR BODY zebrafish TEXT \"nowhere\"" };

	for (size_t i = 0; i < ARRAY_LEN(searches); i++) {
		for (unsigned threads = 1; threads <= SCAN_JOBS_MAX; threads++) {
			double first = 0, best = 1e9, cpu = cpu_ms();
			size_t hits;

			for (int round = 0; round < ROUNDS; round++) {
				double took = search(b, searches[i], threads, &hits);

				first = round == 0 ? took : first;
				best = took < best ? took : best;
			}
			cpu = (cpu_ms() - cpu) / ROUNDS;
			printf("%-34s %u thread%s %6zu hits, first %7.1f ms, best %7.1f ms, CPU %7.1f ms, %5.0f MB per CPU second\n",
			        searches[i], threads, threads == 1 ? " " : "s", hits, first, best, cpu,
			        (double)b->octets / cpu / 1e3);
		}
	}
}

static void measure_orders(const struct bench *b)
{
	static const struct {
		const char *name;
		struct sort_criterion criterion;
	} sorts[] = { { "SORT (DATE)", { SORT_DATE, false } }, { "SORT (SUBJECT)", { SORT_SUBJECT, false } },
		{ "SORT (FROM)", { SORT_FROM, false } } };

	for (size_t i = 0; i < ARRAY_LEN(sorts) + 2; i++) {
		const char *name = i < ARRAY_LEN(sorts)    ? sorts[i].name
		                   : i == ARRAY_LEN(sorts) ? "THREAD REFERENCES"
		                                           : "THREAD ORDEREDSUBJECT";
		enum thread_algorithm algorithm = i == ARRAY_LEN(sorts) ? THREAD_REFERENCES : THREAD_ORDEREDSUBJECT;

		for (unsigned threads = 1; threads <= SCAN_JOBS_MAX; threads++) {
			double best = 1e9, cpu = cpu_ms();

			for (int round = 0; round < ROUNDS; round++) {
				double took =
				        order(b, i < ARRAY_LEN(sorts) ? &sorts[i].criterion : NULL, algorithm, threads);

				best = took < best ? took : best;
			}
			printf("%-34s %u thread%s best %7.1f ms, CPU %7.1f ms\n", name, threads,
			        threads == 1 ? " " : "s", best, (cpu_ms() - cpu) / ROUNDS);
		}
	}
}

int main(int argc, char **argv)
{
	struct bench b = { 0 };

	if (argc < 2) {
		fprintf(stderr, "search_scan DIR [CORPUS]\n");
		return 2;
	}
	open_inbox(&b, argv[1], argc > 2 ? argv[2] : NULL);
	printf("%zu messages, %.1f MB\n", b.count, (double)b.octets / 1e6);
	measure_searches(&b);
	measure_orders(&b);
	free(b.rows);
	store_close(&b.store);
	return 0;
}
