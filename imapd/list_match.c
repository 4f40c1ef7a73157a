#include "imapd/list_match.h"

#include "base/utf8.h"
#include "storage/mailbox_name.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define WORD_BITS 64
#define WORDS_MAX (MAILBOX_NAME_MAX / WORD_BITS + 1) /* a name has no more octets, so a pattern may ask for no more */
#define OCTETS    256
#define INBOX_LEN 5

/* The octets of a pattern without its wildcards are its literals; place n is behind n of them. A wildcard between two literals
 * lets the match stay at that place. Place 0 is where it begins, place `literals` where it must end. */
struct list_pattern {
	struct span prefix; /* the literals before the first wildcard */
	bool has_wildcards;
	bool ends_in_level; /* in "%" */
	size_t literals, words;
	uint64_t *steps;               /* [octet][word]: the places that this octet leads to from the one before */
	uint64_t *star, *any_wildcard; /* [word]: places where "*", or either of the two, lets the match stay */
};

static bool is_wildcard(char c)
{
	return c == '*' || c == '%';
}

static void set_bit(uint64_t *words, size_t bit)
{
	words[bit / WORD_BITS] |= (uint64_t)1 << (bit % WORD_BITS);
}

static bool has_bit(const uint64_t *words, size_t bit)
{
	return (words[bit / WORD_BITS] >> (bit % WORD_BITS) & 1) != 0;
}

/* --- compiling --- */

/* reference and pattern as one, in NFC; ptr NULL: out of memory. */
static struct span canonical(struct arena *arena, struct span reference, struct span pattern)
{
	size_t len = reference.len + pattern.len;
	char *text = arena_alloc(arena, len + 1);
	utf8proc_uint8_t *composed = NULL;
	struct span out = { text, len };
	utf8proc_ssize_t composed_len;

	if (text == NULL)
		return SPAN_EMPTY;
	if (reference.len > 0)
		memcpy(text, reference.ptr, reference.len);
	if (pattern.len > 0)
		memcpy(text + reference.len, pattern.ptr, pattern.len);
	if (utf8_is_ascii(out))
		return out;
	composed_len = utf8proc_map(
	        (const utf8proc_uint8_t *)text, (utf8proc_ssize_t)len, &composed, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
	if (composed_len < 0)
		return composed_len == UTF8PROC_ERROR_NOMEM ? SPAN_EMPTY
		                                            : span_first(out, 0); /* no name is like that */
	out = arena_copy(arena, span_make(composed, (size_t)composed_len));
	free(composed);
	return out;
}

static size_t count_literals(struct span text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += !is_wildcard(text.ptr[i]);
	return count;
}

static bool alloc_places(struct list_patterns *set, struct list_pattern *pattern, struct error *err)
{
	size_t words = pattern->words, size = (OCTETS + 2) * words * sizeof(uint64_t);
	uint64_t *memory;

	if (set->words + words > LIST_PATTERN_WORDS_MAX)
		return error_set(err, ERR_LIMIT, "too many patterns with wildcards");
	set->words += words;
	memory = arena_alloc(&set->arena, size);
	if (memory == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	memset(memory, 0, size);
	pattern->steps = memory;
	pattern->star = memory + OCTETS * words;
	pattern->any_wildcard = pattern->star + words;
	return true;
}

static void set_places(struct list_pattern *pattern, struct span text)
{
	size_t place = 0;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];

		if (!is_wildcard(text.ptr[i])) {
			place++;
			set_bit(pattern->steps + c * pattern->words, place);
			continue;
		}
		set_bit(pattern->any_wildcard, place);
		if (c == '*')
			set_bit(pattern->star, place);
	}
}

static bool add_pattern(struct list_patterns *set, struct span text, struct error *err)
{
	struct list_pattern *pattern = &set->items[set->count];
	size_t literals = count_literals(text), prefix = 0;

	if (literals > MAILBOX_NAME_MAX)
		return true;
	while (prefix < text.len && !is_wildcard(text.ptr[prefix]))
		prefix++;
	*pattern = (struct list_pattern) {
		.prefix = span_first(text, prefix),
		.has_wildcards = prefix < text.len,
		.ends_in_level = text.ptr[text.len - 1] == '%',
		.literals = literals,
		.words = literals / WORD_BITS + 1,
	};
	if (pattern->has_wildcards) {
		if (!alloc_places(set, pattern, err))
			return false;
		set_places(pattern, text);
	}
	set->count++;
	return true;
}

bool list_patterns_compile(
        struct list_patterns *out, struct span reference, const struct span *patterns, size_t count, struct error *err)
{
	*out = (struct list_patterns) { 0 };
	arena_init(&out->arena, LIST_MATCH_ARENA_MAX);
	out->items = calloc(count + 1, sizeof(*out->items));
	if (out->items == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < count; i++) {
		struct span text;

		if (patterns[i].len == 0)
			continue; /* RFC 9051 §6.3.9: in the extended syntax they are ignored */
		text = canonical(&out->arena, reference, patterns[i]);
		if (text.ptr == NULL)
			return error_set(err, ERR_NO_MEMORY, "out of memory");
		if (text.len > 0 && !add_pattern(out, text, err))
			return false;
	}
	return true;
}

void list_patterns_free(struct list_patterns *patterns)
{
	free(patterns->items);
	arena_free(&patterns->arena);
	*patterns = (struct list_patterns) { 0 };
}

/* --- matching --- */

/* INBOX, or below it: its first octets are compared without case. */
static bool is_in_inbox(struct span name)
{
	return span_starts(name, SPAN("INBOX")) && (name.len == INBOX_LEN || name.ptr[INBOX_LEN] == '/');
}

static bool has_prefix(struct span name, struct span prefix, bool inbox)
{
	size_t folded = inbox ? (prefix.len < INBOX_LEN ? prefix.len : INBOX_LEN) : 0;

	return name.len >= prefix.len && span_equal_nocase(span_first(name, folded), span_first(prefix, folded)) &&
	       span_starts(span_skip(name, folded), span_skip(prefix, folded));
}

static bool run(const struct list_pattern *pattern, struct span name, bool inbox)
{
	size_t words = pattern->words;
	uint64_t places[WORDS_MAX] = { 0 };

	set_bit(places, pattern->prefix.len);
	for (size_t i = pattern->prefix.len; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];
		const uint64_t *stays = c == '/' ? pattern->star : pattern->any_wildcard;
		const uint64_t *steps = pattern->steps + c * words;
		const uint64_t *lower = steps;
		uint64_t carry = 0, left = 0;

		if (inbox && i < INBOX_LEN)
			lower = pattern->steps + (unsigned char)ascii_lower((char)c) * words;
		for (size_t w = 0; w < words; w++) {
			uint64_t moved = (places[w] << 1 | carry) & (steps[w] | lower[w]);

			carry = places[w] >> (WORD_BITS - 1);
			places[w] = moved | (places[w] & stays[w]);
			left |= places[w];
		}
		if (left == 0)
			return false;
	}
	return has_bit(places, pattern->literals);
}

unsigned list_patterns_match(const struct list_patterns *patterns, struct span name)
{
	bool inbox = is_in_inbox(name);
	unsigned found = LIST_NO_MATCH;

	for (size_t i = 0; i < patterns->count; i++) {
		const struct list_pattern *pattern = &patterns->items[i];

		if (!has_prefix(name, pattern->prefix, inbox))
			continue;
		if (pattern->has_wildcards ? !run(pattern, name, inbox) : name.len != pattern->prefix.len)
			continue;
		found |= LIST_MATCHES;
		if (pattern->ends_in_level)
			return LIST_MATCHES | LIST_MATCHES_LEVEL;
	}
	return found;
}
