/* posthouse/cmd_check.c — `posthouse check [--repair] [ADDRESS...]`: storage/check.h for people. */
#include "posthouse/cli.h"

#include "base/clock.h"
#include "posthouse/site.h"
#include "storage/check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_MS 200

static struct site site;

struct checking {
	json_t *rows;
	unsigned open; /* damage or wrong counters that were not put right */
	bool tty;
	int64_t shown_ms;
};

static const struct column columns[] = {
	{ "severity", "SEVERITY", COLUMN_TEXT },
	{ "user", "USER", COLUMN_TEXT },
	{ "file", "FILE", COLUMN_TEXT },
	{ "what", "WHAT", COLUMN_TEXT },
	{ "repaired", "REPAIRED", COLUMN_YES },
};

static const char *const severities[] = {
	[FINDING_RUBBISH] = "rubbish", [FINDING_COUNTER] = "counter", [FINDING_DAMAGE] = "damage"
};

static json_t *user_of(int64_t account_id)
{
	struct account_info info;
	struct error ignored;

	if (account_id == 0 || !directory_account(site.directory, account_id, &info, &ignored))
		return json_null();
	return json_string(info.address);
}

static void on_finding(void *arg, const struct finding *finding)
{
	struct checking *checking = arg;

	if (!finding->repaired && finding->severity != FINDING_RUBBISH)
		checking->open++;
	(void)json_array_append_new(checking->rows,
	        json_pack("{s:s, s:o, s:I, s:s, s:s, s:b}", "severity", severities[finding->severity], "user",
	                user_of(finding->account_id), "account", (json_int_t)finding->account_id, "file",
	                finding->file != NULL ? finding->file : "", "what", finding->what, "repaired",
	                finding->repaired));
}

static void on_progress(void *arg, int64_t account_id, uint64_t done, uint64_t total)
{
	struct checking *checking = arg;
	int64_t now = clock_mono_ms();

	if (!checking->tty || now - checking->shown_ms < PROGRESS_MS)
		return;
	checking->shown_ms = now;
	(void)fprintf(stderr, "\r%llu of %llu accounts\033[K", (unsigned long long)done, (unsigned long long)total);
}

static bool check_words(
        const struct cli *cli, const struct check_settings *settings, struct error *err, const char **failed)
{
	struct account_info info;

	for (size_t i = 0; i < cli->word_count; i++) {
		*failed = cli->words[i];
		if (!site_account(&site, cli->words[i], &info, err) || !check_account(settings, info.id, err))
			return false;
	}
	return true;
}

static enum exit_code report(const struct cli *cli, struct checking *checking)
{
	size_t count = json_array_size(checking->rows);
	enum exit_code code;

	if (checking->tty)
		(void)fputs("\r\033[K", stderr);
	if (count == 0 && cli->options[OPT_JSON] == NULL) {
		json_decref(checking->rows);
		return output_text("nothing wrong was found\n");
	}
	code = output_list(checking->rows, columns, ARRAY_LEN(columns), cli->options[OPT_JSON] != NULL);
	return code != CLI_OK ? code : checking->open > 0 ? CLI_FAILED : CLI_OK;
}

enum exit_code cmd_check(struct cli *cli)
{
	struct checking checking = { .tty = isatty(STDERR_FILENO) == 1 };
	struct check_settings settings = { .repair = cli->options[OPT_REPAIR] != NULL,
		.finding = on_finding,
		.progress = on_progress,
		.arg = &checking };
	struct error err;
	const char *failed = "check";
	bool ok;
	enum exit_code code = site_open(cli, SITE_DIRECTORY, &site);

	if (code != CLI_OK)
		return code;
	checking.rows = json_array();
	settings.data_dir = site.settings.server.data_dir;
	ok = cli->word_count > 0 ? check_words(cli, &settings, &err, &failed) : check_everything(&settings, &err);
	if (!ok)
		code = cli_error(failed, &err);
	if (!ok || report(cli, &checking) != CLI_OK)
		code = code != CLI_OK ? code : CLI_FAILED;
	if (!ok)
		json_decref(checking.rows);
	site_close(&site);
	return code;
}
