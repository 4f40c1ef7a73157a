#include "imapd/sequence_set.h"

#include <inttypes.h>
#include <stdlib.h>

/* --- parsing --- */

static bool is_set_char(unsigned char c)
{
	return ascii_is_digit(c) || c == ':' || c == '*' || c == ',';
}

/* seq-number = nz-number / "*" */
static bool take_seq_number(struct span *in, uint32_t *out)
{
	struct span rest = *in;

	if (span_take_char(in, '*')) {
		*out = SEQUENCE_STAR;
		return true;
	}
	if (!span_take_number(&rest, UINT32_MAX, out) || *out == 0)
		return false;
	*in = rest;
	return true;
}

static bool take_range(struct span *in, struct number_range *out)
{
	if (!take_seq_number(in, &out->first))
		return false;
	out->last = out->first;
	return !span_take_char(in, ':') || take_seq_number(in, &out->last);
}

static size_t count_ranges(struct span in)
{
	struct span text;
	size_t count = 1;

	if (!span_take_run(&in, is_set_char, &text))
		return 0;
	for (size_t i = 0; i < text.len; i++)
		count += text.ptr[i] == ',';
	return count;
}

bool sequence_set_parse(struct span *in, bool saved_allowed, struct arena *arena, struct sequence_set *out)
{
	struct span rest = *in;
	struct sequence_set set = { 0 };
	size_t count;

	if (saved_allowed && span_take_char(in, '$')) {
		*out = (struct sequence_set) { .saved = true };
		return true;
	}
	count = count_ranges(rest);
	if (count == 0)
		return false;
	set.ranges = arena_alloc(arena, count * sizeof(*set.ranges));
	if (set.ranges == NULL)
		return false;
	do {
		if (!take_range(&rest, &set.ranges[set.count]))
			return false;
		set.count++;
	} while (span_take_char(&rest, ','));
	*in = rest;
	*out = set;
	return true;
}

/* --- resolving --- */

static int compare_ranges(const void *a, const void *b)
{
	const struct number_range *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return x->last < y->last ? -1 : x->last > y->last;
}

/* False: nothing is left of it. */
static bool resolve_range(struct number_range *range, uint32_t largest)
{
	uint32_t first = range->first == SEQUENCE_STAR ? largest : range->first;
	uint32_t last = range->last == SEQUENCE_STAR ? largest : range->last;

	if (first == 0 || last == 0)
		return false;
	/* RFC 9051 §9 seq-range: "2:4" and "4:2" are one; "3291:*" always has the last message */
	range->first = first < last ? first : last;
	range->last = first < last ? last : first;
	return true;
}

static size_t merge_ranges(struct number_range *ranges, size_t count)
{
	size_t kept = 0;

	for (size_t i = 1; i < count; i++) {
		struct number_range *last = &ranges[kept];

		if (last->last == UINT32_MAX || ranges[i].first <= last->last + 1) {
			if (ranges[i].last > last->last)
				last->last = ranges[i].last;
		} else {
			ranges[++kept] = ranges[i];
		}
	}
	return kept + 1;
}

void sequence_set_resolve(struct sequence_set *set, uint32_t largest)
{
	size_t count = 0;
	bool sorted = true;

	for (size_t i = 0; i < set->count; i++) {
		struct number_range range = set->ranges[i];

		if (!resolve_range(&range, largest))
			continue;
		sorted = sorted && (count == 0 || set->ranges[count - 1].first <= range.first);
		set->ranges[count++] = range;
	}
	if (!sorted) /* hardly ever: clients send rising numbers */
		qsort(set->ranges, count, sizeof(*set->ranges), compare_ranges);
	set->count = count == 0 ? 0 : merge_ranges(set->ranges, count);
}

bool sequence_set_contains(const struct sequence_set *set, uint32_t number)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->ranges[middle].last < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < set->count && set->ranges[low].first <= number;
}

bool sequence_set_has_star(const struct sequence_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		if (set->ranges[i].first == SEQUENCE_STAR || set->ranges[i].last == SEQUENCE_STAR)
			return true;
	}
	return false;
}

/* --- writing --- */

bool sequence_set_write(struct buffer *out, const uint32_t *numbers, size_t count)
{
	for (size_t i = 0; i < count;) {
		size_t end = i + 1;

		while (end < count && numbers[end] == numbers[end - 1] + 1)
			end++;
		if (i > 0 && !buffer_append_char(out, ','))
			return false;
		if (!buffer_printf(out, "%" PRIu32, numbers[i]))
			return false;
		if (end > i + 1 && !buffer_printf(out, ":%" PRIu32, numbers[end - 1]))
			return false;
		i = end;
	}
	return true;
}
