/* posthouse/cmd_config.c — `posthouse config check|show|example|manual`. */
#include "posthouse/cli.h"

#include "posthouse/site.h"
#include "posthouse/site_check.h"
#include "posthouse/status.h"

#include <stdio.h>

#define PRINT_MAX (256 * KIB)

static struct settings settings;

/* ---- check ---- */

struct checking {
	json_t *list; /* NULL: print each as it is found */
	const char *path;
	unsigned errors;
};

static void add(struct checking *c, const char *kind, unsigned line, const char *text)
{
	if (c->list != NULL)
		(void)json_array_append_new(
		        c->list, json_pack("{s:s, s:s, s:o, s:s}", "kind", kind, "file", c->path, "line",
		                         line > 0 ? json_integer(line) : json_null(), "text", text));
	else if (line > 0)
		(void)printf("%s: %s:%u: %s\n", kind, c->path, line, text);
	else
		(void)printf("%s: %s: %s\n", kind, c->path, text);
}

static void on_problem(void *arg, const struct settings_problem *problem)
{
	struct checking *c = arg;

	c->errors++;
	add(c, "error", problem->line, problem->text);
}

static void on_finding(void *arg, bool is_error, const char *text)
{
	struct checking *c = arg;

	c->errors += is_error;
	add(c, is_error ? "error" : "warning", 0, text);
}

enum exit_code cmd_config_check(struct cli *cli)
{
	bool as_json = cli->options[OPT_JSON] != NULL;
	struct checking c = { .list = as_json ? json_array() : NULL, .path = cli_config_path(cli) };
	struct site_findings findings = { .report = on_finding, .arg = &c };
	struct error err;

	if (settings_load_reporting(c.path, &settings, on_problem, &c, &err)) {
		site_check_ports(&settings, status_server_runs(&settings), &findings);
		site_check_files(&settings, &findings);
	} else if (err.code != ERR_BAD_VALUE) {
		on_finding(&c, true, err.detail);
	}
	if (as_json && output_list(c.list, NULL, 0, true) != CLI_OK)
		return CLI_FAILED;
	if (!as_json && c.errors == 0)
		(void)printf("%s: no mistakes\n", c.path);
	return c.errors > 0 ? CLI_CONFIG : CLI_OK;
}

/* ---- printing ---- */

static enum exit_code print_and_free(struct buffer *text)
{
	enum exit_code code = text->failed ? CLI_FAILED : output_text(buffer_text(text));

	buffer_free(text);
	return code;
}

enum exit_code cmd_config_show(struct cli *cli)
{
	struct buffer text;
	enum exit_code code = site_load(cli, &settings);

	if (code != CLI_OK)
		return code;
	buffer_init(&text, PRINT_MAX);
	(void)settings_print(&settings, &text);
	return print_and_free(&text);
}

enum exit_code cmd_config_example(struct cli *cli)
{
	struct buffer text;

	buffer_init(&text, PRINT_MAX);
	(void)settings_print_example(&text);
	return print_and_free(&text);
}

enum exit_code cmd_config_manual(struct cli *cli)
{
	struct buffer text;

	buffer_init(&text, PRINT_MAX);
	(void)settings_print_manual(&text);
	return print_and_free(&text);
}
