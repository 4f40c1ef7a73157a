#include "imapd/parse_internal.h"

#include "base/macros.h"

struct option {
	const char *name;
	unsigned bit;
};

static const struct option select_options[] = {
	{ "SUBSCRIBED", LIST_SUBSCRIBED },
	{ "REMOTE", LIST_REMOTE },
	{ "RECURSIVEMATCH", LIST_RECURSIVEMATCH },
	{ "SPECIAL-USE", LIST_SPECIAL_USE }, /* RFC 6154 §6 */
	{ NULL, 0 },
};

static const struct option return_options[] = {
	{ "SUBSCRIBED", LIST_RETURN_SUBSCRIBED },
	{ "CHILDREN", LIST_RETURN_CHILDREN },
	{ "SPECIAL-USE", LIST_RETURN_SPECIAL_USE },
	{ "STATUS", LIST_RETURN_STATUS }, /* RFC 5819 §2 */
	{ NULL, 0 },
};

static const struct option status_items[] = {
	{ "MESSAGES", STATUS_MESSAGES },
	{ "UIDNEXT", STATUS_UIDNEXT },
	{ "UIDVALIDITY", STATUS_UIDVALIDITY },
	{ "UNSEEN", STATUS_UNSEEN },
	{ "DELETED", STATUS_DELETED },
	{ "SIZE", STATUS_SIZE },                       /* RFC 8438 §4 */
	{ "RECENT", STATUS_RECENT },                   /* RFC 3501 §6.3.10 */
	{ "HIGHESTMODSEQ", STATUS_HIGHESTMODSEQ },     /* RFC 7162 §3.1.7 */
	{ "MAILBOXID", STATUS_MAILBOXID },             /* RFC 8474 §4.3 */
	{ "APPENDLIMIT", STATUS_APPENDLIMIT },         /* RFC 7889 §5 */
	{ "DELETED-STORAGE", STATUS_DELETED_STORAGE }, /* RFC 9208 §4.1.4 */
	{ NULL, 0 },
};

/* Its bit; 0: none of them, and *err is set. */
static unsigned parse_option(struct parser *p, const struct option *options, const char *what)
{
	for (const struct option *option = options; option->name != NULL; option++) {
		if (parse_take_word(p, option->name))
			return option->bit;
	}
	(void)parse_expected(p, what);
	return 0;
}

bool parse_status_items(struct parser *p, unsigned *items)
{
	*items = 0;
	if (!parse_char(p, '(', "\"(\" before the status items"))
		return false;
	do {
		unsigned item = parse_option(p, status_items, "a status item");

		if (item == 0)
			return false;
		*items |= item;
	} while (span_take_char(&p->in, ' '));
	return parse_char(p, ')', "\")\" behind the status items");
}

bool parse_status(struct parser *p, struct status_args *out)
{
	*out = (struct status_args) { 0 };
	return parse_space(p) && parse_mailbox(p, &out->mailbox) && parse_space(p) &&
	       parse_status_items(p, &out->items) && parse_end(p);
}

/* list-select-opts (RFC 9051 §9), behind its "(" */
static bool parse_select_options(struct parser *p, struct list_args *out)
{
	out->extended = true;
	if (span_take_char(&p->in, ')'))
		return true;
	do {
		unsigned bit = parse_option(p, select_options, "a selection option");

		if (bit == 0)
			return false;
		out->select |= bit;
	} while (span_take_char(&p->in, ' '));
	/* RFC 5258 §3.1: it modifies another one. RFC 6154 gives SPECIAL-USE no children to match; Dovecot takes it for one all the same. */
	if ((out->select & LIST_RECURSIVEMATCH) && !(out->select & (LIST_SUBSCRIBED | LIST_SPECIAL_USE)))
		return parse_expected(p, "SUBSCRIBED beside RECURSIVEMATCH");
	return parse_char(p, ')', "\")\" behind the selection options");
}

static bool parse_pattern(struct parser *p, struct list_args *out, size_t *capacity)
{
	struct span *grown = parse_grow(p, out->patterns, out->pattern_count, capacity, sizeof(*grown)), octets;

	if (grown == NULL || !parse_list_mailbox(p, &octets))
		return false;
	out->patterns = grown;
	return parse_decoded_name(p, octets, &out->patterns[out->pattern_count++]);
}

/* mbox-or-pat = list-mailbox / "(" list-mailbox *(SP list-mailbox) ")" (RFC 5258 §6) */
static bool parse_patterns(struct parser *p, struct list_args *out)
{
	size_t capacity = 0;

	if (!span_take_char(&p->in, '('))
		return parse_pattern(p, out, &capacity);
	out->extended = true;
	do {
		if (!parse_pattern(p, out, &capacity))
			return false;
	} while (span_take_char(&p->in, ' '));
	return parse_char(p, ')', "\")\" behind the patterns");
}

static bool parse_return_option(struct parser *p, struct list_args *out)
{
	unsigned bit = parse_option(p, return_options, "a return option"), items;

	if (bit == 0)
		return false;
	out->returns |= bit;
	if (bit != LIST_RETURN_STATUS)
		return true;
	if (!parse_space(p) || !parse_status_items(p, &items))
		return false;
	out->status |= items;
	return true;
}

/* list-return-opts = "RETURN" SP "(" [return-option *(SP return-option)] ")" */
static bool parse_return(struct parser *p, struct list_args *out)
{
	out->extended = true;
	if (!parse_take_word(p, "RETURN"))
		return parse_expected(p, "RETURN or the end of the command");
	if (!parse_space(p) || !parse_char(p, '(', "\"(\" behind RETURN"))
		return false;
	if (span_take_char(&p->in, ')'))
		return true;
	do {
		if (!parse_return_option(p, out))
			return false;
	} while (span_take_char(&p->in, ' '));
	return parse_char(p, ')', "\")\" behind the return options");
}

bool parse_list(struct parser *p, struct list_args *out)
{
	*out = (struct list_args) { 0 };
	if (!parse_space(p))
		return false;
	if (span_take_char(&p->in, '(') && !(parse_select_options(p, out) && parse_space(p)))
		return false;
	if (!parse_mailbox(p, &out->reference) || !parse_space(p) || !parse_patterns(p, out))
		return false;
	if (!parse_at_end(p) && !(parse_space(p) && parse_return(p, out)))
		return false;
	return parse_end(p);
}

bool parse_lsub(struct parser *p, struct list_args *out)
{
	size_t capacity = 0;

	*out = (struct list_args) { 0 };
	return parse_space(p) && parse_mailbox(p, &out->reference) && parse_space(p) &&
	       parse_pattern(p, out, &capacity) && parse_end(p);
}
