/* posthouse/cmd_user_set.c — `posthouse user set`: how the mail of one user is handled. */
#include "posthouse/cli.h"

#include "config/value.h"
#include "posthouse/site.h"

#include <stdio.h>

#define AS_CONFIGURED SPAN("default")

static struct site site;

static bool yes_no(const struct cli *cli, enum cli_option option, bool *out, struct error *err)
{
	const char *value = cli->options[option];

	if (value == NULL || value_bool(span_of(value), out))
		return true;
	return error_set(err, ERR_SYNTAX, "%s %.40s: expected yes or no", cli_options[option].name, value);
}

static bool daily_limit(const struct cli *cli, enum cli_option option, int32_t *out, struct error *err)
{
	const char *value = cli->options[option];
	uint64_t number;

	if (value == NULL)
		return true;
	if (span_equal_nocase(span_of(value), AS_CONFIGURED)) {
		*out = ACCOUNT_AS_CONFIGURED;
		return true;
	}
	if (!span_number(span_of(value), ACCOUNT_LIMIT_MAX, &number))
		return error_set(err, ERR_SYNTAX, "%s %.40s: expected a number up to %d, or default",
		        cli_options[option].name, value, ACCOUNT_LIMIT_MAX);
	*out = (int32_t)number;
	return true;
}

/* In whole seconds: what is less would be none. */
static bool undo_time(const struct cli *cli, int32_t *out, struct error *err)
{
	const char *value = cli->options[OPT_UNDO];
	uint64_t ms;

	if (value == NULL)
		return true;
	if (span_equal_nocase(span_of(value), AS_CONFIGURED)) {
		*out = ACCOUNT_AS_CONFIGURED;
		return true;
	}
	if (!value_duration(span_of(value), ACCOUNT_UNDO_MAX * 1000ull, &ms) || ms % 1000 != 0)
		return error_set(
		        err, ERR_SYNTAX, "--undo %.40s: expected whole seconds like 30s, up to 1h, or default", value);
	*out = (int32_t)(ms / 1000);
	return true;
}

static bool read_options(const struct cli *cli, struct account_options *out, struct error *err)
{
	return yes_no(cli, OPT_FILE_SENT, &out->file_sent, err) &&
	       yes_no(cli, OPT_DETAIL_FOLDERS, &out->detail_folders, err) && undo_time(cli, &out->undo_seconds, err) &&
	       daily_limit(cli, OPT_RECIPIENTS_A_DAY, &out->recipients_a_day, err) &&
	       daily_limit(cli, OPT_NEW_RECIPIENTS_A_DAY, &out->new_recipients_a_day, err);
}

static bool nothing_given(const struct cli *cli)
{
	for (int o = OPT_HELP + 1; o < OPT_COUNT; o++) {
		if (cli->options[o] != NULL)
			return false;
	}
	return true;
}

enum exit_code cmd_user_set(struct cli *cli)
{
	struct account_info info;
	struct error err;
	enum exit_code code;

	if (nothing_given(cli))
		return cli_usage_error(cli, "what shall be set?");
	code = site_open(cli, SITE_DIRECTORY, &site);
	if (code != CLI_OK)
		return code;
	if (site_account(&site, cli->words[0], &info, &err) && read_options(cli, &info.options, &err) &&
	        directory_set_options(site.directory, info.id, &info.options, &err))
		(void)printf("user %s changed\n", info.address);
	else
		code = cli_error(cli->words[0], &err);
	site_close(&site);
	return code;
}
