/* A change of flags on a set of UIDs. What does not change is not written and keeps its mod-sequence (RFC 7162 §3.1); each message of the set
 * is told in the result all the same. */
#include "storage/change.h"
#include "storage/uid_walk.h"

#define RANGE_GAP 64 /* changed UIDs as near as that are one range in flag_change: about a page of rows */

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

struct range {
	uint32_t first, last;
};

/* Rows of one piece that are next to each other: one statement for those of them that change. */
struct run {
	uint32_t first, last; /* the rows that change at both ends */
	size_t changed;
	uint64_t flags; /* of the last */
};

struct flag_work {
	const struct operation *operation;
	struct flag_rule rule;
	struct mailbox_state *mailbox;
	struct range changed; /* not yet written to flag_change; first 0: none */
	struct run runs[UID_WALK_ROWS];
	size_t run_count;
};

/* begins: a row that must not change stands before this one. */
static void add_to_runs(struct flag_work *work, uint32_t uid, uint64_t flags, bool begins)
{
	struct run *run;

	if (begins || work->run_count == 0)
		work->runs[work->run_count++] = (struct run) { .first = uid };
	run = &work->runs[work->run_count - 1];
	run->last = uid;
	run->flags = flags;
	run->changed++;
}

/* A row of flag_change goes with a page of changed rows, so however scattered they are the feed finds them without reading others. */
static bool write_range(struct change *change, struct flag_work *work, struct error *err)
{
	if (work->changed.first == 0)
		return true;
	return DATABASE_RUN(change->database, MAIL_FLAG_CHANGE, err, V_INT(change_modseq(change)),
	        V_INT(work->mailbox->id), V_INT(work->changed.first), V_INT(work->changed.last), V_INT(change->now));
}

static bool add_to_range(struct change *change, struct flag_work *work, uint32_t uid, struct error *err)
{
	if (work->changed.first == 0 || uid - work->changed.last > RANGE_GAP) {
		if (!write_range(change, work, err))
			return false;
		work->changed.first = uid;
	}
	work->changed.last = uid;
	return true;
}

static void count_change(struct change *change, struct flag_work *work, const struct message_row *row, uint64_t flags)
{
	change_touch(change, work->mailbox);
	change_count(work->mailbox, row->size, row->flags, false);
	change_count(work->mailbox, row->size, flags, true);
}

/* Tells all rows in the result, and finds the runs. */
static bool look_at_piece(struct change *change, struct flag_work *work, const struct uid_walk *walk, struct error *err)
{
	bool begins = true;

	work->run_count = 0;
	for (size_t i = 0; i < walk->count; i++) {
		const struct message_row *row = &walk->rows[i];
		struct flags_row told = { row->uid, false, (row->flags & work->rule.keep) | work->rule.add,
			row->modseq };

		begins = begins || !walk->follows[i];
		if (row->modseq > work->operation->unchanged_since) {
			begins = true;
			if (!batch_add_modified(change->batch, row->uid, err))
				return false;
			continue;
		}
		if (told.flags != row->flags) {
			count_change(change, work, row, told.flags);
			add_to_runs(work, row->uid, told.flags, begins);
			told.changed = true;
			told.modseq = change_modseq(change);
			begins = false;
			if (!add_to_range(change, work, row->uid, err))
				return false;
		}
		if (!batch_add_row(change->batch, &told, err))
			return false;
	}
	return true;
}

static bool write_run(struct change *change, const struct flag_work *work, const struct run *run, struct error *err)
{
	int64_t modseq = (int64_t)change_modseq(change);

	if (run->changed == 1)
		return DATABASE_RUN(change->database, MAIL_FLAGS_SET_ONE, err, V_INT(work->mailbox->id),
		        V_INT(run->last), V_INT(run->flags), V_INT(modseq));
	return DATABASE_RUN(change->database, MAIL_FLAGS_SET, err, V_INT(work->mailbox->id), V_INT(run->first),
	        V_INT(run->last), V_INT(work->rule.keep), V_INT(work->rule.add), V_INT(modseq));
}

static bool change_piece(struct change *change, struct flag_work *work, const struct uid_walk *walk, struct error *err)
{
	if (!look_at_piece(change, work, walk, err))
		return false;
	for (size_t i = 0; i < work->run_count; i++) {
		if (!write_run(change, work, &work->runs[i], err))
			return false;
	}
	return true;
}

bool apply_flags(struct change *change, const struct operation *operation, struct error *err)
{
	struct flag_work work = { .operation = operation };
	struct uid_walk walk;
	uint64_t bits;

	if (!change_mailbox(change, operation->mailbox_id, &work.mailbox, err) ||
	        !keyword_bits(change, &operation->flags, operation->change != FLAGS_REMOVE, &bits, err))
		return false;
	work.rule = flag_rule(operation->change, bits);
	uid_walk_begin(&walk, operation->mailbox_id, operation->uids, operation->count, work.mailbox->uid_next);
	do {
		if (!uid_walk_next(change->database, &walk, err) || !change_piece(change, &work, &walk, err))
			return false;
	} while (walk.count > 0);
	return write_range(change, &work, err);
}
