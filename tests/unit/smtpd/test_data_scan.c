/* The end of DATA and dot-stuffing (RFC 5321 §4.5.2): every case is split at every octet, and fed octet by octet. */
#include "smtpd/syntax/data_scan.h"

#include "base/buffer.h"
#include "base/macros.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct run {
	struct data_scan scan;
	struct buffer text;
	enum data_found last;
	size_t left; /* octets after the end */
};

static void run_init(struct run *run)
{
	data_scan_init(&run->scan);
	buffer_init(&run->text, 1 * MIB);
	run->last = DATA_MORE;
	run->left = 0;
}

static void feed(struct run *run, struct span in)
{
	struct span text;

	if (run->last != DATA_MORE) {
		run->left += in.len;
		return;
	}
	while ((run->last = data_scan_next(&run->scan, &in, &text)) == DATA_TEXT) {
		assert_true(text.len > 0);
		buffer_append_span(&run->text, text);
	}
	run->left += in.len;
}

static const struct scan_case {
	struct span input;
	enum data_found want;
	const char *text;
	size_t left;
} cases[] = {
	{ SPAN("a\r\n.\r\n"), DATA_END, "a\r\n", 0 },
	{ SPAN(".\r\n"), DATA_END, "", 0 },
	{ SPAN("a\r\n.\r\nQUIT\r\n"), DATA_END, "a\r\n", 6 },
	{ SPAN("a\r\n..\r\n.\r\n"), DATA_END, "a\r\n.\r\n", 0 },
	{ SPAN("..a\r\n.b\r\n.\r\n"), DATA_END, ".a\r\nb\r\n", 0 },
	{ SPAN("...\r\n.\r\n"), DATA_END, "..\r\n", 0 },
	{ SPAN("a.\r\n.\r\n"), DATA_END, "a.\r\n", 0 },
	{ SPAN("\r\n\r\n.\r\n"), DATA_END, "\r\n\r\n", 0 },
	{ SPAN("a"), DATA_MORE, "a", 0 },
	{ SPAN("a\r\n."), DATA_MORE, "a\r\n", 0 },
	{ SPAN("a\r\n.\r"), DATA_MORE, "a\r\n", 0 },
	{ SPAN("\xff\x80\x1f\r\n.\r\n"), DATA_END, "\xff\x80\x1f\r\n", 0 },
	{ SPAN("a\n.\r\n"), DATA_BAD, NULL, 0 },
	{ SPAN("a\rb\r\n"), DATA_BAD, NULL, 0 },
	{ SPAN("a\r\r\n"), DATA_BAD, NULL, 0 },
	{ SPAN("a\0b\r\n"), DATA_BAD, NULL, 0 },
	{ SPAN("\n"), DATA_BAD, NULL, 0 },
	{ SPAN(".\n"), DATA_BAD, NULL, 0 },
	{ SPAN(".\r.\r\n"), DATA_BAD, NULL, 0 },
	{ SPAN(".\r\r\n"), DATA_BAD, NULL, 0 },
	{ SPAN(".\0\r\n"), DATA_BAD, NULL, 0 },
	{ SPAN("..\n"), DATA_BAD, NULL, 0 },
};

static void verify(const struct scan_case *c, struct run *run, size_t split)
{
	if (run->last != c->want)
		fail_msg("case %zu split at %zu: found %d, not %d", (size_t)(c - cases), split, run->last, c->want);
	if (c->text != NULL && (run->text.len != strlen(c->text) || strcmp(buffer_text(&run->text), c->text) != 0))
		fail_msg("case %zu split at %zu: text \"%s\"", (size_t)(c - cases), split, buffer_text(&run->text));
	if (c->want == DATA_END)
		assert_int_equal(run->left, c->left);
	buffer_free(&run->text);
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct scan_case *c = &cases[i];
		struct run run;

		for (size_t split = 0; split <= c->input.len; split++) {
			run_init(&run);
			feed(&run, span_first(c->input, split));
			feed(&run, span_skip(c->input, split));
			verify(c, &run, split);
		}
		run_init(&run);
		for (size_t at = 0; at < c->input.len; at++)
			feed(&run, span_make(c->input.ptr + at, 1));
		verify(c, &run, SIZE_MAX);
	}
}

static size_t from_hex(const char *hex, char *out)
{
	size_t len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++) {
		char pair[3] = { hex[2 * i], hex[2 * i + 1], '\0' };
		char *end;

		out[i] = (char)strtoul(pair, &end, 16);
		assert_ptr_equal(end, pair + 2);
	}
	return len;
}

/* A copy of the vectors smtp-smuggling/end-of-data.json: what is not the end must not end; what is may be refused for its bare CR or LF. */
static void test_smuggling(void **state)
{
	char path[4096], octets[64];
	json_error_t problem;
	json_t *all, *one;
	size_t index;

	snprintf(path, sizeof(path), "%s/end-of-data.json", getenv("VECTORS"));
	all = json_load_file(path, 0, &problem);
	if (all == NULL)
		fail_msg("%s: %s", path, problem.text);
	assert_true(json_array_size(all) >= 29);
	json_array_foreach(all, index, one)
	{
		bool ends = json_boolean_value(json_object_get(one, "ends_data"));
		bool refusable = json_object_get(one, "note") != NULL;
		size_t len = from_hex(json_string_value(json_object_get(one, "octets")), octets);

		for (size_t split = 0; split <= len; split++) {
			struct run run;

			run_init(&run);
			feed(&run, SPAN("some text"));
			feed(&run, span_make(octets, split));
			feed(&run, span_make(octets + split, len - split));
			if (ends ? run.last != DATA_END && !(refusable && run.last == DATA_BAD) : run.last == DATA_END)
				fail_msg("%s split at %zu: %d", json_string_value(json_object_get(one, "meaning")),
				        split, run.last);
			buffer_free(&run.text);
		}
	}
	json_decref(all);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases), cmocka_unit_test(test_smuggling) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
