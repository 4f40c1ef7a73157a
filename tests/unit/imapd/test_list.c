/* LIST's patterns against a matcher that is plainly right, and the answers of RFC 9051 §6.3.9.8 (as RFC 5258 §5). */
#include "imapd/list_match.h"
#include "imapd/list_names.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define LEN(array)   (sizeof(array) / sizeof((array)[0]))
#define PATTERNS_MAX 4

/* --- patterns --- */

static unsigned match(const char *reference, const char *pattern, const char *name)
{
	struct list_patterns patterns;
	struct span one = span_of(pattern);
	struct error err;
	unsigned found;

	assert_true(list_patterns_compile(&patterns, span_of(reference), &one, 1, &err));
	found = list_patterns_match(&patterns, span_of(name));
	list_patterns_free(&patterns);
	return found;
}

#define NO    LIST_NO_MATCH
#define YES   LIST_MATCHES
#define LEVEL (LIST_MATCHES | LIST_MATCHES_LEVEL)

static const struct match_case {
	const char *reference, *pattern, *name;
	unsigned want;
} match_cases[] = {
	{ "", "*", "a", YES },
	{ "", "*", "a/b/c", YES },
	{ "", "%", "a", LEVEL },
	{ "", "%", "a/b", NO },
	{ "", "%/%", "a/b", LEVEL },
	{ "", "%/%", "a", NO },
	{ "", "a/%", "a/b", LEVEL },
	{ "", "a/%", "a", NO },
	{ "", "a*", "a", YES },
	{ "", "*a", "b/a", YES },
	{ "", "%a", "b/a", NO },
	{ "", "%a", "ba", YES },
	{ "", "*%", "a/b", LEVEL },
	{ "", "%*", "a/b", YES },
	{ "", "a%c", "abc", YES },
	{ "", "a%c", "ab/c", NO },
	{ "", "a*c", "ab/c", YES },
	{ "", "foo", "foo", YES },
	{ "", "foo", "foo2", NO },
	{ "", "foo", "fo", NO },
	{ "", "Foo", "foo", NO }, /* only INBOX is without case */
	/* RFC 9051 §6.3.9: the reference stands in front. */
	{ "archive/", "%", "archive/a", LEVEL },
	{ "archive/", "%", "a", NO },
	{ "foo", "bar", "foobar", YES },
	{ "a/%", "/c", "a/b/c", YES },
	/* INBOX (RFC 9051 §5.1) */
	{ "", "inbox", "INBOX", YES },
	{ "", "iNbOx/a", "INBOX/a", YES },
	{ "", "iNbOx/A", "INBOX/a", NO },
	{ "", "in%", "INBOX", LEVEL },
	{ "", "*nbox", "INBOX", YES },
	{ "", "%B%x", "INBOX", YES },
	{ "", "inbox*", "INBOX/Sub", YES },
	{ "", "inbox*", "INBOXES", NO },
	{ "", "INBOX*", "INBOXES", YES },
	{ "in", "box", "INBOX", YES },
	/* NFC: "e" and a combining acute accent are one letter in the store */
	{ "", "caf\x65\xcc\x81", "caf\xc3\xa9", YES },
	{ "", "caf%", "caf\xc3\xa9", LEVEL },
	{ "", "\xff%", "a", NO },
	{ "", "\\*", "\\a", YES }, /* nothing quotes */
	{ "", "", "a", NO },
};

static void patterns_match(void **state)
{
	for (size_t i = 0; i < LEN(match_cases); i++) {
		const struct match_case *c = &match_cases[i];

		if (match(c->reference, c->pattern, c->name) != c->want)
			fail_msg("\"%s\" \"%s\" and \"%s\"", c->reference, c->pattern, c->name);
	}
}

/* The definition of the two wildcards, word for word. */
static bool model(const char *pattern, const char *name)
{
	if (*pattern == '\0')
		return *name == '\0';
	if (*pattern == '*' || *pattern == '%')
		return model(pattern + 1, name) ||
		       (*name != '\0' && (*pattern == '*' || *name != '/') && model(pattern, name + 1));
	return *name == *pattern && model(pattern + 1, name + 1);
}

static void random_text(const char *letters, size_t max, char *out)
{
	size_t len = (size_t)rand() % (max + 1);

	for (size_t i = 0; i < len; i++)
		out[i] = letters[(size_t)rand() % strlen(letters)];
	out[len] = '\0';
}

static void patterns_match_as_the_model(void **state)
{
	char pattern[16], name[16];
	unsigned matched = 0;

	srand(20240817);
	for (unsigned i = 0; i < 400000; i++) {
		bool want;

		random_text(i % 2 ? "ab/*%" : "ab/*%%**", 9, pattern);
		random_text("aab/", 12, name);
		want = pattern[0] != '\0' && model(pattern, name);
		matched += want;
		if ((match("", pattern, name) != NO) != want)
			fail_msg("\"%s\" and \"%s\": not %d", pattern, name, want);
	}
	assert_true(matched > 10000);
}

/* A pattern over several words of places, and one with more literals than a name can have. */
static void long_patterns(void **state)
{
	char pattern[2101], name[1001];

	memset(name, 'a', 1000);
	name[1000] = '\0';
	for (size_t i = 0; i < 2000; i += 2)
		memcpy(pattern + i, "%a", 2);
	pattern[2000] = '\0';
	assert_int_equal(match("", pattern, name), YES);
	name[999] = '\0';
	assert_int_equal(match("", pattern, name), NO);
	name[999] = 'a';
	name[500] = '/';
	assert_int_equal(match("", pattern, name), NO);
	memset(pattern, 'a', 1500);
	pattern[1500] = '*';
	pattern[1501] = '\0';
	assert_int_equal(match("", pattern, name), NO);
}

/* CPU time: how busy the machine is does not count. */
static clock_t time_of_bomb(size_t len)
{
	char pattern[1024], name[1024];
	clock_t begin = clock();

	for (size_t i = 0; i + 2 < len; i += 2)
		memcpy(pattern + i, "*a", 2);
	memcpy(pattern + len - 2, "*b", 3);
	memset(name, 'a', len);
	name[len] = '\0';
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(match("", pattern, name), NO);
	return clock() - begin;
}

/* Backtracking would take longer than the sun has left. */
static void wildcard_bombs_are_cheap(void **state)
{
	assert_true(time_of_bomb(1000) < 2 * CLOCKS_PER_SEC);
}

static void too_many_wildcards_are_refused(void **state)
{
	struct span many[LIST_PATTERN_WORDS_MAX + 1];
	struct list_patterns patterns;
	struct error err;

	for (size_t i = 0; i < LEN(many); i++)
		many[i] = SPAN("a*");
	assert_true(list_patterns_compile(&patterns, SPAN_EMPTY, many, LEN(many) - 1, &err));
	assert_int_equal(list_patterns_match(&patterns, SPAN("ab")), YES);
	list_patterns_free(&patterns);
	assert_false(list_patterns_compile(&patterns, SPAN_EMPTY, many, LEN(many), &err));
	assert_int_equal(err.code, ERR_LIMIT);
	list_patterns_free(&patterns);
	for (size_t i = 0; i < LEN(many); i++)
		many[i] = SPAN("name"); /* without wildcards as many as the parser lets through */
	assert_true(list_patterns_compile(&patterns, SPAN_EMPTY, many, LEN(many), &err));
	list_patterns_free(&patterns);
}

/* --- hierarchies --- */

/* The words of RFC 9051 §6.3.9.8. "+": mailbox; "-": subscription. A word after a space is the use. */
static const char *const fruit[] = { "+INBOX", "-INBOX", "+Fruit", "+Fruit/Apple", "+Fruit/Banana", "-Fruit/Banana",
	"-Fruit/Peach", "+Tofu", "+Vegetable", "-Vegetable", "+Vegetable/Broccoli", "-Vegetable/Broccoli",
	"+Vegetable/Corn", NULL };
static const char *const foo[] = { "+INBOX", "+Foo", "+Foo/Bar", "+Foo/Baz", "-Foo/Baz", "+Moo", NULL };
static const char *const foo_itself[] = { "+Foo", "-Foo", "+Foo/Baz", "-Foo/Baz", NULL };
static const char *const foo_missing[] = { "+INBOX", "+Foo/Baz", "-Foo/Baz", "+Moo", NULL };
static const char *const foo_none[] = { "+INBOX", "+Foo", "+Foo/Bar", "+Moo", NULL };
static const char *const foo_moo[] = { "+INBOX", "+Foo", "-Foo", "+Foo/Bar", "+Moo", "-Moo", NULL };
static const char *const twos[] = { "+INBOX", "+foo2", "+foo2/bar1", "-foo2/bar1", "+foo2/bar2", "-foo2/bar2", "+baz2",
	"+baz2/bar2", "-baz2/bar2", "+baz2/bar22", "-baz2/bar22", "+baz2/bar222", "-baz2/bar222", "+eps2", "-eps2",
	"+eps2/mamba", "-eps2/mamba", "+qux2/bar2", "-qux2/bar2", NULL };
static const char *const foo_bar[] = { "+foo", "-foo/bar", NULL };
static const char *const music[] = { "+music/rock", "+also/jazz", NULL };
static const char *const uses[] = { "+A", "+A/Sent sent", "+Drafts drafts", "-Drafts", "+Z", "-Z", NULL };
static const char *const deep[] = { "+a!", "+a/b/c/d", "+a/b-c", "+a", "-a/b/x", NULL };

#define SUB  LIST_SUBSCRIBED
#define REC  LIST_RECURSIVEMATCH
#define USE  LIST_SPECIAL_USE
#define LSUB 0x100

/* Answered: the name, then "?" no mailbox, "s" subscribed, "c" has children, "u" a use, "+" CHILDINFO, "~" does not meet the selection. */
static const struct list_case {
	const char *const *names;
	unsigned select;
	const char *patterns[PATTERNS_MAX];
	const char *want;
} list_cases[] = {
	{ fruit, 0, { "*" },
	        "INBOX:s Fruit:c Fruit/Apple: Fruit/Banana:s Tofu: Vegetable:sc Vegetable/Broccoli:s Vegetable/Corn:" },
	{ fruit, SUB, { "*" }, "INBOX:s Fruit/Banana:s Fruit/Peach:?s Vegetable:sc Vegetable/Broccoli:s" },
	{ fruit, 0, { "%" }, "INBOX:s Fruit:c Tofu: Vegetable:sc" },
	{ fruit, LIST_REMOTE, { "%" }, "INBOX:s Fruit:c Tofu: Vegetable:sc" },
	{ fruit, SUB | LIST_REMOTE, { "%" }, "INBOX:s Vegetable:sc" },
	/* 7 */
	{ foo, SUB, { "*" }, "Foo/Baz:s" },
	{ foo, SUB, { "%" }, "" },
	{ foo, SUB | REC, { "%" }, "Foo:c+~" },
	{ foo_itself, SUB | REC, { "%" }, "Foo:sc+" },
	{ foo_missing, SUB | REC, { "%" }, "Foo:?c+~" },
	{ foo_none, SUB | REC, { "%" }, "" },
	{ foo_moo, SUB | REC, { "%" }, "Foo:sc Moo:s" },
	/* 8: a level all of whose subscribed children are answered is not answered for them (§6.3.9.6) */
	{ twos, SUB | REC, { "*2" },
	        "baz2/bar2:s baz2/bar22:s baz2/bar222:s eps2:sc+ foo2:c+~ foo2/bar2:s qux2/bar2:s" },
	{ twos, SUB | REC, { "*" },
	        "baz2/bar2:s baz2/bar22:s baz2/bar222:s eps2:sc+ eps2/mamba:s foo2/bar1:s foo2/bar2:s qux2/bar2:s" },
	/* 9 */
	{ foo_bar, 0, { "foo" }, "foo:" },
	{ foo_bar, SUB, { "foo/*" }, "foo/bar:?s" },
	{ foo_bar, SUB | REC, { "foo" }, "foo:+~" },
	/* 10 */
	{ music, 0, { "*" }, "also/jazz: music/rock:" },
	{ music, 0, { "%" }, "also:?c~ music:?c~" },
	{ music, 0, { "%", "music/rock", "also/jazz" }, "also/jazz: music/rock:" },
	{ music, 0, { "music" }, "" },
	{ music, 0, { "music/%", "music/%" }, "music/rock:" },
	/* RFC 3501 §6.3.9: "%" finds what is above a subscription */
	{ foo_bar, LSUB | SUB, { "%" }, "foo:~" },
	{ foo_bar, LSUB | SUB, { "*" }, "foo/bar:?s" },
	{ fruit, LSUB | SUB, { "%" }, "INBOX:s Fruit:c~ Vegetable:sc" },
	/* RFC 6154 */
	{ uses, USE, { "*" }, "A/Sent:u Drafts:su" },
	{ uses, USE | SUB, { "*" }, "Drafts:su" },
	{ uses, USE | REC, { "%" }, "A:c+~ Drafts:su" },
	{ uses, USE, { "%" }, "Drafts:su" },
	/* "/" sorts below all, levels that are missing appear, each once */
	{ deep, 0, { "*" }, "a:c a/b/c/d: a/b-c: a!:" },
	{ deep, 0, { "a/%" }, "a/b:?c~ a/b-c:" },
	{ deep, 0, { "a/%/%" }, "a/b/c:?c~" },
	{ deep, SUB | REC, { "%", "a/%" }, "a:c+~ a/b:?c+~" },
};

static void add_names(struct list_names *names, const char *const *given)
{
	for (size_t i = 0; given[i] != NULL; i++) {
		struct span name = span_of(given[i] + 1), word;
		struct mailbox_info info = { .id = (int64_t)i + 1 };

		if (span_take_until(&name, ' ', &word)) {
			info.use = span_equal(name, SPAN("sent")) ? USE_SENT : USE_DRAFTS;
			name = word;
		}
		list_names_add(names, name, given[i][0] == '+' ? &info : NULL);
	}
}

static void put_node(struct buffer *out, const struct list_node *node)
{
	if (out->len > 0)
		buffer_append_char(out, ' ');
	buffer_append_span(out, node->name);
	buffer_printf(out, ":%s%s%s%s%s%s", node->info == NULL ? "?" : "", node->subscribed ? "s" : "",
	        node->has_children ? "c" : "",
	        node->info != NULL && special_use_attribute(node->info->use) != NULL ? "u" : "",
	        node->below_meets ? "+" : "", node->meets ? "" : "~");
}

/* CHILDINFO is said only with RECURSIVEMATCH. */
static void put_answers(struct buffer *out, struct list_names *names, unsigned select)
{
	for (size_t i = 0; i < names->count; i++) {
		if (!(select & REC))
			names->nodes[i].below_meets = false;
		if (names->nodes[i].listed)
			put_node(out, &names->nodes[i]);
	}
}

/* The answers of a case, in whatever order. */
static void check_list(const struct list_case *c)
{
	struct span patterns[PATTERNS_MAX];
	struct list_patterns set;
	struct list_names names;
	struct buffer got;
	struct error err;
	size_t count = 0;

	while (count < PATTERNS_MAX && c->patterns[count] != NULL) {
		patterns[count] = span_of(c->patterns[count]);
		count++;
	}
	list_names_init(&names);
	add_names(&names, c->names);
	assert_true(list_names_arrange(&names, &err));
	assert_true(list_patterns_compile(&set, SPAN_EMPTY, patterns, count, &err));
	list_names_select(&names, &set, c->select & ~(unsigned)LSUB, c->select & LSUB);
	buffer_init(&got, 4096);
	put_answers(&got, &names, c->select);
	if (strlen(c->want) != got.len)
		fail_msg("select %#x \"%s\": want %s\ngot %s", c->select, c->patterns[0], c->want, buffer_text(&got));
	for (const char *word = c->want; *word != '\0';) {
		size_t len = strcspn(word, " ");
		void *at = memmem(buffer_text(&got), got.len, word, len);

		if (at == NULL)
			fail_msg("select %#x \"%s\": want %s\ngot %s", c->select, c->patterns[0], c->want,
			        buffer_text(&got));
		word += len + (word[len] == ' ');
	}
	buffer_free(&got);
	list_patterns_free(&set);
	list_names_free(&names);
}

static void hierarchies_are_listed(void **state)
{
	for (size_t i = 0; i < LEN(list_cases); i++)
		check_list(&list_cases[i]);
}

static void parents_come_before_children(void **state)
{
	struct list_names names;
	struct error err;

	list_names_init(&names);
	add_names(&names, deep);
	assert_true(list_names_arrange(&names, &err));
	assert_int_equal(names.count, 7); /* a a/b a/b/c a/b/c/d a/b/x a/b-c a! */
	for (size_t i = 0; i < names.count; i++) {
		const struct list_node *node = &names.nodes[i];
		size_t slash;

		if (!span_find_last(node->name, '/', &slash)) {
			assert_int_equal(node->parent, LIST_NO_PARENT);
			continue;
		}
		assert_true(node->parent < i);
		assert_true(span_equal(names.nodes[node->parent].name, span_first(node->name, slash)));
	}
	list_names_free(&names);
}

static void no_names_at_all(void **state)
{
	struct list_patterns set;
	struct list_names names;
	struct span all = SPAN("*");
	struct error err;

	list_names_init(&names);
	assert_true(list_names_arrange(&names, &err));
	assert_true(list_patterns_compile(&set, SPAN_EMPTY, &all, 1, &err));
	list_names_select(&names, &set, 0, false);
	assert_int_equal(names.count, 0);
	list_patterns_free(&set);
	list_names_free(&names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match),
		cmocka_unit_test(patterns_match_as_the_model),
		cmocka_unit_test(long_patterns),
		cmocka_unit_test(wildcard_bombs_are_cheap),
		cmocka_unit_test(too_many_wildcards_are_refused),
		cmocka_unit_test(hierarchies_are_listed),
		cmocka_unit_test(parents_come_before_children),
		cmocka_unit_test(no_names_at_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
