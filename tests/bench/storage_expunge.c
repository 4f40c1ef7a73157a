/* What it costs to expunge, move, copy and flag many messages in one transaction: storage_expunge DIR [messages] [days kept]
 * Meanwhile deliveries to the account wait. Prints wall and CPU time of each, and what was written. */
#include "base/clock.h"
#include "base/random.h"
#include "message/summary.h"
#include "storage/batch.h"
#include "storage/mailbox.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define GROUP  64
#define OCTETS 2000

struct usage {
	double cpu;
	int64_t wall;
};

static struct usage now(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (struct usage) { (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
		                        (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6,
		clock_mono_ms() };
}

static _Noreturn void die(const struct error *err)
{
	fprintf(stderr, "%s: %s\n", err->reason, err->detail);
	exit(1);
}

static void append(struct store *store, struct account *account, size_t count)
{
	static char octets[OCTETS];
	struct message_summary summaries[GROUP];
	struct batch *batches[GROUP];
	struct spool *spools[GROUP];
	char ids[GROUP][40];
	struct error err;

	memset(octets, 'x', sizeof(octets));
	for (size_t i = 0; i < count; i++) {
		struct new_message message = { .summary = &summaries[i], .internal_date_ms = clock_wall_ms() };

		snprintf(ids[i], sizeof(ids[i]), "%016lx@example.test", (unsigned long)random_u64());
		summaries[i] = (struct message_summary) { .envelope = span_make(octets, 300),
			.body = span_make(octets, 100),
			.body_structure = span_make(octets, 160),
			.preview = span_make(octets, 200),
			.base_subject = SPAN("a subject of ordinary length"),
			.message_id = span_of(ids[i]),
			.size = OCTETS,
			.header_len = 300 };
		if (!spool_new(store, UINT64_MAX, &spools[i], &err) ||
		        !spool_append(spools[i], span_make(octets, OCTETS), &err))
			die(&err);
		message.body = spools[i];
		batches[i] = batch_new(NULL);
		if (batches[i] == NULL || !batch_append_to_use(batches[i], USE_INBOX, &message))
			exit(1);
	}
	if (!account_commit(account, batches, count, &err))
		die(&err);
	for (size_t i = 0; i < count; i++) {
		batch_free(&batches[i]);
		spool_free(&spools[i]);
	}
}

static void fill(struct store *store, struct account *account, size_t count)
{
	for (size_t done = 0; done < count; done += GROUP)
		append(store, account, count - done < GROUP ? count - done : GROUP);
}

static void commit(struct account *account, struct batch *batch, const char *what, size_t count)
{
	struct usage before = now(), after;
	struct error err;

	if (!account_commit(account, &batch, 1, &err))
		die(&err);
	if (batch_result(batch)->error.code != ERR_NONE)
		die(&batch_result(batch)->error);
	after = now();
	printf("%-16s %7zu messages: %6ld ms, %6.1f us CPU a message\n", what, count, (long)(after.wall - before.wall),
	        (after.cpu - before.cpu) * 1e6 / (double)count);
	batch_free(&batch);
}

static struct mailbox_info find(struct account *account, const char *name)
{
	struct mailbox_info info;
	struct error err;

	if (!mailbox_find(account, span_of(name), &info, &err))
		die(&err);
	return info;
}

static uint32_t *uids_of(struct account *account, int64_t mailbox, size_t *count)
{
	struct message_row *rows;
	struct error err;
	uint32_t *uids;

	if (!mailbox_rows(account, mailbox, &rows, count, &err))
		die(&err);
	uids = malloc((*count + 1) * sizeof(*uids));
	for (size_t i = 0; uids != NULL && i < *count; i++)
		uids[i] = rows[i].uid;
	free(rows);
	return uids;
}

int main(int argc, char **argv)
{
	uint64_t messages = 50000, days = 7;
	struct store_settings settings = { .data_dir = argc > 1 ? argv[1] : NULL };
	const struct message_flags deleted = { .system = FLAG_DELETED };
	int64_t inbox, trash;
	struct account *account;
	struct store *store;
	struct batch *batch;
	struct error err;
	uint32_t *uids;
	size_t count;

	if (argc < 2 || (argc > 2 && !span_number(span_of(argv[2]), UINT32_MAX, &messages)) ||
	        (argc > 3 && !span_number(span_of(argv[3]), 3650, &days))) {
		fprintf(stderr, "usage: %s DIR [messages] [days that expunged messages are kept]\n", argv[0]);
		return 2;
	}
	settings.keep_expunged_days = (unsigned)days;
	if (!store_open(&settings, &store, &err) || !store_create_account(store, 1, &err) ||
	        !account_open(store, 1, &account, &err))
		die(&err);
	inbox = find(account, "INBOX").id;
	trash = find(account, "Trash").id;
	fill(store, account, messages);
	uids = uids_of(account, inbox, &count);

	batch = batch_new(NULL);
	batch_flags(batch, inbox, uids, count, FLAGS_ADD, &deleted, UINT64_MAX);
	commit(account, batch, "STORE \\Deleted", count);
	batch = batch_new(NULL);
	batch_copy(batch, inbox, uids, count, trash);
	commit(account, batch, "COPY", count);
	batch = batch_new(NULL);
	batch_expunge_deleted(batch, inbox, uids, count);
	commit(account, batch, "EXPUNGE of copies", count);
	free(uids);
	uids = uids_of(account, trash, &count);
	batch = batch_new(NULL);
	batch_move(batch, trash, uids, count, inbox);
	commit(account, batch, "MOVE", count);
	free(uids);
	uids = uids_of(account, inbox, &count);
	batch = batch_new(NULL);
	batch_expunge_deleted(batch, inbox, uids, count);
	commit(account, batch, "EXPUNGE", count);
	free(uids);
	account_release(&account);
	store_close(&store);
	return 0;
}
