/* The octets of APPEND on their way into the store, cut in two at every place. */
#include "imapd/append_text.h"

#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define TEXT(literal) SPAN(literal)

static const struct text_case {
	struct span input, want;
	bool binary;
} cases[] = {
	{ TEXT("a\r\nb\r\n"), TEXT("a\r\nb\r\n"), false },
	{ TEXT("a\nb\n"), TEXT("a\r\nb\r\n"), false },
	{ TEXT("\n\n\n"), TEXT("\r\n\r\n\r\n"), false },
	{ TEXT("\r\n\n\r\n"), TEXT("\r\n\r\n\r\n"), false },
	{ TEXT("\r\r\n"), TEXT("\r\r\n"), false }, /* a bare CR stays */
	{ TEXT("a\rb\r"), TEXT("a\rb\r"), false },
	{ TEXT("\n\r"), TEXT("\r\n\r"), false },
	{ TEXT("no end"), TEXT("no end"), false },
	{ TEXT("a\nb\0\n"), TEXT("a\nb\0\n"), true },
	{ TEXT(""), TEXT(""), false },
};

static void put(struct append_text *text, struct span in, struct buffer *out)
{
	struct span run;

	assert_true(append_text_allows(text, in));
	while (append_text_next(text, &in, &run)) {
		assert_true(run.len > 0);
		assert_true(buffer_append_span(out, run));
	}
}

static void lines_end_with_crlf(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct text_case *c = &cases[i];

		for (size_t cut = 0; cut <= c->input.len; cut++) {
			struct append_text text = { .binary = c->binary };
			struct buffer out;

			buffer_init(&out, 100);
			put(&text, span_first(c->input, cut), &out);
			put(&text, span_skip(c->input, cut), &out);
			if (!span_equal(buffer_span(&out), c->want))
				fail_msg("case %zu cut at %zu", i, cut);
			buffer_free(&out);
		}
	}
}

static void nul_only_in_literal8(void **state)
{
	const struct append_text plain = { .binary = false }, binary = { .binary = true };

	assert_false(append_text_allows(&plain, SPAN("a\0b")));
	assert_false(append_text_allows(&plain, SPAN("\0")));
	assert_true(append_text_allows(&plain, SPAN("ab")));
	assert_true(append_text_allows(&plain, SPAN_EMPTY));
	assert_true(append_text_allows(&binary, SPAN("a\0b")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_end_with_crlf),
		cmocka_unit_test(nul_only_in_literal8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
