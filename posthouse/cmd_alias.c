/* posthouse/cmd_alias.c — `posthouse alias add|list|remove`. */
#include "posthouse/cli.h"

#include "posthouse/address.h"
#include "posthouse/site.h"

#include <stdio.h>

static struct site site;

static const struct column columns[] = {
	{ "alias", "ALIAS", COLUMN_TEXT },
	{ "address", "ADDRESS", COLUMN_TEXT },
};

/* The directory took it, so a domain that is not ours is elsewhere. */
static void print_added(const char *alias, const char *target)
{
	struct span address = span_of(target);
	struct error err;
	size_t at;

	(void)printf("alias %s -> %s added\n", alias, target);
	if (span_find_last(address, '@', &at) &&
	        !directory_has_domain(site.directory, span_skip(address, at + 1), &err) &&
	        err.code == ERR_NO_SUCH_DOMAIN)
		(void)printf(
		        "  %s is another server's: mail leaves with a sender address rewritten by SRS, so that bounces come back here "
		        "and SPF holds\n",
		        target);
}

enum exit_code cmd_alias_add(struct cli *cli)
{
	struct span alias = span_of(cli->words[0]);
	struct error err;
	enum exit_code code = site_open(cli, SITE_DIRECTORY, &site);

	if (code != CLI_OK)
		return code;
	if (!address_check_alias(alias, &err))
		code = cli_error(cli->words[0], &err);
	for (size_t i = 1; i < cli->word_count && code == CLI_OK; i++) {
		if (address_check(span_of(cli->words[i]), &err) &&
		        directory_add_alias(site.directory, alias, span_of(cli->words[i]), &err))
			print_added(cli->words[0], cli->words[i]);
		else
			code = cli_error(cli->words[i], &err);
	}
	site_close(&site);
	return code;
}

enum exit_code cmd_alias_remove(struct cli *cli)
{
	struct span alias = span_of(cli->words[0]);
	struct error err;
	enum exit_code code = site_open(cli, SITE_DIRECTORY, &site);

	if (code != CLI_OK)
		return code;
	for (size_t i = 1; i < cli->word_count && code == CLI_OK; i++) {
		if (!directory_remove_alias(site.directory, alias, span_of(cli->words[i]), &err))
			code = cli_error(cli->words[i], &err);
	}
	if (cli->word_count == 1 && !directory_remove_alias(site.directory, alias, SPAN_EMPTY, &err))
		code = cli_error(cli->words[0], &err);
	if (code == CLI_OK)
		(void)printf("alias %s removed\n", cli->words[0]);
	site_close(&site);
	return code;
}

static bool add_row(void *arg, struct span address, struct span target)
{
	return json_array_append_new(arg, json_pack("{s:s%, s:s%}", "alias", address.ptr, address.len, "address",
	                                          target.ptr, target.len)) == 0;
}

enum exit_code cmd_alias_list(struct cli *cli)
{
	struct error err;
	enum exit_code code = site_open(cli, SITE_DIRECTORY, &site);
	json_t *rows;

	if (code != CLI_OK)
		return code;
	rows = json_array();
	if (directory_each_alias(site.directory, span_of(cli->options[OPT_DOMAIN]), add_row, rows, &err)) {
		code = output_list(rows, columns, ARRAY_LEN(columns), cli->options[OPT_JSON] != NULL);
	} else {
		json_decref(rows);
		code = cli_error("alias list", &err);
	}
	site_close(&site);
	return code;
}
