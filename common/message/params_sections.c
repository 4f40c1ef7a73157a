#include "message/params_sections.h"

#include <stdlib.h>
#include <string.h>

#define SECTION_MAX 999 /* RFC 2231 §3 section numbers; PARAMS_MAX bounds how many there can be */

struct section {
	struct span base;
	uint32_t number;
	bool extended;
	size_t index; /* among the parameters */
};

/* "name*N" or "name*N*" */
static bool section_of(struct span name, struct section *section)
{
	struct span number;
	size_t star;

	if (!span_find(name, '*', &star) || star == 0)
		return false;
	section->base = span_first(name, star);
	number = span_skip(name, star + 1);
	if (number.len > 1 && number.ptr[0] == '0' && ascii_is_digit((unsigned char)number.ptr[1]))
		return false; /* RFC 2231 §3: no leading zeros */
	if (!span_take_number(&number, SECTION_MAX, &section->number))
		return false;
	section->extended = span_take_char(&number, '*');
	return number.len == 0;
}

static int compare_nocase(struct span a, struct span b)
{
	size_t shorter = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < shorter; i++) {
		int order = (unsigned char)ascii_lower(a.ptr[i]) - (unsigned char)ascii_lower(b.ptr[i]);

		if (order != 0)
			return order;
	}
	return a.len < b.len ? -1 : a.len > b.len;
}

static int by_base_and_number(const void *left, const void *right)
{
	const struct section *a = left;
	const struct section *b = right;
	int order = compare_nocase(a->base, b->base);

	if (order == 0)
		order = a->number < b->number ? -1 : a->number > b->number;
	if (order == 0)
		order = a->index < b->index ? -1 : a->index > b->index;
	return order;
}

static bool same_name(const struct section *a, const struct section *b)
{
	return span_equal_nocase(a->base, b->base);
}

/* Appends a section's value; a plain one among encoded ones gets its "%" encoded, or it would be decoded twice. */
static char *put_section(char *at, struct span value, bool escape)
{
	for (size_t i = 0; i < value.len; i++) {
		if (escape && value.ptr[i] == '%') {
			memcpy(at, "%25", 3);
			at += 3;
		} else {
			*at++ = value.ptr[i];
		}
	}
	return at;
}

/* Joins `count` sections into the place of the first of them; the others are emptied and dropped later. */
static void join(struct arena *arena, struct mime_params *p, const struct section *sections, size_t count)
{
	struct mime_param *target;
	bool extended = false;
	size_t room = 0;
	size_t place = sections[0].index;
	char *value;
	char *at;
	char *name;

	for (size_t i = 0; i < count; i++) {
		extended = extended || sections[i].extended;
		room += p->items[sections[i].index].value.len * 3;
		if (sections[i].index < place)
			place = sections[i].index;
	}
	value = at = arena_alloc(arena, room + 1);
	name = arena_alloc(arena, sections[0].base.len + 1);
	if (value == NULL || name == NULL)
		return;
	for (size_t i = 0; i < count; i++) {
		struct mime_param *param = &p->items[sections[i].index];

		at = put_section(at, param->value, extended && !sections[i].extended);
		param->name = SPAN_EMPTY;
	}
	memcpy(name, sections[0].base.ptr, sections[0].base.len);
	name[sections[0].base.len] = '*';
	target = &p->items[place];
	target->name = span_make(name, sections[0].base.len + extended);
	target->value = span_make(value, (size_t)(at - value));
}

/* Sections count from 0 without gaps; what comes behind a gap, or twice, stays as it was sent. */
static size_t complete_run(const struct section *sections, size_t count)
{
	size_t run = 0;

	while (run < count && same_name(&sections[run], &sections[0]) && sections[run].number == run)
		run++;
	if (run < count && same_name(&sections[run], &sections[0]) && sections[run].number < run)
		return 0;
	return run;
}

static void drop_joined(struct mime_params *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->count; i++)
		if (p->items[i].name.ptr != NULL)
			p->items[kept++] = p->items[i];
	p->count = kept;
}

void params_join_sections(struct arena *arena, struct mime_params *p)
{
	struct section *sections = NULL;
	struct section section;
	size_t count = 0;

	for (size_t i = 0; i < p->count; i++) {
		if (!section_of(p->items[i].name, &section))
			continue;
		if (sections == NULL)
			sections = arena_alloc(arena, (p->count - i) * sizeof(*sections));
		if (sections == NULL)
			return;
		section.index = i;
		sections[count++] = section;
	}
	if (count == 0)
		return;
	qsort(sections, count, sizeof(*sections), by_base_and_number);
	for (size_t i = 0; i < count;) {
		size_t run = complete_run(sections + i, count - i);

		if (run > 0)
			join(arena, p, sections + i, run);
		do
			i++;
		while (i < count && same_name(&sections[i], &sections[i - 1]));
	}
	drop_joined(p);
}
