#include "imapd/parse_internal.h"

/* A set without "*" (RFC 7162 §7: known-uids and seq-match-data). */
static bool parse_plain_set(struct parser *p, struct sequence_set *out)
{
	struct span in = p->in;

	if (!parse_set(p, out))
		return false;
	if (!out->saved && !sequence_set_has_star(out))
		return true;
	p->in = in;
	return parse_expected(p, "a sequence set without \"*\" and \"$\"");
}

/* seq-match-data = "(" known-sequence-set SP known-uid-set ")" */
static bool parse_match(struct parser *p, struct select_args *out)
{
	out->has_match = true;
	return parse_char(p, '(', "\"(\"") && parse_plain_set(p, &out->match_seqs) && parse_space(p) &&
	       parse_plain_set(p, &out->match_uids) && parse_char(p, ')', "\")\" behind the known UIDs");
}

/* "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")" (RFC 7162 §7) */
static bool parse_qresync(struct parser *p, struct select_args *out)
{
	out->has_qresync = true;
	if (!parse_space(p) || !parse_char(p, '(', "\"(\" behind QRESYNC"))
		return false;
	if (!span_take_number(&p->in, UINT32_MAX, &out->uid_validity))
		return parse_expected(p, "a UIDVALIDITY");
	if (!parse_space(p) || !parse_number64(p, &out->modseq))
		return false;
	if (span_take_char(&p->in, ' ')) {
		out->has_known_uids = !span_starts(p->in, SPAN("("));
		if (out->has_known_uids && !parse_plain_set(p, &out->known_uids))
			return false;
		if ((!out->has_known_uids || span_take_char(&p->in, ' ')) && !parse_match(p, out))
			return false;
	}
	return parse_char(p, ')', "\")\" behind QRESYNC");
}

/* select-params (RFC 4466 §2.1): CONDSTORE (RFC 7162 §3.1.8), QRESYNC (RFC 7162 §3.2.5) */
static bool parse_param(struct parser *p, struct select_args *out)
{
	if (parse_take_word(p, "CONDSTORE")) {
		out->condstore = true;
		return true;
	}
	if (!out->has_qresync && parse_take_word(p, "QRESYNC"))
		return parse_qresync(p, out);
	return parse_expected(p, "CONDSTORE or QRESYNC");
}

bool parse_select(struct parser *p, struct select_args *out)
{
	*out = (struct select_args) { 0 };
	if (!parse_space(p) || !parse_mailbox(p, &out->mailbox))
		return false;
	if (parse_at_end(p))
		return parse_end(p);
	if (!parse_space(p) || !parse_char(p, '(', "\"(\" or the end of the command"))
		return false;
	do {
		if (!parse_param(p, out))
			return false;
	} while (span_take_char(&p->in, ' '));
	return parse_char(p, ')', "\")\" behind the parameters") && parse_end(p);
}
