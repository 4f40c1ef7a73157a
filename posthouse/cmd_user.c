/* posthouse/cmd_user.c — `posthouse user add|list|show|password|quota|disable|enable|remove`; import is in cmd_import.c, set in cmd_user_set.c. */
#include "posthouse/cli.h"

#include "base/secret.h"
#include "config/value.h"
#include "posthouse/user.h"
#include "sasl/password.h"
#include "storage/mailbox.h"

#include <stdio.h>
#include <string.h>

#define QUOTA_MAX          (1ull << 50)
#define QUOTA_MESSAGES_MAX 1000000000ull
#define SITE_ALL           (SITE_DIRECTORY | SITE_CREDENTIALS | SITE_STORE)

static struct site site;

/* ---- options ---- */

static bool quota_options(const struct cli *cli, uint64_t *bytes, uint64_t *messages, struct error *err)
{
	const char *size = cli->options[OPT_QUOTA], *number = cli->options[OPT_QUOTA_MESSAGES];

	if (size != NULL && !value_size(span_of(size), QUOTA_MAX, bytes))
		return error_set(err, ERR_SYNTAX, "--quota %.40s: expected a size like 2G", size);
	if (number != NULL && !span_number(span_of(number), QUOTA_MESSAGES_MAX, messages))
		return error_set(err, ERR_SYNTAX, "--quota-messages %.40s: expected a number", number);
	return true;
}

/* ---- add, password ---- */

static bool add(const struct cli *cli, struct buffer *password, struct error *err)
{
	struct new_user user = { .address = span_of(cli->words[0]),
		.name = span_of(cli->options[OPT_NAME]),
		.quota_bytes = site.settings.store.default_quota };

	if (!quota_options(cli, &user.quota_bytes, &user.quota_messages, err) ||
	        !prompt_password(cli->options[OPT_PASSWORD_STDIN] != NULL, cli->words[0], password, err))
		return false;
	user.password = buffer_span(password);
	return user_create(&site, &user, err);
}

enum exit_code cmd_user_add(struct cli *cli)
{
	struct buffer password;
	struct error err;
	enum exit_code code = site_open(cli, SITE_ALL, &site);

	if (code != CLI_OK)
		return code;
	buffer_init(&password, PASSWORD_MAX);
	if (add(cli, &password, &err))
		(void)printf("user %s added\n", cli->words[0]);
	else
		code = cli_error(cli->words[0], &err);
	secret_buffer_free(&password);
	site_close(&site);
	return code;
}

enum exit_code cmd_user_password(struct cli *cli)
{
	struct account_info info;
	struct buffer password;
	struct error err;
	enum exit_code code = site_open(cli, SITE_DIRECTORY | SITE_CREDENTIALS, &site);

	if (code != CLI_OK)
		return code;
	buffer_init(&password, PASSWORD_MAX);
	if (site_account(&site, cli->words[0], &info, &err) &&
	        prompt_password(cli->options[OPT_PASSWORD_STDIN] != NULL, info.address, &password, &err) &&
	        user_set_password(&site, &info, buffer_span(&password), false, &err))
		(void)printf("password of %s changed\n", info.address);
	else
		code = cli_error(cli->words[0], &err);
	secret_buffer_free(&password);
	site_close(&site);
	return code;
}

enum exit_code cmd_user_quota(struct cli *cli)
{
	struct account_info info;
	struct error err;
	enum exit_code code = site_open(cli, SITE_DIRECTORY, &site);

	if (code != CLI_OK)
		return code;
	if (site_account(&site, cli->words[0], &info, &err) &&
	        quota_options(cli, &info.quota_bytes, &info.quota_messages, &err) &&
	        directory_set_quota(site.directory, info.id, info.quota_bytes, info.quota_messages, &err))
		(void)printf("quota of %s changed\n", info.address);
	else
		code = cli_error(cli->words[0], &err);
	site_close(&site);
	return code;
}

/* ---- list, show ---- */

static const struct column list_columns[] = {
	{ "address", "ADDRESS", COLUMN_TEXT },
	{ "name", "NAME", COLUMN_TEXT },
	{ "disabled", "DISABLED", COLUMN_YES },
	{ "quota", "QUOTA", COLUMN_SIZE },
	{ "quota_messages", "QUOTA MESSAGES", COLUMN_NUMBER },
	{ "created_ms", "SINCE", COLUMN_DATE },
};

static json_t *limit(uint64_t value)
{
	return value == 0 ? json_null() : json_integer((json_int_t)value);
}

static json_t *account_row(const struct account_info *info)
{
	return json_pack("{s:s, s:I, s:s, s:b, s:o, s:o, s:I}", "address", info->address, "id", (json_int_t)info->id,
	        "name", info->name, "disabled", info->disabled, "quota", limit(info->quota_bytes), "quota_messages",
	        limit(info->quota_messages), "created_ms", (json_int_t)info->created_ms);
}

/* What holds for this account: its own value, or that of the config file. Limits of 0 are none. */
static json_t *in_force(int32_t own, uint64_t configured)
{
	return json_integer(own == ACCOUNT_AS_CONFIGURED ? (json_int_t)configured : own);
}

static void add_options(const struct account_info *info, json_t *object)
{
	const struct account_options *o = &info->options;
	const struct settings *s = &site.settings;

	(void)json_object_set_new(object, "file_sent", json_boolean(o->file_sent));
	(void)json_object_set_new(object, "detail_folders", json_boolean(o->detail_folders));
	(void)json_object_set_new(object, "undo_seconds", in_force(o->undo_seconds, s->submission.undo / 1000));
	(void)json_object_set_new(
	        object, "recipients_a_day", in_force(o->recipients_a_day, s->submission.recipients_a_day));
	(void)json_object_set_new(
	        object, "new_recipients_a_day", in_force(o->new_recipients_a_day, s->submission.new_recipients_a_day));
}

static bool add_row(void *arg, const struct account_info *info)
{
	return json_array_append_new(arg, account_row(info)) == 0;
}

enum exit_code cmd_user_list(struct cli *cli)
{
	struct error err;
	enum exit_code code = site_open(cli, SITE_DIRECTORY, &site);
	json_t *rows;

	if (code != CLI_OK)
		return code;
	rows = json_array();
	if (directory_each_account(site.directory, span_of(cli->options[OPT_DOMAIN]), add_row, rows, &err)) {
		code = output_list(rows, list_columns, ARRAY_LEN(list_columns), cli->options[OPT_JSON] != NULL);
	} else {
		json_decref(rows);
		code = cli_error("user list", &err);
	}
	site_close(&site);
	return code;
}

static const struct column show_columns[] = {
	{ "address", "Address", COLUMN_TEXT },
	{ "name", "Name", COLUMN_TEXT },
	{ "id", "Account", COLUMN_NUMBER },
	{ "disabled", "Disabled", COLUMN_YES },
	{ "created_ms", "Since", COLUMN_DATE },
	{ "messages", "Messages", COLUMN_NUMBER },
	{ "bytes", "Stored", COLUMN_SIZE },
	{ "quota", "Quota", COLUMN_SIZE },
	{ "quota_messages", "Quota messages", COLUMN_NUMBER },
	{ "file_sent", "Sent is filed", COLUMN_YES },
	{ "detail_folders", "user+folder@", COLUMN_YES },
	{ "undo_seconds", "Undo seconds", COLUMN_NUMBER },
	{ "recipients_a_day", "Recipients/day", COLUMN_NUMBER },
	{ "new_recipients_a_day", "New of them", COLUMN_NUMBER },
};

static const struct column mailbox_columns[] = {
	{ "mailbox", "MAILBOX", COLUMN_TEXT },
	{ "messages", "MESSAGES", COLUMN_NUMBER },
	{ "unseen", "UNSEEN", COLUMN_NUMBER },
	{ "bytes", "STORED", COLUMN_SIZE },
};

static void add_mailbox(void *arg, struct span name, const struct mailbox_info *info)
{
	(void)json_array_append_new(arg, json_pack("{s:s%, s:I, s:I, s:I}", "mailbox", name.ptr, name.len, "messages",
	                                         (json_int_t)info->messages, "unseen", (json_int_t)info->unseen,
	                                         "bytes", (json_int_t)info->size));
}

/* What the account's own file says; a damaged one is named, and the rest is still shown. */
static json_t *describe(const struct account_info *info, enum exit_code *code)
{
	json_t *object = account_row(info), *mailboxes = json_array();
	struct account_usage usage;
	struct account *account;
	struct error err;
	bool ok = account_open(site.store, info->id, &account, &err);

	add_options(info, object);
	if (ok) {
		ok = account_usage(account, &usage, &err) && mailbox_list(account, add_mailbox, mailboxes, &err);
		account_release(&account);
	}
	if (ok) {
		(void)json_object_set_new(object, "bytes", json_integer((json_int_t)usage.bytes));
		(void)json_object_set_new(object, "messages", json_integer((json_int_t)usage.messages));
	} else {
		*code = cli_error(info->address, &err);
	}
	(void)json_object_set_new(object, "mailboxes", mailboxes);
	return object;
}

static enum exit_code show(const struct account_info *info, bool as_json)
{
	enum exit_code code = CLI_OK, printed;
	json_t *object = describe(info, &code), *mailboxes = json_incref(json_object_get(object, "mailboxes"));

	printed = output_object(object, show_columns, ARRAY_LEN(show_columns), as_json);
	if (as_json || printed != CLI_OK)
		json_decref(mailboxes);
	else if (output_text("\n") != CLI_OK ||
	         output_list(mailboxes, mailbox_columns, ARRAY_LEN(mailbox_columns), false) != CLI_OK)
		printed = CLI_FAILED;
	return code != CLI_OK ? code : printed;
}

enum exit_code cmd_user_show(struct cli *cli)
{
	struct account_info info;
	struct error err;
	enum exit_code code = site_open(cli, SITE_DIRECTORY | SITE_STORE, &site);

	if (code != CLI_OK)
		return code;
	if (site_account(&site, cli->words[0], &info, &err))
		code = show(&info, cli->options[OPT_JSON] != NULL);
	else
		code = cli_error(cli->words[0], &err);
	site_close(&site);
	return code;
}

/* ---- disable, enable, remove: for each word; what can be done is done, the first failure decides the exit code ---- */

static bool set_disabled(const char *address, bool disabled, struct error *err)
{
	struct account_info info;

	/* auth.db decides who gets in; the directory shows it. */
	return site_account(&site, address, &info, err) &&
	       credentials_set_disabled(site.credentials, info.id, disabled, err) &&
	       directory_set_disabled(site.directory, info.id, disabled, err);
}

static bool disable(const char *address, struct error *err)
{
	return set_disabled(address, true, err);
}

static bool enable(const char *address, struct error *err)
{
	return set_disabled(address, false, err);
}

static bool destroy(const char *address, struct error *err)
{
	return user_destroy(&site, span_of(address), err);
}

static enum exit_code for_each_word(
        struct cli *cli, unsigned needs, bool (*change)(const char *address, struct error *err), const char *done)
{
	struct error err;
	enum exit_code failed, first = CLI_OK, code = site_open(cli, needs, &site);

	if (code != CLI_OK)
		return code;
	for (size_t i = 0; i < cli->word_count; i++) {
		if (change(cli->words[i], &err)) {
			(void)printf("user %s %s\n", cli->words[i], done);
			continue;
		}
		failed = cli_error(cli->words[i], &err);
		first = first == CLI_OK ? failed : first;
	}
	site_close(&site);
	return first;
}

enum exit_code cmd_user_disable(struct cli *cli)
{
	return for_each_word(cli, SITE_DIRECTORY | SITE_CREDENTIALS, disable, "disabled");
}

enum exit_code cmd_user_enable(struct cli *cli)
{
	return for_each_word(cli, SITE_DIRECTORY | SITE_CREDENTIALS, enable, "enabled");
}

enum exit_code cmd_user_remove(struct cli *cli)
{
	return for_each_word(cli, SITE_ALL | SITE_QUEUE, destroy, "removed");
}
