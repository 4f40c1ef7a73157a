#include "imapd/parse_internal.h"

#define ID_PAIRS_MAX 30 /* RFC 2971 §3.3 */

/* RFC 6855 §5 leaves LOGIN in ASCII; but clients do send UTF-8 passwords in quotes, and refusing them there helps nobody. */
bool parse_login(struct parser *p, struct login_args *out)
{
	*out = (struct login_args) { 0 };
	return parse_space(p) && parse_astring_8bit(p, &out->user) && parse_space(p) &&
	       parse_astring_8bit(p, &out->password) && parse_end(p);
}

static bool is_base64_char(unsigned char c)
{
	return ascii_is_alnum(c) || c == '+' || c == '/' || c == '=';
}

/* RFC 4959 §3: [SP (base64 / "=")] */
bool parse_authenticate(struct parser *p, struct authenticate_args *out)
{
	struct span rest;

	*out = (struct authenticate_args) { 0 };
	if (!parse_space(p) || !parse_atom(p, &out->mechanism))
		return parse_expected(p, "the name of a mechanism");
	rest = p->in;
	if (span_take_char(&rest, ' ') && span_take_run(&rest, is_base64_char, &out->initial)) {
		out->has_initial = true;
		p->in = rest;
		if (span_equal(out->initial, SPAN("=")))
			out->initial = span_first(out->initial, 0);
	}
	return parse_end(p);
}

static bool add_item(struct parser *p, struct span_list *list, size_t *capacity, struct span item)
{
	struct span *grown = parse_grow(p, list->items, list->count, capacity, sizeof(*grown));

	if (grown == NULL)
		return false;
	list->items = grown;
	list->items[list->count++] = item;
	return true;
}

/* RFC 5161 §3.1: 1*(SP capability) */
bool parse_atom_list(struct parser *p, struct span_list *out)
{
	size_t capacity = 0;
	struct span atom;

	*out = (struct span_list) { 0 };
	do {
		if (!parse_space(p) || !parse_atom(p, &atom) || !add_item(p, out, &capacity, atom))
			return false;
	} while (!parse_at_end(p));
	return parse_end(p);
}

/* Names of devices and vendors come in UTF-8 too; nothing depends on them. */
static bool parse_id_value(struct parser *p, struct span *out)
{
	if (span_starts(p->in, SPAN("\"")))
		return parse_string_8bit(p, out);
	return parse_nstring(p, out);
}

static bool parse_id_pair(struct parser *p, struct span_list *out, size_t *capacity)
{
	struct span name, value;

	return parse_string(p, &name) && parse_space(p) && parse_id_value(p, &value) &&
	       add_item(p, out, capacity, name) && add_item(p, out, capacity, value);
}

/* RFC 2971 §4: id_params_list ::= "(" #(string SPACE nstring) ")" / nil */
bool parse_id(struct parser *p, struct span_list *out)
{
	size_t capacity = 0;

	*out = (struct span_list) { 0 };
	if (!parse_space(p))
		return false;
	if (parse_take_word(p, "NIL"))
		return parse_end(p);
	if (!parse_char(p, '(', "\"(\" or NIL"))
		return false;
	if (span_take_char(&p->in, ')'))
		return parse_end(p);
	do {
		if (out->count == 2 * ID_PAIRS_MAX)
			return error_set(p->err, ERR_TOO_LONG, "more than %d fields", ID_PAIRS_MAX);
		if (!parse_id_pair(p, out, &capacity))
			return false;
	} while (span_take_char(&p->in, ' '));
	return parse_char(p, ')', "\")\" behind the fields") && parse_end(p);
}
