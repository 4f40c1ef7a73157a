/* Folding, and messages as the text that people search in. */
#include "message/fold.h"
#include "message/message_text.h"

#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const struct {
	const char *input, *want;
} fold_cases[] = {
	{ "", "" },
	{ "Hello, World [@`{]", "hello, world [@`{]" },
	{ "Größe", "grosse" },
	{ "GRÖSSE", "grosse" },
	{ "Stra\xc3\x9f"
	  "e STRA\xe1\xba\x9e"
	  "E",
	        "strasse strasse" },
	{ "naïve CAFÉ", "naive cafe" },
	{ "e\xcc\x81t\xc3\xa9", "ete" }, /* decomposed and precomposed */
	{ "Żółć", "zo\xc5\x82"
	          "c" }, /* a stroke is not a mark */
	{ "Привет Ёлка й", "привет елка и" },
	{ "ΑΒΓ ς Ά", "αβγ σ α" },
	{ "ｆｕｌｌ　Ｗｉｄｔｈ", "full width" },
	{ "ﬁne ²½", "fine 21⁄2" },
	{ "a\xc2\xa0z", "a z" },                        /* no-break space */
	{ "a\xc2\xadz", "az" },                         /* soft hyphen */
	{ "a\xe2\x80\x8bz", "az" },                     /* zero width space */
	{ "\xe2\x98\x8e\xef\xb8\x8f", "\xe2\x98\x8e" }, /* variation selector */
	{ "İstanbul", "istanbul" },
	{ "日本語", "日本語" },
	{ "が", "\xe3\x81\x8b\xe3\x82\x99" },             /* kana's voicing stays, decomposed */
	{ "한", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab" }, /* Hangul by its letters */
	{ "שָׁלוֹם", "שלום" },
	{ "مُحَمَّد", "محمد" },
	{ "का", "का" },
	{ "\xff"
	  "a\xc3",
	        "\xef\xbf\xbd"
	        "a\xef\xbf\xbd" },
};

static void test_fold(void **state)
{
	struct buffer out;

	(void)state;
	buffer_init(&out, KIB);
	for (size_t i = 0; i < ARRAY_LEN(fold_cases); i++) {
		buffer_clear(&out);
		assert_true(fold_text(span_of(fold_cases[i].input), &out));
		assert_string_equal(buffer_text(&out), fold_cases[i].want);
	}
	buffer_clear(&out);
	assert_true(fold_text(SPAN("a\0b"), &out));
	assert_string_equal(buffer_text(&out), "a b");
	buffer_free(&out);
}

/* Every character: within the promised growth, never NUL, and the same once more. */
static void test_every_character(void **state)
{
	struct buffer in, once, twice;

	(void)state;
	buffer_init(&in, 16);
	buffer_init(&once, 256);
	buffer_init(&twice, 1024);
	for (uint32_t c = 0; c <= 0x10ffff; c++) {
		buffer_clear(&in);
		buffer_clear(&once);
		buffer_clear(&twice);
		utf8_append(&in, c);
		assert_true(fold_text(buffer_span(&in), &once));
		assert_true(once.len <= in.len * FOLD_GROWTH_MAX);
		assert_true(once.len == 0 || memchr(once.data, '\0', once.len) == NULL);
		assert_true(utf8_valid(buffer_span(&once)));
		assert_true(fold_text(buffer_span(&once), &twice));
		assert_true(span_equal(buffer_span(&once), buffer_span(&twice)));
		buffer_clear(&twice);
		assert_true(fold_collate(buffer_span(&in), &twice));
		assert_true(twice.len <= in.len * FOLD_GROWTH_MAX);
	}
	buffer_free(&in);
	buffer_free(&once);
	buffer_free(&twice);
}

/* Blocks of sixteen and what is left over: every length, with a stranger at every place. */
static void test_ascii_blocks(void **state)
{
	char text[80], want[80];
	struct buffer out;

	(void)state;
	buffer_init(&out, KIB);
	for (size_t len = 0; len < sizeof(text); len++) {
		for (size_t stranger = 0; stranger <= len; stranger++) {
			for (size_t i = 0; i < len; i++) {
				text[i] = (char)((i * 37 + len) & 0x7f);
				want[i] = text[i] == '\0' ? ' ' : ascii_lower(text[i]);
			}
			if (stranger < len)
				text[stranger] = (char)0xe4;
			buffer_clear(&out);
			assert_int_equal(fold_ascii(span_make(text, len), &out), stranger);
			assert_int_equal(out.len, stranger);
			assert_true(stranger == 0 || memcmp(out.data, want, stranger) == 0);
		}
	}
	buffer_free(&out);
}

static const struct {
	const char *less, *more; /* or the same, when equal */
	bool equal;
} collate_cases[] = {
	{ "apple", "Banana", false },
	{ "RE: x", "re: X", true },
	{ "e", "\xc3\xa9", false },
	{ "\xc3\xa9z", "f", false },
};

static void test_collate(void **state)
{
	struct buffer a, b;

	(void)state;
	buffer_init(&a, KIB);
	buffer_init(&b, KIB);
	for (size_t i = 0; i < ARRAY_LEN(collate_cases); i++) {
		buffer_clear(&a);
		buffer_clear(&b);
		assert_true(fold_collate(span_of(collate_cases[i].less), &a));
		assert_true(fold_collate(span_of(collate_cases[i].more), &b));
		if (collate_cases[i].equal)
			assert_true(span_equal(buffer_span(&a), buffer_span(&b)));
		else
			assert_true(span_compare(buffer_span(&a), buffer_span(&b)) < 0);
	}
	/* RFC 5051 §2: title case, then decomposition: accents stay, behind their letter */
	buffer_clear(&a);
	assert_true(fold_collate(SPAN("\xc3\xa9\xef\xac\x81_"), &a));
	assert_string_equal(buffer_text(&a), "E\xcc\x81"
	                                     "fi_");
	buffer_free(&a);
	buffer_free(&b);
}

/* "|" stands for the end of a text, "H:" and "B:" for the place. */
static const struct {
	const char *name, *message, *want;
} text_cases[] = {
	{ "plain", "Subject: =?utf-8?Q?Gr=C3=B6=C3=9Fe?=\r\nX: a\r\n b\r\n\r\nHello\r\n",
	        "H:subject: grosse|x: a b|B:hello\r\n|" },
	{ "latin",
	        "Content-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xf6\xdf"
	        "e",
	        "H:content-type: text/plain; charset=iso-8859-1|B:grosse|" },
	{ "quoted-printable", "Content-Transfer-Encoding: quoted-printable\r\n\r\nsoft=\r\nbreak =C3=9C\r\n",
	        "H:content-transfer-encoding: quoted-printable|B:softbreak u\r\n|" },
	{ "base64",
	        "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+SMOpPC9iPg==\r\n",
	        "H:content-type: text/html; charset=utf-8|content-transfer-encoding: base64|B:<b>he</b>|" },
	{ "attachment", "Content-Type: application/pdf\r\n\r\nHidden\r\n", "H:content-type: application/pdf|" },
	{ "parts",
	        "Content-Type: multipart/mixed; boundary=x\r\n\r\npreamble\r\n--x\r\n\r\nOne\r\n--x\r\n"
	        "Content-Type: image/png\r\n\r\nTwo\r\n--x\r\nContent-Type: text/x-c\r\n\r\nThree\r\n--x--\r\nepilogue\r\n",
	        "H:content-type: multipart/mixed; boundary=x|B:one\r\n|H:content-type: image/png|content-type: text/x-c|B:three\r\n|" },
	{ "forwarded", "Content-Type: message/rfc822\r\n\r\nSubject: Inner\r\n\r\nText\r\n",
	        "H:content-type: message/rfc822|subject: inner|B:text\r\n|" },
	{ "report", "Content-Type: message/delivery-status\r\n\r\nAction: FAILED\r\n",
	        "H:content-type: message/delivery-status|B:action: failed\r\n|" },
	{ "iso-2022-jp", "Content-Type: text/plain; charset=iso-2022-jp\r\n\r\n\x1b$BF|K\\8l\x1b(B A\r\n",
	        "H:content-type: text/plain; charset=iso-2022-jp|B:日本語 a\r\n|" },
	{ "nul", "X: y\r\n\r\na", "H:x: y|B:a|" },
	{ "empty", "", "B:|" },
};

struct collected {
	struct buffer text;
	int place;
	size_t stop_after; /* octets; 0: never */
};

static bool collect(void *context, enum message_text_place place, struct span folded)
{
	struct collected *c = context;

	assert_true(folded.len > 0 && folded.len <= MESSAGE_TEXT_PIECE_MAX);
	if (c->place != (int)place)
		assert_true(buffer_append_text(&c->text, place == TEXT_HEADER ? "H:" : "B:"));
	c->place = place;
	for (size_t i = 0; i < folded.len; i++)
		assert_true(buffer_append_char(&c->text, folded.ptr[i] == '\0' ? '|' : folded.ptr[i]));
	return c->stop_after == 0 || c->text.len < c->stop_after;
}

static void walk(struct message_text *text, struct collected *c, struct span message, size_t piece)
{
	buffer_clear(&c->text);
	c->place = -1;
	while (message.len > 0 && message_text_feed(text, span_first(message, piece)))
		message = span_skip(message, piece);
	assert_true(message_text_finish(text));
}

static void test_message_text(void **state)
{
	struct collected c = { 0 };
	struct message_text_hooks hooks = { .context = &c, .headers = true, .bodies = true, .on_text = collect };
	struct message_text *text = message_text_new(&hooks);

	(void)state;
	assert_non_null(text);
	buffer_init(&c.text, MIB);
	for (size_t i = 0; i < ARRAY_LEN(text_cases); i++) {
		for (size_t piece = 1; piece < 100; piece++) {
			walk(text, &c, span_of(text_cases[i].message), piece);
			assert_string_equal(buffer_text(&c.text), text_cases[i].want);
		}
	}
	message_text_free(&text);
	buffer_free(&c.text);
}

static void test_places(void **state)
{
	struct collected c = { 0 };
	struct message_text_hooks hooks = { .context = &c, .bodies = true, .on_text = collect };
	struct message_text *text = message_text_new(&hooks);

	(void)state;
	buffer_init(&c.text, MIB);
	walk(text, &c, SPAN("Subject: x\r\n\r\ny"), 100);
	assert_string_equal(buffer_text(&c.text), "B:y|");
	message_text_free(&text);
	hooks.bodies = false;
	hooks.headers = true;
	text = message_text_new(&hooks);
	walk(text, &c, SPAN("Subject: x\r\n\r\ny"), 100);
	assert_string_equal(buffer_text(&c.text), "H:subject: x|");
	message_text_free(&text);
	buffer_free(&c.text);
}

/* A large message comes in pieces, is given up when asked to, and the next one is whole. */
static void test_stop(void **state)
{
	struct collected c = { .stop_after = 50000 };
	struct message_text_hooks hooks = { .context = &c, .headers = true, .bodies = true, .on_text = collect };
	struct message_text *text = message_text_new(&hooks);
	struct buffer large;

	(void)state;
	buffer_init(&c.text, MIB);
	buffer_init(&large, MIB);
	buffer_append_text(&large, "Subject: large\r\n\r\n");
	while (large.len < 500000)
		buffer_append_text(&large, "All work and no play makes Jack a dull boy.\r\n");
	walk(text, &c, buffer_span(&large), 10000);
	assert_in_range(c.text.len, 50000, 200000);
	c.stop_after = 0;
	walk(text, &c, buffer_span(&large), 10000);
	assert_int_equal(c.text.len, large.len - 18 + strlen("H:subject: large|B:|"));
	message_text_free(&text);
	buffer_free(&c.text);
	buffer_free(&large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_every_character),
		cmocka_unit_test(test_ascii_blocks),
		cmocka_unit_test(test_collate),
		cmocka_unit_test(test_message_text),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
