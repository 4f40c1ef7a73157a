#include "imapd/parse_internal.h"

/* RFC 7162 §3.1.3: store-modifiers = "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")" SP */
static bool parse_modifiers(struct parser *p, struct store_args *out)
{
	if (!span_take_char(&p->in, '('))
		return true;
	if (!parse_take_word(p, "UNCHANGEDSINCE"))
		return parse_expected(p, "UNCHANGEDSINCE");
	out->has_unchangedsince = true;
	return parse_space(p) && parse_number64(p, &out->unchangedsince) &&
	       parse_char(p, ')', "\")\" behind UNCHANGEDSINCE") && parse_space(p);
}

static bool parse_item(struct parser *p, struct store_args *out)
{
	if (span_take_char(&p->in, '+'))
		out->mode = STORE_ADD;
	else if (span_take_char(&p->in, '-'))
		out->mode = STORE_REMOVE;
	if (parse_take_word(p, "FLAGS.SILENT"))
		out->silent = true;
	else if (!parse_take_word(p, "FLAGS"))
		return parse_expected(p, "FLAGS or FLAGS.SILENT");
	return parse_space(p);
}

bool parse_store(struct parser *p, struct store_args *out)
{
	*out = (struct store_args) { .mode = STORE_REPLACE };
	return parse_space(p) && parse_set(p, &out->set) && parse_space(p) && parse_modifiers(p, out) &&
	       parse_item(p, out) && parse_flag_list(p, &out->flags) && parse_end(p);
}

bool parse_copy(struct parser *p, struct copy_args *out)
{
	*out = (struct copy_args) { 0 };
	return parse_space(p) && parse_set(p, &out->set) && parse_space(p) && parse_mailbox(p, &out->mailbox) &&
	       parse_end(p);
}

bool parse_uid_set(struct parser *p, struct sequence_set *set)
{
	return parse_space(p) && parse_set(p, set) && parse_end(p);
}
