/* RFC 9051 §6.4.4, RFC 5256: SEARCH, SORT, THREAD, as tables of whole commands. The RFCs' own examples come first. */
#include "parse_show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* RFC 9051 §6.4.4, RFC 3501 §6.4.4 */
static const struct parse_row searches[] = {
	{ "A282 SEARCH FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"",
	        "A282 SEARCH (AND (FLAG flag=4) (SINCE 8797) (NOT (FROM \"Smith\")))" },
	{ "A284 SEARCH CHARSET UTF-8 TEXT {12}\r\n\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82",
	        "A284 SEARCH charset=\"UTF-8\" (AND (TEXT \"\\xd0\\xbf\\xd1\\x80\\xd0\\xb8\\xd0\\xb2\\xd0\\xb5\\xd1\\x82\"))" },
	{ "A283 SEARCH TEXT \"string not in mailbox\"", "A283 SEARCH (AND (TEXT \"string not in mailbox\"))" },
	{ "a uid search all", "a UID SEARCH (AND (ALL))" },
	{ "a SEARCH 7", "a SEARCH (AND (SEQUENCE 7))" },
	{ "a UID SEARCH *:*", "a UID SEARCH (AND (SEQUENCE *))" },
	{ "a SEARCH 1:5,3 UID 9:* $", "a SEARCH (AND (SEQUENCE 1:5,3) (UID 9:*) (SEQUENCE $))" },
	{ "a SEARCH UID $", "a SEARCH (AND (UID $))" },
	{ "9 uid SEARCH UNDELETED BODY \"needle\"", "9 UID SEARCH (AND (NOT (FLAG flag=8)) (BODY \"needle\"))" },
	{ "f SEARCH UNSEEN UNDELETED ", "f SEARCH (AND (NOT (FLAG flag=1)) (NOT (FLAG flag=8)))" },
	{ "k UID SEARCH 1:100 SINCE 1-Jan-2026 NOT DELETED",
	        "k UID SEARCH (AND (SEQUENCE 1:100) (SINCE 20454) (NOT (FLAG flag=8)))" },
	{ "k UID SEARCH HEADER MESSAGE-ID <x@y>", "k UID SEARCH (AND (HEADER \"MESSAGE-ID\" \"<x@y>\"))" },
	{ "a SEARCH ANSWERED DRAFT SEEN UNANSWERED UNDRAFT UNFLAGGED NEW OLD RECENT",
	        "a SEARCH (AND (FLAG flag=2) (FLAG flag=16) (FLAG flag=1) (NOT (FLAG flag=2)) (NOT (FLAG flag=16)) (NOT (FLAG flag=4)) (NEW) (OLD) (RECENT))" },
	{ "a SEARCH KEYWORD $Forwarded UNKEYWORD Junk",
	        "a SEARCH (AND (KEYWORD \"$Forwarded\") (NOT (KEYWORD \"Junk\")))" },
	{ "a SEARCH BCC a CC b TO c SUBJECT \"d e\" HEADER X-Y \"\"",
	        "a SEARCH (AND (BCC \"a\") (CC \"b\") (TO \"c\") (SUBJECT \"d e\") (HEADER \"X-Y\" \"\"))" },
	{ "a SEARCH BEFORE \"1-Feb-1994\" ON 01-feb-1994 SENTBEFORE 31-Dec-1969 SENTON 1-Jan-1970 SENTSINCE \"29-Feb-2024\"",
	        "a SEARCH (AND (BEFORE 8797) (ON 8797) (SENTBEFORE -1) (SENTON) (SENTSINCE 19782))" },
	{ "a SEARCH LARGER 0 SMALLER 9223372036854775807", "a SEARCH (AND (LARGER) (SMALLER 9223372036854775807))" },
	{ "a SEARCH OLDER 1 YOUNGER 4294967295", "a SEARCH (AND (OLDER 1) (YOUNGER 4294967295))" },
	{ "a SEARCH SAVEDBEFORE 2-Jan-1970 SAVEDON 2-Jan-1970 SAVEDSINCE 2-Jan-1970 SAVEDATESUPPORTED",
	        "a SEARCH (AND (SAVEDBEFORE 1) (SAVEDON 1) (SAVEDSINCE 1) (SAVEDATESUPPORTED))" },
	{ "a SEARCH EMAILID M123 THREADID T64-b_", "a SEARCH (AND (EMAILID \"M123\") (THREADID \"T64-b_\"))" },
	{ "a SEARCH MODSEQ 620162338", "a SEARCH (AND (MODSEQ 620162338))" },
	{ "t SEARCH MODSEQ \"/flags/\\\\draft\" all 620162338", "t SEARCH (AND (MODSEQ 620162338))" },
	{ "a SEARCH MODSEQ \"/flags/$x\" priv 0", "a SEARCH (AND (MODSEQ))" },
};

static const struct parse_row nested[] = {
	{ "a SEARCH (SEEN)", "a SEARCH (AND (AND (FLAG flag=1)))" },
	{ "a SEARCH (SEEN (DRAFT (1)) ALL)",
	        "a SEARCH (AND (AND (FLAG flag=1) (AND (FLAG flag=16) (AND (SEQUENCE 1))) (ALL)))" },
	{ "a SEARCH NOT (SEEN DRAFT)", "a SEARCH (AND (NOT (AND (FLAG flag=1) (FLAG flag=16))))" },
	{ "a SEARCH OR SEEN DRAFT", "a SEARCH (AND (OR (FLAG flag=1) (FLAG flag=16)))" },
	{ "a SEARCH OR (SEEN 1) NOT DRAFT ALL",
	        "a SEARCH (AND (OR (AND (FLAG flag=1) (SEQUENCE 1)) (NOT (FLAG flag=16))) (ALL))" },
	{ "a SEARCH OR FROM a OR FROM b OR FROM c FROM d",
	        "a SEARCH (AND (OR (FROM \"a\") (FROM \"b\") (FROM \"c\") (FROM \"d\")))" },
	{ "a SEARCH OR OR OR 1 2 3 4", "a SEARCH (AND (OR (SEQUENCE 1) (SEQUENCE 2) (SEQUENCE 3) (SEQUENCE 4)))" },
	{ "a SEARCH OR NOT OR 1 2 OR 3 4",
	        "a SEARCH (AND (OR (NOT (OR (SEQUENCE 1) (SEQUENCE 2))) (SEQUENCE 3) (SEQUENCE 4)))" },
	{ "a SEARCH OR (OR 1 2) 3", "a SEARCH (AND (OR (AND (OR (SEQUENCE 1) (SEQUENCE 2))) (SEQUENCE 3)))" },
	{ "a SEARCH NOT NOT SEEN", "a SEARCH (AND (FLAG flag=1))" },
	{ "a SEARCH NOT NOT NOT SEEN", "a SEARCH (AND (NOT (FLAG flag=1)))" },
	{ "a SEARCH NOT UNSEEN", "a SEARCH (AND (NOT (NOT (FLAG flag=1))))" },
};

/* RFC 4731 §3.1, RFC 5182 §2.1 */
static const struct parse_row returns[] = {
	{ "A282 SEARCH RETURN (MIN COUNT) FLAGGED SINCE 1-Feb-1994 NOT FROM \"Smith\"",
	        "A282 SEARCH return=MIN|COUNT (AND (FLAG flag=4) (SINCE 8797) (NOT (FROM \"Smith\")))" },
	{ "A283 SEARCH RETURN () FLAGGED", "A283 SEARCH return=ALL (AND (FLAG flag=4))" },
	{ "a SEARCH RETURN (SAVE) UNSEEN", "a SEARCH return=SAVE (AND (NOT (FLAG flag=1)))" },
	{ "a UID SEARCH return (all max save) charset us-ascii 1",
	        "a UID SEARCH return=MAX|ALL|SAVE charset=\"us-ascii\" (AND (SEQUENCE 1))" },
	{ "a SEARCH RETURN (COUNT COUNT) ALL", "a SEARCH return=COUNT (AND (ALL))" },
};

static const struct parse_row charsets[] = {
	{ "a SEARCH CHARSET ISO-8859-1 SUBJECT \"\xe4\"",
	        "a SEARCH charset=\"ISO-8859-1\" (AND (SUBJECT \"\\xc3\\xa4\"))" },
	{ "a SEARCH CHARSET \"iso-8859-15\" SUBJECT {1}\r\n\xa4",
	        "a SEARCH charset=\"iso-8859-15\" (AND (SUBJECT \"\\xe2\\x82\\xac\"))" },
	{ "a SEARCH CHARSET utf-8 SUBJECT \"\xc3\xa4\"", "a SEARCH charset=\"utf-8\" (AND (SUBJECT \"\\xc3\\xa4\"))" },
	{ "a SEARCH CHARSET Utf-8 SUBJECT \"\xff\"", "a SEARCH charset=\"Utf-8\" (AND (SUBJECT \"\\xef\\xbf\\xbd\"))" },
	{ "a SEARCH CHARSET KOI8-R BODY {1}\r\n\xc1", "a SEARCH charset=\"KOI8-R\" (AND (BODY \"\\xd0\\xb0\"))" },
	{ "a SEARCH SUBJECT {2}\r\n\xc3\xa4", "a SEARCH (AND (SUBJECT \"\\xc3\\xa4\"))" },
	{ "a SEARCH SUBJECT {1}\r\n\xe4", "a SEARCH (AND (SUBJECT \"\\xc3\\xa4\"))" },
	{ "a SEARCH SUBJECT \"\xc3\xa4\"", "a SEARCH (AND (SUBJECT \"\\xc3\\xa4\"))", true },
	{ "a SEARCH CHARSET UTF-8 SUBJECT \"\xc3\xa4\"", "a SEARCH charset=\"UTF-8\" (AND (SUBJECT \"\\xc3\\xa4\"))",
	        true },
	{ "a SEARCH CHARSET US-ASCII SUBJECT x", "a SEARCH charset=\"US-ASCII\" (AND (SUBJECT \"x\"))", true },
	{ "a SEARCH CHARSET X-NONSENSE ALL", "UNSUPPORTED unknown charset" },
	{ "a SEARCH CHARSET ISO-8859-1 ALL", "SYNTAX expected UTF-8: it is enabled", true },
	{ "a SEARCH SUBJECT \"\xc3\xa4\"", "SYNTAX expected ASCII in a quoted string: UTF-8 is not enabled" },
	{ "a SEARCH SUBJECT \"\xc3\"", "SYNTAX expected valid UTF-8 in a quoted string", true },
	{ "a SEARCH SUBJECT \xc3\xa4", "SYNTAX expected a string or an atom" },
	{ "a SEARCH CHARSET", "SYNTAX the command ends too early" },
	{ "a SEARCH CHARSET UTF-8", "SYNTAX the command ends too early" },
	{ "a SEARCH CHARSET UTF-8 ", "SYNTAX expected a search key" },
};

static const struct parse_row bad_searches[] = {
	{ "a SEARCH", "SYNTAX the command ends too early" },
	{ "a SEARCH ", "SYNTAX expected a search key" },
	{ "a SEARCH FOO", "SYNTAX expected a search key" },
	{ "a SEARCH SEENX", "SYNTAX expected a search key" },
	{ "a SEARCH SEEN,DRAFT", "SYNTAX expected a space" },
	{ "a SEARCH ()", "SYNTAX expected a search key" },
	{ "a SEARCH (SEEN", "SYNTAX expected \")\" behind the search keys" },
	{ "a SEARCH SEEN)", "SYNTAX expected a space" },
	{ "a SEARCH NOT", "SYNTAX the command ends too early" },
	{ "a SEARCH NOT ", "SYNTAX expected a search key" },
	{ "a SEARCH OR", "SYNTAX the command ends too early" },
	{ "a SEARCH OR SEEN", "SYNTAX the command ends too early" },
	{ "a SEARCH OR SEEN ", "SYNTAX expected a search key" },
	{ "a SEARCH FROM", "SYNTAX the command ends too early" },
	{ "a SEARCH FROM ", "SYNTAX expected a string or an atom" },
	{ "a SEARCH HEADER x", "SYNTAX the command ends too early" },
	{ "a SEARCH KEYWORD", "SYNTAX the command ends too early" },
	{ "a SEARCH KEYWORD \"x\"", "SYNTAX expected an atom" },
	{ "a SEARCH SINCE", "SYNTAX the command ends too early" },
	{ "a SEARCH SINCE 1-Feb-94", "SYNTAX expected a date as in 7-Feb-1994" },
	{ "a SEARCH SINCE 30-Feb-2000", "SYNTAX expected a date as in 7-Feb-1994" },
	{ "a SEARCH SINCE \"1-Feb-1994", "SYNTAX expected a date as in 7-Feb-1994" },
	{ "a SEARCH SINCE 1-Feb-1994x", "SYNTAX expected a space" },
	{ "a SEARCH SINCE 001-Feb-1994", "SYNTAX expected a date as in 7-Feb-1994" },
	{ "a SEARCH SINCE 1-February-1994", "SYNTAX expected a date as in 7-Feb-1994" },
	{ "a SEARCH LARGER x", "SYNTAX expected a number below 2^63" },
	{ "a SEARCH LARGER -1", "SYNTAX expected a number below 2^63" },
	{ "a SEARCH LARGER 9223372036854775808", "SYNTAX expected a number below 2^63" },
	{ "a SEARCH OLDER 0", "SYNTAX expected a number of seconds from 1 to 4294967295" },
	{ "a SEARCH YOUNGER 4294967296", "SYNTAX expected a number of seconds from 1 to 4294967295" },
	{ "a SEARCH UID", "SYNTAX the command ends too early" },
	{ "a SEARCH UID x", "SYNTAX expected a sequence set" },
	{ "a SEARCH 0", "SYNTAX expected a sequence set" },
	{ "a SEARCH 1,", "SYNTAX expected a sequence set" },
	{ "a SEARCH MODSEQ", "SYNTAX the command ends too early" },
	{ "a SEARCH MODSEQ \"/flags/x\" 1", "SYNTAX expected all, priv or shared" },
	{ "a SEARCH MODSEQ \"x\" all 1", "SYNTAX expected an entry name that begins with /flags/" },
	{ "a SEARCH MODSEQ \"/flags/x\" none 1", "SYNTAX expected all, priv or shared" },
	{ "a SEARCH RETURN ALL", "SYNTAX expected \"(\" behind RETURN" },
	{ "a SEARCH RETURN (PARTIAL 1:5) ALL", "SYNTAX expected MIN, MAX, ALL, COUNT or SAVE" },
	{ "a SEARCH RETURN (MIN ALL", "SYNTAX expected \")\" behind the return options" },
	{ "a SEARCH RETURN (MIN)", "SYNTAX the command ends too early" },
	{ "a SEARCH ALL RETURN (MIN)", "SYNTAX expected a search key" },
	{ "a SEARCH CHARSET x", "UNSUPPORTED unknown charset" },
	{ "a SEARCH SEEN  DRAFT", "SYNTAX expected a search key" },
};

/* RFC 5256 §3 */
static const struct parse_row sorts[] = {
	{ "A282 SORT (SUBJECT) UTF-8 SINCE 1-Feb-1994", "A282 SORT SUBJECT charset=\"UTF-8\" (AND (SINCE 8797))" },
	{ "A283 SORT (SUBJECT REVERSE DATE) UTF-8 ALL", "A283 SORT SUBJECT -DATE charset=\"UTF-8\" (AND (ALL))" },
	{ "A284 SORT (SUBJECT) US-ASCII TEXT \"not in mailbox\"",
	        "A284 SORT SUBJECT charset=\"US-ASCII\" (AND (TEXT \"not in mailbox\"))" },
	{ "a uid sort (reverse arrival cc date from size to date) utf-8 unseen ",
	        "a UID SORT -ARRIVAL CC DATE FROM SIZE TO charset=\"utf-8\" (AND (NOT (FLAG flag=1)))" },
	{ "a SORT RETURN (COUNT MIN) (DATE) UTF-8 UNDELETED",
	        "a SORT DATE return=MIN|COUNT charset=\"UTF-8\" (AND (NOT (FLAG flag=8)))" },
	{ "a SORT (DATE REVERSE DATE) ISO-8859-1 SUBJECT {1}\r\n\xe4",
	        "a SORT DATE charset=\"ISO-8859-1\" (AND (SUBJECT \"\\xc3\\xa4\"))" },
	{ "a SORT", "SYNTAX the command ends too early" },
	{ "a SORT () UTF-8 ALL", "SYNTAX expected a sort criterion" },
	{ "a SORT DATE UTF-8 ALL", "SYNTAX expected \"(\" before the sort criteria" },
	{ "a SORT (DATE)", "SYNTAX the command ends too early" },
	{ "a SORT (DATE) UTF-8", "SYNTAX the command ends too early" },
	{ "a SORT (DATE) ALL", "UNSUPPORTED unknown charset" },
	{ "a SORT (REVERSE) UTF-8 ALL", "SYNTAX expected a space" },
	{ "a SORT (REVERSE REVERSE DATE) UTF-8 ALL", "SYNTAX expected a sort criterion" },
	{ "a SORT (COLOR) UTF-8 ALL", "SYNTAX expected a sort criterion" },
	{ "a SORT (DATE) CHARSET UTF-8 ALL", "UNSUPPORTED unknown charset" },
};

/* RFC 5256 §3 */
static const struct parse_row threads[] = {
	{ "A283 THREAD ORDEREDSUBJECT UTF-8 SINCE 5-MAR-2000",
	        "A283 THREAD ORDEREDSUBJECT charset=\"UTF-8\" (AND (SINCE 11021))" },
	{ "A284 THREAD REFERENCES US-ASCII TEXT \"gewp\"",
	        "A284 THREAD REFERENCES charset=\"US-ASCII\" (AND (TEXT \"gewp\"))" },
	{ "a uid thread references utf-8 1:* ", "a UID THREAD REFERENCES charset=\"utf-8\" (AND (SEQUENCE 1:*))" },
	{ "a THREAD REFS UTF-8 ALL", "SYNTAX expected REFERENCES or ORDEREDSUBJECT" },
	{ "a THREAD", "SYNTAX the command ends too early" },
	{ "a THREAD REFERENCES", "SYNTAX the command ends too early" },
	{ "a THREAD REFERENCES UTF-8", "SYNTAX the command ends too early" },
	{ "a THREAD REFERENCES KLINGON ALL", "UNSUPPORTED unknown charset" },
};

static void test_searches(void **state)
{
	check_parse_rows(searches, ARRAY_LEN(searches));
}

static void test_nested(void **state)
{
	check_parse_rows(nested, ARRAY_LEN(nested));
}

static void test_returns(void **state)
{
	check_parse_rows(returns, ARRAY_LEN(returns));
}

static void test_charsets(void **state)
{
	check_parse_rows(charsets, ARRAY_LEN(charsets));
}

static void test_bad_searches(void **state)
{
	check_parse_rows(bad_searches, ARRAY_LEN(bad_searches));
}

static void test_sorts(void **state)
{
	check_parse_rows(sorts, ARRAY_LEN(sorts));
}

static void test_threads(void **state)
{
	check_parse_rows(threads, ARRAY_LEN(threads));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_searches),
		cmocka_unit_test(test_nested),
		cmocka_unit_test(test_returns),
		cmocka_unit_test(test_charsets),
		cmocka_unit_test(test_bad_searches),
		cmocka_unit_test(test_sorts),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
