#include "parse_show.h"

#include "base/check.h"

#include <inttypes.h>

static const char *const names[] = {
	[SEARCH_ALL] = "ALL",
	[SEARCH_AND] = "AND",
	[SEARCH_OR] = "OR",
	[SEARCH_NOT] = "NOT",
	[SEARCH_SEQUENCE] = "SEQUENCE",
	[SEARCH_UID] = "UID",
	[SEARCH_FLAG] = "FLAG",
	[SEARCH_KEYWORD] = "KEYWORD",
	[SEARCH_NEW] = "NEW",
	[SEARCH_OLD] = "OLD",
	[SEARCH_RECENT] = "RECENT",
	[SEARCH_BEFORE] = "BEFORE",
	[SEARCH_ON] = "ON",
	[SEARCH_SINCE] = "SINCE",
	[SEARCH_SENTBEFORE] = "SENTBEFORE",
	[SEARCH_SENTON] = "SENTON",
	[SEARCH_SENTSINCE] = "SENTSINCE",
	[SEARCH_SAVEDBEFORE] = "SAVEDBEFORE",
	[SEARCH_SAVEDON] = "SAVEDON",
	[SEARCH_SAVEDSINCE] = "SAVEDSINCE",
	[SEARCH_SAVEDATESUPPORTED] = "SAVEDATESUPPORTED",
	[SEARCH_YOUNGER] = "YOUNGER",
	[SEARCH_OLDER] = "OLDER",
	[SEARCH_LARGER] = "LARGER",
	[SEARCH_SMALLER] = "SMALLER",
	[SEARCH_FROM] = "FROM",
	[SEARCH_TO] = "TO",
	[SEARCH_CC] = "CC",
	[SEARCH_BCC] = "BCC",
	[SEARCH_SUBJECT] = "SUBJECT",
	[SEARCH_BODY] = "BODY",
	[SEARCH_TEXT] = "TEXT",
	[SEARCH_HEADER] = "HEADER",
	[SEARCH_MODSEQ] = "MODSEQ",
	[SEARCH_EMAILID] = "EMAILID",
	[SEARCH_THREADID] = "THREADID",
};

static void show_key(struct buffer *out, const struct search_key *key, unsigned depth)
{
	CHECK(depth <= 2 * PARSE_DEPTH_MAX);
	CHECK((key->kind == SEARCH_AND || key->kind == SEARCH_OR || key->kind == SEARCH_NOT) == (key->child != NULL));
	CHECK(key->kind != SEARCH_OR || key->child->next != NULL);
	CHECK(key->kind != SEARCH_NOT || key->child->next == NULL);
	buffer_printf(out, "(%s", names[key->kind]);
	for (const struct search_key *child = key->child; child != NULL; child = child->next) {
		buffer_append_char(out, ' ');
		show_key(out, child, depth + 1);
	}
	if (key->kind == SEARCH_SEQUENCE || key->kind == SEARCH_UID) {
		buffer_append_char(out, ' ');
		show_set(out, &key->set);
	}
	if (key->flag != 0)
		buffer_printf(out, " flag=%" PRIu64, key->flag);
	if (key->number != 0)
		buffer_printf(out, " %" PRId64, key->number);
	if (key->name.ptr != NULL) {
		buffer_append_char(out, ' ');
		show_span(out, key->name);
	}
	if (key->text.ptr != NULL) {
		buffer_append_char(out, ' ');
		show_span(out, key->text);
	}
	buffer_append_char(out, ')');
}

void show_search(struct buffer *out, const struct search_args *args)
{
	static const struct show_bit returns[] = {
		{ RETURN_MIN, "MIN" },
		{ RETURN_MAX, "MAX" },
		{ RETURN_ALL, "ALL" },
		{ RETURN_COUNT, "COUNT" },
		{ RETURN_SAVE, "SAVE" },
		{ 0, NULL },
	};

	CHECK(args->extended == (args->returns != 0));
	CHECK(args->key->kind == SEARCH_AND && args->key->next == NULL);
	show_bits(out, "return", args->returns, returns);
	if (args->charset.len > 0) {
		buffer_append_text(out, " charset=");
		show_span(out, args->charset);
	}
	buffer_append_char(out, ' ');
	show_key(out, args->key, 0);
}

bool show_search_command(struct parser *p, struct buffer *out)
{
	struct search_args args;

	if (!parse_search(p, &args))
		return false;
	show_search(out, &args);
	return true;
}

bool show_sort_command(struct parser *p, struct buffer *out)
{
	static const char *const sort_names[] = {
		[SORT_ARRIVAL] = "ARRIVAL",
		[SORT_CC] = "CC",
		[SORT_DATE] = "DATE",
		[SORT_FROM] = "FROM",
		[SORT_SIZE] = "SIZE",
		[SORT_SUBJECT] = "SUBJECT",
		[SORT_TO] = "TO",
	};
	struct sort_args args;

	if (!parse_sort(p, &args))
		return false;
	for (size_t i = 0; i < args.criterion_count; i++)
		buffer_printf(out, " %s%s", args.criteria[i].reverse ? "-" : "", sort_names[args.criteria[i].kind]);
	show_search(out, &args.search);
	return true;
}

bool show_thread_command(struct parser *p, struct buffer *out)
{
	struct thread_args args;

	if (!parse_thread(p, &args))
		return false;
	buffer_append_text(out, args.algorithm == THREAD_REFERENCES ? " REFERENCES" : " ORDEREDSUBJECT");
	show_search(out, &args.search);
	return true;
}
