/* For each operation of the store, and every n: the n-th thing that it asks of the system fails. Then an error is returned and
 * nothing is half done, or it succeeded and all is done; nothing leaks; and the same store can do it afterwards.
 * store_failures [--disk-full] [--for-good] [--stride N] [operation] */
#include "store_failures_queue.h"
#include "store_inject.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "message/summary.h"
#include "storage/batch.h"
#include "storage/changes.h"
#include "storage/check.h"
#include "storage/credentials.h"
#include "storage/directory.h"
#include "storage/mailbox.h"
#include "storage/messages.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ACCOUNT 1
#define NOW_MS  INT64_C(1800000000000)
#define N_MAX   100000

#define VIEW_NAMES  (5 + 6 + 4 + 7 + 4 + 5) /* octets of the subscribed names */
#define VIEW_OCTETS (4000 + 4000 + 14 + 7)  /* what rows hold of the messages in INBOX, and one mark */
#define READ_SUM    (40 + 5)                /* octets of the mailboxes' names, and messages in them */

struct scene {
	char dir[160];
	struct store *store;
	struct directory *directory;
	struct credentials *credentials;
	struct queue *queue;
	int64_t inbox, trash, archive;
	uint64_t modseq;
};

typedef bool operation(struct scene *scene, struct error *err);

struct row {
	const char *name;
	operation *run;
	bool changes; /* what is on the disk */
	bool borrows; /* the account */
};

static const char *what;
static unsigned failures;
static uint64_t stride = 1; /* 1: every n */

static void fail(const struct row *row, uint64_t n, const char *problem, const struct error *err)
{
	printf("%s, n = %lu (%s): %s: %s %s %s\n", row->name, (unsigned long)n, what ? what : "-", problem,
	        err ? error_name(err->code) : "", err ? err->reason : "", err ? err->detail : "");
	failures++;
}

/* A digest of all that is on the disk, names of body files apart: they are random. */

static void add_row(crypto_generichash_state *hash, sqlite3_stmt *rows)
{
	for (int i = 0; i < sqlite3_column_count(rows); i++) {
		const void *bytes = sqlite3_column_blob(rows, i);
		int size = sqlite3_column_bytes(rows, i), type = sqlite3_column_type(rows, i);

		if (strcmp(sqlite3_column_name(rows, i), "file") == 0)
			continue;
		crypto_generichash_update(hash, (const unsigned char *)&type, sizeof(type));
		crypto_generichash_update(hash, (const unsigned char *)&size, sizeof(size));
		if (size > 0)
			crypto_generichash_update(hash, bytes, (unsigned long long)size);
	}
}

static void add_table(crypto_generichash_state *hash, sqlite3 *handle, const char *table)
{
	char *sql = sqlite3_mprintf("SELECT * FROM %Q ORDER BY 1, 2", table);
	sqlite3_stmt *rows;

	if (sqlite3_prepare_v2(handle, sql, -1, &rows, NULL) != SQLITE_OK) { /* a table of one column */
		sqlite3_free(sql);
		sql = sqlite3_mprintf("SELECT * FROM %Q ORDER BY 1", table);
		if (sqlite3_prepare_v2(handle, sql, -1, &rows, NULL) != SQLITE_OK)
			abort();
	}
	while (sqlite3_step(rows) == SQLITE_ROW)
		add_row(hash, rows);
	sqlite3_finalize(rows);
	sqlite3_free(sql);
}

static void add_file(crypto_generichash_state *hash, const char *dir, const char *name)
{
	char path[300];
	sqlite3 *handle;
	sqlite3_stmt *tables;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (access(path, F_OK) != 0)
		return;
	if (sqlite3_open_v2(path, &handle, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		abort();
	sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	if (sqlite3_prepare_v2(handle, "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1", -1, &tables,
	            NULL) != SQLITE_OK)
		abort();
	while (sqlite3_step(tables) == SQLITE_ROW)
		add_table(hash, handle, (const char *)sqlite3_column_text(tables, 0));
	sqlite3_finalize(tables);
	sqlite3_close(handle);
}

struct digest {
	unsigned char bytes[32];
};

static struct digest digest_of(const char *dir)
{
	static const char *const files[] = { "directory.db", "auth.db", "queue.db", "accounts/1/mail.db",
		"accounts/2/mail.db" };
	crypto_generichash_state hash;
	struct digest digest;
	char path[300];

	crypto_generichash_init(&hash, NULL, 0, sizeof(digest.bytes));
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		add_file(&hash, dir, files[i]);
	snprintf(path, sizeof(path), "%s/accounts/2", dir);
	crypto_generichash_update(&hash, (const unsigned char *)(access(path, F_OK) == 0 ? "2" : "-"), 1);
	crypto_generichash_final(&hash, digest.bytes, sizeof(digest.bytes));
	return digest;
}

/* Operations */

struct body {
	struct spool *spool;
	struct message_summary summary;
	struct new_message message;
};

static bool make_body(struct scene *scene, struct body *body, size_t size, struct error *err)
{
	char piece[2000];

	memset(piece, 'b', sizeof(piece));
	memcpy(piece, "Subject: x\r\n\r\n", 14);
	body->summary = (struct message_summary) {
		.message_id = SPAN("new@x"), .in_reply_to = SPAN("old@x"), .size = size, .header_len = 14
	};
	body->message = (struct new_message) { .summary = &body->summary, .internal_date_ms = 5 };
	if (!spool_new(scene->store, UINT64_MAX, &body->spool, err))
		return false;
	body->message.body = body->spool;
	for (size_t left = size; left > 0; left -= left < sizeof(piece) ? left : sizeof(piece)) {
		if (!spool_append(body->spool, span_make(piece, left < sizeof(piece) ? left : sizeof(piece)), err))
			return false;
	}
	return true;
}

static bool commit(struct scene *scene, struct batch **batch, bool built, struct error *err)
{
	struct account *account;
	bool ok;

	if (!built)
		return error_set(err, ERR_NO_MEMORY, "batch");
	if (!account_open(scene->store, ACCOUNT, &account, err))
		return false;
	ok = account_commit(account, batch, 1, err);
	if (ok && batch_result(*batch)->error.code != ERR_NONE) {
		*err = batch_result(*batch)->error;
		ok = false;
	}
	account_release(&account);
	return ok;
}

static bool append(struct scene *scene, size_t size, bool with_op, struct error *err)
{
	struct batch *batch = batch_new(with_op ? (const uint8_t *)"0123456789abcdef" : NULL);
	struct body body = { 0 };
	bool ok;

	if (batch != NULL && with_op)
		batch_record_op(batch);
	ok = make_body(scene, &body, size, err);
	ok = ok && commit(scene, &batch, batch != NULL && batch_append(batch, scene->inbox, &body.message), err);
	batch_free(&batch);
	spool_free(&body.spool);
	return ok;
}

static bool append_small(struct scene *scene, struct error *err)
{
	return append(scene, 4000, false, err);
}

static bool append_large(struct scene *scene, struct error *err)
{
	return append(scene, 100000, false, err);
}

static bool append_once(struct scene *scene, struct error *err)
{
	return append(scene, 100, true, err);
}

/* Three batches in one commit, one of them over quota: the others are done. */
static bool append_group(struct scene *scene, struct error *err)
{
	struct batch *batches[3] = { NULL };
	struct body bodies[3] = { 0 };
	struct account *account = NULL;
	bool ok = true;

	for (int i = 0; ok && i < 3; i++) {
		batches[i] = batch_new(NULL);
		ok = make_body(scene, &bodies[i], 3000, err) &&
		     (batches[i] != NULL || error_set(err, ERR_NO_MEMORY, "batch"));
		if (ok && !batch_append(batches[i], scene->inbox, &bodies[i].message))
			ok = error_set(err, ERR_NO_MEMORY, "batch");
	}
	if (ok)
		batch_limit_usage(batches[1], 1, 0);
	ok = ok && account_open(scene->store, ACCOUNT, &account, err);
	ok = ok && account_commit(account, batches, 3, err);
	account_release(&account);
	for (int i = 0; i < 3; i++) {
		if (ok && batch_result(batches[i])->error.code != (i == 1 ? ERR_OVER_QUOTA : ERR_NONE)) {
			*err = batch_result(batches[i])->error;
			if (err->code == ERR_NO_SPACE ||
			        err->code == ERR_IO) /* the disk was asked, and the answer was no */
				err->code = ERR_CLOSED;
			ok = false;
		}
	}
	for (int i = 0; i < 3; i++) {
		batch_free(&batches[i]);
		spool_free(&bodies[i].spool);
	}
	return ok;
}

static const uint32_t some[] = { 1, 3 };

static bool flags(struct scene *scene, struct error *err)
{
	struct batch *batch = batch_new(NULL);
	bool ok = commit(scene, &batch,
	        batch != NULL && batch_flags(batch, scene->inbox, some, 2, FLAGS_ADD,
	                                 &(struct message_flags) { .system = FLAG_SEEN }, UINT64_MAX),
	        err);

	batch_free(&batch);
	return ok;
}

static bool copy(struct scene *scene, struct error *err)
{
	struct batch *batch = batch_new(NULL);
	bool ok = commit(scene, &batch, batch != NULL && batch_copy(batch, scene->inbox, some, 2, scene->trash), err);

	batch_free(&batch);
	return ok;
}

static bool move(struct scene *scene, struct error *err)
{
	struct batch *batch = batch_new(NULL);
	bool ok = commit(scene, &batch, batch != NULL && batch_move(batch, scene->inbox, some, 2, scene->trash), err);

	batch_free(&batch);
	return ok;
}

static bool expunge(struct scene *scene, struct error *err)
{
	struct batch *batch = batch_new(NULL);
	bool ok = commit(scene, &batch, batch != NULL && batch_expunge(batch, scene->inbox, some, 2), err);

	batch_free(&batch);
	return ok;
}

/* A condition that one message does not meet, and a keyword that is new. */
static bool flags_conditional(struct scene *scene, struct error *err)
{
	static const struct span names[] = { { "$Forwarded", 10 }, { "work", 4 } };
	const struct message_flags first = { .system = FLAG_FLAGGED }, second = { FLAG_ANSWERED, names, 2 };
	struct batch *batch = batch_new(NULL);
	bool built = batch != NULL && batch_flags(batch, scene->inbox, some, 1, FLAGS_ADD, &first, UINT64_MAX) &&
	             batch_flags(batch, scene->inbox, some, 2, FLAGS_SET, &second, scene->modseq);
	bool ok = commit(scene, &batch, built, err);

	if (ok && (batch_result(batch)->row_count != 2 || batch_result(batch)->modified_count != 1))
		ok = error_set(err, ERR_INTERNAL, "the condition was not kept");
	batch_free(&batch);
	return ok;
}

/* All numbers are given, all but one are in no use any more, and a name comes. */
static bool keywords_again(struct scene *scene, struct error *err)
{
	enum { REST = FLAG_KEYWORD_COUNT - 1 }; /* another message has the first */
	static char texts[REST][16];
	struct span names[REST], fresh = SPAN("fresh");
	const struct message_flags all = { .keywords = names, .keyword_count = REST };
	const struct message_flags one = { .keywords = &fresh, .keyword_count = 1 };
	struct batch *batch = batch_new(NULL);
	bool built, ok;

	for (int i = 0; i < REST; i++) {
		snprintf(texts[i], sizeof(texts[i]), "k%d", i);
		names[i] = span_of(texts[i]);
	}
	built = batch != NULL && batch_flags(batch, scene->inbox, some, 1, FLAGS_ADD, &all, UINT64_MAX) &&
	        batch_flags(batch, scene->inbox, some, 1, FLAGS_REMOVE, &all, UINT64_MAX) &&
	        batch_flags(batch, scene->inbox, some, 1, FLAGS_ADD, &one, UINT64_MAX);
	ok = commit(scene, &batch, built, err);
	batch_free(&batch);
	return ok;
}

static bool expunge_deleted(struct scene *scene, struct error *err)
{
	const struct message_flags deleted = { .system = FLAG_DELETED };
	struct batch *batch = batch_new(NULL);
	bool built = batch != NULL && batch_flags(batch, scene->inbox, some, 2, FLAGS_ADD, &deleted, UINT64_MAX) &&
	             batch_expunge_deleted(batch, scene->inbox, NULL, 0);
	bool ok = commit(scene, &batch, built, err);

	if (ok && batch_result(batch)->removed_count != 2)
		ok = error_set(err, ERR_INTERNAL, "removed others");
	batch_free(&batch);
	return ok;
}

/* MULTIAPPEND: three messages with flags in one batch, one of them large. */
static bool append_many(struct scene *scene, struct error *err)
{
	static const struct span name = { "$Label", 6 };
	struct batch *batch = batch_new(NULL);
	struct body bodies[3] = { 0 };
	bool ok = true, built = batch != NULL;

	for (int i = 0; ok && i < 3; i++) {
		ok = make_body(scene, &bodies[i], i == 1 ? 100000 : 3000, err);
		bodies[i].message.flags = (struct message_flags) { FLAG_SEEN, &name, 1 };
		built = ok && built && batch_append(batch, scene->trash, &bodies[i].message);
	}
	ok = ok && commit(scene, &batch, built, err);
	batch_free(&batch);
	for (int i = 0; i < 3; i++)
		spool_free(&bodies[i].spool);
	return ok;
}

/* A tree under a new parent, and INBOX, which leaves its messages behind. */
static bool rename_trees(struct scene *scene, struct error *err)
{
	struct batch *batch = batch_new(NULL);
	bool ok = commit(scene, &batch,
	        batch != NULL && batch_mailbox_rename(batch, scene->archive, SPAN("new/tree")) &&
	                batch_mailbox_rename(batch, scene->inbox, SPAN("new/old mail")),
	        err);

	batch_free(&batch);
	return ok;
}

static bool subscribe(struct scene *scene, struct error *err)
{
	struct batch *batch = batch_new(NULL);
	bool ok = commit(scene, &batch,
	        batch != NULL && batch_mailbox_subscribe(batch, SPAN("not there"), true) &&
	                batch_mailbox_subscribe(batch, SPAN("Trash"), false),
	        err);

	batch_free(&batch);
	return ok;
}

static bool mailbox_create(struct scene *scene, struct error *err)
{
	struct batch *batch = batch_new(NULL);
	bool ok = commit(scene, &batch,
	        batch != NULL && batch_mailbox_create(batch, SPAN("x/caf\xc3\xa9"), USE_NONE) &&
	                batch_mailbox_subscribe(batch, SPAN("x"), true),
	        err);

	batch_free(&batch);
	return ok;
}

static bool mailbox_rename(struct scene *scene, struct error *err)
{
	struct batch *batch = batch_new(NULL);
	bool ok = commit(scene, &batch, batch != NULL && batch_mailbox_rename(batch, scene->trash, SPAN("y/z")), err);

	batch_free(&batch);
	return ok;
}

static bool mailbox_delete(struct scene *scene, struct error *err)
{
	struct batch *batch = batch_new(NULL);
	bool ok = commit(scene, &batch, batch != NULL && batch_mailbox_delete(batch, scene->trash), err);

	batch_free(&batch);
	return ok;
}

static void look_at(void *arg, struct span name, const struct mailbox_info *info)
{
	*(uint64_t *)arg += name.len + info->messages;
}

static void look_at_name(void *arg, struct span name)
{
	*(uint64_t *)arg += name.len;
}

static bool look_at_message(void *arg, size_t i, const struct stored_message *m)
{
	(void)i;
	*(uint64_t *)arg += m->header.len + m->rest.len + (m->in_file ? 7 : 0) + (m->damaged ? 1000000 : 0);
	return true;
}

/* What views and FETCH read. */
static bool read_view(struct scene *scene, struct error *err)
{
	struct mailbox_snapshot snapshot = { 0 };
	struct keyword_list keywords = { 0 };
	const uint32_t uids[] = { 1, 2, 3 };
	int64_t ids[3], dates[3];
	struct account *account;
	uint64_t sum = 0;
	bool ok;

	if (!account_open(scene->store, ACCOUNT, &account, err))
		return false;
	ok = mailbox_snapshot(account, scene->inbox, &snapshot, err) && account_keywords(account, &keywords, err) &&
	     subscription_list(account, look_at_name, &sum, err) &&
	     mailbox_save_dates(account, scene->inbox, uids, 3, dates, err);
	if (ok && (snapshot.count != 3 || sum != VIEW_NAMES || dates[2] != NOW_MS / 1000 ||
	                  keywords.version != snapshot.keywords.version || keywords.names[0].len != 5))
		ok = error_set(err, ERR_INTERNAL, "read something else");
	for (size_t i = 0; ok && i < 3; i++)
		ids[i] = snapshot.rows[i].message_id;
	sum = 0;
	ok = ok && messages_read(account, ids, 3, WANT_META | WANT_ENVELOPE | WANT_BYTES, look_at_message, &sum, err);
	if (ok && sum != VIEW_OCTETS)
		ok = error_set(err, ERR_INTERNAL, "read other octets: %lu", (unsigned long)sum);
	mailbox_snapshot_free(&snapshot);
	keyword_list_free(&keywords);
	account_release(&account);
	return ok;
}

/* Everything that only reads, in one borrowing. */
static bool read_all(struct scene *scene, struct error *err)
{
	struct account_changes changes = { 0 };
	struct message_row *rows = NULL;
	struct account_usage usage;
	struct account *account;
	struct buffer out;
	uint64_t sum = 0;
	size_t count;
	bool ok;

	buffer_init(&out, MIB);
	if (!account_open(scene->store, ACCOUNT, &account, err))
		return false;
	ok = account_usage(account, &usage, err) && mailbox_list(account, look_at, &sum, err) &&
	     mailbox_rows(account, scene->inbox, &rows, &count, err);
	for (size_t i = 0; ok && i < count; i++) {
		buffer_clear(&out);
		ok = message_read(account, rows[i].message_id, 0, MIB, &out, err);
		if (ok && out.len != rows[i].size)
			ok = error_set(err, ERR_INTERNAL, "short read");
	}
	ok = ok && account_changes(account, 0, 0, &changes, err);
	if (ok && (usage.messages != 3 || sum != READ_SUM || count != 3 || changes.count != 7))
		ok = error_set(err, ERR_INTERNAL, "read something else");
	account_changes_free(&changes);
	account_release(&account);
	free(rows);
	buffer_free(&out);
	return ok;
}

static bool open_anew(struct scene *scene, struct error *err)
{
	struct store_settings settings = { .data_dir = scene->dir };
	struct store *store;
	struct account *account;
	bool ok;

	if (!store_open(&settings, &store, err))
		return false;
	ok = account_open(store, ACCOUNT, &account, err);
	account_release(&account);
	store_close(&store);
	return ok;
}

static bool create_account(struct scene *scene, struct error *err)
{
	random_seed_for_test(7);
	return store_create_account(scene->store, 2, err);
}

static bool directory_changes(struct scene *scene, struct error *err)
{
	struct resolution resolution;

	return directory_resolve(scene->directory, SPAN("postmaster"), SPAN("example.test"), &resolution, err) &&
	       directory_add_alias(scene->directory, SPAN("b\xc3\xbc@example.test"), SPAN("alice@example.test"), err);
}

static bool credentials_change(struct scene *scene, struct error *err)
{
	struct credential c = { .account_id = 2, .login = "bob@example.test", .password_hash = "x" };

	return credentials_put(scene->credentials, &c, err);
}

static bool credentials_read(struct scene *scene, struct error *err)
{
	struct credential c;

	return credentials_find(scene->credentials, SPAN("alice@example.test"), &c, err);
}

static bool directory_anew(struct scene *scene, struct error *err)
{
	struct directory *directory;
	bool ok = directory_open(scene->dir, &directory, err);

	directory_close(&directory);
	return ok;
}

static bool queue_in(struct scene *scene, struct error *err)
{
	return queue_add_two(scene->store, scene->queue, err);
}

static bool queue_some(struct scene *scene, struct error *err)
{
	return queue_finish_some(scene->store, scene->queue, err);
}

static bool queue_report(struct scene *scene, struct error *err)
{
	return queue_finish_report(scene->store, scene->queue, err);
}

static bool queue_held(struct scene *scene, struct error *err)
{
	return queue_hold_one(scene->store, scene->queue, err);
}

static bool queue_moved(struct scene *scene, struct error *err)
{
	return queue_reroute_one(scene->store, scene->queue, err);
}

static bool queue_dropped(struct scene *scene, struct error *err)
{
	return queue_drop_first(scene->store, scene->queue, err);
}

static bool queue_seen(struct scene *scene, struct error *err)
{
	return queue_look(scene->store, scene->queue, err);
}

static bool queue_again(struct scene *scene, struct error *err)
{
	return queue_anew(scene->dir, &scene->queue, err);
}

static const struct row rows[] = {
	{ "append small", append_small, true, true },
	{ "append large", append_large, true, true },
	{ "append once", append_once, true, true },
	{ "append group", append_group, true, true },
	{ "flags", flags, true, true },
	{ "flags conditional", flags_conditional, true, true },
	{ "keywords again", keywords_again, true, true },
	{ "append many", append_many, true, true },
	{ "expunge deleted", expunge_deleted, true, true },
	{ "rename trees", rename_trees, true, true },
	{ "subscribe", subscribe, true, true },
	{ "read view", read_view, false, true },
	{ "copy", copy, true, true },
	{ "move", move, true, true },
	{ "expunge", expunge, true, true },
	{ "mailbox create", mailbox_create, true, true },
	{ "mailbox rename", mailbox_rename, true, true },
	{ "mailbox delete", mailbox_delete, true, true },
	{ "read", read_all, false, true },
	{ "open", open_anew, false },
	{ "create account", create_account, true },
	{ "directory", directory_changes, true },
	{ "directory open", directory_anew, false },
	{ "credentials put", credentials_change, true },
	{ "credentials find", credentials_read, false },
	{ "queue add", queue_in, true },
	{ "queue finish", queue_some, true },
	{ "queue finish report", queue_report, true },
	{ "queue hold", queue_held, true },
	{ "queue reroute", queue_moved, true },
	{ "queue drop", queue_dropped, true },
	{ "queue look", queue_seen, false },
	{ "queue open", queue_again, false },
};

/* The scene: one account with three messages in INBOX, one of them large, and two of them in Trash as well. */

static void must(bool ok, const struct error *err)
{
	if (ok)
		return;
	printf("cannot set the scene: %s %s\n", err->reason, err->detail);
	exit(2);
}

static void open_scene(struct scene *scene, const char *dir)
{
	struct store_settings settings = { .data_dir = dir };
	struct account_usage usage;
	struct mailbox_info info;
	struct account *account;
	struct error err;

	snprintf(scene->dir, sizeof(scene->dir), "%s", dir);
	must(store_open(&settings, &scene->store, &err), &err);
	must(directory_open(dir, &scene->directory, &err), &err);
	must(credentials_open(dir, &scene->credentials, &err), &err);
	must(queue_open(dir, &scene->queue, &err), &err);
	must(store_create_account(scene->store, ACCOUNT, &err), &err);
	must(account_open(scene->store, ACCOUNT, &account, &err), &err);
	must(mailbox_find_use(account, USE_INBOX, &info, &err), &err);
	scene->inbox = info.id;
	must(mailbox_find(account, SPAN("Trash"), &info, &err), &err);
	scene->trash = info.id;
	must(mailbox_find(account, SPAN("Archive"), &info, &err), &err);
	scene->archive = info.id;
	must(account_usage(account, &usage, &err), &err);
	scene->modseq = usage.modseq;
	account_release(&account);
}

static void close_scene(struct scene *scene)
{
	store_close(&scene->store);
	directory_close(&scene->directory);
	credentials_close(&scene->credentials);
	queue_close(&scene->queue);
}

static bool label(struct scene *scene, struct error *err)
{
	static const struct span name = { "first", 5 };
	const struct message_flags flags = { .keywords = &name, .keyword_count = 1 };
	struct batch *batch = batch_new(NULL);
	bool ok = commit(
	        scene, &batch, batch_flags(batch, scene->inbox, some + 1, 1, FLAGS_ADD, &flags, UINT64_MAX), err);

	batch_free(&batch);
	return ok;
}

static void make_template(const char *dir)
{
	struct credential c = { .account_id = 1, .login = "alice@example.test", .password_hash = "x" };
	struct scene scene;
	struct error err;
	int64_t id;

	open_scene(&scene, dir);
	must(append_small(&scene, &err), &err);
	must(append_small(&scene, &err), &err);
	must(append_large(&scene, &err), &err);
	must(copy(&scene, &err), &err);
	must(label(&scene, &err), &err);
	struct batch *batch = batch_new(NULL);
	must(commit(&scene, &batch, batch_mailbox_create(batch, SPAN("Archive/x"), USE_NONE), &err), &err);
	batch_free(&batch);
	must(directory_add_domain(scene.directory, SPAN("example.test"), &err), &err);
	must(directory_add_account(scene.directory, SPAN("alice@example.test"), SPAN("A"), 0, 0, &id, &err), &err);
	must(credentials_put(scene.credentials, &c, &err), &err);
	must(queue_scene(scene.store, scene.queue, &err), &err);
	close_scene(&scene);
}

static const char *copy_from, *copy_to;

static int copy_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	char to[400], bytes[65536];
	ssize_t got;
	int in, out;

	(void)ftw;
	snprintf(to, sizeof(to), "%s%s", copy_to, path + strlen(copy_from));
	if (type == FTW_D)
		return mkdir(to, st->st_mode) != 0 && errno != EEXIST;
	if (strcmp(path + strlen(path) - 5, "spare") == 0)
		return 0;
	in = open(path, O_RDONLY);
	out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	while ((got = read(in, bytes, sizeof(bytes))) > 0)
		got = write(out, bytes, (size_t)got);
	close(in);
	close(out);
	return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static unsigned open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned number = 0;

	while (readdir(dir) != NULL)
		number++;
	closedir(dir);
	return number;
}

static const struct row *current;
static uint64_t current_n;
static bool disk_is_gone; /* the injected failure lasts: rubbish may stay behind, nothing else */

static void on_finding(void *arg, const struct finding *finding)
{
	(void)arg;
	if (finding->account_id == 2 && strcmp(finding->file, "accounts/2") == 0)
		return; /* the new account is in no directory */
	if (disk_is_gone && finding->severity == FINDING_RUBBISH)
		return;
	fail(current, current_n, finding->what, NULL);
}

static void check_clean(const struct scene *scene)
{
	struct error err;

	clock_set_for_test(-1, NOW_MS * 2); /* long after: what is rubbish is old enough to be seen */
	if (!check_site(scene->dir, false, on_finding, NULL, &err))
		fail(current, current_n, "check", &err);
	clock_set_for_test(-1, NOW_MS);
}

static bool same(struct digest a, struct digest b)
{
	return memcmp(&a, &b, sizeof(a)) == 0;
}

struct expectation {
	struct digest before, after;
};

/* What is looked at after a no: the same store does it at the second try, or, the process being gone, nothing is there. */
enum aftermath { TRY_AGAIN, LOOK };

struct injection {
	enum inject_mode mode;
	int number;
	bool closed; /* the account's file is opened inside the operation */
};

/* After a no nothing is there. Where the disk has failed for good, the sync of the commit and its undoing with it, nobody can know
 * whether the commit got there: then all of it is there, or nothing. */
static bool unknowable(const struct injection *injection)
{
	return injection->mode == INJECT_FOR_GOOD && strstr(what, "ync") != NULL;
}

static void look(const struct row *row, uint64_t n, const struct injection *injection,
        const struct expectation *expected, const char *dir, const struct error *err)
{
	struct digest found = digest_of(dir);

	if (!same(found, expected->before) && !(unknowable(injection) && same(found, expected->after)))
		fail(row, n, "said no, but something is done", err);
}

/* One run with the n-th failing. False: there is no n-th any more. */
static bool run_once(const struct row *row, const char *template, const char *dir, uint64_t n,
        const struct injection *injection, enum aftermath aftermath, const struct expectation *expected)
{
	struct scene scene = { 0 };
	struct error err;
	bool ok, fired;

	copy_from = template;
	copy_to = dir;
	nftw(template, copy_entry, 16, FTW_PHYS);
	open_scene(&scene, dir);
	if (injection->closed)
		store_close_idle(scene.store, 0);
	error_clear(&err);
	inject_arm(n, injection->mode, injection->number);
	disk_is_gone = injection->mode == INJECT_FOR_GOOD;
	ok = row->run(&scene, &err);
	fired = inject_disarm(&what);
	current = row;
	current_n = n;
	if (ok && row->changes && !same(digest_of(dir), expected->after))
		fail(row, n, "said yes, but it is not all there", NULL);
	if (!ok && err.code == ERR_NONE)
		fail(row, n, "no without a reason", &err);
	if (!ok && !fired)
		fail(row, n, "fails by itself", &err);
	if (!ok && err.code != ERR_CLOSED && aftermath == TRY_AGAIN && !unknowable(injection)) {
		if (!row->run(&scene, &err))
			fail(row, n, "does not work afterwards", &err);
		else if (row->changes && !same(digest_of(dir), expected->after))
			fail(row, n, "not right after a second try", NULL);
	}
	close_scene(&scene);
	if (!ok && err.code != ERR_CLOSED && aftermath == LOOK)
		look(row, n, injection, expected, dir, &err);
	check_clean(&scene);
	nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return fired;
}

/* One run without failures: what it must look like afterwards. */
static struct expectation expect(const struct row *row, const char *template, const char *dir)
{
	struct expectation expected = { .before = digest_of(template) };
	struct scene scene = { 0 };
	struct error err;

	copy_from = template;
	copy_to = dir;
	nftw(template, copy_entry, 16, FTW_PHYS);
	open_scene(&scene, dir);
	must(row->run(&scene, &err), &err);
	close_scene(&scene);
	expected.after = digest_of(dir);
	nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return expected;
}

/* Calls where halves can come from; of memory, which fails far more often, every fourth is enough here. */
static bool is_about_files(const char *call)
{
	return strstr(call, "alloc") == NULL;
}

static void run_all(const struct row *row, const char *template, const char *base, const struct injection *injection)
{
	unsigned descriptors = open_descriptors();
	struct expectation expected;
	char dir[128];
	uint64_t n;

	snprintf(dir, sizeof(dir), "%s/run", base);
	expected = expect(row, template, dir);
	for (n = 1 + random_below((uint32_t)stride); n < N_MAX && failures < 20; n += stride) {
		if (!run_once(row, template, dir, n, injection, TRY_AGAIN, &expected))
			break;
		if (is_about_files(what) || n % 4 == 0)
			run_once(row, template, dir, n, injection, LOOK, &expected);
	}
	if (open_descriptors() != descriptors)
		fail(row, n, "descriptors leaked", NULL);
	printf("%s%s: about %lu calls, %u failures\n", row->name, injection->closed ? ", file closed" : "",
	        (unsigned long)n - 1, failures);
	fflush(stdout);
}

/* "Durable on true": the last thing that happened to the WAL is a sync; a body's data, then its name, came before. */
static void check_durability(const char *template, const char *base)
{
	static const struct {
		const char *name;
		operation *run;
		const char *pattern;
	} cases[] = {
		{ "append small is durable", append_small, "ws" },
		{ "append large is durable", append_large, "dlfws" },
		{ "flags are durable", flags, "ws" },
		{ "expunge is durable", expunge, "ws" },
		{ "queue add is durable", queue_in, "dflfws" }, /* its directory is new */
		{ "queue finish is durable", queue_some, "ws" },
	};
	struct scene scene = { 0 };
	struct error err;
	char dir[128];

	snprintf(dir, sizeof(dir), "%s/run", base);
	copy_from = template;
	copy_to = dir;
	nftw(template, copy_entry, 16, FTW_PHYS);
	open_scene(&scene, dir);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char blobs[200];

		must(append_large(&scene, &err), &err); /* so that blobs/ is there */
		snprintf(blobs, sizeof(blobs), "%s/accounts/1/blobs", dir);
		for (unsigned d = 0; d < 256; d++) {
			char sub[220];

			snprintf(sub, sizeof(sub), "%s/%02x", blobs, d);
			mkdir(sub, 0700);
		}
		inject_trace_start();
		must(cases[i].run(&scene, &err), &err);
		if (strcmp(inject_trace(), cases[i].pattern) != 0) {
			printf("%s: %s\n", cases[i].name, inject_trace());
			failures++;
		}
	}
	close_scene(&scene);
	nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
	char base[] = "/dev/shm/store-failures-XXXXXX", template[80];
	struct injection injection = { .mode = INJECT_ONCE, .number = EIO };
	const char *only = NULL;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--for-good") == 0)
			injection.mode = INJECT_FOR_GOOD;
		else if (strcmp(argv[i], "--disk-full") == 0)
			injection.number = ENOSPC;
		else if (strcmp(argv[i], "--stride") == 0 && i + 1 < argc)
			(void)span_number(span_of(argv[++i]), N_MAX, &stride);
		else
			only = argv[i];
	}
	if (mkdtemp(base) == NULL || sodium_init() < 0)
		return 2;
	log_open("store_failures", LOG_ERROR);
	inject_install();
	if (freopen("/dev/null", "w", stderr) == NULL) /* each injected failure is logged */
		return 2;
	clock_set_for_test(-1, NOW_MS);
	snprintf(template, sizeof(template), "%s/template", base);
	make_template(template);
	check_durability(template, base);
	for (size_t i = 0; i < ARRAY_LEN(rows) && failures < 20; i++) {
		if (only != NULL && strcmp(only, rows[i].name) != 0)
			continue;
		for (int closed = 0; closed < (rows[i].borrows ? 2 : 1); closed++) {
			injection.closed = closed == 1;
			run_all(&rows[i], template, base, &injection);
		}
	}
	nftw(base, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	return failures == 0 ? 0 : 1;
}
