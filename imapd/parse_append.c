#include "imapd/parse_internal.h"

bool parse_append_mailbox(struct parser *p, struct span *mailbox)
{
	return parse_space(p) && parse_mailbox(p, mailbox);
}

/* append-opts (RFC 4466 §2.7, RFC 3502 §6.3.11), each with its trailing SP */
static bool parse_options(struct parser *p, struct append_message *out)
{
	if (span_starts(p->in, SPAN("(")) && !(parse_flag_list(p, &out->flags) && parse_space(p)))
		return false;
	if (span_starts(p->in, SPAN("\""))) {
		out->has_date = true;
		if (!parse_date_time(p, &out->internal_date) || !parse_space(p))
			return false;
	}
	if (parse_take_word(p, "UTF8")) { /* RFC 6855 §4 */
		out->utf8 = true;
		return parse_space(p) && parse_char(p, '(', "\"(\" behind UTF8");
	}
	return true;
}

bool parse_append_message(struct parser *p, struct append_message *out)
{
	*out = (struct append_message) { .synchronizing = true };
	if (!parse_space(p) || !parse_options(p, out))
		return false;
	out->literal8 = span_take_char(&p->in, '~');
	if (!span_take_char(&p->in, '{'))
		return parse_expected(p, "a literal with the message");
	if (!parse_number64(p, &out->size))
		return false;
	if (span_take_char(&p->in, '+'))
		out->synchronizing = false;
	if (!span_take_char(&p->in, '}') || p->in.len > 0)
		return parse_expected(p, "\"}\" and the end of the line");
	if (out->utf8 && !out->literal8)
		return parse_expected(p, "a literal8 (~{) behind UTF8");
	return true;
}

bool parse_append_next(struct parser *p, const struct append_message *previous, bool *more)
{
	if (previous->utf8 && !parse_char(p, ')', "\")\" behind the UTF8 message"))
		return false;
	*more = !parse_at_end(p);
	return true;
}

/* Exactly "{n}", "{n+}" or "~{n}", and the end. */
static bool is_announcement(struct span in)
{
	uint64_t size;

	(void)span_take_char(&in, '~');
	if (!span_take_char(&in, '{') || !span_take_number64(&in, UINT64_MAX, &size))
		return false;
	(void)span_take_char(&in, '+');
	return span_take_char(&in, '}') && in.len == 0;
}

/* The only literal of an APPEND that is no message is its mailbox's name. So one that follows anything else is a message, whether or not
 * what stands before it is right: then the command gets its BAD before the octets come, and not a [TOOBIG]. */
bool append_announces_message(struct span command, unsigned messages, bool utf8)
{
	struct error err;
	struct arena none = { 0 };
	struct parser p = { .in = command, .arena = &none, .err = &err, .utf8 = utf8 };
	struct command_head head;

	if (messages > 0)
		return true;
	if (!parse_head(&p, &head) || head.uid || !span_equal_nocase(head.name, SPAN("APPEND")))
		return false;
	return span_take_char(&p.in, ' ') && !is_announcement(p.in);
}
