/* posthouse/cli.h — what all commands share: the table of verbs, options, exit codes, errors that help, lists that line up.
 *
 * A command is one row in verbs.c and one function in the file of its noun. The row decides what is legal: how many words,
 * which options; the function gets them checked. Text for people goes to standard output, errors to standard error. */
#ifndef POSTHOUSE_CLI_H
#define POSTHOUSE_CLI_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/macros.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define CLI_WORDS_MAX 64

/*  name          value  what it means; documented by `posthouse help exit-codes` */
#define EXIT_CODES(X)                                                                                                  \
	X(CLI_OK, 0, "done")                                                                                           \
	X(CLI_FAILED, 1, "failed: the disk, the data or the system; the message says what")                            \
	X(CLI_USAGE, 2, "the command line is wrong; nothing was done")                                                 \
	X(CLI_NOT_FOUND, 3, "the domain, user, alias, message or route is not there")                                  \
	X(CLI_EXISTS, 4, "a thing of that name is there already")                                                      \
	X(CLI_CONFIG, 5, "the config file is missing or has a mistake")                                                \
	X(CLI_TEMPORARY, 6, "not now: busy, not running, or in use by another program; try again")                     \
	X(CLI_DENIED, 7, "this user of the system may not do that; try root or the service user")

enum exit_code {
#define EXIT_ENUM(name, value, meaning) name = value,
	EXIT_CODES(EXIT_ENUM)
#undef EXIT_ENUM
};

/* Options of all verbs; a verb's row says which it takes. */
enum cli_option {
	OPT_CONFIG,
	OPT_HELP,
	OPT_JSON,
	OPT_PASSWORD_STDIN,
	OPT_NAME,
	OPT_QUOTA,
	OPT_QUOTA_MESSAGES,
	OPT_LIBEXEC,
	OPT_REPAIR,
	OPT_DOMAIN,
	OPT_SENDER,
	OPT_RECIPIENT,
	OPT_HELD,
	OPT_OLDER_THAN,
	OPT_ALL,
	OPT_LIMIT,
	OPT_PAGE,
	OPT_MESSAGE,
	OPT_LAST,
	OPT_VIA,
	OPT_TLS,
	OPT_IMPLICIT_TLS,
	OPT_USER,
	OPT_FILE_SENT,
	OPT_DETAIL_FOLDERS,
	OPT_UNDO,
	OPT_RECIPIENTS_A_DAY,
	OPT_NEW_RECIPIENTS_A_DAY,
	OPT_COUNT
};
_Static_assert(OPT_COUNT <= 32, "a bit each");
#define OPTION(o) (1u << (o))

struct cli_option_row {
	const char *name;  /* "--quota" */
	const char *value; /* "SIZE", or NULL: a switch */
	const char *help;
};

struct cli {
	const struct verb *verb;
	const char *words[CLI_WORDS_MAX]; /* after the verb and its noun */
	size_t word_count;
	const char *options[OPT_COUNT]; /* the value; "" for a switch; NULL: not given */
};

struct verb {
	const char *verb;
	const char *noun;  /* second word, or NULL */
	const char *words; /* for the usage line: "ADDRESS..." */
	size_t least, most;
	unsigned options; /* OPTION() bits, beside --config and --help */
	const char *help;
	enum exit_code (*run)(struct cli *cli);
};

extern const struct verb verbs[];
extern const size_t verb_count;
extern const struct cli_option_row cli_options[OPT_COUNT];

/* Fills *cli from argv, or prints what is wrong and with what it was confused. */
enum exit_code cli_parse(int argc, const char *const *argv, struct cli *cli);
const char *cli_config_path(const struct cli *cli); /* --config, POSTHOUSE_CONFIG, the default */
void cli_usage(const struct verb *verb, struct buffer *out);
/* "posthouse: PROBLEM" and how the command is used, on standard error; CLI_USAGE. */
enum exit_code cli_usage_error(const struct cli *cli, const char *problem);

/* "posthouse: THING: REASON (DETAIL); WHAT TO DO" on standard error; the exit code for err. thing may be NULL. */
enum exit_code cli_error(const char *thing, const struct error *err);
enum exit_code cli_exit_code(enum error_code code);

/* ---- output.c ---- */
enum column_kind { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_SIZE, COLUMN_YES, COLUMN_DURATION, COLUMN_DATE };

struct column {
	const char *key; /* in the JSON objects */
	const char *title;
	enum column_kind kind;
};

/* rows: an array of objects; taken over. As JSON, or as a table that lines up. */
enum exit_code output_list(json_t *rows, const struct column *columns, size_t count, bool as_json);
/* One object: as JSON, or one "title: value" a line. Taken over. */
enum exit_code output_object(json_t *object, const struct column *columns, size_t count, bool as_json);
/* Any JSON value, indented. Taken over. */
enum exit_code output_json(json_t *value);
enum exit_code output_text(const char *text); /* to standard output; CLI_FAILED when that is full or gone */
/* As in tables: "3d 4h", "12m 5s"; "2026-11-21 17:43:56Z"; "1.5M"; 100000 -> "100,000"; text without control characters. */
void output_duration(int64_t ms, char *out, size_t size);
void output_date(int64_t ms, char *out, size_t size);
void output_size(uint64_t bytes, char *out, size_t size);
void output_number(uint64_t number, char *out, size_t size);
void output_printable(struct span text, char *out, size_t size);

/* ---- prompt.c ---- */
/* A new password: one line of standard input, or asked for twice on the terminal. Appends to out (a secret: wipe it). */
bool prompt_password(bool from_stdin, const char *what_for, struct buffer *out, struct error *err);

/* ---- one function for each row of verbs.c ---- */
enum exit_code cmd_serve(struct cli *cli);
enum exit_code cmd_status(struct cli *cli);
enum exit_code cmd_domain_add(struct cli *cli);
enum exit_code cmd_domain_list(struct cli *cli);
enum exit_code cmd_domain_remove(struct cli *cli);
enum exit_code cmd_user_add(struct cli *cli);
enum exit_code cmd_user_list(struct cli *cli);
enum exit_code cmd_user_show(struct cli *cli);
enum exit_code cmd_user_password(struct cli *cli);
enum exit_code cmd_user_quota(struct cli *cli);
enum exit_code cmd_user_set(struct cli *cli);
enum exit_code cmd_user_disable(struct cli *cli);
enum exit_code cmd_user_enable(struct cli *cli);
enum exit_code cmd_user_remove(struct cli *cli);
enum exit_code cmd_user_import(struct cli *cli);
enum exit_code cmd_alias_add(struct cli *cli);
enum exit_code cmd_alias_list(struct cli *cli);
enum exit_code cmd_alias_remove(struct cli *cli);
enum exit_code cmd_queue_list(struct cli *cli);
enum exit_code cmd_queue_show(struct cli *cli);
enum exit_code cmd_queue_retry(struct cli *cli);
enum exit_code cmd_queue_hold(struct cli *cli);
enum exit_code cmd_queue_release(struct cli *cli);
enum exit_code cmd_queue_drop(struct cli *cli);
enum exit_code cmd_queue_reroute(struct cli *cli);
enum exit_code cmd_explain(struct cli *cli);
enum exit_code cmd_route_add(struct cli *cli);
enum exit_code cmd_route_list(struct cli *cli);
enum exit_code cmd_route_remove(struct cli *cli);
enum exit_code cmd_check(struct cli *cli);
enum exit_code cmd_config_check(struct cli *cli);
enum exit_code cmd_config_show(struct cli *cli);
enum exit_code cmd_config_example(struct cli *cli);
enum exit_code cmd_config_manual(struct cli *cli);
enum exit_code cmd_version(struct cli *cli);
enum exit_code cmd_help(struct cli *cli);

#endif
