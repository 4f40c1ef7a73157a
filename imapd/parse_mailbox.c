#include "imapd/parse_internal.h"

bool parse_decoded_name(struct parser *p, struct span octets, struct span *out)
{
	if (mailbox_name_decode(p->arena, p->utf8, octets, out))
		return true;
	if (p->arena->failed)
		return error_set(p->err, ERR_TOO_LONG, "the command holds too many values");
	return error_set(p->err, ERR_BAD_VALUE, "the mailbox name is not valid UTF-8");
}

bool parse_mailbox(struct parser *p, struct span *out)
{
	struct span octets;

	return parse_astring_8bit(p, &octets) && parse_decoded_name(p, octets, out);
}

bool parse_one_mailbox(struct parser *p, struct span *mailbox)
{
	return parse_space(p) && parse_mailbox(p, mailbox) && parse_end(p);
}

bool parse_rename(struct parser *p, struct rename_args *out)
{
	*out = (struct rename_args) { 0 };
	return parse_space(p) && parse_mailbox(p, &out->from) && parse_space(p) && parse_mailbox(p, &out->to) &&
	       parse_end(p);
}

/* use-attr = "\" atom (RFC 6154 §6) */
static bool parse_use(struct parser *p, struct span *out)
{
	struct span in = p->in, name;

	if (!span_take_char(&p->in, '\\') || !parse_atom(p, &name))
		return parse_expected(p, "a special use as in \\Archive");
	*out = span_first(in, 1 + name.len);
	return true;
}

static bool parse_uses(struct parser *p, struct create_args *out)
{
	size_t capacity = 0;

	if (!parse_char(p, '(', "\"(\" behind USE"))
		return false;
	if (span_take_char(&p->in, ')'))
		return true;
	do {
		struct span *grown = parse_grow(p, out->uses, out->use_count, &capacity, sizeof(*grown));

		if (grown == NULL)
			return false;
		out->uses = grown;
		if (!parse_use(p, &out->uses[out->use_count]))
			return false;
		out->use_count++;
	} while (span_take_char(&p->in, ' '));
	return parse_char(p, ')', "\")\" behind the special uses");
}

/* create-params (RFC 4466 §2.2), of which there is USE (RFC 6154 §6) */
bool parse_create(struct parser *p, struct create_args *out)
{
	*out = (struct create_args) { 0 };
	if (!parse_space(p) || !parse_mailbox(p, &out->mailbox))
		return false;
	if (parse_at_end(p))
		return parse_end(p);
	if (!parse_space(p) || !parse_char(p, '(', "\"(\" or the end of the command"))
		return false;
	if (!parse_take_word(p, "USE"))
		return parse_expected(p, "USE");
	out->has_use = true;
	return parse_space(p) && parse_uses(p, out) && parse_char(p, ')', "\")\" behind USE") && parse_end(p);
}

bool parse_quota_root(struct parser *p, struct quota_args *out)
{
	*out = (struct quota_args) { 0 };
	return parse_space(p) && parse_astring_8bit(p, &out->root) && parse_end(p);
}
