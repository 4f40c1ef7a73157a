#include "imapd/parse_internal.h"

#include "base/macros.h"

enum tail { NO_TAIL, SECTION_TAIL, BINARY_TAIL, SIZE_TAIL, PREVIEW_TAIL }; /* what may follow the name */

static const struct item_name {
	const char *name;
	enum fetch_kind kind;
	bool peek;
	enum tail tail;
} item_names[] = {
	{ "UID", FETCH_UID },
	{ "FLAGS", FETCH_FLAGS },
	{ "INTERNALDATE", FETCH_INTERNALDATE },
	{ "RFC822.SIZE", FETCH_RFC822_SIZE },
	{ "ENVELOPE", FETCH_ENVELOPE },
	{ "BODYSTRUCTURE", FETCH_BODYSTRUCTURE },
	{ "BODY", FETCH_SECTION, false, SECTION_TAIL }, /* FETCH_BODY without a section */
	{ "BODY.PEEK", FETCH_SECTION, true, SECTION_TAIL },
	{ "RFC822", FETCH_RFC822 },
	{ "RFC822.HEADER", FETCH_RFC822_HEADER, true }, /* RFC 3501 §6.4.5: as BODY.PEEK[HEADER] */
	{ "RFC822.TEXT", FETCH_RFC822_TEXT },
	{ "BINARY", FETCH_BINARY, false, BINARY_TAIL },
	{ "BINARY.PEEK", FETCH_BINARY, true, BINARY_TAIL },
	{ "BINARY.SIZE", FETCH_BINARY_SIZE, true, SIZE_TAIL },
	{ "MODSEQ", FETCH_MODSEQ },
	{ "EMAILID", FETCH_EMAILID },
	{ "THREADID", FETCH_THREADID },
	{ "SAVEDATE", FETCH_SAVEDATE },
	{ "PREVIEW", FETCH_PREVIEW, false, PREVIEW_TAIL },
};

static const struct macro {
	const char *name;
	enum fetch_kind kinds[5];
	size_t count;
} macros[] = {
	/* RFC 9051 §6.4.5 */
	{ "ALL", { FETCH_FLAGS, FETCH_INTERNALDATE, FETCH_RFC822_SIZE, FETCH_ENVELOPE }, 4 },
	{ "FAST", { FETCH_FLAGS, FETCH_INTERNALDATE, FETCH_RFC822_SIZE }, 3 },
	{ "FULL", { FETCH_FLAGS, FETCH_INTERNALDATE, FETCH_RFC822_SIZE, FETCH_ENVELOPE, FETCH_BODY }, 5 },
};

struct item_list {
	struct fetch_args *args;
	size_t capacity;
	struct repeats *seen;
};

/* --- without repetitions: an item that comes twice would be answered twice --- */

static uint32_t hash_octets(uint32_t hash, const void *bytes, size_t len)
{
	return hash_nocase(hash, span_make(bytes, len)); /* good enough for numbers too */
}

/* Of what the response calls the item: without `peek`. */
static uint32_t item_hash(const struct fetch_item *item)
{
	const struct section *section = &item->section;
	uint64_t numbers[] = { item->kind, section->text, section->part_count, item->partial, item->offset,
		item->size };
	uint32_t hash = hash_octets(0, numbers, sizeof(numbers));

	hash = hash_octets(hash, section->parts, section->part_count * sizeof(*section->parts));
	for (size_t i = 0; i < section->field_count; i++)
		hash = hash_nocase(hash, section->fields[i]);
	return hash;
}

static bool section_equal(const struct section *a, const struct section *b)
{
	if (a->text != b->text || a->part_count != b->part_count || a->field_count != b->field_count)
		return false;
	for (unsigned i = 0; i < a->part_count; i++) {
		if (a->parts[i] != b->parts[i])
			return false;
	}
	for (size_t i = 0; i < a->field_count; i++) {
		if (!span_equal_nocase(a->fields[i], b->fields[i]))
			return false;
	}
	return true;
}

static bool item_equal(const struct fetch_item *a, const struct fetch_item *b)
{
	return a->kind == b->kind && a->partial == b->partial && a->offset == b->offset && a->size == b->size &&
	       section_equal(&a->section, &b->section);
}

static bool add_item(struct parser *p, struct item_list *list, const struct fetch_item *item)
{
	struct fetch_args *args = list->args;
	uint32_t hash = item_hash(item);
	struct fetch_item *grown;

	for (size_t i = 0; repeats_find(list->seen, hash, &i); i++) {
		if (item_equal(&args->items[i], item)) {
			args->items[i].peek &= item->peek; /* BODY[] beside BODY.PEEK[] */
			return true;
		}
	}
	grown = parse_grow(p, args->items, args->item_count, &list->capacity, sizeof(*grown));
	if (grown == NULL)
		return false;
	args->items = grown;
	args->items[args->item_count++] = *item;
	list->seen->hashes[list->seen->count++] = hash;
	return true;
}

/* --- items --- */

/* partial = "<" number64 "." nz-number64 ">"; a size of 0, which is no nz-number, gives an empty string */
static bool parse_partial(struct parser *p, struct fetch_item *item)
{
	if (!span_take_char(&p->in, '<'))
		return true;
	item->partial = true;
	return parse_number64(p, &item->offset) && parse_char(p, '.', "\".\" in <offset.size>") &&
	       parse_number64(p, &item->size) && parse_char(p, '>', "\">\" behind <offset.size>");
}

/* RFC 8970 §4: "PREVIEW" [SP "(" preview-mod *(SP preview-mod) ")"]. A preview is at hand always, so LAZY changes nothing. */
static bool parse_preview(struct parser *p)
{
	struct span in = p->in;

	if (!span_take_char(&in, ' ') || !span_take_char(&in, '('))
		return true;
	p->in = in;
	do {
		if (!parse_take_word(p, "LAZY"))
			return parse_expected(p, "LAZY");
	} while (span_take_char(&p->in, ' '));
	return parse_char(p, ')', "\")\" behind LAZY");
}

static bool parse_tail(struct parser *p, enum tail tail, struct fetch_item *item)
{
	switch (tail) {
	case NO_TAIL: return true;
	case SECTION_TAIL:
		if (!item->peek && !span_starts(p->in, SPAN("["))) {
			item->kind = FETCH_BODY;
			return true;
		}
		return parse_section(p, false, &item->section) && parse_partial(p, item);
	case BINARY_TAIL: return parse_section(p, true, &item->section) && parse_partial(p, item);
	case SIZE_TAIL: return parse_section(p, true, &item->section);
	case PREVIEW_TAIL: return parse_preview(p);
	}
	return false;
}

/* Also within parentheses, where §9 has no macros. */
static bool take_macro(struct parser *p, struct item_list *list, bool *found)
{
	*found = false;
	for (size_t i = 0; i < ARRAY_LEN(macros); i++) {
		if (!parse_take_word(p, macros[i].name))
			continue;
		*found = true;
		for (size_t j = 0; j < macros[i].count; j++) {
			if (!add_item(p, list, &(struct fetch_item) { .kind = macros[i].kinds[j] }))
				return false;
		}
		return true;
	}
	return true;
}

static bool parse_item(struct parser *p, struct item_list *list)
{
	bool found;

	if (!take_macro(p, list, &found))
		return false;
	if (found)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(item_names); i++) {
		struct fetch_item item = { .kind = item_names[i].kind, .peek = item_names[i].peek };

		if (parse_take_word(p, item_names[i].name))
			return parse_tail(p, item_names[i].tail, &item) && add_item(p, list, &item);
	}
	return parse_expected(p, "a fetch item");
}

static bool parse_items(struct parser *p, struct item_list *list)
{
	if (!span_take_char(&p->in, '('))
		return parse_item(p, list);
	do {
		if (!parse_item(p, list))
			return false;
	} while (span_take_char(&p->in, ' '));
	return parse_char(p, ')', "\")\" behind the fetch items");
}

/* --- modifiers (RFC 4466 §2.4, RFC 7162 §7) --- */

static bool parse_modifier(struct parser *p, struct fetch_args *out)
{
	if (parse_take_word(p, "VANISHED")) {
		out->vanished = true;
		return true;
	}
	if (!parse_take_word(p, "CHANGEDSINCE"))
		return parse_expected(p, "CHANGEDSINCE or VANISHED");
	out->has_changedsince = true;
	return parse_space(p) && parse_number64(p, &out->changedsince);
}

static bool parse_modifiers(struct parser *p, struct fetch_args *out)
{
	if (!parse_space(p) || !parse_char(p, '(', "\"(\" or the end of the command"))
		return false;
	do {
		if (!parse_modifier(p, out))
			return false;
	} while (span_take_char(&p->in, ' '));
	if (out->vanished && !out->has_changedsince) /* RFC 7162 §3.2.6 */
		return parse_expected(p, "CHANGEDSINCE beside VANISHED");
	return parse_char(p, ')', "\")\" behind the modifiers");
}

bool parse_fetch(struct parser *p, struct fetch_args *out)
{
	struct repeats seen; /* not cleared: 4 KiB */
	struct item_list list = { .args = out, .seen = &seen };

	seen.count = 0;
	*out = (struct fetch_args) { 0 };
	if (!parse_space(p) || !parse_set(p, &out->set) || !parse_space(p) || !parse_items(p, &list))
		return false;
	return (parse_at_end(p) || parse_modifiers(p, out)) && parse_end(p);
}
