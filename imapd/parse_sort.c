#include "imapd/parse_internal.h"

#include "base/macros.h"

static const struct sort_name {
	const char *name;
	enum sort_key_kind kind;
} sort_names[] = {
	/* RFC 5256 §3 */
	{ "ARRIVAL", SORT_ARRIVAL },
	{ "CC", SORT_CC },
	{ "DATE", SORT_DATE },
	{ "FROM", SORT_FROM },
	{ "SIZE", SORT_SIZE },
	{ "SUBJECT", SORT_SUBJECT },
	{ "TO", SORT_TO },
};

static bool parse_criterion(struct parser *p, struct sort_criterion *out)
{
	*out = (struct sort_criterion) { .reverse = parse_take_word(p, "REVERSE") };
	if (out->reverse && !parse_space(p))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(sort_names); i++) {
		if (parse_take_word(p, sort_names[i].name)) {
			out->kind = sort_names[i].kind;
			return true;
		}
	}
	return parse_expected(p, "a sort criterion");
}

/* sort-criteria = "(" sort-criterion *(SP sort-criterion) ")". One that comes again decides nothing that it did not decide before. */
static bool parse_criteria(struct parser *p, struct sort_args *out)
{
	unsigned seen = 0;

	out->criteria = parse_alloc(p, SORT_KEY_COUNT * sizeof(*out->criteria));
	if (out->criteria == NULL || !parse_char(p, '(', "\"(\" before the sort criteria"))
		return false;
	do {
		struct sort_criterion criterion;

		if (!parse_criterion(p, &criterion))
			return false;
		if (seen & 1u << criterion.kind)
			continue;
		seen |= 1u << criterion.kind;
		out->criteria[out->criterion_count++] = criterion;
	} while (span_take_char(&p->in, ' '));
	return parse_char(p, ')', "\")\" behind the sort criteria");
}

/* search-criteria = charset 1*(SP search-key) (RFC 5256 §5), with its leading SP */
static bool parse_criteria_of_search(struct parser *p, struct search_args *out)
{
	return parse_space(p) && parse_charset(p, out) && parse_search_keys(p, out);
}

bool parse_sort(struct parser *p, struct sort_args *out)
{
	*out = (struct sort_args) { 0 };
	return parse_search_return(p, &out->search) && parse_space(p) && parse_criteria(p, out) &&
	       parse_criteria_of_search(p, &out->search);
}

bool parse_thread(struct parser *p, struct thread_args *out)
{
	*out = (struct thread_args) { 0 };
	if (!parse_space(p))
		return false;
	if (parse_take_word(p, "REFERENCES"))
		out->algorithm = THREAD_REFERENCES;
	else if (parse_take_word(p, "ORDEREDSUBJECT"))
		out->algorithm = THREAD_ORDEREDSUBJECT;
	else
		return parse_expected(p, "REFERENCES or ORDEREDSUBJECT");
	return parse_criteria_of_search(p, &out->search);
}
