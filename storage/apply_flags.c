/* A change of flags on a set of UIDs. What does not change is not written and keeps its mod-sequence (RFC 7162 §3.1); each message of the set
 * is told in the result all the same. */
#include "storage/change.h"
#include "storage/uid_walk.h"

#define RANGES_MAX 128 /* written for one operation */
#define RANGE_GAP  64  /* fewer UIDs than that between two ranges, and one cursor reads both: about a page */

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

/* Where flags changed: exact as long as there is room, then coarser and coarser. */
struct ranges {
	struct range items[RANGES_MAX];
	size_t count;
	uint32_t gap;
};

static void widen(struct ranges *ranges)
{
	size_t kept = 0;

	ranges->gap = ranges->gap > UINT32_MAX / 4 ? UINT32_MAX : ranges->gap * 4;
	for (size_t i = 1; i < ranges->count; i++) {
		if (ranges->items[i].first - ranges->items[kept].last <= ranges->gap)
			ranges->items[kept].last = ranges->items[i].last;
		else
			ranges->items[++kept] = ranges->items[i];
	}
	ranges->count = kept + 1;
}

/* In rising order of UIDs. */
static void add_to_ranges(struct ranges *ranges, uint32_t uid)
{
	while (ranges->count > 0 && uid - ranges->items[ranges->count - 1].last > ranges->gap) {
		if (ranges->count < RANGES_MAX) {
			ranges->items[ranges->count++] = (struct range) { uid, uid };
			return;
		}
		widen(ranges);
	}
	if (ranges->count == 0)
		ranges->items[ranges->count++].first = uid;
	ranges->items[ranges->count - 1].last = uid;
}

static bool write_ranges(struct change *change, int64_t mailbox_id, const struct ranges *ranges, struct error *err)
{
	for (size_t i = 0; i < ranges->count; i++) {
		if (!DATABASE_RUN(change->database, MAIL_FLAG_CHANGE, err, V_INT(change_modseq(change)),
		            V_INT(mailbox_id), V_INT(ranges->items[i].first), V_INT(ranges->items[i].last),
		            V_INT(change->now)))
			return false;
	}
	return true;
}

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
	struct ranges changed;
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

static void count_change(struct change *change, struct flag_work *work, const struct message_row *row, uint64_t flags)
{
	change_touch(change, work->mailbox);
	change_count(work->mailbox, row->size, row->flags, false);
	change_count(work->mailbox, row->size, flags, true);
	add_to_ranges(&work->changed, row->uid);
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
	struct flag_work work = { .operation = operation, .changed.gap = RANGE_GAP };
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
	return write_ranges(change, operation->mailbox_id, &work.changed, err);
}
