#include "imapd/parse_internal.h"

#include "base/macros.h"
#include "base/utf8.h"
#include "message/charset.h"
#include "message/charset_table.h"
#include "storage/mailbox.h"

/* Octets of UTF-8 for one of any charset we know, so that a bound on the result is a bound on the input. */
#define CHARSET_GROWTH_MAX 16

enum argument { NOTHING, DATE, FLAG, UNFLAG, KEYWORD, UNKEYWORD, TEXT, FIELD, SIZE, SECONDS, MODSEQ, UIDS };

static const struct key_name {
	const char *name;
	enum search_kind kind;
	enum argument argument;
	uint64_t flag;
} key_names[] = {
	/* RFC 9051 §6.4.4 */
	{ "ALL", SEARCH_ALL },
	{ "ANSWERED", SEARCH_FLAG, FLAG, FLAG_ANSWERED },
	{ "BCC", SEARCH_BCC, TEXT },
	{ "BEFORE", SEARCH_BEFORE, DATE },
	{ "BODY", SEARCH_BODY, TEXT },
	{ "CC", SEARCH_CC, TEXT },
	{ "DELETED", SEARCH_FLAG, FLAG, FLAG_DELETED },
	{ "DRAFT", SEARCH_FLAG, FLAG, FLAG_DRAFT },
	{ "FLAGGED", SEARCH_FLAG, FLAG, FLAG_FLAGGED },
	{ "FROM", SEARCH_FROM, TEXT },
	{ "HEADER", SEARCH_HEADER, FIELD },
	{ "KEYWORD", SEARCH_KEYWORD, KEYWORD },
	{ "LARGER", SEARCH_LARGER, SIZE },
	{ "ON", SEARCH_ON, DATE },
	{ "SEEN", SEARCH_FLAG, FLAG, FLAG_SEEN },
	{ "SENTBEFORE", SEARCH_SENTBEFORE, DATE },
	{ "SENTON", SEARCH_SENTON, DATE },
	{ "SENTSINCE", SEARCH_SENTSINCE, DATE },
	{ "SINCE", SEARCH_SINCE, DATE },
	{ "SMALLER", SEARCH_SMALLER, SIZE },
	{ "SUBJECT", SEARCH_SUBJECT, TEXT },
	{ "TEXT", SEARCH_TEXT, TEXT },
	{ "TO", SEARCH_TO, TEXT },
	{ "UID", SEARCH_UID, UIDS },
	{ "UNANSWERED", SEARCH_FLAG, UNFLAG, FLAG_ANSWERED },
	{ "UNDELETED", SEARCH_FLAG, UNFLAG, FLAG_DELETED },
	{ "UNDRAFT", SEARCH_FLAG, UNFLAG, FLAG_DRAFT },
	{ "UNFLAGGED", SEARCH_FLAG, UNFLAG, FLAG_FLAGGED },
	{ "UNKEYWORD", SEARCH_KEYWORD, UNKEYWORD },
	{ "UNSEEN", SEARCH_FLAG, UNFLAG, FLAG_SEEN },
	/* RFC 3501 §6.4.4 */
	{ "NEW", SEARCH_NEW },
	{ "OLD", SEARCH_OLD },
	{ "RECENT", SEARCH_RECENT },
	/* RFC 5032 §3, RFC 7162 §3.1.5, RFC 8474 §6, RFC 8514 §4.3 */
	{ "OLDER", SEARCH_OLDER, SECONDS },
	{ "YOUNGER", SEARCH_YOUNGER, SECONDS },
	{ "MODSEQ", SEARCH_MODSEQ, MODSEQ },
	{ "EMAILID", SEARCH_EMAILID, TEXT },
	{ "THREADID", SEARCH_THREADID, TEXT },
	{ "SAVEDBEFORE", SEARCH_SAVEDBEFORE, DATE },
	{ "SAVEDON", SEARCH_SAVEDON, DATE },
	{ "SAVEDSINCE", SEARCH_SAVEDSINCE, DATE },
	{ "SAVEDATESUPPORTED", SEARCH_SAVEDATESUPPORTED },
};

struct search_reader {
	struct parser *p;
	struct span charset;
	unsigned keys;
};

/* Keys to be read into one parent, behind each other. */
struct siblings {
	struct search_key **link;
};

static bool parse_key(struct search_reader *r, struct siblings *to, unsigned depth);

/* --- texts --- */

/* Without a charset it is US-ASCII (RFC 3501 §6.4.4) or UTF-8 (RFC 9051 §6.4.4); in literals old clients send neither, and that is read as in
 * mail that says it is US-ASCII. */
static bool to_utf8(struct search_reader *r, struct span in, struct span *out)
{
	struct buffer converted;

	if (r->charset.len == 0 && utf8_valid(in)) {
		*out = in;
		return true;
	}
	buffer_init(&converted, CHARSET_GROWTH_MAX * in.len + CHARSET_GROWTH_MAX);
	*out = charset_to_utf8(r->charset.len == 0 ? SPAN("us-ascii") : r->charset, in, &converted)
	               ? arena_copy(r->p->arena, buffer_span(&converted))
	               : SPAN_EMPTY;
	buffer_free(&converted);
	if (out->ptr == NULL)
		return error_set(r->p->err, ERR_TOO_LONG, "the command holds too much text");
	return true;
}

static bool parse_text(struct search_reader *r, struct span *out)
{
	struct span octets;

	if (r->charset.len > 0 ? !parse_astring_8bit(r->p, &octets) : !parse_astring(r->p, &octets))
		return false;
	return to_utf8(r, octets, out);
}

/* --- keys --- */

static struct search_key *add_key(struct search_reader *r, struct siblings *to, enum search_kind kind)
{
	struct search_key *key;

	if (r->keys == PARSE_ITEMS_MAX) {
		error_set(r->p->err, ERR_TOO_LONG, "more than %d search keys", PARSE_ITEMS_MAX);
		return NULL;
	}
	key = parse_alloc(r->p, sizeof(*key));
	if (key == NULL)
		return NULL;
	*key = (struct search_key) { .kind = kind };
	r->keys++;
	*to->link = key;
	to->link = &key->next;
	return key;
}

/* A key; with `negated` as the one child of a NOT. */
static struct search_key *add_key_or_not(
        struct search_reader *r, struct siblings *to, enum search_kind kind, bool negated)
{
	struct search_key *parent;

	if (!negated)
		return add_key(r, to, kind);
	parent = add_key(r, to, SEARCH_NOT);
	return parent == NULL ? NULL : add_key(r, &(struct siblings) { &parent->child }, kind);
}

/* [SP entry-name SP entry-type-req] SP mod-sequence-valzer (RFC 7162 §7): flags have no mod-sequences of their own here, so the entry only has to
 * be well-formed (RFC 7162 §3.1.5). */
static bool parse_modseq(struct parser *p, struct search_key *key)
{
	struct span entry;
	uint64_t modseq;

	if (span_starts(p->in, SPAN("\""))) {
		if (!parse_string(p, &entry))
			return false;
		if (!span_starts_nocase(entry, SPAN("/flags/")))
			return parse_expected(p, "an entry name that begins with /flags/");
		if (!parse_space(p))
			return false;
		if (!parse_take_word(p, "all") && !parse_take_word(p, "priv") && !parse_take_word(p, "shared"))
			return parse_expected(p, "all, priv or shared");
		if (!parse_space(p))
			return false;
	}
	if (!parse_number64(p, &modseq))
		return false;
	key->number = (int64_t)modseq;
	return true;
}

/* number64; seconds are nz-number (RFC 5032 §3) */
static bool parse_number(struct parser *p, bool seconds, struct search_key *key)
{
	uint64_t number;

	if (!parse_number64(p, &number))
		return false;
	if (seconds && (number == 0 || number > UINT32_MAX))
		return parse_expected(p, "a number of seconds from 1 to 4294967295");
	key->number = (int64_t)number;
	return true;
}

static bool parse_argument(struct search_reader *r, const struct key_name *name, struct search_key *key)
{
	struct parser *p = r->p;

	key->flag = name->flag;
	switch (name->argument) {
	case NOTHING:
	case FLAG:
	case UNFLAG: return true;
	case DATE: return parse_space(p) && parse_date(p, &key->number);
	case KEYWORD:
	case UNKEYWORD: return parse_space(p) && parse_atom(p, &key->text);
	case TEXT: return parse_space(p) && parse_text(r, &key->text);
	case FIELD:
		return parse_space(p) && parse_astring(p, &key->name) && parse_space(p) && parse_text(r, &key->text);
	case SIZE: return parse_space(p) && parse_number(p, false, key);
	case SECONDS: return parse_space(p) && parse_number(p, true, key);
	case MODSEQ: return parse_space(p) && parse_modseq(p, key);
	case UIDS: return parse_space(p) && parse_set(p, &key->set);
	}
	return false;
}

static bool parse_named_key(struct search_reader *r, struct siblings *to)
{
	for (size_t i = 0; i < ARRAY_LEN(key_names); i++) {
		const struct key_name *name = &key_names[i];
		bool negated = name->argument == UNFLAG || name->argument == UNKEYWORD;
		struct search_key *key;

		if (!parse_take_word(r->p, name->name))
			continue;
		key = add_key_or_not(r, to, name->kind, negated);
		return key != NULL && parse_argument(r, name, key);
	}
	return parse_expected(r->p, "a search key");
}

static bool parse_sequence(struct search_reader *r, struct siblings *to)
{
	struct search_key *key = add_key(r, to, SEARCH_SEQUENCE);

	return key != NULL && parse_set(r->p, &key->set);
}

/* --- keys of keys --- */

/* "(" search-key *(SP search-key) ")" */
static bool parse_group(struct search_reader *r, struct siblings *to, unsigned depth)
{
	struct search_key *group = add_key(r, to, SEARCH_AND);
	struct siblings children;

	if (group == NULL)
		return false;
	children.link = &group->child;
	do {
		if (!parse_key(r, &children, depth))
			return false;
	} while (span_take_char(&r->p->in, ' '));
	return parse_char(r->p, ')', "\")\" behind the search keys");
}

/* "NOT" SP search-key; pairs of NOT cancel out */
static bool parse_not(struct search_reader *r, struct siblings *to, unsigned depth)
{
	bool negated = true;
	struct search_key *parent;

	if (!parse_space(r->p))
		return false;
	while (parse_take_word(r->p, "NOT")) {
		negated = !negated;
		if (!parse_space(r->p))
			return false;
	}
	if (!negated)
		return parse_key(r, to, depth);
	parent = add_key(r, to, SEARCH_NOT);
	return parent != NULL && parse_key(r, &(struct siblings) { &parent->child }, depth);
}

/* "OR" SP search-key SP search-key. Clients that look for many things chain it ("OR a OR b OR c d", "OR OR a b c"): one key with all of them. */
static bool parse_or(struct search_reader *r, struct siblings *to, unsigned depth)
{
	struct search_key *either = add_key(r, to, SEARCH_OR);
	struct siblings children;
	unsigned wanted = 2;

	if (either == NULL)
		return false;
	children.link = &either->child;
	while (wanted > 0) {
		if (!parse_space(r->p))
			return false;
		if (parse_take_word(r->p, "OR"))
			wanted++; /* two in place of one */
		else if (parse_key(r, &children, depth))
			wanted--;
		else
			return false;
	}
	return true;
}

static bool parse_key(struct search_reader *r, struct siblings *to, unsigned depth)
{
	struct parser *p = r->p;
	char c = p->in.len > 0 ? p->in.ptr[0] : '\0';

	if (depth > PARSE_DEPTH_MAX)
		return error_set(p->err, ERR_TOO_LONG, "search keys nested deeper than %d", PARSE_DEPTH_MAX);
	if (ascii_is_digit((unsigned char)c) || c == '*' || c == '$')
		return parse_sequence(r, to);
	if (span_take_char(&p->in, '('))
		return parse_group(r, to, depth + 1);
	if (parse_take_word(p, "NOT"))
		return parse_not(r, to, depth + 1);
	if (parse_take_word(p, "OR"))
		return parse_or(r, to, depth + 1);
	return parse_named_key(r, to);
}

bool parse_search_keys(struct parser *p, struct search_args *out)
{
	struct search_reader r = { .p = p, .charset = out->charset };
	struct siblings top = { &out->key }, children;

	if (add_key(&r, &top, SEARCH_AND) == NULL)
		return false;
	children.link = &out->key->child;
	do {
		if (!parse_space(p) || !parse_key(&r, &children, 0))
			return false;
	} while (!parse_at_end(p));
	return parse_end(p);
}

/* --- around the keys --- */

/* charset = atom / quoted. RFC 6855 §3 would refuse any once UTF-8 is enabled; UTF-8 and US-ASCII contradict nothing, so only others are. */
bool parse_charset(struct parser *p, struct search_args *out)
{
	const struct charset *charset;

	if (!parse_astring(p, &out->charset))
		return false;
	charset = charset_find(out->charset);
	if (charset == NULL)
		return error_set(p->err, ERR_UNSUPPORTED, "unknown charset");
	if (p->utf8 && charset->method != CHARSET_UTF8 && charset->method != CHARSET_ASCII)
		return parse_expected(p, "UTF-8: it is enabled");
	return true;
}

static const struct return_name {
	const char *name;
	enum search_return bit;
} return_names[] = {
	{ "MIN", RETURN_MIN }, { "MAX", RETURN_MAX }, { "ALL", RETURN_ALL }, { "COUNT", RETURN_COUNT },
	{ "SAVE", RETURN_SAVE }, /* RFC 5182 §2.1 */
};

static bool parse_return_option(struct parser *p, struct search_args *out)
{
	for (size_t i = 0; i < ARRAY_LEN(return_names); i++) {
		if (parse_take_word(p, return_names[i].name)) {
			out->returns |= return_names[i].bit;
			return true;
		}
	}
	return parse_expected(p, "MIN, MAX, ALL, COUNT or SAVE");
}

bool parse_search_return(struct parser *p, struct search_args *out)
{
	struct parser after = *p;

	if (!span_take_char(&after.in, ' ') || !parse_take_word(&after, "RETURN"))
		return true;
	*p = after;
	out->extended = true;
	if (!parse_space(p) || !parse_char(p, '(', "\"(\" behind RETURN"))
		return false;
	if (span_take_char(&p->in, ')')) {
		out->returns = RETURN_ALL; /* RFC 4731 §3.1 */
		return true;
	}
	do {
		if (!parse_return_option(p, out))
			return false;
	} while (span_take_char(&p->in, ' '));
	return parse_char(p, ')', "\")\" behind the return options");
}

/* search-program = ["CHARSET" SP charset SP] search-key *(SP search-key) (RFC 9051 §9) */
bool parse_search(struct parser *p, struct search_args *out)
{
	struct parser after;

	*out = (struct search_args) { 0 };
	if (!parse_search_return(p, out))
		return false;
	after = *p;
	if (span_take_char(&after.in, ' ') && parse_take_word(&after, "CHARSET")) {
		*p = after;
		if (!parse_space(p) || !parse_charset(p, out))
			return false;
	}
	return parse_search_keys(p, out);
}
