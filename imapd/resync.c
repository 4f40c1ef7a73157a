/* What QRESYNC tells at SELECT (imapd/resync.h). */
#include "imapd/resync.h"

#include "imapd/fetch_put.h"
#include "imapd/index.h"

/* Walks the numbers of a resolved or rising set. */
struct walk {
	const struct sequence_set *set;
	size_t range;
	uint32_t at; /* 0: the range is not begun */
};

static bool walk_next(struct walk *walk, uint32_t *number)
{
	const struct number_range *range;

	if (walk->range == walk->set->count)
		return false;
	range = &walk->set->ranges[walk->range];
	*number = walk->at = walk->at == 0 ? range->first : walk->at + 1;
	if (walk->at >= range->last) {
		walk->range++;
		walk->at = 0;
	}
	return true;
}

/* RFC 7162 §3.2.5.2: the largest UID up to which the client knows of every expunge: where it has the same number for it as we. No further
 * than there are messages, however long its sets. */
static uint32_t known_up_to(const struct view *view, const struct select_args *args)
{
	struct walk sequences = { .set = &args->match_seqs }, uids = { .set = &args->match_uids };
	uint32_t sequence, uid, matched = 0;

	while (args->has_match && walk_next(&sequences, &sequence) && walk_next(&uids, &uid)) {
		if (sequence == 0 || sequence > view_count(view))
			break;
		if (view_uid(view, sequence) == uid)
			matched = uid;
	}
	return matched;
}

/* The known UIDs, without those up to `from`. */
static void cut_set(struct sequence_set *set, uint32_t from)
{
	size_t kept = 0;

	for (size_t i = 0; i < set->count; i++) {
		struct number_range range = set->ranges[i];

		if (range.last <= from)
			continue;
		if (range.first <= from)
			range.first = from + 1;
		set->ranges[kept++] = range;
	}
	set->count = kept;
}

/* RFC 7162 §3.2.5.1: none given means all that ever were. */
static bool known_uids(struct resync *resync, const struct view *view, struct arena *arena)
{
	struct select_args *args = resync->args;
	uint32_t last = view_info(view)->uid_next - 1;

	if (!args->has_known_uids) {
		args->known_uids.ranges = arena_alloc(arena, sizeof(*args->known_uids.ranges));
		if (args->known_uids.ranges == NULL)
			return false;
		args->known_uids.ranges[0] = (struct number_range) { 1, last };
		args->known_uids.count = last > 0;
	}
	sequence_set_resolve(&args->known_uids, last);
	return true;
}

bool resync_put_vanished(struct resync *resync, const struct view *view, struct arena *arena, struct buffer *out)
{
	struct sequence_set set;

	if (!known_uids(resync, view, arena))
		return false;
	set = resync->args->known_uids;
	set.ranges = arena_alloc(arena, (set.count + 1) * sizeof(*set.ranges));
	if (set.ranges == NULL)
		return false;
	for (size_t i = 0; i < set.count; i++)
		set.ranges[i] = resync->args->known_uids.ranges[i];
	cut_set(&set, known_up_to(view, resync->args));
	return vanished_write(&resync->vanished, view, &set, out);
}

static bool put_change(const struct view *view, const struct message_row *message, struct buffer *out)
{
	uint32_t sequence;

	if (!view_sequence(view, message->uid, &sequence))
		return true;
	buffer_append_text(out, "* ");
	fetch_put_number(out, sequence);
	buffer_append_text(out, " FETCH (UID ");
	fetch_put_number(out, message->uid);
	buffer_append_text(out, " FLAGS ");
	view_write_flags(view, message->flags, out);
	buffer_append_text(out, " MODSEQ (");
	fetch_put_number(out, message->modseq);
	return buffer_append_text(out, "))\r\n") && !out->failed;
}

bool resync_put_changes(struct resync *resync, const struct view *view, size_t most, struct buffer *out, bool *all)
{
	const struct select_args *args = resync->args;
	const struct index *index = view->index;
	uint32_t row = index_find(index, resync->from);

	for (; row < index->count && out->len < most; row++) {
		const struct message_row *message = &index->rows[row];

		resync->from = message->uid + 1;
		if (message->modseq > args->modseq && sequence_set_contains(&args->known_uids, message->uid) &&
		        !put_change(view, message, out))
			return false;
	}
	*all = row == index->count;
	return true;
}

void resync_free(struct resync *resync)
{
	vanished_free(&resync->vanished);
}
