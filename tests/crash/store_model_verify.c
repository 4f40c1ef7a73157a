#include "store_model.h"

#include "storage/mailbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct found {
	int64_t mailbox;
	uint32_t uid, process, tag;
	uint64_t flags;
	bool claimed;
};

struct state {
	struct account *account;
	struct found *rows;
	size_t count;
	unsigned problems;
	struct {
		int64_t id;
		char name[40];
	} mailboxes[1000];
	size_t mailbox_count;
};

static void problem(struct state *s, const struct model *model, const char *what, uint64_t number)
{
	fprintf(stderr, "process %u, pending %d: %s %" PRIu64 "\n", model->number, (int)model->pending, what, number);
	s->problems++;
}

static void note_mailbox(void *arg, struct span name, const struct mailbox_info *info)
{
	struct state *s = arg;

	if (s->mailbox_count == ARRAY_LEN(s->mailboxes))
		abort();
	s->mailboxes[s->mailbox_count].id = info->id;
	(void)span_copy(name, s->mailboxes[s->mailbox_count++].name, sizeof(s->mailboxes[0].name));
}

static bool read_tag(struct state *s, const struct message_row *row, struct found *out)
{
	struct buffer text;
	struct error err;
	struct span rest;
	bool ok;

	buffer_init(&text, 4096);
	ok = message_read(s->account, row->message_id, 0, 64, &text, &err);
	rest = buffer_span(&text);
	ok = ok && span_take_word(&rest, "X-Tag: ") && span_take_number(&rest, UINT32_MAX, &out->process) &&
	     span_take_char(&rest, '.') && span_take_number(&rest, UINT32_MAX, &out->tag);
	buffer_free(&text);
	return ok;
}

/* In the model's form; UINT64_MAX when that cannot be. */
static uint64_t model_flags(const struct keyword_list *keywords, uint64_t flags)
{
	uint64_t out = flags & FLAG_SYSTEM;
	uint32_t number;

	for (unsigned n = 0; n < FLAG_KEYWORD_COUNT; n++) {
		struct span name = keywords->names[n];

		if ((flags >> (FLAG_KEYWORD_FIRST + n) & 1) == 0)
			continue;
		if (out >> MODEL_KEYWORD_SHIFT != 0 || !span_take_word(&name, "mk") ||
		        !span_take_number(&name, MODEL_KEYWORDS, &number) || name.len != 0)
			return UINT64_MAX;
		out |= (uint64_t)(number + 1) << MODEL_KEYWORD_SHIFT;
	}
	return out;
}

static void read_mailbox(struct state *s, int64_t id)
{
	struct mailbox_snapshot snapshot;
	struct message_row *rows;
	size_t count;
	struct error err;

	if (!mailbox_snapshot(s->account, id, &snapshot, &err))
		abort();
	rows = snapshot.rows;
	count = snapshot.count;
	s->rows = realloc(s->rows, (s->count + count + 1) * sizeof(*s->rows));
	for (size_t i = 0; i < count; i++) {
		struct found *found = &s->rows[s->count++];

		*found = (struct found) {
			.mailbox = id, .uid = rows[i].uid, .flags = model_flags(&snapshot.keywords, rows[i].flags)
		};
		if (!read_tag(s, &rows[i], found)) {
			fprintf(stderr, "mailbox %" PRId64 " UID %u cannot be read\n", id, rows[i].uid);
			s->problems++;
		}
	}
	mailbox_snapshot_free(&snapshot);
}

static int compare_found(const void *a, const void *b)
{
	const struct found *left = a, *right = b;

	if (left->mailbox != right->mailbox)
		return left->mailbox < right->mailbox ? -1 : 1;
	return (left->uid > right->uid) - (left->uid < right->uid);
}

static struct found *look_up(struct state *s, const struct model *model, const struct entry *entry)
{
	struct found key = { .mailbox = entry->mailbox, .uid = entry->uid };
	struct found *found = bsearch(&key, s->rows, s->count, sizeof(key), compare_found);

	if (found == NULL)
		return NULL;
	if (found->process != model->number || found->tag != entry->tag || found->claimed)
		problem(s, model, "another message under the UID of", entry->tag);
	found->claimed = true;
	return found;
}

static bool is_pending(const struct model *model, uint32_t index)
{
	switch (model->pending) {
	case PENDING_MOVE:
	case PENDING_FLAGS:
	case PENDING_EXPUNGE: break;
	case PENDING_MAILBOX: /* deleting takes all that is in it */
		return model->mailbox_name[0] == '\0' &&
		       model->entries[index].mailbox == model->mailboxes[model->mailbox_index].id;
	default: return false;
	}
	for (uint32_t i = 0; i < model->count; i++) {
		if (model->indices[i] == index)
			return true;
	}
	return false;
}

/* Everything but the pending batch must be as written down. */
static void verify_settled(struct state *s, const struct model *model)
{
	for (uint32_t i = 0; i < model->entry_count; i++) {
		const struct entry *entry = &model->entries[i];
		struct found *found;

		if (!entry->live || is_pending(model, i))
			continue;
		found = look_up(s, model, entry);
		if (found == NULL)
			problem(s, model, "lost message", entry->tag);
		else if (found->flags != entry->flags)
			problem(s, model, "wrong flags of message", entry->tag);
	}
}

/* How many rows of this process nobody has claimed; all must lie in the target. */
static uint32_t count_new(struct state *s, const struct model *model)
{
	uint32_t count = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct found *row = &s->rows[i];

		if (row->claimed || row->process != model->number)
			continue;
		row->claimed = true;
		if (row->mailbox != model->target)
			problem(s, model, "doubled message", row->tag);
		count++;
	}
	return count;
}

/* Of the rows that the pending batch is about. */
struct pending_rows {
	uint32_t there;
	uint32_t old, new, other; /* PENDING_FLAGS: the flags; where old and new are the same, neither */
};

static struct pending_rows look_at_pending(struct state *s, const struct model *model)
{
	struct pending_rows rows = { 0 };

	for (uint32_t i = 0; i < model->entry_count; i++) {
		const struct entry *entry = &model->entries[i];
		struct found *found;

		if (!entry->live || !is_pending(model, i))
			continue;
		found = look_up(s, model, entry);
		rows.there += found != NULL;
		if (found == NULL || (found->flags == entry->flags && entry->flags == model->flags))
			continue;
		rows.old += found->flags == entry->flags;
		rows.new += found->flags == model->flags;
		rows.other += found->flags != entry->flags && found->flags != model->flags;
	}
	return rows;
}

static bool own_mailbox_exists(const struct state *s, const struct model *model)
{
	for (size_t i = 0; i < s->mailbox_count; i++) {
		if (s->mailboxes[i].id == model->mailboxes[model->mailbox_index].id)
			return true;
	}
	return false;
}

static void verify_pending(struct state *s, const struct model *model)
{
	struct pending_rows rows = look_at_pending(s, model);
	uint32_t there = rows.there, count = model->count, new = count_new(s, model);

	switch (model->pending) {
	case PENDING_NONE:
	case PENDING_TREE:
		if (new != 0)
			problem(s, model, "messages that were gone or never there:", new);
		break;
	case PENDING_APPEND:
	case PENDING_COPY:
		if (new != 0 && new != count)
			problem(s, model, "half a batch of new messages:", new);
		break;
	case PENDING_MOVE:
		if (!(new == 0 && there == count) && !(new == count &&there == 0))
			problem(s, model, "half a move:", new);
		break;
	case PENDING_FLAGS:
		if (there != count || new != 0)
			problem(s, model, "a message lost while flags changed", there);
		if ((rows.old != 0 && rows.new != 0) || rows.other != 0)
			problem(s, model, "half a change of flags:", rows.new);
		break;
	case PENDING_EXPUNGE:
		if ((there != 0 && there != count) || new != 0)
			problem(s, model, "half an expunge:", there);
		break;
	case PENDING_MAILBOX:
		if (new != 0 || (model->mailbox_name[0] == '\0' && there != 0 && !own_mailbox_exists(s, model)))
			problem(s, model, "messages of a mailbox that is gone", new);
		break;
	}
}

/* The name that the tree's renaming gives. */
static bool is_renamed(const struct model *model, const char *found, const char *own)
{
	char name[40];

	snprintf(name, sizeof(name), "%s%s", model->new_root, own + strlen(model->root));
	return strcmp(found, name) == 0;
}

static void verify_mailboxes(struct state *s, const struct model *model)
{
	unsigned renamed = 0, kept = 0;

	for (uint32_t i = 0; i < MODEL_MAILBOXES; i++) {
		const struct own_mailbox *own = &model->mailboxes[i];
		bool pending = model->pending == PENDING_MAILBOX && model->mailbox_index == i, found = false;

		for (size_t n = 0; n < s->mailbox_count; n++) {
			const char *name = s->mailboxes[n].name;

			if (s->mailboxes[n].id != own->id)
				continue;
			found = true;
			if (!own->live && !pending)
				problem(s, model, "a deleted mailbox is there", (uint64_t)own->id);
			if (strcmp(name, own->name) == 0)
				kept++;
			else if (model->pending == PENDING_TREE && is_renamed(model, name, own->name))
				renamed++;
			else if (!(pending && strcmp(name, model->mailbox_name) == 0))
				problem(s, model, "wrong name of mailbox", (uint64_t)own->id);
		}
		if (own->live && !found && !(pending && model->mailbox_name[0] == '\0'))
			problem(s, model, "lost mailbox", (uint64_t)own->id);
	}
	if (renamed > 0 && kept > 0)
		problem(s, model, "half a tree was renamed:", renamed);
}

unsigned model_verify(const char *dir, int64_t account, struct model *const *models, size_t count)
{
	struct store_settings settings = { .data_dir = dir };
	struct state s = { 0 };
	struct store *store;
	struct error err;

	if (!store_open(&settings, &store, &err) || !account_open(store, account, &s.account, &err)) {
		fprintf(stderr, "%s %s\n", err.reason, err.detail);
		return 1;
	}
	if (!mailbox_list(s.account, note_mailbox, &s, &err))
		abort();
	for (size_t i = 0; i < s.mailbox_count; i++)
		read_mailbox(&s, s.mailboxes[i].id);
	if (s.count > 0)
		qsort(s.rows, s.count, sizeof(*s.rows), compare_found);
	for (size_t i = 0; i < count; i++)
		verify_settled(&s, models[i]);
	for (size_t i = 0; i < count; i++) {
		verify_pending(&s, models[i]);
		verify_mailboxes(&s, models[i]);
	}
	account_release(&s.account);
	store_close(&store);
	free(s.rows);
	return s.problems;
}
