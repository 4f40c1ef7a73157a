#include "imapd/parse_internal.h"

#include <string.h>

/* tag = 1*<any ASTRING-CHAR except "+"> (RFC 9051 §9) */
static bool is_tag_char(unsigned char c)
{
	return c > ' ' && c < 0x7f && strchr("(){%*\"\\+", c) == NULL;
}

static bool parse_tag(struct parser *p, struct span *tag)
{
	struct span in = p->in, found;

	if (!span_take_run(&in, is_tag_char, &found) || (in.len > 0 && in.ptr[0] != ' '))
		return parse_expected(p, "a tag");
	if (found.len > PARSE_TAG_MAX)
		return error_set(p->err, ERR_TOO_LONG, "the tag is longer than %d octets", PARSE_TAG_MAX);
	p->in = in;
	*tag = found;
	return true;
}

bool parse_head(struct parser *p, struct command_head *head)
{
	struct parser after;

	*head = (struct command_head) { 0 };
	if (!parse_tag(p, &head->tag) || !parse_space(p))
		return false;
	if (!parse_atom(p, &head->name))
		return parse_expected(p, "a command");
	if (!span_equal_nocase(head->name, SPAN("UID")))
		return true;
	after = *p; /* "UID" alone is left as it is: no such command */
	if (span_take_char(&after.in, ' ') && parse_atom(&after, &head->name)) {
		head->uid = true;
		*p = after;
	}
	return true;
}
