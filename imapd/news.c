/* What is gone and what is new (imapd/news.h); flags are in news_flags.c. */
#include "imapd/fetch_put.h"
#include "imapd/news_private.h"

#include <stdlib.h>

bool news_begin(struct view *view)
{
	struct index *index = view->index;
	uint64_t end = index_events_end(index);
	bool ok;

	if (index->latest_epoch == index->epoch && index->latest.count <= index->count) {
		known_share(&view->known, &index->latest);
		ok = known_add(&view->known, index->rows + index->latest.count, index->count - index->latest.count);
	} else {
		ok = known_from_rows(&view->known, index->rows, index->count);
	}
	view->epoch = index->epoch;
	view->told_uid_next = index->info.uid_next;
	view->gone = view->flags = (struct news_place) { .event = end };
	view->told_modseq = view->told_gone_modseq = index->modseq;
	if (ok) {
		known_clear(&index->latest);
		known_share(&index->latest, &view->known);
		index->latest_epoch = index->epoch;
	}
	return ok;
}

/* --- expunges ---------------------------------------------------------------------------------------------------- */

/* Places in known of what is gone, at most `most`; moves *place to where the next search begins. */
static uint32_t find_gone(const struct view *view, struct news_place *place, uint32_t *places, uint32_t most)
{
	const struct index *index = view->index;
	uint32_t count = 0;

	if (place->comparing) {
		uint32_t at = known_find(&view->known, place->from), row = index_find(index, place->from);

		for (; at < view->known.count && count < most; at++) {
			uint32_t uid = view->known.list->uids[at];

			while (row < index->count && index->rows[row].uid < uid)
				row++;
			if (row == index->count || index->rows[row].uid != uid)
				places[count++] = at;
		}
		place->comparing = at < view->known.count;
		place->from = place->comparing ? view->known.list->uids[at] : 0;
	}
	while (!place->comparing && count < most && place->event < index_events_end(index)) {
		const struct index_event *event = &index->events[place->event++ - index->events_first];

		/* what was missed and what is an event may be the same message: arrange() takes it once */
		if (event->gone && known_place(&view->known, event->uid, &places[count]))
			count++;
	}
	return count;
}

static int compare_numbers(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

/* Rising, each once. */
static uint32_t arrange(uint32_t *numbers, uint32_t count)
{
	uint32_t kept = 0;
	bool rising = true;

	for (uint32_t i = 1; i < count; i++)
		rising = rising && numbers[i - 1] < numbers[i];
	if (rising)
		return count;
	qsort(numbers, count, sizeof(*numbers), compare_numbers);
	for (uint32_t i = 0; i < count; i++)
		if (kept == 0 || numbers[kept - 1] != numbers[i])
			numbers[kept++] = numbers[i];
	return kept;
}

/* RFC 9051 §7.5.1: each EXPUNGE moves the numbers behind it, at once. */
static void put_expunges(struct buffer *out, const uint32_t *places, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		buffer_append_text(out, "* ");
		fetch_put_number(out, (uint64_t)places[i] - i + 1);
		buffer_append_text(out, " EXPUNGE\r\n");
	}
}

/* RFC 7162 §3.2.10: only what the client knows. Neighbours in its list make a range only if their UIDs are neighbours. */
static void put_vanished(struct buffer *out, const struct known *known, const uint32_t *places, uint32_t count)
{
	buffer_append_text(out, "* VANISHED ");
	for (uint32_t i = 0; i < count;) {
		uint32_t first = known->list->uids[places[i]], last = first;

		if (i > 0)
			buffer_append_char(out, ',');
		for (i++; i < count && known->list->uids[places[i]] == last + 1; i++)
			last++;
		fetch_put_number(out, first);
		if (last > first) {
			buffer_append_char(out, ':');
			fetch_put_number(out, last);
		}
	}
	buffer_append_text(out, "\r\n");
}

/* All is told: the client's UIDs are the index's, as far as they go, and so will other clients' be. What is in the list behind them is not: some of
 * it may be gone. */
static void join_latest(struct view *view)
{
	struct index *index = view->index;

	view->epoch = index->epoch;
	if (index->latest_epoch == index->epoch && index->latest.count > view->known.count)
		return;
	known_clear(&index->latest);
	known_share(&index->latest, &view->known);
	index->latest_epoch = index->epoch;
}

/* Another client has been told of these before: its list is what this one's is to be. */
static bool take_latest(struct view *view, uint32_t count)
{
	const struct index *index = view->index;
	struct known taken;

	if (index->latest_epoch != index->epoch || index->latest.list == NULL || index->latest.count < count)
		return false;
	known_share(&taken, &index->latest);
	taken.count = count;
	known_clear(&view->known);
	view->known = taken;
	return true;
}

static bool remove_gone(struct view *view, const uint32_t *places, uint32_t count, bool all)
{
	struct index *index = view->index;

	if (all && take_latest(view, view->known.count - count))
		return true;
	if (index->latest.list == view->known.list) { /* then it may be altered in place */
		known_clear(&index->latest);
		index->latest_epoch = UINT64_MAX;
	}
	return known_remove(&view->known, places, count);
}

enum news_left news_write_gone(struct view *view, const struct news_style *style, struct buffer *out)
{
	const struct index *index = view->index;
	struct news_place place;
	uint32_t *places, most = NEWS_GONE_PIECE, count;
	bool all, ok;

	news_settle(index, &view->gone);
	if (news_at_end(index, &view->gone)) {
		if (view->epoch != index->epoch)
			join_latest(view);
		view->told_gone_modseq = index->modseq;
		return NEWS_ALL_TOLD;
	}
	places = malloc(((size_t)most + 1) * sizeof(*places));
	if (places == NULL)
		return NEWS_NO_MEMORY;
	place = view->gone;
	count = arrange(places, find_gone(view, &place, places, most));
	all = news_at_end(index, &place);
	if (count > 0 && style->vanished)
		put_vanished(out, &view->known, places, count);
	else
		put_expunges(out, places, count);
	ok = !out->failed && (count == 0 || remove_gone(view, places, count, all));
	free(places);
	if (!ok)
		return NEWS_NO_MEMORY;
	view->gone = place;
	if (!all)
		return NEWS_MORE;
	join_latest(view);
	view->told_gone_modseq = index->modseq;
	return NEWS_ALL_TOLD;
}

bool news_has_gone(struct view *view)
{
	struct news_place place;
	uint32_t found;

	news_settle(view->index, &view->gone);
	place = view->gone;
	if (find_gone(view, &place, &found, 1) == 0) {
		view->gone = place; /* what is of no interest is looked at once */
		return false;
	}
	if (!view->gone.comparing)
		view->gone.event = place.event - 1;
	return true;
}

/* --- new messages ------------------------------------------------------------------------------------------------ */

bool news_has_new(const struct view *view)
{
	const struct index *index = view->index;

	return index->count > 0 && index->rows[index->count - 1].uid >= view->told_uid_next;
}

enum news_left news_write_exists(struct view *view, const struct news_style *style, struct buffer *out)
{
	struct index *index = view->index;
	uint32_t first = index->count;
	uint64_t flags = 0;

	while (first > 0 && index->rows[first - 1].uid >= view->told_uid_next)
		flags |= index->rows[--first].flags;
	if (first == index->count) {
		view->told_uid_next = index->info.uid_next;
		return NEWS_ALL_TOLD;
	}
	buffer_append_text(out, "* ");
	fetch_put_number(out, (uint64_t)view->known.count + (index->count - first));
	buffer_append_text(out, " EXISTS\r\n");
	if (!news_put_new_keywords(view, style->keywords, flags, out) || out->failed ||
	        !known_add(&view->known, index->rows + first, index->count - first))
		return NEWS_NO_MEMORY;
	view->told_uid_next = index->info.uid_next;
	if (view->epoch == index->epoch)
		join_latest(view);
	return NEWS_ALL_TOLD;
}
