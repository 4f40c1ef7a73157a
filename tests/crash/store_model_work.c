#include "store_model.h"

#include "message/summary.h"
#include "storage/account.h"
#include "storage/batch.h"
#include "storage/changes.h"
#include "storage/mailbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const shared_names[] = { "INBOX", "Archive", "Trash" };

struct worker {
	struct store *store;
	struct account *account;
	struct model *model;
	uint64_t random;
	const char *dir;
	int64_t shared[ARRAY_LEN(shared_names)];
	/* a copy of INBOX kept up to date by the change feed alone */
	uint64_t feed_modseq;
	uint64_t *feed_flags; /* by UID; UINT64_MAX: not there */
	size_t feed_size;
	struct keyword_list feed_keywords;
};

static _Noreturn void contradiction(const struct worker *w, const char *what, const struct error *err)
{
	fprintf(stderr, "process %u: %s: %s %s\n", w->model->number, what, err ? err->reason : "",
	        err ? err->detail : "");
	_exit(3);
}

static uint32_t below(struct worker *w, uint32_t bound)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(w->random >> 33) % bound;
}

static void open_store(struct worker *w)
{
	struct store_settings settings = { .data_dir = w->dir, .keep_expunged_days = below(w, 2) };
	struct error err;

	if (!store_open(&settings, &w->store, &err))
		contradiction(w, "store_open", &err);
}

static void commit(struct worker *w, struct batch **batch)
{
	struct error err;

	if (!account_commit(w->account, batch, 1, &err))
		contradiction(w, "commit", &err);
	if (batch_result(*batch)->error.code != ERR_NONE)
		contradiction(w, "batch", &batch_result(*batch)->error);
	w->model->writing_down = true;
	w->model->commits++;
}

static void written_down(struct model *model)
{
	model->pending = PENDING_NONE;
	model->writing_down = false;
}

/* At most one keyword goes with the flags. */
struct flags_wanted {
	char name[8];
	struct span keyword;
	struct message_flags flags;
};

static uint64_t choose_flags(struct worker *w)
{
	uint64_t flags = below(w, 32);

	if (below(w, 6) == 0)
		flags |= (uint64_t)(1 + below(w, MODEL_KEYWORDS)) << MODEL_KEYWORD_SHIFT;
	return flags;
}

static void want_flags(struct flags_wanted *out, uint64_t flags)
{
	uint64_t number = flags >> MODEL_KEYWORD_SHIFT;

	snprintf(out->name, sizeof(out->name), "%s%u", number % 2 == 0 ? "mk" : "MK", (unsigned)(number - 1) % 100);
	out->keyword = span_of(out->name);
	out->flags = (struct message_flags) { flags & FLAG_SYSTEM, &out->keyword, number != 0 };
}

/* False: there are too many keywords now, and nothing was done. */
static bool commit_flags(struct worker *w, struct batch **batch)
{
	struct error err;

	if (!account_commit(w->account, batch, 1, &err))
		contradiction(w, "commit", &err);
	if (batch_result(*batch)->error.code == ERR_LIMIT)
		return false;
	if (batch_result(*batch)->error.code != ERR_NONE)
		contradiction(w, "batch", &batch_result(*batch)->error);
	w->model->writing_down = true;
	w->model->commits++;
	return true;
}

static int64_t some_mailbox(struct worker *w)
{
	uint32_t i = below(w, MODEL_MAILBOXES + 8);

	if (i < MODEL_MAILBOXES && w->model->mailboxes[i].live)
		return w->model->mailboxes[i].id;
	return w->shared[below(w, ARRAY_LEN(shared_names))];
}

static struct entry *new_entry(struct worker *w)
{
	struct model *model = w->model;

	for (uint32_t i = 0; i < model->entry_count; i++) {
		if (!model->entries[i].live)
			return &model->entries[i];
	}
	return model->entry_count < MODEL_ENTRIES ? &model->entries[model->entry_count++] : NULL;
}

static uint32_t live_count(const struct model *model)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < model->entry_count; i++)
		count += model->entries[i].live;
	return count;
}

static struct spool *make_body(struct worker *w, uint32_t tag, struct message_summary *summary)
{
	size_t size = below(w, 20) == 0 ? 66000 + below(w, 40000) : 60 + below(w, 5000);
	char *text = malloc(size);
	struct spool *spool;
	struct error err;
	int header;

	memset(text, 'm', size);
	header = snprintf(text, 60, "X-Tag: %u.%u\r\n\r\n", w->model->number, tag);
	text[header] = 'm';
	if (!spool_new(w->store, UINT64_MAX, &spool, &err) || !spool_append(spool, span_make(text, size), &err))
		contradiction(w, "spool", &err);
	free(text);
	*summary =
	        (struct message_summary) { .size = size, .header_len = (uint64_t)header, .message_id = SPAN("same@x") };
	return spool;
}

static void do_append(struct worker *w)
{
	struct message_summary summaries[MODEL_BATCH];
	struct spool *spools[MODEL_BATCH];
	struct model *model = w->model;
	struct batch *batch = batch_new(NULL);
	uint32_t count = 1 + below(w, 4), last = 0;
	struct flags_wanted wanted;
	bool done;

	model->target = some_mailbox(w);
	model->count = count;
	model->flags = choose_flags(w);
	want_flags(&wanted, model->flags);
	for (uint32_t i = 0; i < count; i++) {
		struct new_message message = { .summary = &summaries[i], .flags = wanted.flags };

		model->tags[i] = model->next_tag++;
		message.body = spools[i] = make_body(w, model->tags[i], &summaries[i]);
		batch_append(batch, model->target, &message);
	}
	model->pending = PENDING_APPEND;
	done = commit_flags(w, &batch);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t uid = done ? batch_result(batch)->uids[i] : 0;

		spool_free(&spools[i]);
		if (!done)
			continue;
		if (uid <= last)
			contradiction(w, "UIDs do not grow", NULL);
		last = uid;
		*new_entry(w) = (struct entry) { model->tags[i], uid, model->target, model->flags,
			batch_result(batch)->modseq, true };
	}
	written_down(model);
	batch_free(&batch);
}

static int compare_index(const void *a, const void *b, void *arg)
{
	const struct model *model = arg;
	uint32_t left = model->entries[*(const uint32_t *)a].uid, right = model->entries[*(const uint32_t *)b].uid;

	return (left > right) - (left < right);
}

/* Some of our messages in one mailbox, by UID. */
static uint32_t choose(struct worker *w, int64_t *mailbox, uint32_t *uids)
{
	struct model *model = w->model;
	uint32_t start, count = 0, want = 1 + below(w, MODEL_BATCH);

	if (model->entry_count == 0)
		return 0;
	start = below(w, model->entry_count);
	*mailbox = 0;
	for (uint32_t n = 0; n < model->entry_count && count < want; n++) {
		uint32_t i = (start + n) % model->entry_count;

		if (!model->entries[i].live || (*mailbox != 0 && model->entries[i].mailbox != *mailbox))
			continue;
		*mailbox = model->entries[i].mailbox;
		model->indices[count++] = i;
	}
	qsort_r(model->indices, count, sizeof(model->indices[0]), compare_index, model);
	for (uint32_t i = 0; i < count; i++) {
		uids[i] = model->entries[model->indices[i]].uid;
		model->tags[i] = model->entries[model->indices[i]].tag;
	}
	model->count = count;
	return count;
}

static void do_copy_or_move(struct worker *w, enum pending_type type)
{
	struct model *model = w->model;
	uint32_t uids[MODEL_BATCH], count;
	struct batch *batch;
	int64_t from;

	count = choose(w, &from, uids);
	if (count == 0)
		return;
	batch = batch_new(NULL);
	model->target = some_mailbox(w);
	if (type == PENDING_COPY)
		batch_copy(batch, from, uids, count, model->target);
	else
		batch_move(batch, from, uids, count, model->target);
	model->pending = type;
	commit(w, &batch);
	if (batch_result(batch)->uid_count != count)
		contradiction(w, "a message of ours was not there to copy", NULL);
	for (uint32_t i = 0; i < count; i++) {
		struct entry *old = &model->entries[model->indices[i]];
		struct entry moved = { old->tag, batch_result(batch)->uids[i], model->target, old->flags,
			batch_result(batch)->modseq, true };

		if (batch_result(batch)->source_uids[i] != old->uid)
			contradiction(w, "source UID", NULL);
		if (type == PENDING_MOVE)
			old->live = false;
		*new_entry(w) = moved;
	}
	written_down(model);
	batch_free(&batch);
}

/* Those that the condition leaves alone are taken off the pending ones, and their UIDs kept. */
static uint32_t take_off_modified(struct worker *w, uint64_t unchanged_since, uint32_t *modified)
{
	struct model *model = w->model;
	uint32_t kept = 0, count = 0;

	for (uint32_t i = 0; i < model->count; i++) {
		const struct entry *entry = &model->entries[model->indices[i]];

		if (entry->modseq > unchanged_since)
			modified[count++] = entry->uid;
		else
			model->indices[kept++] = model->indices[i];
	}
	model->count = kept;
	return count;
}

static void compare_flags_result(
        struct worker *w, const struct batch_result *result, const uint32_t *modified, size_t modified_count)
{
	struct model *model = w->model;

	if (result->modified_count != modified_count || result->row_count != model->count)
		contradiction(w, "another number of messages met the condition", NULL);
	for (size_t i = 0; i < modified_count; i++) {
		if (result->modified[i] != modified[i])
			contradiction(w, "another message was modified", NULL);
	}
	for (uint32_t i = 0; i < model->count; i++) {
		struct entry *entry = &model->entries[model->indices[i]];
		const struct flags_row *row = &result->rows[i];

		if (row->uid != entry->uid || (row->flags & FLAG_SYSTEM) != (model->flags & FLAG_SYSTEM) ||
		        row->changed != (entry->flags != model->flags) ||
		        row->modseq != (row->changed ? result->modseq : entry->modseq))
			contradiction(w, "the result of a change of flags", NULL);
		entry->flags = model->flags;
		entry->modseq = row->modseq;
	}
}

static void do_flags(struct worker *w)
{
	struct model *model = w->model;
	uint32_t uids[MODEL_BATCH], modified[MODEL_BATCH], count, modified_count;
	uint64_t unchanged_since = UINT64_MAX;
	struct flags_wanted wanted;
	struct batch *batch;
	int64_t mailbox;

	count = choose(w, &mailbox, uids);
	if (count == 0)
		return;
	if (below(w, 2) == 0)
		unchanged_since = model->entries[model->indices[below(w, count)]].modseq - below(w, 2);
	modified_count = take_off_modified(w, unchanged_since, modified);
	batch = batch_new(NULL);
	model->flags = choose_flags(w);
	want_flags(&wanted, model->flags);
	batch_flags(batch, mailbox, uids, count, FLAGS_SET, &wanted.flags, unchanged_since);
	model->pending = PENDING_FLAGS;
	if (commit_flags(w, &batch))
		compare_flags_result(w, batch_result(batch), modified, modified_count);
	written_down(model);
	batch_free(&batch);
}

/* Half of the time as IMAP does it: \Deleted, and then what has it at the commit. */
static void do_expunge(struct worker *w)
{
	const struct message_flags deleted = { .system = FLAG_DELETED };
	struct model *model = w->model;
	uint32_t uids[MODEL_BATCH], count;
	struct batch *batch;
	int64_t mailbox;

	count = choose(w, &mailbox, uids);
	if (count == 0)
		return;
	batch = batch_new(NULL);
	if (below(w, 2) == 0) {
		batch_flags(batch, mailbox, uids, count, FLAGS_ADD, &deleted, UINT64_MAX);
		batch_expunge_deleted(batch, mailbox, uids, count);
	} else {
		batch_expunge(batch, mailbox, uids, count);
	}
	model->pending = PENDING_EXPUNGE;
	commit(w, &batch);
	if (batch_result(batch)->removed_count != count)
		contradiction(w, "a message of ours was not there to expunge", NULL);
	for (uint32_t i = 0; i < count; i++)
		model->entries[model->indices[i]].live = false;
	written_down(model);
	batch_free(&batch);
}

static int64_t find(struct worker *w, const char *name)
{
	struct mailbox_info info;
	struct error err;

	if (!mailbox_find(w->account, span_of(name), &info, &err))
		contradiction(w, name, &err);
	return info.id;
}

static void do_mailbox(struct worker *w)
{
	struct model *model = w->model;
	struct own_mailbox *mailbox;
	struct batch *batch = batch_new(NULL);
	bool deleting;

	model->mailbox_index = below(w, MODEL_MAILBOXES);
	mailbox = &model->mailboxes[model->mailbox_index];
	deleting = mailbox->live && below(w, 3) == 0;
	snprintf(model->mailbox_name, sizeof(model->mailbox_name), "%s/%u", model->root, model->next_tag++);
	if (deleting) {
		model->mailbox_name[0] = '\0';
		batch_mailbox_delete(batch, mailbox->id);
	} else if (mailbox->live) {
		batch_mailbox_rename(batch, mailbox->id, span_of(model->mailbox_name));
	} else {
		batch_mailbox_create(batch, span_of(model->mailbox_name), USE_NONE);
	}
	model->pending = PENDING_MAILBOX;
	commit(w, &batch);
	for (uint32_t i = 0; deleting && i < model->entry_count; i++) {
		if (model->entries[i].mailbox == mailbox->id)
			model->entries[i].live = false;
	}
	memcpy(mailbox->name, model->mailbox_name, sizeof(mailbox->name));
	mailbox->live = !deleting;
	if (!deleting)
		mailbox->id = find(w, mailbox->name);
	written_down(model);
	batch_free(&batch);
}

/* All of our mailboxes get a new parent. */
static void do_tree(struct worker *w)
{
	struct model *model = w->model;
	struct mailbox_info info;
	struct batch *batch;
	struct error err;

	if (!mailbox_find(w->account, span_of(model->root), &info, &err)) {
		if (err.code != ERR_NO_SUCH_MAILBOX)
			contradiction(w, model->root, &err);
		return; /* none was made yet */
	}
	snprintf(model->new_root, sizeof(model->new_root), "p%u-%u", model->number, model->next_tag++);
	batch = batch_new(NULL);
	batch_mailbox_rename(batch, info.id, span_of(model->new_root));
	model->pending = PENDING_TREE;
	commit(w, &batch);
	for (uint32_t i = 0; i < MODEL_MAILBOXES; i++) {
		char name[40];

		if (!model->mailboxes[i].live)
			continue;
		snprintf(name, sizeof(name), "%s%s", model->new_root, model->mailboxes[i].name + strlen(model->root));
		memcpy(model->mailboxes[i].name, name, sizeof(name));
	}
	memcpy(model->root, model->new_root, sizeof(model->root));
	written_down(model);
	batch_free(&batch);
}

static void feed_set(struct worker *w, uint32_t uid, uint64_t flags)
{
	if (uid >= w->feed_size) {
		size_t bigger = uid * 2 + 1024;

		w->feed_flags = realloc(w->feed_flags, bigger * sizeof(*w->feed_flags));
		memset(w->feed_flags + w->feed_size, 0xff, (bigger - w->feed_size) * sizeof(*w->feed_flags));
		w->feed_size = bigger;
	}
	w->feed_flags[uid] = flags;
}

/* The list that came with the feed names the bits of rows that are no newer. */
static void compare_keywords(struct worker *w, const struct mailbox_snapshot *now)
{
	for (unsigned n = 0; n < FLAG_KEYWORD_COUNT; n++) {
		if (!span_equal(w->feed_keywords.names[n], now->keywords.names[n]))
			contradiction(w, "the change feed missed a keyword", NULL);
	}
}

static void compare_feed(struct worker *w)
{
	struct mailbox_snapshot now;
	size_t known = 0;
	struct error err;

	if (!mailbox_snapshot(w->account, w->shared[0], &now, &err))
		contradiction(w, "snapshot", &err);
	if (now.modseq == w->feed_modseq) { /* else somebody was faster: compare another time */
		for (size_t uid = 0; uid < w->feed_size; uid++)
			known += w->feed_flags[uid] != UINT64_MAX;
		for (size_t i = 0; i < now.count; i++) {
			if (now.rows[i].uid >= w->feed_size || w->feed_flags[now.rows[i].uid] != now.rows[i].flags)
				contradiction(w, "the change feed missed a row", NULL);
		}
		if (known > now.count)
			contradiction(w, "the change feed missed an expunge", NULL);
		compare_keywords(w, &now);
	}
	mailbox_snapshot_free(&now);
}

static void do_feed(struct worker *w)
{
	struct account_changes changes;
	struct error err;

	if (!account_changes(w->account, w->feed_modseq, w->shared[0], &changes, &err))
		contradiction(w, "changes", &err);
	for (size_t i = 0; i < changes.count; i++) {
		const struct mailbox_changes *inbox = &changes.mailboxes[i];

		for (size_t n = 0; n < inbox->vanished_count; n++)
			feed_set(w, inbox->vanished[n], UINT64_MAX);
		for (size_t n = 0; n < inbox->row_count; n++)
			feed_set(w, inbox->rows[n].uid, inbox->rows[n].flags);
	}
	if (changes.modseq < w->feed_modseq)
		contradiction(w, "modseq went back", NULL);
	w->feed_modseq = changes.modseq;
	if (changes.keywords.version != 0) {
		keyword_list_free(&w->feed_keywords);
		w->feed_keywords = changes.keywords;
		changes.keywords = (struct keyword_list) { 0 };
	}
	account_changes_free(&changes);
	compare_feed(w);
}

static void do_maintenance(struct worker *w, uint32_t what)
{
	struct error err;

	if (what == 0) {
		if (!database_checkpoint(w->account->database, &err))
			contradiction(w, "checkpoint", &err);
		return;
	}
	account_release(&w->account);
	store_close(&w->store);
	open_store(w);
}

static void one_step(struct worker *w)
{
	uint32_t dice = below(w, 100), live = live_count(w->model);

	if (live + 2 * MODEL_BATCH > MODEL_ENTRIES / 4)
		do_expunge(w);
	else if (dice < 40)
		do_append(w);
	else if (dice < 50)
		do_copy_or_move(w, PENDING_COPY);
	else if (dice < 65)
		do_copy_or_move(w, PENDING_MOVE);
	else if (dice < 80)
		do_flags(w);
	else if (dice < 88)
		do_expunge(w);
	else if (dice < 93)
		do_mailbox(w);
	else if (dice < 94)
		do_tree(w);
	else if (dice < 98)
		do_feed(w);
	else
		do_maintenance(w, below(w, 2));
}

static void find_shared(struct worker *w)
{
	for (size_t i = 0; i < ARRAY_LEN(shared_names); i++) {
		if (w->shared[i] == 0)
			w->shared[i] = find(w, shared_names[i]);
	}
}

void model_work(const char *dir, int64_t account, struct model *model, uint64_t seed, const volatile bool *stop)
{
	struct worker w = { .model = model, .random = seed, .dir = dir };
	struct error err;

	snprintf(model->root, sizeof(model->root), "p%u", model->number);
	open_store(&w);
	while (!*stop) {
		if (!account_open(w.store, account, &w.account, &err))
			contradiction(&w, "account_open", &err);
		find_shared(&w);
		one_step(&w);
		account_release(&w.account);
	}
	store_close(&w.store);
	free(w.feed_flags);
	keyword_list_free(&w.feed_keywords);
}
