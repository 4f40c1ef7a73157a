#include "imapd/parse_internal.h"

#include "base/macros.h"
#include "storage/mailbox.h"

static const struct system_flag {
	const char *name;
	uint64_t flag;
} system_flags[] = {
	{ "Answered", FLAG_ANSWERED }, { "Deleted", FLAG_DELETED }, { "Draft", FLAG_DRAFT },
	{ "Flagged", FLAG_FLAGGED }, { "Seen", FLAG_SEEN },
	{ "Recent", 0 }, /* no client can set it (RFC 3501 §2.3.2), but clients send back what a server told them */
};

struct flag_reader {
	struct flag_list *list;
	struct repeats *seen;
	size_t capacity;
};

static bool parse_system_flag(struct parser *p, struct flag_list *list)
{
	struct span name;

	if (!parse_atom(p, &name))
		return parse_expected(p, "a flag");
	for (size_t i = 0; i < ARRAY_LEN(system_flags); i++) {
		if (span_equal_nocase(name, span_of(system_flags[i].name))) {
			list->system |= system_flags[i].flag;
			return true;
		}
	}
	return parse_expected(p, "a flag that is defined: this one begins with a backslash and is not");
}

/* Keywords are the same in any case (RFC 9051 §2.3.2). */
static bool is_repeated(const struct flag_reader *reader, struct span keyword, uint32_t hash)
{
	for (size_t i = 0; repeats_find(reader->seen, hash, &i); i++) {
		if (span_equal_nocase(reader->list->keywords[i], keyword))
			return true;
	}
	return false;
}

static bool parse_keyword(struct parser *p, struct flag_reader *reader)
{
	struct flag_list *list = reader->list;
	struct span *grown, keyword;
	uint32_t hash;

	if (!parse_atom(p, &keyword))
		return parse_expected(p, "a flag");
	hash = hash_nocase(0, keyword);
	if (is_repeated(reader, keyword, hash))
		return true;
	grown = parse_grow(p, list->keywords, list->keyword_count, &reader->capacity, sizeof(*grown));
	if (grown == NULL)
		return false;
	list->keywords = grown;
	list->keywords[list->keyword_count++] = keyword;
	reader->seen->hashes[reader->seen->count++] = hash;
	return true;
}

static bool parse_flag(struct parser *p, struct flag_reader *reader)
{
	return span_take_char(&p->in, '\\') ? parse_system_flag(p, reader->list) : parse_keyword(p, reader);
}

bool parse_flag_list(struct parser *p, struct flag_list *out)
{
	struct repeats seen; /* not cleared: 4 KiB */
	struct flag_reader reader = { .list = out, .seen = &seen };
	bool in_list = span_take_char(&p->in, '(');

	seen.count = 0;
	*out = (struct flag_list) { 0 };
	if (in_list && span_take_char(&p->in, ')'))
		return true;
	do {
		if (!parse_flag(p, &reader))
			return false;
	} while ((in_list || !parse_at_end(p)) && span_take_char(&p->in, ' '));
	return !in_list || parse_char(p, ')', "\")\" behind the flags");
}
