#include "imapd/news.h"

#include "imapd/fetch_put.h"

#include <stdlib.h>

#define COMPARE_PIECE 65536 /* rows looked at in one piece */

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

/* Events that the index has given up were missed. */
static void settle(const struct index *index, struct news_place *place)
{
	if (place->event >= index->events_first)
		return;
	*place = (struct news_place) { .event = index_events_end(index), .comparing = true };
}

static bool at_end(const struct index *index, const struct news_place *place)
{
	return !place->comparing && place->event == index_events_end(index);
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

	settle(index, &view->gone);
	if (at_end(index, &view->gone)) {
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
	all = at_end(index, &place);
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

	settle(view->index, &view->gone);
	place = view->gone;
	if (find_gone(view, &place, &found, 1) == 0) {
		view->gone = place; /* what is of no interest is looked at once */
		return false;
	}
	if (!view->gone.comparing)
		view->gone.event = place.event - 1;
	return true;
}

/* --- flags ------------------------------------------------------------------------------------------------------- */

static const struct flag_name {
	uint64_t flag;
	const char *name;
} flag_names[] = {
	{ FLAG_ANSWERED, "\\Answered" },
	{ FLAG_FLAGGED, "\\Flagged" },
	{ FLAG_DELETED, "\\Deleted" },
	{ FLAG_SEEN, "\\Seen" },
	{ FLAG_DRAFT, "\\Draft" },
};

static uint64_t keyword_bit(unsigned number)
{
	return (uint64_t)1 << (FLAG_KEYWORD_FIRST + number);
}

/* Without parentheses; *begun: something stands there already. */
static bool put_names(struct buffer *out, uint64_t flags, const struct keyword_list *keywords, bool *begun)
{
	bool ok = true;

	for (size_t i = 0; i < ARRAY_LEN(flag_names); i++) {
		if (!(flags & flag_names[i].flag))
			continue;
		ok = (!*begun || buffer_append_char(out, ' ')) && buffer_append_text(out, flag_names[i].name);
		*begun = true;
	}
	flags &= ~(uint64_t)FLAG_SYSTEM;
	for (unsigned i = 0; flags != 0 && i < FLAG_KEYWORD_COUNT; i++) {
		if (!(flags & keyword_bit(i)) || keywords->names[i].len == 0)
			continue;
		ok = (!*begun || buffer_append_char(out, ' ')) && buffer_append_span(out, keywords->names[i]);
		*begun = true;
	}
	return ok && !out->failed;
}

bool news_put_flags(struct buffer *out, uint64_t flags, const struct keyword_list *keywords)
{
	bool begun = false;

	return buffer_append_char(out, '(') && put_names(out, flags, keywords, &begun) && buffer_append_char(out, ')');
}

bool news_put_flag_lists(struct buffer *out, const struct keyword_list *keywords, bool read_only)
{
	bool begun = false;

	buffer_append_text(out, "* FLAGS ");
	news_put_flags(out, UINT64_MAX, keywords);
	if (read_only)
		return buffer_append_text(out, "\r\n* OK [PERMANENTFLAGS ()] nothing can be changed here\r\n");
	buffer_append_text(out, "\r\n* OK [PERMANENTFLAGS (");
	put_names(out, UINT64_MAX, keywords, &begun);
	return buffer_append_text(out, " \\*)] flags and keywords are kept\r\n") && !out->failed;
}

/* Of the names that there are. */
uint64_t news_all_keywords(const struct keyword_list *keywords)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < FLAG_KEYWORD_COUNT; i++)
		bits |= keywords->names[i].len > 0 ? keyword_bit(i) : 0;
	return bits;
}

bool news_put_new_keywords(struct view *view, const struct keyword_list *keywords, uint64_t flags, struct buffer *out)
{
	uint64_t all;

	flags &= ~(uint64_t)FLAG_SYSTEM & ~view->told_keywords;
	if (flags == 0)
		return true;
	all = news_all_keywords(keywords);
	if ((flags & all) == 0)
		return true;
	if (!news_put_flag_lists(out, keywords, view->read_only))
		return false;
	view->told_keywords = all;
	return true;
}

static bool is_own(const struct view *view, uint64_t modseq)
{
	for (unsigned i = 0; i < view->own_count; i++)
		if (view->own[i] == modseq)
			return true;
	return false;
}

static void put_fetch(
        struct buffer *out, const struct news_style *style, uint32_t sequence, const struct message_row *row)
{
	buffer_append_text(out, "* ");
	fetch_put_number(out, sequence);
	buffer_append_text(out, " FETCH (UID ");
	fetch_put_number(out, row->uid);
	if (style->modseq) {
		buffer_append_text(out, " MODSEQ (");
		fetch_put_number(out, row->modseq);
		buffer_append_char(out, ')');
	}
	buffer_append_text(out, " FLAGS ");
	news_put_flags(out, row->flags, style->keywords);
	buffer_append_text(out, ")\r\n");
}

/* Of one row that may have changed; true: a line is written. */
static bool tell_row(
        struct view *view, const struct news_style *style, const struct message_row *row, struct buffer *out)
{
	uint32_t place;

	if (row->modseq <= view->told_modseq || is_own(view, row->modseq) ||
	        !known_place(&view->known, row->uid, &place))
		return false;
	(void)news_put_new_keywords(view, style->keywords, row->flags, out);
	put_fetch(out, style, place + 1, row);
	return true;
}

static void compare_flags(
        struct view *view, struct news_place *place, const struct news_style *style, struct buffer *out)
{
	const struct index *index = view->index;
	uint32_t row = index_find(index, place->from), told = 0, end = row + COMPARE_PIECE;

	if (end > index->count || end < row)
		end = index->count;
	for (; row < end && told < NEWS_FLAGS_PIECE; row++)
		told += tell_row(view, style, &index->rows[row], out);
	place->comparing = row < index->count;
	place->from = place->comparing ? index->rows[row].uid : 0;
}

/* A message that changed several times is told at its last event. */
static void follow_flags(
        struct view *view, struct news_place *place, const struct news_style *style, struct buffer *out)
{
	const struct index *index = view->index;
	uint64_t end = index_events_end(index);

	if (end - place->event > NEWS_FLAGS_PIECE)
		end = place->event + NEWS_FLAGS_PIECE;
	for (; place->event < end; place->event++) {
		const struct index_event *event = &index->events[place->event - index->events_first];
		const struct message_row *row = event->gone ? NULL : index_row(index, event->uid);

		if (row != NULL && row->modseq == event->modseq)
			tell_row(view, style, row, out);
	}
}

enum news_left news_write_flags(struct view *view, const struct news_style *style, struct buffer *out)
{
	const struct index *index = view->index;
	uint64_t told_keywords = view->told_keywords;
	struct news_place place;

	settle(index, &view->flags);
	place = view->flags;
	if (place.comparing)
		compare_flags(view, &place, style, out);
	else
		follow_flags(view, &place, style, out);
	if (out->failed) {
		view->told_keywords = told_keywords;
		return NEWS_NO_MEMORY;
	}
	view->flags = place;
	if (!at_end(index, &place))
		return NEWS_MORE;
	view->told_modseq = index->modseq;
	view->own_count = 0;
	return NEWS_ALL_TOLD;
}

bool news_has_flags(const struct view *view)
{
	return !at_end(view->index, &view->flags);
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
