/* RFC 9051 §6.3: the commands about mailboxes, and their names, as tables of whole commands. The RFCs' own examples come first. */
#include "parse_show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* RFC 3501 §5.1.3, RFC 9051 §5.1 */
static const struct parse_row names[] = {
	{ "a DELETE blurdybloop", "a DELETE \"blurdybloop\"" },
	{ "a DELETE \"foo/bar\"", "a DELETE \"foo/bar\"" },
	{ "a SUBSCRIBE inbox", "a SUBSCRIBE \"INBOX\"" },
	{ "a SUBSCRIBE \"InBox\"", "a SUBSCRIBE \"INBOX\"" },
	{ "a SUBSCRIBE inbox/x", "a SUBSCRIBE \"inbox/x\"" },
	{ "a DELETE ~peter/mail/&U,BTFw-/&ZeVnLIqe-",
	        "a DELETE \"~peter/mail/\\xe5\\x8f\\xb0\\xe5\\x8c\\x97/\\xe6\\x97\\xa5\\xe6\\x9c\\xac\\xe8\\xaa\\x9e\"" },
	{ "30 DELETE \"&ANw-mlaut &- Co\"", "30 DELETE \"\\xc3\\x9cmlaut & Co\"" },
	{ "a DELETE {9}\r\n&Jjo-!xyz", "a DELETE \"\\xe2\\x98\\xba!xyz\"" },
	{ "a DELETE &ANw", "a DELETE \"&ANw\"" },
	{ "a DELETE &ANw-", "a DELETE \"&ANw-\"", true },
	{ "a DELETE \"\xc3\x9cmlaut\"", "a DELETE \"\\xc3\\x9cmlaut\"", true },
	{ "a DELETE \"\xc3\x9cmlaut\"", "a DELETE \"\\xc3\\x9cmlaut\"" },
	{ "a DELETE \"\xc3\x9cmlaut & Co\"", "a DELETE \"\\xc3\\x9cmlaut & Co\"" },
	{ "a DELETE {2}\r\n\xc3\x9c", "a DELETE \"\\xc3\\x9c\"" },
	{ "a DELETE NIL", "a DELETE \"NIL\"" },
	{ "a DELETE \"\"", "a DELETE \"\"" },
	{ "a DELETE &AEE-", "a DELETE \"&AEE-\"" },
	{ "a DELETE %*", "a DELETE \"%*\"" },
	{ "a DELETE", "SYNTAX the command ends too early" },
	{ "a DELETE ", "SYNTAX expected a string or an atom" },
	{ "a DELETE a b", "SYNTAX expected the end of the command" },
	{ "a DELETE \"\xc3\"", "BAD_VALUE the mailbox name is not valid UTF-8" },
	{ "a DELETE {1}\r\n\xc3", "BAD_VALUE the mailbox name is not valid UTF-8" },
	{ "a DELETE \xc3\x9c", "SYNTAX expected a string or an atom" },
	{ "a DELETE (x)", "SYNTAX expected a string or an atom" },
	{ "a DELETE \"\xff&ANw-\"", "BAD_VALUE the mailbox name is not valid UTF-8" },
};

/* RFC 9051 §6.3.4, RFC 6154 §3, §6 */
static const struct parse_row creations[] = {
	{ "A003 CREATE owatagusiam/", "A003 CREATE \"owatagusiam/\"" },
	{ "t1 CREATE MySpecial (USE (\\Drafts \\Sent))", "t1 CREATE \"MySpecial\" use(\"\\Drafts\" \"\\Sent\")" },
	{ "t create \"Archive/2026\" (use ())", "t CREATE \"Archive/2026\" use()" },
	{ "t CREATE x (USE (\\X-Mine)) ", "t CREATE \"x\" use(\"\\X-Mine\")" },
	{ "t CREATE x (USE (\\Junk)", "SYNTAX expected \")\" behind USE" },
	{ "t CREATE x ()", "SYNTAX expected USE" },
	{ "t CREATE x (COLOR (red))", "SYNTAX expected USE" },
	{ "t CREATE x USE (\\Junk)", "SYNTAX expected \"(\" or the end of the command" },
	{ "t CREATE x (USE (Junk))", "SYNTAX expected a special use as in \\Archive" },
	{ "t CREATE x (USE \\Junk)", "SYNTAX expected \"(\" behind USE" },
	{ "t CREATE x (USE (\\))", "SYNTAX expected a special use as in \\Archive" },
};

/* RFC 9051 §6.3.6 */
static const struct parse_row renames[] = {
	{ "A683 RENAME blurdybloop sarasoon", "A683 RENAME \"blurdybloop\" \"sarasoon\"" },
	{ "Z RENAME INBOX \"old mail\"", "Z RENAME \"INBOX\" \"old mail\"" },
	{ "Z RENAME a", "SYNTAX the command ends too early" },
	{ "Z RENAME a b c", "SYNTAX expected the end of the command" },
	{ "Z RENAME a \"&\"", "Z RENAME \"a\" \"&\"" },
};

/* RFC 9208 §4.1.1 */
static const struct parse_row quota_roots[] = {
	{ "G0001 GETQUOTA \"\"", "G0001 GETQUOTA \"\"" },
	{ "G GETQUOTA !partition/sda4", "G GETQUOTA \"!partition/sda4\"" },
	{ "G GETQUOTA", "SYNTAX the command ends too early" },
	{ "G GETQUOTA a b", "SYNTAX expected the end of the command" },
};

/* RFC 7162 §3.1.8, §3.2.5 */
static const struct parse_row selections[] = {
	{ "A142 SELECT INBOX", "A142 SELECT \"INBOX\"" },
	{ "21 select \"INBOX\"", "21 SELECT \"INBOX\"" },
	{ "A932 EXAMINE blurdybloop ", "A932 EXAMINE \"blurdybloop\"" },
	{ "A142 SELECT INBOX (CONDSTORE)", "A142 SELECT \"INBOX\" condstore" },
	{ "a select x (condstore) ", "a SELECT \"x\" condstore" },
	{ "A03 SELECT INBOX (QRESYNC (67890007 90060115194045000 41:211,214:541))",
	        "A03 SELECT \"INBOX\" qresync=67890007/90060115194045000 known=41:211,214:541" },
	{ "B04 SELECT INBOX (QRESYNC (67890007 90060115194045000 1:29997 (5000,7500,9000,9990:9999 15000,22500,27000,29970,29973,29976,29979,29982,29985,29988,29991,29994,29997)))",
	        "B04 SELECT \"INBOX\" qresync=67890007/90060115194045000 known=1:29997 seqs=5000,7500,9000,9990:9999 uids=15000,22500,27000,29970,29973,29976,29979,29982,29985,29988,29991,29994,29997" },
	{ "a SELECT x (QRESYNC (1 2))", "a SELECT \"x\" qresync=1/2" },
	{ "a SELECT x (QRESYNC (1 2 (1 1)))", "a SELECT \"x\" qresync=1/2 seqs=1 uids=1" },
	{ "a SELECT x (QRESYNC (1 2 1:3 (1 1)))", "a SELECT \"x\" qresync=1/2 known=1:3 seqs=1 uids=1" },
	{ "a SELECT x (CONDSTORE QRESYNC (0 0))", "a SELECT \"x\" condstore qresync=0/0" },
	{ "a SELECT", "SYNTAX the command ends too early" },
	{ "a SELECT x ()", "SYNTAX expected CONDSTORE or QRESYNC" },
	{ "a SELECT x CONDSTORE", "SYNTAX expected \"(\" or the end of the command" },
	{ "a SELECT x (CONDSTORE", "SYNTAX expected \")\" behind the parameters" },
	{ "a SELECT x (CONDSTORE) y", "SYNTAX expected the end of the command" },
	{ "a SELECT x (ANNOTATE)", "SYNTAX expected CONDSTORE or QRESYNC" },
	{ "a SELECT x (QRESYNC)", "SYNTAX expected a space" },
	{ "a SELECT x (QRESYNC (1))", "SYNTAX expected a space" },
	{ "a SELECT x (QRESYNC (1 2 ))", "SYNTAX expected a sequence set" },
	{ "a SELECT x (QRESYNC (1 2 1:*))", "SYNTAX expected a sequence set without \"*\" and \"$\"" },
	{ "a SELECT x (QRESYNC (1 2 $))", "SYNTAX expected a sequence set without \"*\" and \"$\"" },
	{ "a SELECT x (QRESYNC (1 2 1 (1)))", "SYNTAX expected a space" },
	{ "a SELECT x (QRESYNC (1 2 1 (* 1)))", "SYNTAX expected a sequence set without \"*\" and \"$\"" },
	{ "a SELECT x (QRESYNC (4294967296 2))", "SYNTAX expected a UIDVALIDITY" },
	{ "a SELECT x (QRESYNC (1 9223372036854775808))", "SYNTAX expected a number below 2^63" },
	{ "a SELECT x (QRESYNC (1 2) QRESYNC (1 2))", "SYNTAX expected CONDSTORE or QRESYNC" },
};

/* RFC 5258 §5, RFC 5819 §4, RFC 6154 §5 */
static const struct parse_row lists[] = {
	{ "A101 LIST \"\" \"\"", "A101 LIST \"\" (\"\")" },
	{ "A102 LIST #news.comp.mail.misc \"\"", "A102 LIST \"#news.comp.mail.misc\" (\"\")" },
	{ "A202 LIST ~/Mail/ %", "A202 LIST \"~/Mail/\" (\"%\")" },
	{ "A01 LIST \"\" \"*\"", "A01 LIST \"\" (\"*\")" },
	{ "A02 LIST (SUBSCRIBED) \"\" \"*\"", "A02 LIST \"\" (\"*\") extended select=SUBSCRIBED" },
	{ "A03 LIST () \"\" \"%\" RETURN (CHILDREN)", "A03 LIST \"\" (\"%\") extended return=CHILDREN" },
	{ "A04 LIST (REMOTE) \"\" \"%\" RETURN (CHILDREN)",
	        "A04 LIST \"\" (\"%\") extended select=REMOTE return=CHILDREN" },
	{ "A05 LIST (REMOTE SUBSCRIBED) \"\" \"*\"", "A05 LIST \"\" (\"*\") extended select=SUBSCRIBED|REMOTE" },
	{ "A06 LIST (REMOTE) \"\" \"*\" RETURN (SUBSCRIBED)",
	        "A06 LIST \"\" (\"*\") extended select=REMOTE return=SUBSCRIBED" },
	{ "BBB LIST \"\" (\"INBOX\" \"Drafts\" \"Sent/%\")",
	        "BBB LIST \"\" (\"INBOX\" \"Drafts\" \"Sent/%\") extended" },
	{ "C01 LIST \"\" (% \"*\" &ANw-*) RETURN ()", "C01 LIST \"\" (\"%\" \"*\" \"\\xc3\\x9c*\") extended" },
	{ "a LIST (SUBSCRIBED RECURSIVEMATCH) \"\" \"*\"",
	        "a LIST \"\" (\"*\") extended select=SUBSCRIBED|RECURSIVEMATCH" },
	{ "A01 LIST \"\" % RETURN (STATUS (MESSAGES UNSEEN))",
	        "A01 LIST \"\" (\"%\") extended return=STATUS status=MESSAGES|UNSEEN" },
	{ "A03 LIST (SUBSCRIBED RECURSIVEMATCH) \"\" % RETURN (STATUS (MESSAGES))",
	        "A03 LIST \"\" (\"%\") extended select=SUBSCRIBED|RECURSIVEMATCH return=STATUS status=MESSAGES" },
	{ "30 list (subscribed) \"\" \"*\" return (special-use)",
	        "30 LIST \"\" (\"*\") extended select=SUBSCRIBED return=SPECIAL-USE" },
	{ "t LIST (SPECIAL-USE RECURSIVEMATCH) \"\" \"*\" RETURN (SUBSCRIBED SPECIAL-USE CHILDREN STATUS (SIZE HIGHESTMODSEQ MAILBOXID DELETED DELETED-STORAGE APPENDLIMIT RECENT))",
	        "t LIST \"\" (\"*\") extended select=RECURSIVEMATCH|SPECIAL-USE return=SUBSCRIBED|CHILDREN|SPECIAL-USE|STATUS status=DELETED|SIZE|RECENT|HIGHESTMODSEQ|MAILBOXID|APPENDLIMIT|DELETED-STORAGE" },
	{ "a LIST \"\" INBOX ", "a LIST \"\" (\"INBOX\")" },
	{ "a LIST \"\" ]foo", "a LIST \"\" (\"]foo\")" },
	{ "a LIST \"\" {3}\r\na%b", "a LIST \"\" (\"a%b\")" },
	{ "a LIST {0}\r\n %", "a LIST \"\" (\"%\")" },
	{ "a LIST \"\" ()", "SYNTAX expected a mailbox pattern" },
	{ "a LIST", "SYNTAX the command ends too early" },
	{ "a LIST \"\"", "SYNTAX the command ends too early" },
	{ "a LIST \"\" ", "SYNTAX expected a mailbox pattern" },
	{ "a LIST (RECURSIVEMATCH) \"\" *", "SYNTAX expected SUBSCRIBED beside RECURSIVEMATCH" },
	{ "a LIST (REMOTE RECURSIVEMATCH) \"\" *", "SYNTAX expected SUBSCRIBED beside RECURSIVEMATCH" },
	{ "a LIST (COLOR) \"\" *", "SYNTAX expected a selection option" },
	{ "a LIST (SUBSCRIBED\"\" *", "SYNTAX expected \")\" behind the selection options" },
	{ "a LIST \"\" * RETURN", "SYNTAX the command ends too early" },
	{ "a LIST \"\" * RETURN (COLOR)", "SYNTAX expected a return option" },
	{ "a LIST \"\" * RETURN (STATUS)", "SYNTAX expected a space" },
	{ "a LIST \"\" * RETURN (STATUS ())", "SYNTAX expected a status item" },
	{ "a LIST \"\" * CHILDREN", "SYNTAX expected RETURN or the end of the command" },
	{ "a LIST \"\" (a b", "SYNTAX expected \")\" behind the patterns" },
	{ "a LIST \"\" a\\b", "SYNTAX expected a space" },
	{ "a LIST \"\" \"\xc3\"", "BAD_VALUE the mailbox name is not valid UTF-8" },
	{ "A LSUB \"#news.\" \"comp.mail.*\"", "A LSUB \"#news.\" (\"comp.mail.*\")" },
	{ "a lsub \"\" %", "a LSUB \"\" (\"%\")" },
	{ "a LSUB \"\" (a b)", "SYNTAX expected a mailbox pattern" },
	{ "a LSUB \"\" * RETURN (CHILDREN)", "SYNTAX expected the end of the command" },
	{ "a LSUB (SUBSCRIBED) \"\" *", "SYNTAX expected a string or an atom" },
};

/* RFC 9051 §6.3.11 */
static const struct parse_row statuses[] = {
	{ "A042 STATUS blurdybloop (UIDNEXT MESSAGES)", "A042 STATUS \"blurdybloop\" items=MESSAGES|UIDNEXT" },
	{ "a status \"INBOX\" (uidnext messages unseen recent)",
	        "a STATUS \"INBOX\" items=MESSAGES|UIDNEXT|UNSEEN|RECENT" },
	{ "a STATUS x (UIDVALIDITY HIGHESTMODSEQ SIZE DELETED MAILBOXID APPENDLIMIT DELETED-STORAGE) ",
	        "a STATUS \"x\" items=UIDVALIDITY|DELETED|SIZE|HIGHESTMODSEQ|MAILBOXID|APPENDLIMIT|DELETED-STORAGE" },
	{ "a STATUS x (MESSAGES MESSAGES)", "a STATUS \"x\" items=MESSAGES" },
	{ "a STATUS x", "SYNTAX the command ends too early" },
	{ "a STATUS x ()", "SYNTAX expected a status item" },
	{ "a STATUS x MESSAGES", "SYNTAX expected \"(\" before the status items" },
	{ "a STATUS x (MESSAGES", "SYNTAX expected \")\" behind the status items" },
	{ "a STATUS x (MESSAGES )", "SYNTAX expected a status item" },
	{ "a STATUS x (MESSAGESX)", "SYNTAX expected a status item" },
	{ "a STATUS x (COLOR)", "SYNTAX expected a status item" },
	{ "a STATUS (MESSAGES)", "SYNTAX expected a string or an atom" },
};

static void test_names(void **state)
{
	check_parse_rows(names, ARRAY_LEN(names));
}

static void test_creations(void **state)
{
	check_parse_rows(creations, ARRAY_LEN(creations));
}

static void test_renames(void **state)
{
	check_parse_rows(renames, ARRAY_LEN(renames));
}

static void test_quota_roots(void **state)
{
	check_parse_rows(quota_roots, ARRAY_LEN(quota_roots));
}

static void test_selections(void **state)
{
	check_parse_rows(selections, ARRAY_LEN(selections));
}

static void test_lists(void **state)
{
	check_parse_rows(lists, ARRAY_LEN(lists));
}

static void test_statuses(void **state)
{
	check_parse_rows(statuses, ARRAY_LEN(statuses));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_creations),
		cmocka_unit_test(test_renames),
		cmocka_unit_test(test_quota_roots),
		cmocka_unit_test(test_selections),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_statuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
