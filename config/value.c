#include "config/value.h"

#include "base/macros.h"

#include <stdio.h>
#include <string.h>

#define NEAREST_WORD_MAX 64

struct unit {
	const char *name;
	uint64_t factor;
};

/* Largest first: printing takes the first that divides. */
static const struct unit size_units[] = { { "T", 1ull << 40 }, { "G", 1ull << 30 }, { "M", 1ull << 20 },
	{ "K", 1ull << 10 }, { "", 1 } };
static const struct unit duration_units[] = { { "w", 604800000 }, { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 },
	{ "s", 1000 }, { "ms", 1 } };

static bool scaled(struct span text, const struct unit *units, size_t count, uint64_t max, uint64_t *out)
{
	uint64_t number;

	if (!span_take_number64(&text, max, &number))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!span_equal_nocase(text, span_of(units[i].name)))
			continue;
		if (number > max / units[i].factor)
			return false;
		*out = number * units[i].factor;
		return true;
	}
	return false;
}

bool value_size(struct span text, uint64_t max, uint64_t *bytes)
{
	if (text.len > 2 && span_ends_nocase(text, SPAN("iB")))
		text.len -= 2;
	else if (text.len > 1 && span_ends_nocase(text, SPAN("B")))
		text.len -= 1;
	return scaled(text, size_units, ARRAY_LEN(size_units), max, bytes);
}

bool value_duration(struct span text, uint64_t max_ms, uint64_t *ms)
{
	if (span_equal(text, SPAN("0"))) {
		*ms = 0;
		return true;
	}
	return scaled(text, duration_units, ARRAY_LEN(duration_units), max_ms, ms);
}

bool value_bool(struct span text, bool *out)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = { { "yes", true }, { "no", false }, { "true", true }, { "false", false }, { "on", true },
		{ "off", false }, { "1", true }, { "0", false } };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (span_equal_nocase(text, span_of(words[i].word))) {
			*out = words[i].value;
			return true;
		}
	}
	return false;
}

static bool is_label(struct span label)
{
	if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++) {
		if (!ascii_is_alnum((unsigned char)label.ptr[i]) && label.ptr[i] != '-')
			return false;
	}
	return true;
}

bool value_is_hostname(struct span text)
{
	struct span label;

	if (text.len == 0 || text.len > 253)
		return false;
	while (span_take_until(&text, '.', &label)) {
		if (!is_label(label))
			return false;
	}
	return is_label(text);
}

static void text_of(uint64_t value, const struct unit *units, size_t count, const char *zero, char *out, size_t size)
{
	size_t i = 0;

	if (value == 0) {
		(void)snprintf(out, size, "%s", zero);
		return;
	}
	while (i + 1 < count && value % units[i].factor != 0)
		i++;
	(void)snprintf(out, size, "%llu%s", (unsigned long long)(value / units[i].factor), units[i].name);
}

void value_size_text(uint64_t bytes, char *out, size_t size)
{
	text_of(bytes, size_units, ARRAY_LEN(size_units), "0", out, size);
}

void value_duration_text(uint64_t ms, char *out, size_t size)
{
	text_of(ms, duration_units, ARRAY_LEN(duration_units), "0", out, size);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool same(struct span a, size_t i, struct span b, size_t j)
{
	return ascii_lower(a.ptr[i - 1]) == ascii_lower(b.ptr[j - 1]);
}

/* Edits from a to b: insert, drop, replace a byte, or swap two neighbours ("smpt"). Both at most NEAREST_WORD_MAX. */
static size_t edit_distance(struct span a, struct span b)
{
	size_t rows[3][NEAREST_WORD_MAX + 1];

	for (size_t i = 0; i <= a.len; i++) {
		size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *second_above = rows[(i + 1) % 3];
		row[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			if (i == 0) {
				row[j] = j;
				continue;
			}
			row[j] = least(above[j - 1] + !same(a, i, b, j), least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && same(a, i - 1, b, j) && same(a, i, b, j - 1))
				row[j] = least(row[j], second_above[j - 2] + 1);
		}
	}
	return rows[a.len % 3][b.len];
}

const char *value_nearest(struct span word, const char *const *candidates, size_t count)
{
	size_t limit = word.len / 3 > 1 ? word.len / 3 : 1;
	const char *best = NULL;

	if (word.len > NEAREST_WORD_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		struct span candidate = span_of(candidates[i]);
		size_t distance = candidate.len > NEAREST_WORD_MAX ? limit + 1 : edit_distance(word, candidate);
		if (distance <= limit) {
			best = candidates[i];
			limit = distance == 0 ? 0 : distance - 1;
			if (distance == 0)
				break;
		}
	}
	return best;
}
