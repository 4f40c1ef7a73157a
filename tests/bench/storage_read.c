/* What reading from the store costs, for FETCH, SEARCH and the index: storage_read DIR [messages] [octets]
 * Fills INBOX up to so many messages (DIR may be kept), then reads each kind of thing of all of them, best of three; then what changes cost. */
#include "base/clock.h"
#include "base/random.h"
#include "message/summary.h"
#include "storage/batch.h"
#include "storage/changes.h"
#include "storage/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GROUP   500
#define AT_ONCE 1000
#define ROUNDS  3

struct bench {
	struct store *store;
	struct account *account;
	int64_t inbox, other;
	int64_t *ids;
	uint32_t *uids;
	size_t count;
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

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

static void commit(struct bench *b, struct batch **batch)
{
	struct error err;

	if (!account_commit(b->account, batch, 1, &err))
		die(&err);
	if (batch_result(*batch)->error.code != ERR_NONE)
		die(&batch_result(*batch)->error);
}

/* MULTIAPPEND: one batch. Summaries are of usual sizes; what they say does not matter here. */
static void append_group(struct bench *b, size_t count, struct span body)
{
	static struct message_summary summaries[GROUP];
	static struct spool *spools[GROUP];
	static char ids[GROUP][40];
	struct batch *batch = batch_new(NULL);
	struct error err;

	for (size_t i = 0; i < count; i++) {
		struct new_message message = { .summary = &summaries[i], .internal_date_ms = clock_wall_ms() };

		snprintf(ids[i], sizeof(ids[i]), "%016lx@example.test", (unsigned long)random_u64());
		summaries[i] = (struct message_summary) { .envelope = span_first(body, 330),
			.body = span_first(body, 90),
			.body_structure = span_first(body, 120),
			.parts = span_first(body, 20),
			.preview = span_first(body, 200),
			.base_subject = SPAN("a subject of ordinary length"),
			.message_id = span_of(ids[i]),
			.size = body.len,
			.header_len = 1200 };
		if (!spool_new(b->store, UINT64_MAX, &spools[i], &err) || !spool_append(spools[i], body, &err))
			die(&err);
		message.body = spools[i];
		if (!batch_append(batch, b->inbox, &message))
			exit(1);
	}
	commit(b, &batch);
	batch_free(&batch);
	for (size_t i = 0; i < count; i++)
		spool_free(&spools[i]);
}

static void fill(struct bench *b, size_t messages, size_t octets)
{
	struct mailbox_info info;
	char *body = malloc(octets);
	double start = now_ms(), cpu = cpu_ms();
	struct error err;

	memset(body, 'x', octets);
	if (!mailbox_find_use(b->account, USE_INBOX, &info, &err))
		die(&err);
	b->inbox = info.id;
	if (!mailbox_find_use(b->account, USE_ARCHIVE, &info, &err))
		die(&err);
	b->other = info.id;
	if (!mailbox_find_id(b->account, b->inbox, &info, &err))
		die(&err);
	for (size_t n = info.messages; n < messages; n += GROUP)
		append_group(b, messages - n < GROUP ? messages - n : GROUP, span_make(body, octets));
	if (info.messages < messages)
		printf("%-34s %8.0f messages/s, %.1f us CPU each\n", "append, 500 in a batch",
		        (double)(messages - info.messages) * 1e3 / (now_ms() - start),
		        (cpu_ms() - cpu) * 1e3 / (double)(messages - info.messages));
	free(body);
}

static void read_index(struct bench *b)
{
	double best = 1e9;

	for (int round = 0; round < ROUNDS; round++) {
		struct mailbox_snapshot snapshot;
		double start = now_ms();
		struct error err;

		if (!mailbox_snapshot(b->account, b->inbox, &snapshot, &err))
			die(&err);
		if (now_ms() - start < best)
			best = now_ms() - start;
		b->count = snapshot.count;
		b->ids = realloc(b->ids, (b->count + 1) * sizeof(*b->ids));
		b->uids = realloc(b->uids, (b->count + 1) * sizeof(*b->uids));
		for (size_t i = 0; i < b->count; i++) {
			b->ids[i] = snapshot.rows[i].message_id;
			b->uids[i] = snapshot.rows[i].uid;
		}
		mailbox_snapshot_free(&snapshot);
	}
	printf("%-34s %8.1f ms\n", "rows (mailbox_snapshot)", best);
}

static bool add_up(void *arg, size_t i, const struct stored_message *m)
{
	uint64_t *octets = arg;

	(void)i;
	*octets += m->envelope.len + m->body.len + m->body_structure.len + m->parts.len + m->preview.len +
	           m->base_subject.len + m->header.len + m->rest.len;
	return true;
}

static void read_all(struct bench *b, const char *what, unsigned wants)
{
	uint64_t octets = 0;
	double best = 1e9, first = 0;

	for (int round = 0; round < ROUNDS; round++) {
		double start = now_ms();
		struct error err;

		octets = 0;
		for (size_t at = 0; at < b->count; at += AT_ONCE) {
			if (!messages_read(b->account, b->ids + at, b->count - at < AT_ONCE ? b->count - at : AT_ONCE,
			            wants, add_up, &octets, &err))
				die(&err);
		}
		if (now_ms() - start < best)
			best = now_ms() - start;
		if (round == 0)
			first = now_ms() - start;
	}
	printf("%-34s %8.1f ms, the first time %8.1f ms, %8.1f MiB/s\n", what, best, first,
	        (double)octets / 1048576 * 1e3 / best);
}

/* Only every nth id. */
static void read_sparse(struct bench *b, size_t nth)
{
	size_t count = 0, all = b->count;
	int64_t *ids = b->ids;
	char what[64];

	b->ids = malloc((b->count + 1) * sizeof(*ids));
	for (size_t i = 0; i < all; i += nth)
		b->ids[count++] = ids[i];
	b->count = count;
	snprintf(what, sizeof(what), "  of %zu messages, every %zuth", count, nth);
	read_all(b, what, WANT_ENVELOPE);
	free(b->ids);
	b->ids = ids;
	b->count = all;
}

static void store_flags(struct bench *b, const char *what, size_t nth, uint64_t flags, enum flag_change change)
{
	struct message_flags wanted = { .system = flags };
	struct batch *batch = batch_new(NULL);
	uint32_t *uids = malloc((b->count + 1) * sizeof(*uids));
	size_t count = 0;
	double start;

	for (size_t i = 0; i < b->count; i += nth)
		uids[count++] = b->uids[i];
	start = now_ms();
	if (!batch_flags(batch, b->inbox, uids, count, change, &wanted, UINT64_MAX))
		exit(1);
	commit(b, &batch);
	printf("%-34s %8.1f ms for %zu\n", what, now_ms() - start, batch_result(batch)->row_count);
	batch_free(&batch);
	free(uids);
}

static void read_changes(struct bench *b, const char *what, uint64_t since)
{
	struct account_changes changes;
	size_t rows = 0, vanished = 0;
	double start = now_ms();
	struct error err;

	if (!account_changes(b->account, since, b->inbox, &changes, &err))
		die(&err);
	for (size_t i = 0; i < changes.count; i++) {
		rows += changes.mailboxes[i].row_count;
		vanished += changes.mailboxes[i].vanished_count;
	}
	printf("%-34s %8.2f ms for %zu rows, %zu vanished\n", what, now_ms() - start, rows, vanished);
	account_changes_free(&changes);
}

static uint64_t modseq_now(struct bench *b)
{
	struct account_usage usage;
	struct error err;

	if (!account_usage(b->account, &usage, &err))
		die(&err);
	return usage.modseq;
}

static void scattered_changes(struct bench *b)
{
	uint64_t since = modseq_now(b);

	for (size_t i = 0; i < 100; i++) {
		struct message_flags flags = { .system = FLAG_FLAGGED };
		struct batch *batch = batch_new(NULL);
		size_t at = (i * 7919 + 13) * (b->count / 100) / 100 % b->count;

		if (!batch_flags(batch, b->inbox, b->uids + at, 1, FLAGS_ADD, &flags, UINT64_MAX))
			exit(1);
		commit(b, &batch);
		batch_free(&batch);
	}
	read_changes(b, "changes, of 100 commits", since);
	since = modseq_now(b);
	store_flags(b, "STORE of every 1000th", 1000, FLAG_ANSWERED, FLAGS_ADD);
	read_changes(b, "changes, of that one", since);
	since = modseq_now(b);
	store_flags(b, "STORE back", 1000, FLAG_ANSWERED, FLAGS_REMOVE);
	append_group(b, 100, span_make("From: x\r\n\r\nshort", 16));
	read_changes(b, "changes, of that and 100 new", since);
}

static void copy_and_remove(struct bench *b)
{
	size_t count = b->count < 10000 ? b->count : 10000;
	struct batch *batch = batch_new(NULL);
	double start = now_ms();
	struct mailbox_info info;
	struct error err;

	if (!batch_copy(batch, b->inbox, b->uids, count, b->other))
		exit(1);
	commit(b, &batch);
	batch_free(&batch);
	printf("%-34s %8.1f ms for %zu\n", "COPY", now_ms() - start, count);
	if (!mailbox_find_id(b->account, b->other, &info, &err))
		die(&err);
	start = now_ms();
	batch = batch_new(NULL);
	for (uint32_t uid = 1; uid < info.uid_next; uid++)
		b->uids[uid - 1 < b->count ? uid - 1 : 0] = uid;
	if (!batch_expunge(batch, b->other, b->uids, info.uid_next - 1 < b->count ? info.uid_next - 1 : b->count))
		exit(1);
	commit(b, &batch);
	printf("%-34s %8.1f ms for %zu\n", "EXPUNGE of the copies", now_ms() - start,
	        batch_result(batch)->removed_count);
	batch_free(&batch);
}

int main(int argc, char **argv)
{
	struct store_settings settings = { .data_dir = argc > 1 ? argv[1] : NULL };
	uint64_t messages = 100000, octets = 4096;
	struct bench b = { 0 };
	struct error err;

	if (argc < 2 || (argc > 2 && !span_number(span_of(argv[2]), UINT32_MAX, &messages)) ||
	        (argc > 3 && !span_number(span_of(argv[3]), 1 << 30, &octets)) || octets < 2000 || messages < 1000) {
		fprintf(stderr, "usage: %s DIR [messages, from 1000] [octets, from 2000]\n", argv[0]);
		return 2;
	}
	if (!store_open(&settings, &b.store, &err) || !store_create_account(b.store, 1, &err) ||
	        !account_open(b.store, 1, &b.account, &err))
		die(&err);
	fill(&b, messages, octets);
	read_index(&b);
	read_all(&b, "meta", WANT_META);
	read_all(&b, "envelopes", WANT_ENVELOPE);
	read_sparse(&b, 2);
	read_sparse(&b, 4);
	read_sparse(&b, 8);
	read_sparse(&b, 100);
	read_all(&b, "body structures", WANT_BODY_STRUCTURE);
	read_all(&b, "sort and thread texts", WANT_META | WANT_THREADING);
	read_all(&b, "header blocks", WANT_HEADER);
	read_all(&b, "whole bodies", WANT_BYTES);
	store_flags(&b, "STORE of all", 1, FLAG_SEEN, FLAGS_ADD);
	store_flags(&b, "STORE of all, nothing to do", 1, FLAG_SEEN, FLAGS_ADD);
	store_flags(&b, "STORE of every 3rd", 3, FLAG_SEEN, FLAGS_REMOVE);
	store_flags(&b, "STORE of every 20th", 20, FLAG_DRAFT, FLAGS_ADD);
	store_flags(&b, "STORE back", 1, FLAG_SEEN | FLAG_DRAFT, FLAGS_REMOVE);
	scattered_changes(&b);
	copy_and_remove(&b);
	account_release(&b.account);
	store_close(&b.store);
	free(b.ids);
	free(b.uids);
	return 0;
}
