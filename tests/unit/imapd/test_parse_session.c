/* RFC 9051 §2.2.1, §4.3, §6.2: heads, strings, LOGIN, AUTHENTICATE, ENABLE, ID, as tables of whole commands. The RFCs' own examples come first. */
#include "parse_show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* RFC 9051 §2.2.1, §5.5 */
static const struct parse_row heads[] = {
	{ "A142 NOOP", "A142 NOOP" },
	{ "a1 noop", "a1 NOOP" },
	{ "4 NoOp ", "4 NOOP" },
	{ "]9-x.$ NOOP", "]9-x.$ NOOP" },
	{ "A1 UID EXPUNGE 3000:3002", "A1 UID EXPUNGE 3000:3002" },
	{ "a UID EXPUNGE $", "a UID EXPUNGE $" },
	{ "", "SYNTAX expected a tag" },
	{ " A1 NOOP", "SYNTAX expected a tag" },
	{ "A1", "SYNTAX the command ends too early" },
	{ "A1 ", "SYNTAX expected a command" },
	{ "A1  NOOP", "SYNTAX expected a command" },
	{ "* NOOP", "SYNTAX expected a tag" },
	{ "+ NOOP", "SYNTAX expected a tag" },
	{ "a+b NOOP", "SYNTAX expected a tag" },
	{ "A1	NOOP", "SYNTAX expected a tag" },
	{ "A1 (NOOP", "SYNTAX expected a command" },
	{ "A1 UID", "no such command" },
	{ "A1 UID ", "no such command" },
	{ "A1 NOOP x", "SYNTAX expected the end of the command" },
	{ "\xc3\xa4 NOOP", "SYNTAX expected a tag" },
	{ "A1 \"NOOP\"", "SYNTAX expected a command" },
};

/* RFC 3501 §6.2.3, RFC 9051 §6.2.3 */
static const struct parse_row logins[] = {
	{ "a001 LOGIN SMITH SESAME", "a001 LOGIN \"SMITH\" \"SESAME\"" },
	{ "a login \"joe@example.org\" \"pa ss\"", "a LOGIN \"joe@example.org\" \"pa ss\"" },
	{ "a LOGIN \"a\\\\b\\\"c\" \"\"", "a LOGIN \"a\\b\"c\" \"\"" },
	{ "a LOGIN {4}\r\njoe\xff {7+}\r\np\r\n\\\"()", "a LOGIN \"joe\\xff\" \"p\\x0d\\x0a\\\"()\"" },
	{ "a LOGIN \"j\xc3\xb6\" \"p\xc3\xa4ss\"", "a LOGIN \"j\\xc3\\xb6\" \"p\\xc3\\xa4ss\"" },
	{ "a LOGIN EXAMPLE\\joe p%*]", "a LOGIN \"EXAMPLE\\joe\" \"p%*]\"" },
	{ "a LOGIN joe \"x\" ", "a LOGIN \"joe\" \"x\"" },
	{ "a LOGIN {0}\r\n \"\"", "a LOGIN \"\" \"\"" },
	{ "a LOGIN", "SYNTAX the command ends too early" },
	{ "a LOGIN joe", "SYNTAX the command ends too early" },
	{ "a LOGIN joe ", "SYNTAX expected a string or an atom" },
	{ "a LOGIN joe \"x", "SYNTAX expected a closing quote, and no CR, LF or NUL before it" },
	{ "a LOGIN joe \"x\\", "SYNTAX expected a closing quote, and no CR, LF or NUL before it" },
	{ "a LOGIN joe \"x\"y", "SYNTAX expected the end of the command" },
	{ "a LOGIN joe x y", "SYNTAX expected the end of the command" },
	{ "a LOGIN joe {5}\r\nabcd", "SYNTAX expected a literal" },
	{ "a LOGIN joe {5}abcde", "SYNTAX expected a literal" },
	{ "a LOGIN joe {}\r\n", "SYNTAX expected the size of a literal" },
	{ "a LOGIN joe {99999999999999999999}\r\n", "SYNTAX expected the size of a literal" },
	{ "a LOGIN joe {-1}\r\nx", "SYNTAX expected the size of a literal" },
	{ "a LOGIN joe ~{1}\r\nx", "SYNTAX expected the end of the command" },
	{ "a LOGIN joe \"a\rb\"", "SYNTAX expected a closing quote, and no CR, LF or NUL before it" },
	{ "a LOGIN joe \"a\nb\"", "SYNTAX expected a closing quote, and no CR, LF or NUL before it" },
	{ "a LOGIN p\xc3\xa4 x", "SYNTAX expected a space" },
	{ "a LOGIN joe (x)", "SYNTAX expected a string or an atom" },
	{ "a LOGIN {3}\r\njoe{1}\r\nx", "SYNTAX expected a space" },
};

/* RFC 4959 §3 */
static const struct parse_row authentications[] = {
	{ "C01 AUTHENTICATE PLAIN dGVzdAB0ZXN0AHRlc3Q=", "C01 AUTHENTICATE \"PLAIN\" \"dGVzdAB0ZXN0AHRlc3Q=\"" },
	{ "C01 AUTHENTICATE EXTERNAL =", "C01 AUTHENTICATE \"EXTERNAL\" \"\"" },
	{ "a authenticate scram-sha-256-plus", "a AUTHENTICATE \"scram-sha-256-plus\"" },
	{ "a AUTHENTICATE PLAIN ", "a AUTHENTICATE \"PLAIN\"" },
	{ "a AUTHENTICATE PLAIN = ", "a AUTHENTICATE \"PLAIN\" \"\"" },
	{ "a AUTHENTICATE", "SYNTAX expected the name of a mechanism" },
	{ "a AUTHENTICATE ", "SYNTAX expected the name of a mechanism" },
	{ "a AUTHENTICATE \"PLAIN\"", "SYNTAX expected the name of a mechanism" },
	{ "a AUTHENTICATE PLAIN a b", "SYNTAX expected the end of the command" },
	{ "a AUTHENTICATE PLAIN {4}\r\nabcd", "SYNTAX expected the end of the command" },
	{ "a AUTHENTICATE PLAIN a*c", "SYNTAX expected the end of the command" },
};

/* RFC 5161 §3.1 */
static const struct parse_row capabilities[] = {
	{ "t1 ENABLE CONDSTORE X-GOOD-IDEA", "t1 ENABLE (\"CONDSTORE\" \"X-GOOD-IDEA\")" },
	{ "t ENABLE UTF8=ACCEPT IMAP4rev2 ", "t ENABLE (\"UTF8=ACCEPT\" \"IMAP4rev2\")" },
	{ "t ENABLE", "SYNTAX the command ends too early" },
	{ "t ENABLE ", "SYNTAX expected an atom" },
	{ "t ENABLE (CONDSTORE)", "SYNTAX expected an atom" },
	{ "t ENABLE A  B", "SYNTAX expected an atom" },
};

/* RFC 2971 §3.1 */
static const struct parse_row ids[] = {
	{ "a023 ID (\"name\" \"sodr\" \"version\" \"19.34\" \"vendor\" \"Pink Floyd Music Limited\")",
	        "a023 ID (\"name\" \"sodr\" \"version\" \"19.34\" \"vendor\" \"Pink Floyd Music Limited\")" },
	{ "a042 ID NIL", "a042 ID ()" },
	{ "a ID nil ", "a ID ()" },
	{ "a ID ()", "a ID ()" },
	{ "29 ID (\"name\" \"Thunderbird\" \"version\" \"153.7.0\")",
	        "29 ID (\"name\" \"Thunderbird\" \"version\" \"153.7.0\")" },
	{ "a ID (\"os\" NIL {7}\r\nversion {1+}\r\n1)", "a ID (\"os\" NIL \"version\" \"1\")" },
	{ "a ID", "SYNTAX the command ends too early" },
	{ "a ID (\"name\")", "SYNTAX expected a space" },
	{ "a ID (\"name\" )", "SYNTAX expected a string or NIL" },
	{ "a ID (NIL \"x\")", "SYNTAX expected a string" },
	{ "a ID (\"a\" \"b\"", "SYNTAX expected \")\" behind the fields" },
	{ "a ID \"a\"", "SYNTAX expected \"(\" or NIL" },
	{ "a ID (\"a\" \"b\") x", "SYNTAX expected the end of the command" },
	{ "a ID (\"a\" \"\xc3\xa4\")", "a ID (\"a\" \"\\xc3\\xa4\")" },
	{ "a ID (\"a\" \"\xc3\xa4\")", "a ID (\"a\" \"\\xc3\\xa4\")", true },
	{ "a ID (\"a\" \"\xc3\")", "a ID (\"a\" \"\\xc3\")", true },
};

static void test_heads(void **state)
{
	check_parse_rows(heads, ARRAY_LEN(heads));
}

static void test_logins(void **state)
{
	check_parse_rows(logins, ARRAY_LEN(logins));
}

static void test_authentications(void **state)
{
	check_parse_rows(authentications, ARRAY_LEN(authentications));
}

static void test_capabilities(void **state)
{
	check_parse_rows(capabilities, ARRAY_LEN(capabilities));
}

static void test_ids(void **state)
{
	check_parse_rows(ids, ARRAY_LEN(ids));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_logins),
		cmocka_unit_test(test_authentications),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
