/* A whole command, parsed by what its name says. The first octet chooses: bit 0, UTF-8 is enabled; bit 1, a small arena.
 *
 * Judged: every span is written down octet by octet, so one that leaves input and arena is found; an error has a code and a reason; all of a
 * command that parses was consumed. The octets as a set: it resolves to rising, disjoint ranges that have the same numbers, and
 * what is written of it reads back. The octets as a mailbox name: what is told to clients reads back as the same name, in both forms. */
#include "base/check.h"
#include "base/utf8.h"
#include "parse_show.h"

#include <stdlib.h>
#include <string.h>

#define WRITTEN_MAX 2000 /* numbers of a set that are written out */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void show_command(struct span command, bool utf8, size_t arena_limit)
{
	struct arena arena;
	struct buffer out;

	arena_init(&arena, arena_limit);
	buffer_init(&out, SHOW_MAX);
	(void)parse_show_command(command, utf8, &arena, &out);
	CHECK(out.len > 0 && utf8_is_ascii(buffer_span(&out)));
	buffer_free(&out);
	arena_free(&arena);
}

/* --- sets --- */

/* Is the number in the set as it was written, before it was resolved? */
static bool is_meant(const struct sequence_set *set, uint32_t number, uint32_t largest)
{
	for (size_t i = 0; i < set->count; i++) {
		uint32_t first = set->ranges[i].first == SEQUENCE_STAR ? largest : set->ranges[i].first;
		uint32_t last = set->ranges[i].last == SEQUENCE_STAR ? largest : set->ranges[i].last;

		if (first != 0 && last != 0 &&
		        ((first <= number && number <= last) || (last <= number && number <= first)))
			return true;
	}
	return false;
}

static void check_resolved(const struct sequence_set *set, const struct sequence_set *meant, uint32_t largest)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct number_range *range = &set->ranges[i];

		CHECK(range->first > 0 && range->first <= range->last);
		CHECK(i == 0 || range->first > set->ranges[i - 1].last + 1);
		CHECK(is_meant(meant, range->first, largest) && is_meant(meant, range->last, largest));
		CHECK(range->first == 1 || !is_meant(meant, range->first - 1, largest));
		CHECK(range->last == UINT32_MAX || !is_meant(meant, range->last + 1, largest));
	}
	for (size_t i = 0; i < meant->count; i++) {
		uint32_t number = meant->ranges[i].first;

		CHECK(number == SEQUENCE_STAR || !is_meant(meant, number, largest) ||
		        sequence_set_contains(set, number));
	}
}

static void check_written(const struct sequence_set *set, struct arena *arena)
{
	static uint32_t numbers[WRITTEN_MAX];
	struct sequence_set again;
	struct buffer out;
	struct span text;
	size_t count = 0;

	for (size_t i = 0; i < set->count; i++) {
		for (uint64_t number = set->ranges[i].first; number <= set->ranges[i].last; number++) {
			if (count == WRITTEN_MAX)
				return;
			numbers[count++] = (uint32_t)number;
		}
	}
	buffer_init(&out, 64 * KIB);
	CHECK(sequence_set_write(&out, numbers, count));
	text = buffer_span(&out);
	if (count > 0) {
		CHECK(sequence_set_parse(&text, false, arena, &again) && text.len == 0);
		CHECK(again.count == set->count);
		CHECK(memcmp(again.ranges, set->ranges, set->count * sizeof(*set->ranges)) == 0);
	}
	buffer_free(&out);
}

static void check_set(struct span in, uint32_t largest)
{
	struct span rest = in, same = in;
	struct sequence_set set, meant;
	struct arena arena;

	arena_init(&arena, PARSE_ARENA_MAX);
	if (!sequence_set_parse(&rest, true, &arena, &set)) {
		CHECK(rest.ptr == in.ptr && rest.len == in.len);
	} else if (sequence_set_parse(&same, true, &arena, &meant)) {
		CHECK(rest.ptr + rest.len == in.ptr + in.len && rest.len < in.len);
		CHECK(set.saved == (in.ptr[0] == '$'));
		sequence_set_resolve(&set, largest);
		if (set.count < 200)
			check_resolved(&set, &meant, largest);
		check_written(&set, &arena);
	}
	arena_free(&arena);
}

/* --- mailbox names --- */

static void check_told(struct span name, bool tell_utf8)
{
	struct error err = { 0 };
	struct arena arena;
	struct parser p = { .arena = &arena, .err = &err, .utf8 = tell_utf8 };
	struct span again;
	struct buffer out;
	size_t at;

	arena_init(&arena, PARSE_ARENA_MAX);
	buffer_init(&out, PARSE_ARENA_MAX);
	CHECK(mailbox_name_encode(&out, tell_utf8, name));
	CHECK(tell_utf8 || utf8_is_ascii(buffer_span(&out)));
	p.in = buffer_span(&out);
	if (!span_find(name, '\0', &at)) /* no parser lets one in; nor does one come out of modified UTF-7 */
		CHECK(parse_mailbox(&p, &again) && p.in.len == 0 && span_equal(again, name));
	buffer_free(&out);
	arena_free(&arena);
}

static void check_name(struct span in, bool utf8)
{
	struct arena arena;
	struct span name;

	arena_init(&arena, PARSE_ARENA_MAX);
	if (mailbox_name_decode(&arena, utf8, in, &name)) {
		CHECK(utf8_valid(name));
		check_told(name, false);
		check_told(name, true);
	} else {
		CHECK(!utf8_valid(in) && !arena.failed);
	}
	arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in;
	char *exact;

	if (size < 2 || size > 64 * KIB)
		return 0;
	exact = malloc(size - 1); /* so that one octet too far is found */
	CHECK(exact != NULL);
	memcpy(exact, data + 1, size - 1);
	in = span_make(exact, size - 1);
	show_command(in, data[0] & 1, data[0] & 2 ? 64u * (data[0] >> 2) : PARSE_ARENA_MAX);
	check_set(in, data[0] & 4 ? data[0] : 0);
	check_name(in, data[0] & 1);
	free(exact);
	return 0;
}
