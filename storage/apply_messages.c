/* FLAGS, COPY, MOVE and EXPUNGE on sets of UIDs. A set is worked on by runs of neighbouring UIDs, so that a change of a whole
 * mailbox is a few statements, or one per row where rows move. */
#include "storage/change.h"

#define ROWS_AT_ONCE 256

struct run {
	uint32_t first, last;
};

/* The next run of UIDs that follow each other; false at the end of the set. */
static bool next_run(const struct operation *operation, size_t *at, struct run *run)
{
	const uint32_t *uids = operation->uids;
	size_t i = *at;

	if (i >= operation->count)
		return false;
	run->first = run->last = uids[i++];
	while (i < operation->count && uids[i] == run->last + 1 && run->last < UINT32_MAX)
		run->last = uids[i++];
	*at = i;
	return true;
}

struct flag_rule {
	uint64_t keep, add; /* new flags are (old & keep) | add */
};

static struct flag_rule flag_rule(enum flag_change change, uint64_t flags)
{
	switch (change) {
	case FLAGS_ADD: return (struct flag_rule) { UINT64_MAX, flags };
	case FLAGS_REMOVE: return (struct flag_rule) { ~flags, 0 };
	case FLAGS_SET: break;
	}
	return (struct flag_rule) { 0, flags };
}

/* What a change of flags does to the counters, found out before it is done. */
struct flag_effect {
	int64_t changed, unseen, deleted;
	uint32_t first, last;
};

static bool count_effect(struct change *change, int64_t mailbox_id, struct run run, struct flag_rule rule,
        struct flag_effect *effect, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(change->database, MAIL_FLAGS_COUNT, &rows, err, V_INT(mailbox_id), V_INT(run.first),
	            V_INT(run.last), V_INT(rule.keep), V_INT(rule.add)))
		return false;
	step = database_step(change->database, rows, err);
	if (step == STEP_ROW) {
		effect->changed = sqlite3_column_int64(rows, 0);
		effect->unseen = sqlite3_column_int64(rows, 1);
		effect->deleted = sqlite3_column_int64(rows, 2);
		effect->first = (uint32_t)sqlite3_column_int64(rows, 3);
		effect->last = (uint32_t)sqlite3_column_int64(rows, 4);
	}
	database_done(rows);
	return step == STEP_ROW;
}

static bool change_flags(struct change *change, struct mailbox_state *mailbox, struct run run, struct flag_rule rule,
        struct run *changed, struct error *err)
{
	struct flag_effect effect;

	if (!count_effect(change, mailbox->id, run, rule, &effect, err))
		return false;
	if (effect.changed == 0)
		return true; /* RFC 7162 §3.1: what does not change keeps its mod-sequence */
	if (changed->first == 0)
		changed->first = effect.first;
	changed->first = effect.first < changed->first ? effect.first : changed->first;
	changed->last = effect.last > changed->last ? effect.last : changed->last;
	change_touch(change, mailbox);
	mailbox->unseen = (uint32_t)(mailbox->unseen + effect.unseen);
	mailbox->deleted = (uint32_t)(mailbox->deleted + effect.deleted);
	return DATABASE_RUN(change->database, MAIL_FLAGS_SET, err, V_INT(mailbox->id), V_INT(run.first),
	        V_INT(run.last), V_INT(rule.keep), V_INT(rule.add), V_INT(change_modseq(change)));
}

bool apply_flags(struct change *change, const struct operation *operation, struct error *err)
{
	struct flag_rule rule = flag_rule(operation->change, operation->flags.system);
	struct mailbox_state *mailbox;
	struct run run, changed = { 0, 0 };
	size_t at = 0;

	if (!change_mailbox(change, operation->mailbox_id, &mailbox, err))
		return false;
	while (next_run(operation, &at, &run)) {
		if (!change_flags(change, mailbox, run, rule, &changed, err))
			return false;
	}
	if (changed.first == 0)
		return true;
	return DATABASE_RUN(change->database, MAIL_FLAG_CHANGE, err, V_INT(change_modseq(change)), V_INT(mailbox->id),
	        V_INT(changed.first), V_INT(changed.last), V_INT(change->now));
}

static bool read_rows(struct change *change, int64_t mailbox_id, struct run run, struct message_row *out, size_t *count,
        struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	*count = 0;
	if (!DATABASE_QUERY(change->database, MAIL_ROWS_RANGE, &rows, err, V_INT(mailbox_id), V_INT(run.first),
	            V_INT(run.last), V_INT(ROWS_AT_ONCE)))
		return false;
	while ((step = database_step(change->database, rows, err)) == STEP_ROW) {
		out[(*count)++] = (struct message_row) {
			.uid = (uint32_t)sqlite3_column_int64(rows, 0),
			.size = (uint32_t)sqlite3_column_int64(rows, 1),
			.message_id = sqlite3_column_int64(rows, 2),
			.flags = (uint64_t)sqlite3_column_int64(rows, 3),
			.modseq = (uint64_t)sqlite3_column_int64(rows, 4),
		};
	}
	database_done(rows);
	return step == STEP_DONE;
}

typedef bool row_work(
        struct change *change, int64_t from, int64_t to, const struct message_row *row, struct error *err);

static bool work_on_run(
        struct change *change, int64_t from, int64_t to, struct run run, row_work *work, struct error *err)
{
	struct message_row rows[ROWS_AT_ONCE];
	size_t count;

	do {
		if (!read_rows(change, from, run, rows, &count, err))
			return false;
		for (size_t i = 0; i < count; i++) {
			if (!work(change, from, to, &rows[i], err))
				return false;
		}
		if (count > 0)
			run.first = rows[count - 1].uid + 1;
	} while (count == ROWS_AT_ONCE && run.first <= run.last);
	return true;
}

/* Rows that the work itself adds to the mailbox are above uid_next and not worked on. */
static bool work_on_set(struct change *change, const struct operation *operation, row_work *work, struct error *err)
{
	struct mailbox_state *mailbox;
	uint32_t end;
	struct run run;
	size_t at = 0;

	if (!change_mailbox(change, operation->mailbox_id, &mailbox, err))
		return false;
	end = mailbox->uid_next;
	if (operation->to != 0 && !change_mailbox(change, operation->to, &mailbox, err))
		return false;
	while (next_run(operation, &at, &run)) {
		if (run.last >= end)
			run.last = end - 1;
		if (run.first <= run.last && !work_on_run(change, operation->mailbox_id, operation->to, run, work, err))
			return false;
	}
	return true;
}

static void count_row(struct mailbox_state *mailbox, const struct message_row *row, bool added)
{
	uint32_t unseen = (row->flags & FLAG_SEEN) == 0, deleted = (row->flags & FLAG_DELETED) != 0;

	if (added) {
		mailbox->messages++;
		mailbox->unseen += unseen;
		mailbox->deleted += deleted;
		mailbox->size += row->size;
	} else {
		mailbox->messages--;
		mailbox->unseen -= unseen;
		mailbox->deleted -= deleted;
		mailbox->size -= row->size;
	}
}

static bool add_row(struct change *change, int64_t from, int64_t to, const struct message_row *row, struct error *err)
{
	struct mailbox_state *mailbox;
	uint32_t uid;

	if (!change_mailbox(change, to, &mailbox, err))
		return false;
	if (mailbox->uid_next == UINT32_MAX)
		return error_set(err, ERR_LIMIT, "no more UIDs in this mailbox");
	uid = mailbox->uid_next++;
	change_touch(change, mailbox);
	count_row(mailbox, row, true);
	return DATABASE_RUN(change->database, MAIL_ROW_NEW, err, V_INT(to), V_INT(uid), V_INT(row->message_id),
	               V_INT(row->size), V_INT(row->flags), V_INT(change_modseq(change))) &&
	       DATABASE_RUN(change->database, MAIL_KEYWORDS_COPY, err, V_INT(from), V_INT(row->uid), V_INT(to),
	               V_INT(uid)) &&
	       batch_add_uid(change->batch, uid, row->uid, err);
}

static bool take_row(struct change *change, int64_t from, const struct message_row *row, struct error *err)
{
	struct mailbox_state *mailbox;

	if (!change_mailbox(change, from, &mailbox, err))
		return false;
	change_touch(change, mailbox);
	count_row(mailbox, row, false);
	return DATABASE_RUN(change->database, MAIL_ROW_DELETE, err, V_INT(from), V_INT(row->uid)) &&
	       DATABASE_RUN(change->database, MAIL_TOMBSTONE, err, V_INT(change_modseq(change)), V_INT(from),
	               V_INT(row->uid), V_INT(row->message_id), V_INT(change->now));
}

static bool copy_row(struct change *change, int64_t from, int64_t to, const struct message_row *row, struct error *err)
{
	return add_row(change, from, to, row, err) && message_hold(change, row->message_id, err);
}

static bool move_row(struct change *change, int64_t from, int64_t to, const struct message_row *row, struct error *err)
{
	return add_row(change, from, to, row, err) && take_row(change, from, row, err);
}

static bool expunge_row(
        struct change *change, int64_t from, int64_t to, const struct message_row *row, struct error *err)
{
	(void)to;
	return take_row(change, from, row, err) && message_drop(change, row->message_id, row->size, err);
}

bool apply_copy(struct change *change, const struct operation *operation, struct error *err)
{
	return work_on_set(change, operation, copy_row, err);
}

bool apply_move(struct change *change, const struct operation *operation, struct error *err)
{
	return work_on_set(change, operation, move_row, err);
}

bool apply_expunge(struct change *change, const struct operation *operation, struct error *err)
{
	return work_on_set(change, operation, expunge_row, err);
}

bool apply_expunge_all(struct change *change, int64_t mailbox_id, struct error *err)
{
	return work_on_run(change, mailbox_id, 0, (struct run) { 1, UINT32_MAX - 1 }, expunge_row, err);
}

bool apply_move_all(struct change *change, int64_t from, int64_t to, struct error *err)
{
	return work_on_run(change, from, to, (struct run) { 1, UINT32_MAX - 1 }, move_row, err);
}
