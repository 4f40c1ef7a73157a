/* posthouse/cmd_domain.c — `posthouse domain add|list|remove`. */
#include "posthouse/cli.h"

#include "posthouse/site.h"

#include <stdio.h>

static struct site site;

static const struct column columns[] = {
	{ "domain", "DOMAIN", COLUMN_TEXT },
	{ "users", "USERS", COLUMN_NUMBER },
	{ "aliases", "ALIASES", COLUMN_NUMBER },
};

/* The same for each word; the first failure decides the exit code, the others are still done. */
static enum exit_code for_each_word(struct cli *cli,
        bool (*change)(struct directory *directory, struct span name, struct error *err), const char *done)
{
	struct error err;
	enum exit_code worst, code = site_open(cli, SITE_DIRECTORY, &site);

	if (code != CLI_OK)
		return code;
	worst = CLI_OK;
	for (size_t i = 0; i < cli->word_count; i++) {
		if (change(site.directory, span_of(cli->words[i]), &err)) {
			(void)printf("domain %s %s\n", cli->words[i], done);
			continue;
		}
		code = cli_error(cli->words[i], &err);
		worst = worst == CLI_OK ? code : worst;
	}
	site_close(&site);
	return worst;
}

enum exit_code cmd_domain_add(struct cli *cli)
{
	return for_each_word(cli, directory_add_domain, "added");
}

static bool remove_domain(struct directory *directory, struct span name, struct error *err)
{
	if (directory_remove_domain(directory, name, err))
		return true;
	if (err->code == ERR_EXISTS)
		(void)error_set(err, ERR_CONFLICT, "the domain still has users or aliases; remove those first");
	return false;
}

enum exit_code cmd_domain_remove(struct cli *cli)
{
	return for_each_word(cli, remove_domain, "removed");
}

static bool add_row(void *arg, struct span name, uint64_t accounts, uint64_t aliases)
{
	json_t *rows = arg;

	return json_array_append_new(rows, json_pack("{s:s%, s:I, s:I}", "domain", name.ptr, name.len, "users",
	                                           (json_int_t)accounts, "aliases", (json_int_t)aliases)) == 0;
}

enum exit_code cmd_domain_list(struct cli *cli)
{
	struct error err;
	enum exit_code code = site_open(cli, SITE_DIRECTORY, &site);
	json_t *rows;

	if (code != CLI_OK)
		return code;
	rows = json_array();
	if (directory_each_domain(site.directory, add_row, rows, &err)) {
		code = output_list(rows, columns, ARRAY_LEN(columns), cli->options[OPT_JSON] != NULL);
	} else {
		json_decref(rows);
		code = cli_error("domain list", &err);
	}
	site_close(&site);
	return code;
}
