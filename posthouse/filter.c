#include "posthouse/filter.h"

#include "config/value.h"

static bool bad_option(enum cli_option option, const char *value, const char *expected, struct error *err)
{
	return error_set(err, ERR_SYNTAX, "%s %.40s: expected %s", cli_options[option].name, value, expected);
}

bool number_option(const struct cli *cli, enum cli_option option, uint64_t max, uint64_t *out, struct error *err)
{
	const char *value = cli->options[option];
	uint64_t number;

	if (value == NULL)
		return true;
	if (!span_number(span_of(value), max, &number) || number == 0)
		return bad_option(option, value, "a number from 1 that is not too large", err);
	*out = number;
	return true;
}

bool duration_option(const struct cli *cli, enum cli_option option, uint64_t max_ms, uint64_t *ms, struct error *err)
{
	const char *value = cli->options[option];

	if (value == NULL || value_duration(span_of(value), max_ms, ms))
		return true;
	return bad_option(option, value, "a duration like 90m, 4h or 2d", err);
}

/* What cannot match anything is a slip of the keyboard, not an empty answer. */
static bool address_option(const struct cli *cli, enum cli_option option, struct span *out, struct error *err)
{
	struct span value = span_of(cli->options[option]);
	size_t at;

	if (cli->options[option] == NULL)
		return true;
	if (value.len > QUEUE_ADDRESS_MAX || !span_find_last(value, '@', &at) || at + 1 == value.len)
		return bad_option(option, cli->options[option], "an address, or @DOMAIN", err);
	*out = value;
	return true;
}

bool filter_from_options(const struct cli *cli, int64_t now_ms, struct queue_filter *out, struct error *err)
{
	uint64_t age = 0;

	*out = (struct queue_filter) { .held = cli->options[OPT_HELD] != NULL ? 1 : -1 };
	if (!address_option(cli, OPT_RECIPIENT, &out->recipient, err) ||
	        !duration_option(cli, OPT_OLDER_THAN, FILTER_AGE_MAX_MS, &age, err))
		return false;
	if (cli->options[OPT_OLDER_THAN] != NULL)
		out->older_than_ms = now_ms - (int64_t)age;
	if (cli->options[OPT_SENDER] != NULL && span_equal(span_of(cli->options[OPT_SENDER]), SPAN("<>"))) {
		out->sender = SPAN("<>");
		return true;
	}
	return address_option(cli, OPT_SENDER, &out->sender, err);
}

bool filter_is_everything(const struct queue_filter *filter)
{
	return filter->trace.len == 0 && filter->sender.len == 0 && filter->recipient.len == 0 && filter->held < 0 &&
	       !filter->tried && filter->older_than_ms == 0;
}

bool page_from_options(const struct cli *cli, uint64_t *skip, uint64_t *limit, struct error *err)
{
	uint64_t page = 1;

	*limit = PAGE_LIMIT;
	if (!number_option(cli, OPT_LIMIT, PAGE_LIMIT_MAX, limit, err) ||
	        !number_option(cli, OPT_PAGE, PAGE_MAX, &page, err))
		return false;
	*skip = (page - 1) * *limit;
	return true;
}
