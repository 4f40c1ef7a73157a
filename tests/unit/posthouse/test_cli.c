/* Command lines: what is legal reaches its row, all else ends with CLI_USAGE; every error code has its exit code. */
#include "posthouse/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct parse_case {
	const char *line; /* words, separated by blanks */
	enum exit_code want;
	const char *row; /* "verb noun words" that were understood */
} cases[] = {
	{ "", CLI_OK, "help - 0" },
	{ "serve", CLI_OK, "serve - 0" },
	{ "serve now", CLI_USAGE, NULL },
	{ "status --json", CLI_OK, "status - 0" },
	{ "--json status", CLI_OK, "status - 0" },
	{ "status --jsn", CLI_USAGE, NULL },
	{ "status --json=yes", CLI_USAGE, NULL },
	{ "status --repair", CLI_USAGE, NULL },
	{ "user", CLI_USAGE, NULL },
	{ "user add", CLI_USAGE, NULL },
	{ "user ad a@b", CLI_USAGE, NULL },
	{ "user add a@b", CLI_OK, "user add 1" },
	{ "user add a@b c@d", CLI_USAGE, NULL },
	{ "user add a@b --quota", CLI_USAGE, NULL },
	{ "user add a@b --quota 2G --name=Alice", CLI_OK, "user add 1" },
	{ "user --config /x add a@b", CLI_OK, "user add 1" },
	{ "user add --password secret a@b", CLI_USAGE, NULL }, /* never an argument */
	{ "user remove a@b c@d e@f", CLI_OK, "user remove 3" },
	{ "user import -", CLI_OK, "user import 1" }, /* standard input */
	{ "alias add -- -x@b a@b", CLI_OK, "alias add 2" },
	{ "alias add x@b", CLI_USAGE, NULL },
	{ "alias remove x@b", CLI_OK, "alias remove 1" },
	{ "check", CLI_OK, "check - 0" },
	{ "check --repair a@b", CLI_OK, "check - 1" },
	{ "frobnicate", CLI_USAGE, NULL },
	{ "help user add", CLI_OK, "help - 2" },
	{ "help a b c", CLI_USAGE, NULL },
};

static void test_command_lines(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[200], got[100], *save = NULL;
		const char *argv[20] = { "posthouse" };
		int argc = 1;
		struct cli cli;
		enum exit_code code;

		(void)snprintf(text, sizeof(text), "%s", cases[i].line);
		for (char *word = strtok_r(text, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
			argv[argc++] = word;
		code = cli_parse(argc, argv, &cli);
		if (code != cases[i].want)
			fail_msg("%s: %d", cases[i].line, code);
		if (code != CLI_OK)
			continue;
		(void)snprintf(got, sizeof(got), "%s %s %zu", cli.verb->verb,
		        cli.verb->noun != NULL ? cli.verb->noun : "-", cli.word_count);
		assert_string_equal(got, cases[i].row);
	}
}

static void test_too_many_words(void **state)
{
	const char *argv[CLI_WORDS_MAX + 10];
	struct cli cli;

	argv[0] = "posthouse";
	argv[1] = "domain";
	argv[2] = "add";
	for (size_t i = 3; i < ARRAY_LEN(argv); i++)
		argv[i] = "a.example";
	assert_int_equal(cli_parse(3 + CLI_WORDS_MAX, argv, &cli), CLI_OK);
	assert_int_equal(cli.word_count, CLI_WORDS_MAX);
	assert_int_equal(cli_parse(4 + CLI_WORDS_MAX, argv, &cli), CLI_USAGE);
}

static void test_options_arrive(void **state)
{
	const char *argv[] = { "posthouse", "user", "add", "a@b", "--quota=2G", "--name", "A B", "--password-stdin",
		"--config", "/c" };
	struct cli cli;

	assert_int_equal(cli_parse(ARRAY_LEN(argv), argv, &cli), CLI_OK);
	assert_string_equal(cli.options[OPT_QUOTA], "2G");
	assert_string_equal(cli.options[OPT_NAME], "A B");
	assert_non_null(cli.options[OPT_PASSWORD_STDIN]);
	assert_null(cli.options[OPT_QUOTA_MESSAGES]);
	assert_string_equal(cli_config_path(&cli), "/c");
}

static void test_config_path(void **state)
{
	struct cli cli = { 0 };

	(void)unsetenv("POSTHOUSE_CONFIG");
	assert_string_equal(cli_config_path(&cli), "/etc/posthouse/posthouse.conf");
	(void)setenv("POSTHOUSE_CONFIG", "/e", 1);
	assert_string_equal(cli_config_path(&cli), "/e");
	cli.options[OPT_CONFIG] = "/o";
	assert_string_equal(cli_config_path(&cli), "/o");
	(void)unsetenv("POSTHOUSE_CONFIG");
}

/* What scripts rely on. A new error code gets its line here. */
static void test_exit_codes(void **state)
{
	static const struct {
		enum error_code code;
		enum exit_code want;
	} rows[] = {
		{ ERR_SYNTAX, CLI_USAGE },
		{ ERR_BAD_ADDRESS, CLI_USAGE },
		{ ERR_BAD_VALUE, CLI_FAILED },
		{ ERR_BAD_SEQUENCE, CLI_FAILED },
		{ ERR_UNSUPPORTED, CLI_FAILED },
		{ ERR_TOO_LONG, CLI_USAGE },
		{ ERR_TOO_LARGE, CLI_FAILED },
		{ ERR_NO_SUCH_DOMAIN, CLI_NOT_FOUND },
		{ ERR_NO_SUCH_ACCOUNT, CLI_NOT_FOUND },
		{ ERR_NO_SUCH_ADDRESS, CLI_NOT_FOUND },
		{ ERR_NO_SUCH_MAILBOX, CLI_NOT_FOUND },
		{ ERR_NO_SUCH_MESSAGE, CLI_NOT_FOUND },
		{ ERR_EXISTS, CLI_EXISTS },
		{ ERR_DENIED, CLI_DENIED },
		{ ERR_DISABLED, CLI_FAILED },
		{ ERR_AUTH_FAILED, CLI_FAILED },
		{ ERR_AUTH_REQUIRED, CLI_FAILED },
		{ ERR_TLS_REQUIRED, CLI_FAILED },
		{ ERR_OVER_QUOTA, CLI_FAILED },
		{ ERR_CONFLICT, CLI_TEMPORARY },
		{ ERR_BUSY, CLI_TEMPORARY },
		{ ERR_LIMIT, CLI_FAILED },
		{ ERR_NO_MEMORY, CLI_FAILED },
		{ ERR_NO_SPACE, CLI_FAILED },
		{ ERR_IO, CLI_FAILED },
		{ ERR_DAMAGED, CLI_FAILED },
		{ ERR_TEMPORARY, CLI_TEMPORARY },
		{ ERR_TIMEOUT, CLI_TEMPORARY },
		{ ERR_CLOSED, CLI_FAILED },
		{ ERR_INTERNAL, CLI_FAILED },
	};

	assert_int_equal(ARRAY_LEN(rows), ERROR_CODE_COUNT - 1); /* all but ERR_NONE */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (cli_exit_code(rows[i].code) != rows[i].want)
			fail_msg("%s: %d", error_name(rows[i].code), cli_exit_code(rows[i].code));
	}
}

/* Every row can be called: least and most are sane, and each has its help. */
static void test_verb_table(void **state)
{
	for (size_t i = 0; i < verb_count; i++) {
		assert_non_null(verbs[i].run);
		assert_true(verbs[i].least <= verbs[i].most && verbs[i].most <= CLI_WORDS_MAX);
		assert_true(strlen(verbs[i].help) > 10);
		assert_true((verbs[i].least > 0) == (verbs[i].words[0] != '\0' && verbs[i].words[0] != '['));
	}
	for (int o = 0; o < OPT_COUNT; o++)
		assert_non_null(cli_options[o].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_lines),
		cmocka_unit_test(test_too_many_words),
		cmocka_unit_test(test_options_arrive),
		cmocka_unit_test(test_config_path),
		cmocka_unit_test(test_exit_codes),
		cmocka_unit_test(test_verb_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
