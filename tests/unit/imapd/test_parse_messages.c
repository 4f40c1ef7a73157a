/* RFC 9051 §6.4: FETCH, STORE, COPY, MOVE, EXPUNGE, APPEND, as tables of whole commands. The RFCs' own examples come first. */
#include "parse_show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* RFC 9051 §6.4.5, RFC 3501 §6.4.5 */
static const struct parse_row fetches[] = {
	{ "A654 FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])",
	        "A654 FETCH 2:4 FLAGS SECTION[FIELDS (\"DATE\" \"FROM\")]" },
	{ "22 UID fetch 1:* (FLAGS)", "22 UID FETCH 1:* FLAGS" },
	{ "3 UID FETCH 315:* (FLAGS)", "3 UID FETCH 315:* FLAGS" },
	{ "3 FETCH 1 (FLAGS)", "3 FETCH 1 FLAGS" },
	{ "3 fetch 1:3 rfc822.size", "3 FETCH 1:3 RFC822.SIZE" },
	{ "3 FETCH 1 RFC822.HEADER", "3 FETCH 1 RFC822.HEADER/peek" },
	{ "3 FETCH 1 (RFC822 RFC822.TEXT RFC822.SIZE)", "3 FETCH 1 RFC822 RFC822.TEXT RFC822.SIZE" },
	{ "a FETCH 1 ALL", "a FETCH 1 FLAGS INTERNALDATE RFC822.SIZE ENVELOPE" },
	{ "a FETCH 1 FAST", "a FETCH 1 FLAGS INTERNALDATE RFC822.SIZE" },
	{ "a fetch 1 full", "a FETCH 1 FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY" },
	{ "a FETCH 1 (ALL UID)", "a FETCH 1 FLAGS INTERNALDATE RFC822.SIZE ENVELOPE UID" },
	{ "a FETCH $ BODY", "a FETCH $ BODY" },
	{ "a FETCH *:4,2 (BODYSTRUCTURE ENVELOPE INTERNALDATE) ", "a FETCH *:4,2 BODYSTRUCTURE ENVELOPE INTERNALDATE" },
	{ "23 UID fetch 305:313 (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc \"x\" {1}\r\ny)])",
	        "23 UID FETCH 305:313 UID RFC822.SIZE FLAGS SECTION[FIELDS (\"From\" \"To\" \"Cc\" \"x\" \"y\")]/peek" },
	{ "24 UID fetch 305:313 (UID RFC822.SIZE BODY.PEEK[])", "24 UID FETCH 305:313 UID RFC822.SIZE SECTION[]/peek" },
	{ "a FETCH 1 BODY[]<0.65536>", "a FETCH 1 SECTION[]<0.65536>" },
	{ "a FETCH 1 body[text]<2048.1>", "a FETCH 1 SECTION[TEXT]<2048.1>" },
	{ "a FETCH 1 (BODY[1] BODY[1.2.MIME] BODY[4.1.HEADER] BODY[4.2.2.TEXT] BODY[3.HEADER.FIELDS.NOT (a)] BODY[HEADER])",
	        "a FETCH 1 SECTION[1.] SECTION[1.2.MIME] SECTION[4.1.HEADER] SECTION[4.2.2.TEXT] SECTION[3.FIELDS.NOT (\"a\")] SECTION[HEADER]" },
	{ "a FETCH 1 BODY[4294967295]", "a FETCH 1 SECTION[4294967295.]" },
	{ "a FETCH 1 BODY[]<9223372036854775807.9223372036854775807>",
	        "a FETCH 1 SECTION[]<9223372036854775807.9223372036854775807>" },
	{ "a FETCH 1 BODY[]<0.0>", "a FETCH 1 SECTION[]<0.0>" },
};

/* RFC 3516 §4, RFC 7162 §3.1.4, §3.2.6, RFC 8474 §5, RFC 8514 §4.2, RFC 8970 §3.1 */
static const struct parse_row extended_fetches[] = {
	{ "a FETCH 1 (BINARY[1] BINARY.PEEK[1.2]<0.100> BINARY.SIZE[2] BINARY[])",
	        "a FETCH 1 BINARY[1.] BINARY[1.2.]<0.100>/peek BINARY.SIZE[2.]/peek BINARY[]" },
	{ "s100 UID FETCH 1:* (FLAGS) (CHANGEDSINCE 12345)", "s100 UID FETCH 1:* FLAGS changedsince=12345" },
	{ "s UID FETCH 300:500 (FLAGS) (CHANGEDSINCE 12345 VANISHED)",
	        "s UID FETCH 300:500 FLAGS changedsince=12345 vanished" },
	{ "s UID FETCH 1:* FLAGS (VANISHED CHANGEDSINCE 0)", "s UID FETCH 1:* FLAGS changedsince=0 vanished" },
	{ "a FETCH 1 (MODSEQ EMAILID THREADID SAVEDATE)", "a FETCH 1 MODSEQ EMAILID THREADID SAVEDATE" },
	{ "C2 FETCH 1 (RFC822.SIZE PREVIEW)", "C2 FETCH 1 RFC822.SIZE PREVIEW" },
	{ "F1 FETCH 1:3 (UID PREVIEW (LAZY) FLAGS)", "F1 FETCH 1:3 UID PREVIEW FLAGS" },
	{ "a FETCH 1 PREVIEW (LAZY)", "a FETCH 1 PREVIEW" },
	{ "a FETCH 1 PREVIEW (LAZY) (CHANGEDSINCE 5)", "a FETCH 1 PREVIEW changedsince=5" },
	{ "a FETCH 1 (PREVIEW) (CHANGEDSINCE 5)", "a FETCH 1 PREVIEW changedsince=5" },
};

static const struct parse_row repeated_items[] = {
	{ "a FETCH 1 (FLAGS UID flags FLAGS)", "a FETCH 1 FLAGS UID" },
	{ "a FETCH 1 (BODY.PEEK[] BODY[])", "a FETCH 1 SECTION[]" },
	{ "a FETCH 1 (BODY[] BODY.PEEK[])", "a FETCH 1 SECTION[]" },
	{ "a FETCH 1 (BODY[1] BODY[2] BODY[1.1] BODY[1] BODY[1]<0.1> BODY[1]<0.1>)",
	        "a FETCH 1 SECTION[1.] SECTION[2.] SECTION[1.1.] SECTION[1.]<0.1>" },
	{ "a FETCH 1 (BODY[HEADER.FIELDS (a b)] BODY[HEADER.FIELDS (A B)] BODY[HEADER.FIELDS (b a)] BODY[HEADER.FIELDS.NOT (a b)])",
	        "a FETCH 1 SECTION[FIELDS (\"a\" \"b\")] SECTION[FIELDS (\"b\" \"a\")] SECTION[FIELDS.NOT (\"a\" \"b\")]" },
	{ "a FETCH 1 (ALL FULL BODY)", "a FETCH 1 FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY" },
};

static const struct parse_row bad_fetches[] = {
	{ "a FETCH", "SYNTAX the command ends too early" },
	{ "a FETCH 1", "SYNTAX the command ends too early" },
	{ "a FETCH 1 ", "SYNTAX expected a fetch item" },
	{ "a FETCH 0 FLAGS", "SYNTAX expected a sequence set" },
	{ "a FETCH 1, FLAGS", "SYNTAX expected a sequence set" },
	{ "a FETCH 1:2:3 FLAGS", "SYNTAX expected a space" },
	{ "a FETCH 4294967296 FLAGS", "SYNTAX expected a sequence set" },
	{ "a FETCH x FLAGS", "SYNTAX expected a sequence set" },
	{ "a FETCH 1 FLAGS UID", "SYNTAX expected \"(\" or the end of the command" },
	{ "a FETCH 1 ()", "SYNTAX expected a fetch item" },
	{ "a FETCH 1 (FLAGS", "SYNTAX expected \")\" behind the fetch items" },
	{ "a FETCH 1 (FLAGS )", "SYNTAX expected a fetch item" },
	{ "a FETCH 1 (FLAGS  UID)", "SYNTAX expected a fetch item" },
	{ "a FETCH 1 FLAG", "SYNTAX expected a fetch item" },
	{ "a FETCH 1 FLAGSX", "SYNTAX expected a fetch item" },
	{ "a FETCH 1 (FLAGS)(CHANGEDSINCE 1)", "SYNTAX expected a space" },
	{ "a FETCH 1 BODY.PEEK", "SYNTAX expected a section in brackets" },
	{ "a FETCH 1 BODY[", "SYNTAX expected HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, MIME or a part number" },
	{ "a FETCH 1 BODY[0]", "SYNTAX expected a part number above 0" },
	{ "a FETCH 1 BODY[1.]",
	        "SYNTAX expected HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, MIME or a part number" },
	{ "a FETCH 1 BODY[.1]",
	        "SYNTAX expected HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, MIME or a part number" },
	{ "a FETCH 1 BODY[MIME]", "SYNTAX expected a part number before MIME" },
	{ "a FETCH 1 BODY[1.FIELDS]",
	        "SYNTAX expected HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, MIME or a part number" },
	{ "a FETCH 1 BODY[HEADER.FIELDS]", "SYNTAX expected a space" },
	{ "a FETCH 1 BODY[HEADER.FIELDS ()]", "SYNTAX expected a string or an atom" },
	{ "a FETCH 1 BODY[HEADER.FIELDS (a]", "SYNTAX expected \")\" behind the field names" },
	{ "a FETCH 1 BODY[TEXT.1]",
	        "SYNTAX expected HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, MIME or a part number" },
	{ "a FETCH 1 BODY[1]<0>", "SYNTAX expected \".\" in <offset.size>" },
	{ "a FETCH 1 BODY[1]<0.1", "SYNTAX expected \">\" behind <offset.size>" },
	{ "a FETCH 1 BODY[1]<-1.1>", "SYNTAX expected a number below 2^63" },
	{ "a FETCH 1 BODY[4294967296]",
	        "SYNTAX expected HEADER, HEADER.FIELDS, HEADER.FIELDS.NOT, TEXT, MIME or a part number" },
	{ "a FETCH 1 BODY[]<0.9223372036854775808>", "SYNTAX expected a number below 2^63" },
	{ "a FETCH 1 BINARY", "SYNTAX expected a section in brackets" },
	{ "a FETCH 1 BINARY[TEXT]", "SYNTAX expected a part number" },
	{ "a FETCH 1 BINARY[1.MIME]", "SYNTAX expected a part number" },
	{ "a FETCH 1 BINARY.SIZE[1]<0.1>", "SYNTAX expected a space" },
	{ "a FETCH 1 BODYSTRUCTURE[1]", "SYNTAX expected a space" },
	{ "a FETCH 1 PREVIEW (FAST)", "SYNTAX expected LAZY" },
	{ "a FETCH 1 FLAGS (VANISHED)", "SYNTAX expected CHANGEDSINCE beside VANISHED" },
	{ "a FETCH 1 FLAGS (CHANGEDSINCE)", "SYNTAX expected a space" },
	{ "a FETCH 1 FLAGS (CHANGEDSINCE x)", "SYNTAX expected a number below 2^63" },
	{ "a FETCH 1 FLAGS (PARTIAL 1:2)", "SYNTAX expected CHANGEDSINCE or VANISHED" },
	{ "a FETCH 1 FLAGS ()", "SYNTAX expected CHANGEDSINCE or VANISHED" },
	{ "a FETCH 1 FLAGS CHANGEDSINCE 1", "SYNTAX expected \"(\" or the end of the command" },
	{ "a FETCH 1 RFC822.PEEK", "SYNTAX expected a fetch item" },
};

/* RFC 9051 §6.4.6, RFC 7162 §3.1.3 */
static const struct parse_row stores[] = {
	{ "A003 STORE 2:4 +FLAGS (\\Deleted)", "A003 STORE 2:4 + system=\\Deleted" },
	{ "25 uid store 310 +Flags (\\Seen)", "25 UID STORE 310 + system=\\Seen" },
	{ "a STORE 1:* +FLAGS.SILENT (\\DELETED)", "a STORE 1:* + silent system=\\Deleted" },
	{ "a STORE $ -FLAGS.SILENT (NonJunk)", "a STORE $ - silent keywords(\"NonJunk\")" },
	{ "a STORE 1 FLAGS ()", "a STORE 1 =" },
	{ "a STORE 1 FLAGS \\Seen", "a STORE 1 = system=\\Seen" },
	{ "a STORE 1 +FLAGS \\Seen $Forwarded \\Answered ",
	        "a STORE 1 + system=\\Answered|\\Seen keywords(\"$Forwarded\")" },
	{ "a STORE 1 FLAGS (\\Recent \\Seen \\Draft \\Flagged)", "a STORE 1 = system=\\Draft|\\Flagged|\\Seen" },
	{ "a STORE 1 +FLAGS ($label1 $LABEL1 b $label1 B)", "a STORE 1 + keywords(\"$label1\" \"b\")" },
	{ "a STORE 1 +FLAGS (NIL)", "a STORE 1 + keywords(\"NIL\")" },
	{ "a102 UID STORE 4,5,6 (UNCHANGEDSINCE 12121230045) +FLAGS.SILENT (\\Deleted)",
	        "a102 UID STORE 4,5,6 + silent unchangedsince=12121230045 system=\\Deleted" },
	{ "c101 STORE 50 (UNCHANGEDSINCE 0) -FLAGS.SILENT ($Processed)",
	        "c101 STORE 50 - silent unchangedsince=0 keywords(\"$Processed\")" },
	{ "a STORE", "SYNTAX the command ends too early" },
	{ "a STORE 1", "SYNTAX the command ends too early" },
	{ "a STORE 1 FLAGS", "SYNTAX the command ends too early" },
	{ "a STORE 1 FLAGS ", "SYNTAX expected a flag" },
	{ "a STORE 1 +FLAGS", "SYNTAX the command ends too early" },
	{ "a STORE 1 *FLAGS (\\Seen)", "SYNTAX expected FLAGS or FLAGS.SILENT" },
	{ "a STORE 1 ++FLAGS (\\Seen)", "SYNTAX expected FLAGS or FLAGS.SILENT" },
	{ "a STORE 1 FLAGS.LOUD (\\Seen)", "SYNTAX expected FLAGS or FLAGS.SILENT" },
	{ "a STORE 1 FLAGS (\\Seen", "SYNTAX expected \")\" behind the flags" },
	{ "a STORE 1 FLAGS (\\Seen) x", "SYNTAX expected the end of the command" },
	{ "a STORE 1 FLAGS (\\Bogus)",
	        "SYNTAX expected a flag that is defined: this one begins with a backslash and is not" },
	{ "a STORE 1 FLAGS (\\*)", "SYNTAX expected a flag" },
	{ "a STORE 1 FLAGS (\\)", "SYNTAX expected a flag" },
	{ "a STORE 1 FLAGS (a]b)", "SYNTAX expected \")\" behind the flags" },
	{ "a STORE 1 FLAGS (\\Seen,\\Draft)",
	        "SYNTAX expected a flag that is defined: this one begins with a backslash and is not" },
	{ "a STORE 1 FLAGS (\"x\")", "SYNTAX expected a flag" },
	{ "a STORE 1 (UNCHANGEDSINCE 1) (\\Seen)", "SYNTAX expected FLAGS or FLAGS.SILENT" },
	{ "a STORE 1 (CHANGEDSINCE 1) FLAGS ()", "SYNTAX expected UNCHANGEDSINCE" },
	{ "a STORE 1 (UNCHANGEDSINCE) FLAGS ()", "SYNTAX expected a space" },
	{ "a STORE 1 (UNCHANGEDSINCE 1 UNCHANGEDSINCE 1) FLAGS ()", "SYNTAX expected \")\" behind UNCHANGEDSINCE" },
};

/* RFC 9051 §6.4.7, §6.4.8 */
static const struct parse_row copies[] = {
	{ "A003 COPY 2:4 MEETING", "A003 COPY 2:4 \"MEETING\"" },
	{ "a UID MOVE 42:69 foo", "a UID MOVE 42:69 \"foo\"" },
	{ "28 uid move 306:307,311 \"Trash\"", "28 UID MOVE 306:307,311 \"Trash\"" },
	{ "a UID COPY $ &ANw-", "a UID COPY $ \"\\xc3\\x9c\"" },
	{ "a COPY 1", "SYNTAX the command ends too early" },
	{ "a COPY 1 a b", "SYNTAX expected the end of the command" },
	{ "a COPY MEETING", "SYNTAX expected a sequence set" },
	{ "a MOVE 1  b", "SYNTAX expected a string or an atom" },
	{ "A UID EXPUNGE 3000:3002", "A UID EXPUNGE 3000:3002" },
	{ "A EXPUNGE", "A EXPUNGE" },
	{ "A EXPUNGE 1", "SYNTAX expected the end of the command" },
	{ "A UID EXPUNGE", "SYNTAX the command ends too early" },
	{ "A UID EXPUNGE 1 2", "SYNTAX expected the end of the command" },
};

/* RFC 9051 §6.3.12, RFC 6855 §4 */
static const struct parse_row appends[] = {
	{ "A003 APPEND saved-messages (\\Seen) {326}", "A003 APPEND \"saved-messages\" system=\\Seen waits{326}" },
	{ "A003 APPEND saved-messages (\\Seen) {329+}", "A003 APPEND \"saved-messages\" system=\\Seen goes on{329}" },
	{ "a APPEND \"Sent\" {419+}", "a APPEND \"Sent\" goes on{419}" },
	{ "a append inbox () {0}", "a APPEND \"INBOX\" waits{0}" },
	{ "a APPEND {4}\r\nSent (\\Seen $x) \" 7-Feb-1994 21:52:25 -0800\" ~{25}",
	        "a APPEND \"Sent\" system=\\Seen keywords(\"$x\") date=760686745 literal8 waits{25}" },
	{ "a APPEND x \"17-Jul-1996 02:44:25 +0530\" {1}", "a APPEND \"x\" date=837551665 waits{1}" },
	{ "a APPEND x \"7-Feb-1994 21:52:25 +0000\" {1}", "a APPEND \"x\" date=760657945 waits{1}" },
	{ "a APPEND x \"31-Dec-2016 23:59:60 +0000\" {1}", "a APPEND \"x\" date=1483228800 waits{1}" },
	{ "a APPEND x \" 1-Jan-1970 00:00:00 +0000\" {1}", "a APPEND \"x\" date=0 waits{1}" },
	{ "a APPEND x \"29-Feb-2000 00:00:00 +0000\" {1}", "a APPEND \"x\" date=951782400 waits{1}" },
	{ "a APPEND x \"31-Dec-1969 23:59:59 +0000\" {1}", "a APPEND \"x\" date=-1 waits{1}" },
	{ "a APPEND Drafts (\\Draft) UTF8 (~{100}", "a APPEND \"Drafts\" system=\\Draft utf8 literal8 waits{100}",
	        true },
	{ "a APPEND Drafts \" 1-Jan-2026 00:00:00 +0000\" utf8 (~{100+}",
	        "a APPEND \"Drafts\" date=1767225600 utf8 literal8 goes on{100}" },
	{ "a APPEND", "SYNTAX the command ends too early" },
	{ "a APPEND x", "SYNTAX the command ends too early" },
	{ "a APPEND x ", "SYNTAX expected a literal with the message" },
	{ "a APPEND {3}", "SYNTAX expected a literal" },
	{ "a APPEND x {}", "SYNTAX expected a number below 2^63" },
	{ "a APPEND x {1", "SYNTAX expected \"}\" and the end of the line" },
	{ "a APPEND x {1}y", "SYNTAX expected \"}\" and the end of the line" },
	{ "a APPEND x {9223372036854775808}", "SYNTAX expected a number below 2^63" },
	{ "a APPEND x \\Seen {1}", "SYNTAX expected a literal with the message" },
	{ "a APPEND x (\\Seen){1}", "SYNTAX expected a space" },
	{ "a APPEND x \"x\"", "SYNTAX expected a date and time as in \" 7-Feb-1994 21:52:25 -0800\"" },
	{ "a APPEND x CATENATE (TEXT {1}", "SYNTAX expected a literal with the message" },
	{ "a APPEND x UTF8 ({1}", "SYNTAX expected a literal8 (~{) behind UTF8" },
	{ "a APPEND x UTF8 ~{1}", "SYNTAX expected \"(\" behind UTF8" },
	{ "a APPEND x {1}\r\na", "SYNTAX expected \"}\" and the end of the line" },
	{ "a APPEND x \"30-Feb-2000 00:00:00 +0000\" {1}",
	        "SYNTAX expected a date and time as in \" 7-Feb-1994 21:52:25 -0800\"" },
	{ "a APPEND x \"29-Feb-1900 00:00:00 +0000\" {1}",
	        "SYNTAX expected a date and time as in \" 7-Feb-1994 21:52:25 -0800\"" },
	{ "a APPEND x \" 0-Jan-2000 00:00:00 +0000\" {1}",
	        "SYNTAX expected a date and time as in \" 7-Feb-1994 21:52:25 -0800\"" },
	{ "a APPEND x \" 1-Jan-2000 24:00:00 +0000\" {1}",
	        "SYNTAX expected a date and time as in \" 7-Feb-1994 21:52:25 -0800\"" },
	{ "a APPEND x \" 1-Jan-2000 00:00:00 GMT\" {1}",
	        "SYNTAX expected a date and time as in \" 7-Feb-1994 21:52:25 -0800\"" },
	{ "a APPEND x \" 1-Jan-2000 00:00:00\" {1}",
	        "SYNTAX expected a date and time as in \" 7-Feb-1994 21:52:25 -0800\"" },
	{ "a APPEND x \" 1-Jan-00 00:00:00 +0000\" {1}",
	        "SYNTAX expected a date and time as in \" 7-Feb-1994 21:52:25 -0800\"" },
	{ "a APPEND x \" 1-Jan-2000 00:00:00 +2400\" {1}",
	        "SYNTAX expected a date and time as in \" 7-Feb-1994 21:52:25 -0800\"" },
	{ "a APPEND x \" 1-Foo-2000 00:00:00 +0000\" {1}",
	        "SYNTAX expected a date and time as in \" 7-Feb-1994 21:52:25 -0800\"" },
};

static void test_fetches(void **state)
{
	check_parse_rows(fetches, ARRAY_LEN(fetches));
}

static void test_extended_fetches(void **state)
{
	check_parse_rows(extended_fetches, ARRAY_LEN(extended_fetches));
}

static void test_repeated_items(void **state)
{
	check_parse_rows(repeated_items, ARRAY_LEN(repeated_items));
}

static void test_bad_fetches(void **state)
{
	check_parse_rows(bad_fetches, ARRAY_LEN(bad_fetches));
}

static void test_stores(void **state)
{
	check_parse_rows(stores, ARRAY_LEN(stores));
}

static void test_copies(void **state)
{
	check_parse_rows(copies, ARRAY_LEN(copies));
}

static void test_appends(void **state)
{
	check_parse_rows(appends, ARRAY_LEN(appends));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fetches),
		cmocka_unit_test(test_extended_fetches),
		cmocka_unit_test(test_repeated_items),
		cmocka_unit_test(test_bad_fetches),
		cmocka_unit_test(test_stores),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_appends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
