/* LIST: a reference, patterns and names, a line each; the first octet: bits 0 to 3 the selection, bit 4 LSUB; a name that begins
 * with "-" is only subscribed to. Judged: a match is what the definition of the two wildcards says (a table of places, so that the
 * judge is linear too); each name is a node once, behind its parent; what is listed matches, and meets the selection or stands for
 * one below it that does and is not listed itself. */
#include "base/check.h"
#include "imapd/list_names.h"
#include "storage/mailbox_name.h"

#include <string.h>

#define NAMES_MAX    64
#define PATTERNS_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(struct span name, size_t at, char c)
{
	bool inbox = span_starts(name, SPAN("INBOX")) && (name.len == 5 || name.ptr[5] == '/');

	return inbox && at < 5 ? ascii_lower(name.ptr[at]) == ascii_lower(c) : name.ptr[at] == c;
}

/* places[n]: the pattern up to here matches the first n octets of the name. */
static bool model(struct span pattern, struct span name)
{
	static bool places[MAILBOX_NAME_MAX + 1];

	memset(places, 0, name.len + 1);
	places[0] = true;
	for (size_t i = 0; i < pattern.len; i++) {
		char c = pattern.ptr[i];

		if (c == '*' || c == '%') {
			for (size_t n = 0; n < name.len; n++)
				places[n + 1] = places[n + 1] || (places[n] && (c == '*' || name.ptr[n] != '/'));
			continue;
		}
		for (size_t n = name.len; n > 0; n--)
			places[n] = places[n - 1] && same(name, n - 1, c);
		places[0] = false;
	}
	return places[name.len];
}

static void check_nodes(const struct list_names *names, const struct list_patterns *patterns, unsigned select)
{
	for (size_t i = 0; i < names->count; i++) {
		const struct list_node *node = &names->nodes[i];
		size_t slash;

		CHECK(i == 0 || !span_equal(node->name, names->nodes[i - 1].name));
		CHECK(span_find_last(node->name, '/', &slash) == (node->parent != LIST_NO_PARENT));
		if (node->parent != LIST_NO_PARENT)
			CHECK(node->parent < i &&
			        span_equal(names->nodes[node->parent].name, span_first(node->name, slash)));
		if (!node->listed)
			continue;
		CHECK(list_patterns_match(patterns, node->name) != LIST_NO_MATCH);
		CHECK(node->meets || node->below_hidden);
		CHECK(!node->meets || node->info != NULL || (node->subscribed && (select & LIST_SUBSCRIBED)));
	}
}

static bool take_line(struct span *in, struct span *line)
{
	if (in->len == 0)
		return false;
	if (!span_take_until(in, '\n', line)) {
		*line = *in;
		*in = SPAN_EMPTY;
	}
	return true;
}

static void add_names(struct list_names *names, struct span in)
{
	struct mailbox_info info = { .id = 1 };
	struct mailbox_name name;
	struct error err;
	struct span line;

	for (unsigned i = 0; i < NAMES_MAX && take_line(&in, &line); i++) {
		bool only_subscribed = span_take_char(&line, '-');

		info.use = line.len % 3 == 0 ? USE_SENT : USE_NONE;
		if (mailbox_name_parse(line, &name, &err))
			list_names_add(names, mailbox_name_span(&name), only_subscribed ? NULL : &info);
	}
}

static void check_matches(const struct list_names *names, struct span pattern)
{
	struct list_patterns one;
	struct error err;

	if (list_patterns_compile(&one, SPAN_EMPTY, &pattern, 1, &err) &&
	        memchr(pattern.ptr, '\0', pattern.len) == NULL) {
		bool ascii = true;

		for (size_t i = 0; i < pattern.len; i++)
			ascii = ascii && (unsigned char)pattern.ptr[i] < 0x80; /* else it is another one in NFC */
		for (size_t i = 0; ascii && i < names->count; i++)
			CHECK((list_patterns_match(&one, names->nodes[i].name) != LIST_NO_MATCH) ==
			        model(pattern, names->nodes[i].name));
	}
	list_patterns_free(&one);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_make(data, size), reference, lines[PATTERNS_MAX];
	struct list_patterns patterns;
	struct list_names names;
	struct error err;
	size_t count = 0;
	unsigned select;

	if (size < 2 || size > 16 * KIB)
		return 0;
	select = data[0] & 0xf;
	in = span_skip(in, 1);
	(void)take_line(&in, &reference);
	while (count < PATTERNS_MAX && take_line(&in, &lines[count]) && lines[count].len > 0)
		count++;
	list_names_init(&names);
	add_names(&names, in);
	CHECK(list_names_arrange(&names, &err));
	if (list_patterns_compile(&patterns, reference, lines, count, &err)) {
		list_names_select(&names, &patterns, select, (data[0] & 0x10) != 0);
		check_nodes(&names, &patterns, select);
	}
	list_patterns_free(&patterns);
	for (size_t i = 0; i < count; i++)
		check_matches(&names, lines[i]);
	list_names_free(&names);
	return 0;
}
