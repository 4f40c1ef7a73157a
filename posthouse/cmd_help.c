/* posthouse/cmd_help.c — `posthouse help`, `posthouse version`; all of it printed from the tables. */
#include "posthouse/cli.h"

#include <string.h>

#define HELP_MAX (128 * KIB)

static const struct {
	int value;
	const char *name;
	const char *meaning;
} exit_codes[] = {
#define EXIT_ROW(name, value, meaning) { value, #name, meaning },
	EXIT_CODES(EXIT_ROW)
#undef EXIT_ROW
};

enum exit_code cmd_version(struct cli *cli)
{
	return output_text("posthouse " POSTHOUSE_VERSION "\n");
}

static void overview(struct buffer *out)
{
	const char *verb = "";

	(void)buffer_append_text(out, "posthouse - a mail server for one's own domain\n\n");
	for (size_t i = 0; i < verb_count; i++) {
		if (strcmp(verb, verbs[i].verb) != 0 && i > 0 && (verbs[i].noun != NULL || verbs[i - 1].noun != NULL))
			(void)buffer_append_char(out, '\n');
		verb = verbs[i].verb;
		(void)buffer_append_text(out, "  ");
		cli_usage(&verbs[i], out);
		(void)buffer_append_char(out, '\n');
	}
	(void)buffer_printf(out, "\nEverywhere: --config FILE (or $POSTHOUSE_CONFIG), --help.\n");
}

static void exit_code_table(struct buffer *out)
{
	for (size_t i = 0; i < ARRAY_LEN(exit_codes); i++)
		(void)buffer_printf(out, "%d  %s\n", exit_codes[i].value, exit_codes[i].meaning);
}

/* All rows of a verb (and noun), with their options. */
static bool about(const char *verb, const char *noun, struct buffer *out)
{
	bool any = false;

	for (size_t i = 0; i < verb_count; i++) {
		const struct verb *v = &verbs[i];
		if (strcmp(v->verb, verb) != 0 || (noun != NULL && (v->noun == NULL || strcmp(v->noun, noun) != 0)))
			continue;
		any = true;
		cli_usage(v, out);
		(void)buffer_printf(out, "\n    %s\n", v->help);
		for (int o = OPT_HELP + 1; o < OPT_COUNT; o++) {
			if (v->options & OPTION(o))
				(void)buffer_printf(out, "    %s%s%s: %s\n", cli_options[o].name,
				        cli_options[o].value ? " " : "",
				        cli_options[o].value ? cli_options[o].value : "", cli_options[o].help);
		}
	}
	return any;
}

/* ---- posthouse(1) ---- */

static void roff(struct buffer *out, const char *text)
{
	for (; *text != '\0'; text++)
		(void)buffer_printf(out, *text == '-' ? "\\-" : *text == '\\' ? "\\e" : "%c", *text);
}

static void manual(struct buffer *out)
{
	struct buffer usage;

	buffer_init(&usage, KIB);
	(void)buffer_append_text(out,
	        ".\\\" Printed by `posthouse help manual` from the table in posthouse/verbs.c.\n"
	        ".TH POSTHOUSE 1 \"\" \"Posthouse\" \"Posthouse manual\"\n.SH NAME\nposthouse \\- mail server and its "
	        "administration\n.SH SYNOPSIS\n.B posthouse\n.RI [ --config \" FILE\" ]\n.I VERB\n.RI [ NOUN ]\n\\&...\n"
	        ".SH DESCRIPTION\nAll commands work while the server runs and while it is stopped. Started by root they "
	        "become the service user\nbefore they touch the data. Passwords are asked for on the terminal or read from "
	        "standard input, and are never\narguments.\n.SH COMMANDS\n");
	for (size_t i = 0; i < verb_count; i++) {
		buffer_clear(&usage);
		cli_usage(&verbs[i], &usage);
		(void)buffer_append_text(out, ".TP\n.B ");
		roff(out, buffer_text(&usage));
		(void)buffer_append_char(out, '\n');
		roff(out, verbs[i].help);
		(void)buffer_append_char(out, '\n');
	}
	(void)buffer_append_text(out, ".SH OPTIONS\n");
	for (int o = 0; o < OPT_COUNT; o++) {
		(void)buffer_append_text(out, ".TP\n.B ");
		roff(out, cli_options[o].name);
		(void)buffer_printf(out, " %s\n", cli_options[o].value != NULL ? cli_options[o].value : "");
		roff(out, cli_options[o].help);
		(void)buffer_append_char(out, '\n');
	}
	(void)buffer_append_text(out, ".SH EXIT STATUS\n");
	for (size_t i = 0; i < ARRAY_LEN(exit_codes); i++)
		(void)buffer_printf(out, ".TP\n.B %d\n%s\n", exit_codes[i].value, exit_codes[i].meaning);
	(void)buffer_append_text(out, ".SH SEE ALSO\n.BR posthouse.conf (5)\n");
	buffer_free(&usage);
}

/* ---- completion for bash ---- */

static void completion_nouns(struct buffer *out, const char *verb)
{
	for (size_t i = 0; i < verb_count; i++) {
		if (strcmp(verbs[i].verb, verb) == 0 && verbs[i].noun != NULL)
			(void)buffer_printf(out, " %s", verbs[i].noun);
	}
}

static void completion_options(struct buffer *out, const struct verb *v)
{
	(void)buffer_printf(
	        out, "\t\t'%s%s%s') options='--config --help", v->verb, v->noun ? " " : "", v->noun ? v->noun : "");
	for (int o = OPT_HELP + 1; o < OPT_COUNT; o++) {
		if (v->options & OPTION(o))
			(void)buffer_printf(out, " %s", cli_options[o].name);
	}
	(void)buffer_append_text(out, "' ;;\n");
}

static void completion(struct buffer *out)
{
	const char *verb = "";

	(void)buffer_append_text(out,
	        "# bash completion for posthouse; printed by `posthouse help completion`\n"
	        "_posthouse()\n{\n\tlocal word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} options=''\n"
	        "\tif [ \"$COMP_CWORD\" = 1 ]; then\n\t\tCOMPREPLY=($(compgen -W '");
	for (size_t i = 0; i < verb_count; i++) {
		if (strcmp(verb, verbs[i].verb) != 0)
			(void)buffer_printf(out, "%s%s", i > 0 ? " " : "", verbs[i].verb);
		verb = verbs[i].verb;
	}
	(void)buffer_append_text(
	        out, "' -- \"$word\"))\n\t\treturn\n\tfi\n\tif [ \"$COMP_CWORD\" = 2 ]; then\n\t\tcase $verb in\n");
	verb = "";
	for (size_t i = 0; i < verb_count; i++) {
		if (verbs[i].noun != NULL && strcmp(verb, verbs[i].verb) != 0) {
			(void)buffer_printf(out, "\t\t%s) COMPREPLY=($(compgen -W '", verbs[i].verb);
			completion_nouns(out, verbs[i].verb);
			(void)buffer_append_text(out, "' -- \"$word\")); return ;;\n");
		}
		verb = verbs[i].verb;
	}
	(void)buffer_append_text(out, "\t\tesac\n\tfi\n\tcase \"$verb ${COMP_WORDS[2]}\" in\n");
	for (size_t i = 0; i < verb_count; i++) {
		if (verbs[i].noun != NULL)
			completion_options(out, &verbs[i]);
	}
	(void)buffer_append_text(out, "\t*) case $verb in\n");
	for (size_t i = 0; i < verb_count; i++) {
		if (verbs[i].noun == NULL)
			completion_options(out, &verbs[i]);
	}
	(void)buffer_append_text(out,
	        "\t\tesac ;;\n\tesac\n\tcase $word in\n\t-*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
	        "\t*) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n\tesac\n}\ncomplete -F _posthouse posthouse\n");
}

static bool write_help(const struct cli *cli, struct buffer *out)
{
	const char *topic = cli->word_count > 0 ? cli->words[0] : NULL;

	if (topic == NULL)
		overview(out);
	else if (strcmp(topic, "exit-codes") == 0)
		exit_code_table(out);
	else if (strcmp(topic, "manual") == 0)
		manual(out);
	else if (strcmp(topic, "completion") == 0)
		completion(out);
	else
		return about(topic, cli->word_count > 1 ? cli->words[1] : NULL, out);
	return true;
}

enum exit_code cmd_help(struct cli *cli)
{
	struct buffer text;
	struct error err;
	enum exit_code code;

	buffer_init(&text, HELP_MAX);
	if (write_help(cli, &text)) {
		code = output_text(buffer_text(&text));
	} else {
		(void)error_set(&err, ERR_SYNTAX, "there is no such command; `posthouse help` lists them");
		code = cli_error(cli->words[0], &err);
	}
	buffer_free(&text);
	return code;
}
