#include "imapd/search_answer.h"

#include "imapd/fetch_put.h"

#define KINDS (RETURN_MIN | RETURN_MAX | RETURN_ALL | RETURN_COUNT)

static uint32_t number_of(const struct search_answer *a, size_t i)
{
	return a->uid ? a->hits[i].row.uid : a->hits[i].sequence;
}

static void put(struct buffer *out, const char *text, uint64_t number)
{
	buffer_append_text(out, text);
	fetch_put_number(out, number);
}

/* RFC 4731 §3.2: with MIN or MAX alone that of what they name, else that of all. */
static uint64_t highest_modseq(const struct search_answer *a)
{
	bool first, last, all;
	uint64_t highest = 0;

	search_answer_saved(a, &first, &last, &all);
	for (size_t i = 0; i < a->count; i++) {
		bool counts = all || (first && i == 0) || (last && i + 1 == a->count);

		if (counts && a->hits[i].row.modseq > highest)
			highest = a->hits[i].row.modseq;
	}
	return highest;
}

void search_answer_saved(const struct search_answer *a, bool *first, bool *last, bool *all)
{
	unsigned kinds = a->extended ? a->returns & KINDS : RETURN_ALL;

	*all = kinds == 0 || (kinds & (RETURN_ALL | RETURN_COUNT)) != 0;
	*first = *all || (kinds & RETURN_MIN) != 0;
	*last = *all || (kinds & RETURN_MAX) != 0;
}

static void begin(struct search_answer *a, struct buffer *out)
{
	if (!a->extended) {
		buffer_append_text(out, "* SEARCH");
		return;
	}
	buffer_append_text(out, "* ESEARCH (TAG \"");
	buffer_append_span(out, a->tag);
	buffer_append_text(out, a->uid ? "\") UID" : "\")");
	if (a->count > 0 && (a->returns & RETURN_MIN))
		put(out, " MIN ", number_of(a, 0));
	if (a->count > 0 && (a->returns & RETURN_MAX))
		put(out, " MAX ", number_of(a, a->count - 1));
	if (a->returns & RETURN_COUNT)
		put(out, " COUNT ", a->count);
	if (a->count > 0 && (a->returns & RETURN_ALL))
		buffer_append_text(out, " ALL ");
}

static void end(struct search_answer *a, struct buffer *out)
{
	if (a->modseq && a->count > 0) {
		put(out, a->extended ? " MODSEQ " : " (MODSEQ ", highest_modseq(a));
		if (!a->extended)
			buffer_append_char(out, ')');
	}
	buffer_append_text(out, "\r\n");
	a->ended = true;
}

/* One range of the set. */
static void put_range(struct search_answer *a, struct buffer *out)
{
	size_t first = a->at;
	size_t last = first;

	while (last + 1 < a->count && number_of(a, last + 1) == number_of(a, last) + 1)
		last++;
	if (first > 0)
		buffer_append_char(out, ',');
	fetch_put_number(out, number_of(a, first));
	if (last > first)
		put(out, ":", number_of(a, last));
	a->at = last + 1;
}

bool search_answer_write(struct search_answer *a, struct buffer *out)
{
	size_t before = out->len;

	if (a->extended && (a->returns & KINDS) == 0) {
		a->ended = true;
		return true;
	}
	if (!a->begun)
		begin(a, out);
	a->begun = true;
	if (a->extended && !(a->returns & RETURN_ALL))
		a->at = a->count;
	while (a->at < a->count && out->len - before < SEARCH_ANSWER_PIECE && !out->failed) {
		if (a->extended)
			put_range(a, out);
		else
			put(out, " ", number_of(a, a->at++));
	}
	if (a->at == a->count)
		end(a, out);
	return !out->failed;
}
