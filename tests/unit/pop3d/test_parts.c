/* The parts of pop3d that need no connection: stuffing, the command line's grammar, rewriting of headers, error replies. */
#include "pop3d/command.h"
#include "pop3d/downgrade.h"
#include "pop3d/reply_for_error.h"
#include "pop3d/stuffing.h"
#include "pop3d/surrogate.h"

#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static const struct stuffing_case {
	const char *message;
	uint32_t lines;
	const char *want;
} stuffing_cases[] = {
	{ "", STUFFING_ALL, ".\r\n" },
	{ "a\r\n", STUFFING_ALL, "a\r\n.\r\n" },
	{ ".a\r\n..\r\n.\r\nb.c\r\n", STUFFING_ALL, "..a\r\n...\r\n..\r\nb.c\r\n.\r\n" }, /* RFC 1939 §3 */
	{ "a", STUFFING_ALL, "a\r\n.\r\n" }, /* the end of the line is added */
	{ "a\r", STUFFING_ALL, "a\r\n.\r\n" },
	{ "a\n.\nb\n", STUFFING_ALL, "a\n..\nb\n\r\n.\r\n" }, /* bare LF: the end must still be CRLF.CRLF */
	{ ".", STUFFING_ALL, "..\r\n.\r\n" },
	/* TOP: RFC 1939 §7 */
	{ "H: 1\r\nH: 2\r\n\r\nb1\r\nb2\r\nb3\r\n", 0, "H: 1\r\nH: 2\r\n\r\n.\r\n" },
	{ "H: 1\r\n\r\nb1\r\nb2\r\nb3\r\n", 2, "H: 1\r\n\r\nb1\r\nb2\r\n.\r\n" },
	{ "H: 1\r\n\r\nb1\r\nb2\r\n", 100, "H: 1\r\n\r\nb1\r\nb2\r\n.\r\n" },
	{ "H: 1\r\n\r\n.b1\r\n.b2\r\n", 1, "H: 1\r\n\r\n..b1\r\n.\r\n" },
	{ "H: 1\r\n\r\nb1", 1, "H: 1\r\n\r\nb1\r\n.\r\n" },
	{ "H: 1\r\n", 5, "H: 1\r\n.\r\n" },           /* no body at all */
	{ "\r\nb1\r\nb2\r\n", 1, "\r\nb1\r\n.\r\n" }, /* no header at all */
	{ "H: \r\n x\r\n\r\n\r\nb\r\n", 1, "H: \r\n x\r\n\r\n\r\n.\r\n" },
};

static void feed_in_pieces(const struct stuffing_case *c, size_t piece, struct buffer *out)
{
	struct span rest = span_of(c->message);
	struct stuffing stuffing;

	stuffing_init(&stuffing, c->lines);
	while (rest.len > 0) {
		assert_true(stuffing_feed(&stuffing, span_first(rest, piece), out));
		rest = span_skip(rest, piece);
	}
	assert_true(stuffing_finish(&stuffing, out));
}

static void test_stuffing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(stuffing_cases); i++) {
		for (size_t piece = 1; piece < 12; piece++) {
			struct buffer out;

			buffer_init(&out, KIB);
			feed_in_pieces(&stuffing_cases[i], piece, &out);
			assert_string_equal(buffer_text(&out), stuffing_cases[i].want);
			buffer_free(&out);
		}
	}
}

static const struct parse_case {
	const char *line, *name, *rest;
	size_t count;
	const char *first, *second;
} parse_cases[] = {
	{ "QUIT", "QUIT", "", 0, "", "" },
	{ "quit ", "quit", "", 0, "", "" },
	{ "RETR 1", "RETR", "1", 1, "1", "" },
	{ "RETR  1 ", "RETR", " 1 ", 1, "1", "" },
	{ "TOP 1 10", "TOP", "1 10", 2, "1", "10" },
	{ "TOP 1 2 3 4", "TOP", "1 2 3 4", 4, "1", "2" },
	{ "PASS a  b ", "PASS", "a  b ", 2, "a", "b" }, /* blanks belong to the password */
	{ "", "", "", 0, "", "" },
	{ " RETR 1", "", "RETR 1", 2, "RETR", "1" },
	{ "RETR:1", "RETR:1", "", 0, "", "" },
	{ "RETR\t1", "RETR\t1", "", 0, "", "" },
};

static void assert_span(struct span got, const char *want)
{
	assert_true(span_equal(got, span_of(want)));
}

static void test_command_parse(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(parse_cases); i++) {
		const struct parse_case *c = &parse_cases[i];
		struct pop3_request req;

		command_parse(span_of(c->line), &req);
		assert_span(req.name, c->name);
		assert_span(req.rest, c->rest);
		assert_int_equal(req.arg_count, c->count);
		assert_span(req.args[0], c->first);
		assert_span(req.args[1], c->second);
	}
}

#define INVALID "<invalid@internationalized-address.invalid>"

static const struct {
	const char *header, *want;
} downgrade_cases[] = {
	{ "Subject: plain\r\nX: y\r\n\r\n", "Subject: plain\r\nX: y\r\n\r\n" },
	{ "Subject: Gr\xc3\xbc\xc3\x9f"
	  "e\r\n\r\n",
	        "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\n" },
	{ "subject: =?utf-8?q?=C3=A4?= \xc3\xb6\r\n", "subject: =?utf-8?q?=C3=A4_=C3=B6?=\r\n" },
	{ "Subject: \xfcml\xe4ut\r\n\r\n", "Subject: \xfcml\xe4ut\r\n\r\n" }, /* Latin 1: not RFC 6532, passes */
	{ "Subject: a \xe2\x82\xac b c d e f g h i j k l m n o p q r s t u v w x y z 1 2 3 4 5 6 7 8 9\r\n",
	        "Subject: =?utf-8?q?a_=E2=82=AC_b_c_d_e_f_g_h_i_j_k_l_m_n_o_p_q_r_s_t_u_v_w_x_?=\r\n"
	        " =?utf-8?q?y_z_1_2_3_4_5_6_7_8_9?=\r\n" },
	/* RFC 6858 §2.1 */
	{ "From: J\xc3\xb6ran <joran@example.com>\r\n", "From: =?utf-8?q?J=C3=B6ran?=\r\n <joran@example.com>\r\n" },
	{ "From: Fred <fr\xc3\xa9"
	  "d@example.com>\r\n",
	        "From: =?utf-8?q?Fred_=3Cfr=C3=A9d=40example=2Ecom=3E?=\r\n " INVALID "\r\n" },
	{ "To: a@example.com, \xc3\xbc@example.com\r\n",
	        "To: a@example.com,\r\n =?utf-8?q?=3C=C3=BC=40example=2Ecom=3E?=\r\n " INVALID "\r\n" },
	{ "To: Gr\xc3\xbcn: a@example.com, b@example.com;\r\n",
	        "To: =?utf-8?q?Gr=C3=BCn?=:a@example.com,\r\n b@example.com;\r\n" },
	{ "Received: from x by y for <\xc3\xbc@example.com>; now\r\nTo: a@b\r\n", "To: a@b\r\n" },
	{ "Message-ID: <\xc3\xbc@x>\r\n\r\n", "\r\n" },
	{ "Content-Type: image/png; name=\"\xc3\xa4 b.png\"; x=y\r\n",
	        "Content-Type: image/png;\r\n name*0*=utf-8''%C3%A4%20b.png;\r\n x=\"y\"\r\n" },
	{ "Content-Disposition: attachment; filename=\"\xc3\xa4\"\r\n",
	        "Content-Disposition: attachment;\r\n filename*0*=utf-8''%C3%A4\r\n" },
	{ "no field \xc3\xa4\r\nSubject: x\r\n\r\n", "no field \xc3\xa4\r\nSubject: x\r\n\r\n" },
	{ "\xc3\xa4: x\r\n\r\n", "\r\n" },
};

static void test_downgrade(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(downgrade_cases); i++) {
		struct buffer out;

		buffer_init(&out, 4 * KIB);
		assert_true(downgrade_header(span_of(downgrade_cases[i].header), &out));
		assert_string_equal(buffer_text(&out), downgrade_cases[i].want);
		buffer_free(&out);
	}
}

static const char message[] = "Subject: \xc3\xa4\r\n"
                              "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
                              "pre\r\n--b\r\n"
                              "Content-Disposition: attachment; filename=\"\xc3\xb6.txt\"\r\n\r\n"
                              "body \xc3\xbc stays\r\n--b--\r\n";
static const char surrogate_text[] = "Subject: =?utf-8?q?=C3=A4?=\r\n"
                                     "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
                                     "pre\r\n--b\r\n"
                                     "Content-Disposition: attachment;\r\n filename*0*=utf-8''%C3%B6.txt\r\n\r\n"
                                     "body \xc3\xbc stays\r\n--b--\r\n";

static void copy_in_pieces(const struct surrogate *s, size_t piece, struct buffer *out)
{
	struct span rest = span_of(message), run;
	uint64_t at = 0;

	while (rest.len > 0) {
		struct span bytes = span_first(rest, piece);

		rest = span_skip(rest, piece);
		while (surrogate_next(s, &at, &bytes, &run))
			assert_true(buffer_append_span(out, run));
	}
}

static void test_surrogate(void **state)
{
	struct surrogate s;
	struct buffer out;

	(void)state;
	surrogate_init(&s);
	assert_true(surrogate_feed(&s, span_of(message)) && surrogate_finish(&s));
	assert_int_equal(s.growth, (int)sizeof(surrogate_text) - (int)sizeof(message));
	for (size_t piece = 1; piece < sizeof(message); piece++) {
		buffer_init(&out, 4 * KIB);
		copy_in_pieces(&s, piece, &out);
		assert_string_equal(buffer_text(&out), surrogate_text);
		buffer_free(&out);
	}
	surrogate_free(&s);
}

/* A header too large to be said well is still ASCII. */
static void test_surrogate_without_room(void **state)
{
	struct buffer text;
	struct surrogate s;
	struct span run;
	uint64_t at = 0;

	(void)state;
	buffer_init(&text, MIB);
	assert_true(buffer_append_text(&text, "Subject: "));
	for (int i = 0; i < 100000; i++)
		assert_true(buffer_append_text(&text, "\xc3\xa4"));
	assert_true(buffer_append_text(&text, "\r\n\r\n"));
	surrogate_init(&s);
	assert_true(surrogate_feed(&s, buffer_span(&text)) && surrogate_finish(&s));
	assert_int_equal(s.growth, 0);
	for (struct span rest = buffer_span(&text); surrogate_next(&s, &at, &rest, &run);)
		assert_true(utf8_is_ascii(run));
	assert_int_equal(at, text.len);
	surrogate_free(&s);
	buffer_free(&text);
}

static void test_replies(void **state)
{
	static const char *const known[] = { "[SYS/TEMP]", "[SYS/PERM]", "[AUTH]", "[IN-USE]", "[LOGIN-DELAY]" };

	(void)state;
	for (int code = 0; code < ERROR_CODE_COUNT; code++) {
		const struct pop3_reply *reply = reply_for_error((enum error_code)code);
		bool is_known = reply->code == NULL;

		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			is_known = is_known || strcmp(reply->code, known[i]) == 0;
		assert_true(is_known);
		/* RFC 2449 §8: with RESP-CODES no text begins with "[" that is not a code */
		assert_true(
		        reply->text == NULL ? reply->code == NULL : reply->text[0] != '[' && reply->text[0] != '\0');
	}
	/* who is a user here is nobody's business: the same words for both */
	assert_string_equal(reply_for_error(ERR_AUTH_FAILED)->text, reply_for_error(ERR_NO_SUCH_ADDRESS)->text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stuffing),
		cmocka_unit_test(test_command_parse),
		cmocka_unit_test(test_downgrade),
		cmocka_unit_test(test_surrogate),
		cmocka_unit_test(test_surrogate_without_room),
		cmocka_unit_test(test_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
