/* By hand, not in the test run (it measures time): every kind of bomb at size n and 2n; fails when twice the input takes more
 * than RATIO_MAX times as long. Then the time of the summary of a typical mail of 4 KiB.
 *   message_bombs [KIB]      default: 4096 KiB for n */
#include "message/address.h"
#include "message/encoded_word.h"
#include "message/summary.h"

#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RATIO_MAX 2.5
#define ROUNDS    5
#define NOISE_MS  0.5 /* below this a time says nothing */

enum target { SUMMARY, ADDRESSES, WORDS };

struct bomb {
	const char *name;
	enum target target;
	const char *head;
	const char *repeat;
	const char *tail;
	bool nested; /* repeat is a format with a number, for boundaries that differ */
};

#define FIELD(name, repeat)                                                                                            \
	{                                                                                                              \
		name, SUMMARY, "", repeat, "\r\n\r\nbody\r\n", false                                                   \
	}
#define BODY(name, ct, repeat)                                                                                         \
	{                                                                                                              \
		name, SUMMARY, "Content-Type: " ct "\r\n\r\n", repeat, "", false                                       \
	}
#define BASE64 "Content-Transfer-Encoding: base64"
#define QP     "Content-Transfer-Encoding: quoted-printable"

static const struct bomb bombs[] = {
	{ "nested multiparts", SUMMARY, "", "Content-Type: multipart/mixed; boundary=b%zu\r\n\r\n--b%zu\r\n", "",
	        true },
	{ "nested multiparts, closed one by one", SUMMARY, "Content-Type: multipart/mixed; boundary=b\r\n\r\n",
	        "--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", "", false },
	{ "nested messages", SUMMARY, "", "Content-Type: message/rfc822\r\n\r\n", "", false },
	BODY("boundaries", "multipart/mixed; boundary=b", "--b\r\n\r\n"),
	BODY("near boundaries", "multipart/mixed; boundary=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
	        "--aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"),
	BODY("lines of dashes", "multipart/mixed; boundary=\"-\"", "--\r\n"),
	BODY("one long line", "multipart/mixed; boundary=b", "--b"),
	BODY("digest", "multipart/digest; boundary=b", "--b\r\n\r\nFrom: a\r\n\r\n"),
	{ "parameters", SUMMARY, "Content-Type: text/plain", "; a=b", "\r\n\r\n", false },
	{ "continued parameters", SUMMARY, "Content-Type: text/plain", ";\r\n a*%zu=b;\r\n c*%zu*=d", "\r\n\r\n",
	        true },
	{ "open quotes in parameters", SUMMARY, "Content-Type: text/plain", "; a=\"b\\\" (", "\r\n\r\n", false },
	{ "parameter comments", SUMMARY, "Content-Type: text/plain; a=b", " (c) d", "\r\n\r\n", false },
	FIELD("header fields", "Subject: x\r\n"),
	FIELD("From fields", "From: a@b\r\n"),
	FIELD("lines without colon", "x\r\n"),
	FIELD("folds", "Subject: x\r\n \r\n \r\n"),
	{ "one long header line", SUMMARY, "Subject: ", "x", "\r\n\r\n", false },
	{ "subject blobs", SUMMARY, "Subject: ", "[a]", "\r\n\r\n", false },
	{ "references", SUMMARY, "References:", " <a@b>", "\r\n\r\n", false },
	{ "references without end", SUMMARY, "References:", " <", "\r\n\r\n", false },
	{ "comments in addresses", ADDRESSES, "a@b ", "(c)", "", false },
	{ "open comments", ADDRESSES, "", "(", "", false },
	{ "nested comments", ADDRESSES, "", "(((a)", "", false },
	{ "quotes", ADDRESSES, "", "\"a ", "", false },
	{ "angles", ADDRESSES, "", "<@a", "", false },
	{ "routes", ADDRESSES, "<", "@a,", "", false },
	{ "addresses", ADDRESSES, "", "a@b,", "", false },
	{ "groups", ADDRESSES, "", "a:b;", "", false },
	{ "words", ADDRESSES, "", "a ", "<b@c>", false },
	{ "encoded words in names", ADDRESSES, "", "=?a?q?(", "", false },
	{ "encoded words", WORDS, "", "=?utf-8?q?=C3=BC?= ", "", false },
	{ "encoded words, charsets alternate", WORDS, "", "=?utf-8?q?a?= =?iso-8859-2?b?5A==?= ", "", false },
	{ "encoded words without end", WORDS, "", "=?utf-8?q?a", "", false },
	{ "base64", SUMMARY, BASE64 "\r\n\r\n",
	        "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5\r\n", "", false },
	{ "base64 padding", SUMMARY, BASE64 "\r\n\r\n", "=", "", false },
	{ "quoted-printable", SUMMARY, QP "\r\n\r\n", "=3D= \r\n", "", false },
	{ "quoted-printable blanks", SUMMARY, QP "\r\n\r\n", " ", "", false },
	{ "HTML tags", SUMMARY, "Content-Type: text/html\r\n\r\n", "<a b='", "", false },
};

static void append_repeat(const struct bomb *bomb, size_t number, struct buffer *text)
{
	struct span rest = span_of(bomb->repeat);
	struct span before;

	while (bomb->nested && span_take_until(&rest, '%', &before)) {
		buffer_append_span(text, before);
		buffer_printf(text, "%zu", number);
		CHECK(span_take_word(&rest, "zu"));
	}
	buffer_append_span(text, rest);
}

static void build(const struct bomb *bomb, size_t size, struct buffer *text)
{
	buffer_clear(text);
	buffer_append_text(text, bomb->head);
	for (size_t i = 0; text->len < size; i++)
		append_repeat(bomb, i, text);
	buffer_append_text(text, bomb->tail);
	CHECK(!text->failed);
}

static void run(const struct bomb *bomb, struct span text, struct summary_builder *builder)
{
	struct message_summary summary;
	struct address_list list;
	struct buffer decoded;
	struct error err;

	switch (bomb->target) {
	case SUMMARY:
		CHECK(summary_feed(builder, text) && summary_finish(builder, &summary, &err));
		message_summary_free(&summary);
		return;
	case ADDRESSES:
		address_list_init(&list);
		CHECK(address_list_parse(&list, text));
		address_list_free(&list);
		return;
	case WORDS:
		buffer_init(&decoded, 4 * text.len + 100);
		CHECK(encoded_word_decode(text, &decoded));
		buffer_free(&decoded);
		return;
	}
}

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double best_ms(const struct bomb *bomb, struct span text, struct summary_builder *builder)
{
	double best = 1e9;

	for (int i = 0; i < ROUNDS; i++) {
		double begin = now_ms();
		double took;

		run(bomb, text, builder);
		took = now_ms() - begin;
		best = took < best ? took : best;
	}
	return best;
}

static bool measure(const struct bomb *bomb, size_t size, struct buffer *text, struct summary_builder *builder)
{
	double once, twice;
	bool ok;

	build(bomb, size, text);
	once = best_ms(bomb, buffer_span(text), builder);
	build(bomb, 2 * size, text);
	twice = best_ms(bomb, buffer_span(text), builder);
	ok = twice < NOISE_MS || twice <= RATIO_MAX * once;
	printf("%-6s %-38s %9.2f ms %9.2f ms  x%.2f\n", ok ? "ok" : "FAILED", bomb->name, once, twice, twice / once);
	return ok;
}

/* The kind of mail that a delivery sees most. */
static void typical(struct buffer *text)
{
	buffer_clear(text);
	buffer_append_text(text,
	        "Return-Path: <alice@example.test>\r\n"
	        "Received: from client.example (client.example [192.0.2.7])\r\n\tby mx.example.test with ESMTPS id 4f2a\r\n"
	        "\tfor <bob@example.test>; Sat, 21 Nov 2026 10:41:08 +0000\r\n"
	        "Message-ID: <7d0c9a52-51aa-4b1c-9d2e-0a1b2c3d4e5f@example.test>\r\n"
	        "Date: Sat, 21 Nov 2026 10:41:07 +0000\r\nMIME-Version: 1.0\r\nUser-Agent: Mozilla Thunderbird\r\n"
	        "Content-Language: en-US\r\nTo: Bob Builder <bob@example.test>, \"Carol, C.\" <carol@example.test>\r\n"
	        "References: <a1@example.test> <a2@example.test> <a3@example.test>\r\nIn-Reply-To: <a3@example.test>\r\n"
	        "From: Alice Archer <alice@example.test>\r\nSubject: Re: [team] =?UTF-8?Q?Gr=C3=BC=C3=9Fe_aus?= Berlin\r\n"
	        "Content-Type: multipart/alternative; boundary=\"------------0x8f3aE2\"\r\n\r\n"
	        "This is a multi-part message in MIME format.\r\n--------------0x8f3aE2\r\n"
	        "Content-Type: text/plain; charset=UTF-8; format=flowed\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
	while (text->len < 2400)
		buffer_append_text(
		        text, "Hello Bob, the figures for the third quarter are in the table below; please read.\r\n");
	buffer_append_text(text,
	        "--------------0x8f3aE2\r\nContent-Type: text/html; charset=UTF-8\r\nContent-Transfer-Encoding: 7bit\r\n\r\n");
	while (text->len < 4060)
		buffer_append_text(
		        text, "<p>Hello Bob, the <b>figures</b> for the third quarter are in the table.</p>\r\n");
	buffer_append_text(text, "--------------0x8f3aE2--\r\n");
}

static void measure_typical(struct buffer *text, struct summary_builder *builder)
{
	static const struct bomb mail = { .target = SUMMARY };
	double best = 1e9;

	typical(text);
	for (int round = 0; round < 20; round++) {
		double begin = now_ms();
		double took;

		for (int i = 0; i < 1000; i++)
			run(&mail, buffer_span(text), builder);
		took = now_ms() - begin;
		best = took < best ? took : best;
	}
	printf("summary of a mail of %zu octets: %.1f us\n", text->len, best);
}

int main(int argc, char **argv)
{
	struct summary_builder *builder = summary_builder_new();
	struct buffer text;
	uint64_t kib = 4096;
	unsigned failed = 0;

	CHECK(builder != NULL);
	if (argc > 1 && (!span_number(span_of(argv[1]), 1024 * 1024, &kib) || kib == 0)) {
		fprintf(stderr, "usage: message_bombs [KIB]\n");
		return 2;
	}
	buffer_init(&text, SIZE_MAX / 4);
	measure_typical(&text, builder);
	for (size_t i = 0; i < ARRAY_LEN(bombs); i++)
		failed += !measure(&bombs[i], (size_t)kib * 1024, &text, builder);
	printf("%zu passed, %u failed\n", ARRAY_LEN(bombs) - failed, failed);
	summary_builder_free(&builder);
	buffer_free(&text);
	return failed > 0;
}
