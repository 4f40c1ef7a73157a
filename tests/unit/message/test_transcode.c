/* Messages for servers that take less: what comes out is what went in, in other clothes. */
#include "message/transcode.h"

#include "message/mime.h"
#include "message/transfer.h"
#include "message/transfer_encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct text {
	struct span in;
	struct buffer out;
};

static bool read_text(void *arg, uint64_t offset, void *out, size_t size, size_t *got, struct error *err)
{
	struct text *text = arg;
	struct span rest = span_skip(text->in, offset);

	*got = rest.len < size ? rest.len : size;
	memcpy(out, rest.len > 0 ? rest.ptr : "", *got);
	return true;
}

static bool write_text(void *arg, struct span bytes, struct error *err)
{
	return buffer_append_span(&((struct text *)arg)->out, bytes);
}

static const struct transcode_case {
	const char *name;
	enum transcode_target target;
	const char *in;
	const char *out; /* NULL: cannot be converted */
} cases[] = {
	{ "clean stays as it is", TRANSCODE_7BIT, "Subject: x\r\n\r\nhello\r\n", "Subject: x\r\n\r\nhello\r\n" },
	{ "text becomes quoted-printable", TRANSCODE_7BIT,
	        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGr\xc3\xbc\xc3\x9f"
	        "e aus dem Norden \r\n",
	        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe aus dem Norden=20\r\n" },
	{ "what was no MIME becomes some (RFC 1428 3)", TRANSCODE_7BIT,
	        "Subject: x\r\n\r\nsome words and one \xe9 more\r\n",
	        "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\nContent-Transfer-Encoding: "
	        "quoted-printable\r\n\r\nsome words and one =E9 more\r\n" },
	{ "much of it becomes base64", TRANSCODE_7BIT,
	        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=koi8-r\r\n\r\n\xf0\xd2\xc9\xd7\xc5\xd4\r\n",
	        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=koi8-r\r\nContent-Transfer-Encoding: base64\r\n\r\n8NLJ18XUDQo=\r\n" },
	{ "8-bit text may stay for an 8BITMIME server", TRANSCODE_8BIT, "MIME-Version: 1.0\r\n\r\n\xe9\r\n",
	        "MIME-Version: 1.0\r\n\r\n\xe9\r\n" },
	{ "only the part that needs it, the containers' labels too", TRANSCODE_7BIT,
	        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\npreamb\xe9l\r\n--b\r\n\r\nplain\r\n--b\r\n"
	        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nMIME-Version: 1.0\r\nSubject: in\r\nContent-Type: text/plain\r\n\r\nl\xe9\r\n--b--\r\n",
	        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n\r\npreamb?l\r\n--b\r\n\r\nplain\r\n--b\r\n"
	        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\nMIME-Version: 1.0\r\nSubject: in\r\nContent-Type: text/plain\r\n"
	        "Content-Transfer-Encoding: quoted-printable\r\n\r\nl=E9\r\n--b--\r\n" },
	{ "binary for a server without BINARYMIME", TRANSCODE_8BIT,
	        "MIME-Version: 1.0\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\nP\nN\rG",
	        "MIME-Version: 1.0\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nUApODUc=\r\n" },
	{ "what is signed stays", TRANSCODE_7BIT,
	        "MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nl\xe9\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--b--\r\n",
	        NULL },
	{ "a clean signed part is no obstacle", TRANSCODE_7BIT,
	        "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nl\r\n--b\r\n\r\nx\r\n--b--\r\n",
	        "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nl\r\n--b\r\n\r\nx\r\n--b--\r\n" },
	{ "a raw header needs SMTPUTF8", TRANSCODE_7BIT, "Subject: \xc3\xa9\r\n\r\nx\r\n", NULL },
	{ "message/partial", TRANSCODE_7BIT,
	        "MIME-Version: 1.0\r\nContent-Type: message/partial; id=x; number=1\r\n\r\n\xe9\r\n", NULL },
	{ "a multipart without a boundary may not be encoded (RFC 2045 6.4)", TRANSCODE_7BIT,
	        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed\r\n\r\nl\xe9\r\n", NULL },
	{ "a signed part in a message in a message", TRANSCODE_7BIT,
	        "Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nl\xe9\r\n--b\r\n\r\nx\r\n--b--\r\n",
	        NULL },
	{ "a message in a signed part", TRANSCODE_7BIT,
	        "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nl\xe9\r\n--b\r\n\r\nx\r\n--b--\r\n",
	        NULL },
	{ "what is not between parts needs nothing but its octets", TRANSCODE_8BIT,
	        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nl\r\n--b--\r\nepil\xe9g\r\n",
	        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nl\r\n--b--\r\nepil\xe9g\r\n" },
	{ "an encoding that nobody knows", TRANSCODE_7BIT,
	        "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: x-uuencode\r\n\r\n\xe9\r\n",
	        NULL },
};

static bool run(const char *in, size_t len, enum transcode_target target, struct text *text, struct error *err)
{
	struct transcode_io io = { read_text, write_text, text };

	text->in = span_make(in, len);
	buffer_init(&text->out, 64 * MIB);
	return transcode(&io, target, err);
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct text text;
		struct error err;
		bool ok = run(cases[i].in, strlen(cases[i].in), cases[i].target, &text, &err);

		if (ok != (cases[i].out != NULL) || (ok && strcmp(buffer_text(&text.out), cases[i].out) != 0))
			fail_msg("%s: %s", cases[i].name, ok ? buffer_text(&text.out) : err.reason);
		if (!ok) {
			assert_int_equal(err.code, ERR_UNSUPPORTED);
			assert_int_equal(text.out.len, 0);
		}
		buffer_free(&text.out);
	}
}

/* The same, octet by octet, whatever the way it was cut. */
static void test_encoders_and_decoder(void **state)
{
	static const enum transfer_encoding encodings[] = { TRANSFER_QUOTED_PRINTABLE, TRANSFER_BASE64 };

	for (unsigned seed = 0; seed < 400; seed++) {
		char octets[300];
		size_t len = seed % sizeof(octets);
		struct transfer_encoder encoder;
		struct transfer_decoder decoder;
		struct buffer coded, back;

		srand(seed);
		for (size_t i = 0; i < len; i++)
			octets[i] = "\r\n =ab\xe9\t\0"[rand() % 9];
		transfer_encode_init(&encoder, encodings[seed & 1]);
		buffer_init(&coded, KIB * KIB);
		buffer_init(&back, KIB * KIB);
		for (size_t at = 0, n; at < len; at += n) {
			n = 1 + (size_t)rand() % 7 < len - at ? 1 + (size_t)rand() % 7 : len - at;
			n = n > len - at ? len - at : n;
			assert_true(transfer_encode(&encoder, span_make(octets + at, n), &coded));
		}
		assert_true(transfer_encode_finish(&encoder, false, &coded));
		transfer_init(&decoder, encodings[seed & 1]);
		assert_true(transfer_feed(&decoder, buffer_span(&coded), &back));
		assert_true(transfer_finish(&decoder, &back));
		if (back.len != len || (len > 0 && memcmp(back.data, octets, len) != 0))
			fail_msg("seed %u: %s", seed, buffer_text(&coded));
		for (struct span rest = buffer_span(&coded), line; span_take_until(&rest, '\n', &line);)
			assert_true(line.len <= 77);
		buffer_free(&coded);
		buffer_free(&back);
	}
}

static void test_large_body(void **state)
{
	struct text text;
	struct error err;
	struct buffer in;
	struct transcode_need need;
	struct transcode_io io = { read_text, write_text, &text };

	buffer_init(&in, 8 * MIB);
	(void)buffer_append_text(&in, "MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\n\r\n");
	for (int i = 0; i < 2000000; i++)
		(void)buffer_append_char(&in, (char)(i * 7 % 251));
	assert_true(run(in.data, in.len, TRANSCODE_8BIT, &text, &err));
	assert_true(text.out.len > in.len);
	text.in = buffer_span(&text.out);
	assert_true(transcode_look(&io, &need, &err));
	assert_false(need.binary || need.eight_bit || need.utf8_header);
	buffer_free(&text.out);
	buffer_free(&in);
}

/* Octets over 127 count wherever they are, but for headers, which no encoding helps. */
static void test_look(void **state)
{
	static const struct {
		const char *in;
		bool eight_bit, utf8_header;
	} rows[] = {
		{ "Subject: x\r\n\r\nx\r\n", false, false },
		{ "Subject: \xc3\xa9\r\n\r\nx\r\n", false, true },
		{ "Subject: x\r\n\r\n\xe9\r\n", true, false },
		{ "Content-Type: multipart/mixed; boundary=b\r\n\r\npre\xe9\r\n--b\r\n\r\nl\r\n--b--\r\n", true,
		        false },
		{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nl\r\n--b--\r\nepil\xe9g\r\n", true,
		        false },
		{ "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nX: \xe9\r\n\r\nl\r\n--b--\r\n", false,
		        true },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct text text = { .in = span_of(rows[i].in) };
		struct transcode_io io = { read_text, write_text, &text };
		struct transcode_need need;
		struct error err;

		assert_true(transcode_look(&io, &need, &err));
		if (need.eight_bit != rows[i].eight_bit || need.utf8_header != rows[i].utf8_header || need.binary)
			fail_msg("%s: %d %d", rows[i].in, need.eight_bit, need.utf8_header);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_encoders_and_decoder),
		cmocka_unit_test(test_large_body),
		cmocka_unit_test(test_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
