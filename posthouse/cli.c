#include "posthouse/cli.h"

#include "config/settings.h"
#include "config/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 64

/* ---- usage and mistakes ---- */

void cli_usage(const struct verb *verb, struct buffer *out)
{
	(void)buffer_printf(out, "posthouse %s", verb->verb);
	if (verb->noun != NULL)
		(void)buffer_printf(out, " %s", verb->noun);
	if (verb->words[0] != '\0')
		(void)buffer_printf(out, " %s", verb->words);
	for (int o = OPT_HELP + 1; o < OPT_COUNT; o++) {
		if (verb->options & OPTION(o))
			(void)buffer_printf(out, cli_options[o].value != NULL ? " [%s %s]" : " [%s]",
			        cli_options[o].name, cli_options[o].value);
	}
}

static enum exit_code usage_error(const char *problem, const char *word, const char *nearest, const struct verb *verb)
{
	struct buffer usage;

	(void)fprintf(stderr, "posthouse: %s%s%s", problem, word != NULL ? ": " : "", word != NULL ? word : "");
	if (nearest != NULL)
		(void)fprintf(stderr, "; did you mean %s?", nearest);
	(void)fputc('\n', stderr);
	if (verb != NULL) {
		buffer_init(&usage, KIB);
		cli_usage(verb, &usage);
		(void)fprintf(stderr, "usage: %s\n", buffer_text(&usage));
		buffer_free(&usage);
	} else {
		(void)fprintf(stderr, "`posthouse help` lists the commands\n");
	}
	return CLI_USAGE;
}

enum exit_code cli_usage_error(const struct cli *cli, const char *problem)
{
	return usage_error(problem, NULL, NULL, cli->verb);
}

/* ---- finding the row ---- */

static const char *nearest_verb(const char *word)
{
	const char *names[NAMES_MAX];
	size_t count = 0;

	for (size_t i = 0; i < verb_count && count < NAMES_MAX; i++)
		names[count++] = verbs[i].verb;
	return value_nearest(span_of(word), names, count);
}

static const char *nearest_noun(const char *verb, const char *word)
{
	const char *names[NAMES_MAX];
	size_t count = 0;

	for (size_t i = 0; i < verb_count && count < NAMES_MAX; i++) {
		if (strcmp(verbs[i].verb, verb) == 0 && verbs[i].noun != NULL)
			names[count++] = verbs[i].noun;
	}
	return value_nearest(span_of(word), names, count);
}

static bool verb_exists(const char *word)
{
	for (size_t i = 0; i < verb_count; i++) {
		if (strcmp(verbs[i].verb, word) == 0)
			return true;
	}
	return false;
}

static enum exit_code noun_missing(const char *verb)
{
	const char *before = "";

	(void)fprintf(stderr, "posthouse: `posthouse %s` needs to know what to do: ", verb);
	for (size_t i = 0; i < verb_count; i++) {
		if (strcmp(verbs[i].verb, verb) != 0)
			continue;
		(void)fprintf(stderr, "%s%s", before, verbs[i].noun);
		before = ", ";
	}
	(void)fprintf(stderr, "\n`posthouse help %s` tells about each\n", verb);
	return CLI_USAGE;
}

/* The row of words[0] (and words[1]); *used is how many of them it took. */
static enum exit_code find_verb(const char *const *words, size_t count, const struct verb **out, size_t *used)
{
	for (size_t i = 0; i < verb_count; i++) {
		const struct verb *v = &verbs[i];
		if (strcmp(v->verb, words[0]) != 0)
			continue;
		if (v->noun == NULL || (count > 1 && strcmp(v->noun, words[1]) == 0)) {
			*out = v;
			*used = v->noun == NULL ? 1 : 2;
			return CLI_OK;
		}
	}
	if (!verb_exists(words[0]))
		return usage_error("unknown command", words[0], nearest_verb(words[0]), NULL);
	if (count < 2)
		return noun_missing(words[0]);
	return usage_error("unknown command", words[1], nearest_noun(words[0], words[1]), NULL);
}

/* ---- options ---- */

static const char *nearest_option(const char *word, const struct verb *verb)
{
	const char *names[OPT_COUNT];
	size_t count = 0;

	for (int o = 0; o < OPT_COUNT; o++) {
		if (o == OPT_CONFIG || o == OPT_HELP || (verb->options & OPTION(o)))
			names[count++] = cli_options[o].name;
	}
	return value_nearest(span_of(word), names, count);
}

/* "--name VALUE" or "--name=VALUE"; *at moves over what was taken. */
static enum exit_code take_option(int argc, const char *const *argv, int *at, struct cli *cli)
{
	const char *word = argv[*at];
	size_t length = strcspn(word, "=");

	for (int o = 0; o < OPT_COUNT; o++) {
		const char *name = cli_options[o].name;
		if (strlen(name) != length || strncmp(name, word, length) != 0)
			continue;
		if (cli_options[o].value == NULL && word[length] != '\0')
			return usage_error("the option takes no value", name, NULL, NULL);
		if (cli_options[o].value == NULL)
			cli->options[o] = "";
		else if (word[length] == '=')
			cli->options[o] = word + length + 1;
		else if (*at + 1 < argc)
			cli->options[o] = argv[++*at];
		else
			return usage_error("the option needs a value", name, NULL, NULL);
		return CLI_OK;
	}
	return CLI_NOT_FOUND; /* reported when the verb is known */
}

static enum exit_code check_options(const struct cli *cli, const char *unknown)
{
	if (unknown != NULL)
		return usage_error("unknown option", unknown, nearest_option(unknown, cli->verb), cli->verb);
	for (int o = OPT_HELP + 1; o < OPT_COUNT; o++) {
		if (cli->options[o] != NULL && !(cli->verb->options & OPTION(o)))
			return usage_error(
			        "the command does not take this option", cli_options[o].name, NULL, cli->verb);
	}
	return CLI_OK;
}

static enum exit_code show_usage(const struct verb *verb)
{
	struct buffer text;
	enum exit_code code;

	buffer_init(&text, 4 * KIB);
	(void)buffer_append_text(&text, "usage: ");
	cli_usage(verb, &text);
	(void)buffer_printf(&text, "\n%s\n", verb->help);
	code = output_text(buffer_text(&text));
	buffer_free(&text);
	exit(code);
}

enum exit_code cli_parse(int argc, const char *const *argv, struct cli *cli)
{
	const char *words[CLI_WORDS_MAX + 2], *unknown = NULL;
	size_t count = 0, used = 0;
	bool only_words = false;
	enum exit_code code;

	memset(cli, 0, sizeof(*cli));
	for (int i = 1; i < argc; i++) {
		if (!only_words && strcmp(argv[i], "--") == 0) {
			only_words = true;
		} else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
			int at = i;
			code = take_option(argc, argv, &i, cli);
			if (code == CLI_USAGE)
				return code;
			if (code == CLI_NOT_FOUND && unknown == NULL)
				unknown = argv[at];
		} else if (count < ARRAY_LEN(words)) {
			words[count++] = argv[i];
		} else {
			return usage_error("too many words", argv[i], NULL, NULL);
		}
	}
	if (count == 0)
		words[count++] = "help";
	if (count == 1 && cli->options[OPT_HELP] != NULL && verb_exists(words[0])) { /* of all that begin with it */
		words[count++] = words[0];
		words[0] = "help";
		cli->options[OPT_HELP] = NULL;
	}
	code = find_verb(words, count, &cli->verb, &used);
	if (code == CLI_OK && cli->options[OPT_HELP] != NULL)
		return show_usage(cli->verb);
	if (code == CLI_OK)
		code = check_options(cli, unknown);
	if (code != CLI_OK)
		return code;
	cli->word_count = count - used;
	if (cli->word_count < cli->verb->least)
		return usage_error("something is missing", NULL, NULL, cli->verb);
	if (cli->word_count > cli->verb->most)
		return usage_error("too many words", words[used + cli->verb->most], NULL, cli->verb);
	memcpy(cli->words, words + used, cli->word_count * sizeof(*words));
	return CLI_OK;
}

const char *cli_config_path(const struct cli *cli)
{
	const char *environment = getenv("POSTHOUSE_CONFIG");

	if (cli->options[OPT_CONFIG] != NULL)
		return cli->options[OPT_CONFIG];
	return environment != NULL && environment[0] != '\0' ? environment : SETTINGS_FILE_DEFAULT;
}

/* ---- errors ---- */

static const struct {
	enum error_code code;
	enum exit_code exit;
	const char *hint; /* what to do */
} exits[] = {
	{ ERR_NO_SUCH_DOMAIN, CLI_NOT_FOUND, "add it with `posthouse domain add`, or see `posthouse domain list`" },
	{ ERR_NO_SUCH_ACCOUNT, CLI_NOT_FOUND, "`posthouse user list` shows who is there" },
	{ ERR_NO_SUCH_ADDRESS, CLI_NOT_FOUND, "`posthouse user list` and `posthouse alias list` show what is there" },
	{ ERR_NO_SUCH_MAILBOX, CLI_NOT_FOUND, NULL },
	{ ERR_NO_SUCH_MESSAGE, CLI_NOT_FOUND, NULL },
	{ ERR_EXISTS, CLI_EXISTS, NULL },
	{ ERR_SYNTAX, CLI_USAGE, NULL },
	{ ERR_BAD_ADDRESS, CLI_USAGE, "an address looks like alice@example.org" },
	{ ERR_TOO_LONG, CLI_USAGE, NULL },
	{ ERR_DENIED, CLI_DENIED, "run it as root or as the service user" },
	{ ERR_BUSY, CLI_TEMPORARY, "try again" },
	{ ERR_CONFLICT, CLI_TEMPORARY, "try again" },
	{ ERR_TEMPORARY, CLI_TEMPORARY, NULL },
	{ ERR_TIMEOUT, CLI_TEMPORARY, "try again" },
	{ ERR_NO_SPACE, CLI_FAILED, "make room on the disk" },
	{ ERR_DAMAGED, CLI_FAILED, "`posthouse check` tells more; or restore the file from a backup" },
};

enum exit_code cli_exit_code(enum error_code code)
{
	for (size_t i = 0; i < ARRAY_LEN(exits); i++) {
		if (exits[i].code == code)
			return exits[i].exit;
	}
	return CLI_FAILED;
}

enum exit_code cli_error(const char *thing, const struct error *err)
{
	const char *hint = NULL;

	for (size_t i = 0; i < ARRAY_LEN(exits); i++) {
		if (exits[i].code == err->code)
			hint = exits[i].hint;
	}
	(void)fprintf(stderr, "posthouse: %s%s%s", thing != NULL ? thing : "", thing != NULL ? ": " : "",
	        err->reason[0] != '\0' ? err->reason : error_meaning(err->code));
	if (err->detail[0] != '\0')
		(void)fprintf(stderr, " (%s)", err->detail);
	if (hint != NULL)
		(void)fprintf(stderr, "; %s", hint);
	(void)fputc('\n', stderr);
	return cli_exit_code(err->code);
}
