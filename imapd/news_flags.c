/* Flags, and the names of keywords (imapd/news.h). */
#include "imapd/fetch_put.h"
#include "imapd/news_private.h"

#define COMPARE_PIECE 65536               /* rows looked at in one piece */
#define TEXT_PIECE    (NEWS_TEXT_MAX / 2) /* there is always room for one more line, however many and long its keywords */

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
	for (; row < end && told < NEWS_FLAGS_PIECE && out->len < TEXT_PIECE; row++)
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
	for (; place->event < end && out->len < TEXT_PIECE; place->event++) {
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

	news_settle(index, &view->flags);
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
	if (!news_at_end(index, &place))
		return NEWS_MORE;
	view->told_modseq = index->modseq;
	view->own_count = 0;
	return NEWS_ALL_TOLD;
}

bool news_has_flags(const struct view *view)
{
	return !news_at_end(view->index, &view->flags);
}
