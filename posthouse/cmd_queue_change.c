/* posthouse/cmd_queue_change.c — `posthouse queue retry|hold|release|drop|reroute`: by trace or by filters; the whole queue only with --all.
 *
 * What is done is told in events.db, a line for each recipient, so that `posthouse explain` shows who did it. */
#include "posthouse/cli.h"

#include "base/clock.h"
#include "posthouse/filter.h"
#include "posthouse/site.h"
#include "storage/address_key.h"
#include "storage/events.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOUCHED_MAX (512 * MIB)
#define TEXT_MAX    512
#define WHO_MAX     64
#define PROGRESS_MS 200

static struct site site;

struct change {
	const char *done;  /* "held": what is told, with the number before it */
	const char *event; /* "held: it stays until it is released" */
	int held;          /* recipients that it concerns: -1 any, 0 waiting, 1 held */
	bool only_remote;
	bool (*apply)(
	        const struct change *change, const struct queue_filter *filter, uint64_t *changed, struct error *err);
	int64_t now_ms;
	struct span domain; /* reroute */
	char who[WHO_MAX];
	struct buffer touched; /* trace NUL sender NUL recipient NUL ... */
	uint64_t changed;
	int64_t shown_ms; /* on a terminal; 0: nothing is shown on the way */
};

/* ---- what is told ---- */

/* Whose hands: of the person that became root by sudo, else of the user. To be asked before root is given up. */
static void note_who(struct change *change)
{
	const char *sudo = getuid() == 0 ? getenv("SUDO_USER") : NULL;
	const struct passwd *user = getpwuid(getuid());
	const char *name = sudo != NULL && sudo[0] != '\0' ? sudo : user != NULL ? user->pw_name : "an unknown user";

	output_printable(span_of(name), change->who, sizeof(change->who));
}

static bool note_touched(void *arg, const struct queue_row *row)
{
	struct change *change = arg;
	struct buffer *out = &change->touched;

	if (!change->only_remote || row->recipient->kind == QUEUE_REMOTE)
		return buffer_append(out, row->message->trace, strlen(row->message->trace) + 1) &&
		       buffer_append(out, row->message->sender, strlen(row->message->sender) + 1) &&
		       buffer_append(out, row->recipient->address, strlen(row->recipient->address) + 1);
	return true;
}

static void add_event(struct event_log *log, const struct change *change, const char *const parts[3])
{
	char text[TEXT_MAX], detail[WHO_MAX + 8];

	(void)snprintf(text, sizeof(text), "%s, by %s on the command line", change->event, change->who);
	(void)snprintf(detail, sizeof(detail), "by=%s", change->who);
	event_note(log, &(struct event) { .at_ms = change->now_ms,
	                        .kind = EVENT_ADMIN,
	                        .trace = span_of(parts[0]),
	                        .sender = span_of(parts[1]),
	                        .recipient = span_of(parts[2]),
	                        .text = span_of(text),
	                        .detail = span_of(detail) });
}

/* The story is the lesser part: without it the change stands, and a line says so. */
static void tell_story(const struct change *change)
{
	const struct settings *s = &site.settings;
	const char *at = change->touched.data, *end = at + change->touched.len, *parts[3];
	struct event_log *log;
	struct error err;
	unsigned waiting = 0;

	if (change->touched.len == 0 || change->changed == 0)
		return;
	if (!event_log_open(s->server.data_dir, true, s->explain.keep_days, &log, &err)) {
		(void)cli_error("done, but the story of the messages does not show it", &err);
		return;
	}
	while (at < end) {
		for (int i = 0; i < 3; i++) {
			parts[i] = at;
			at += strlen(at) + 1;
		}
		add_event(log, change, parts);
		if (++waiting % EVENTS_PENDING_FULL == 0)
			events_flush(log);
	}
	event_log_close(&log);
}

/* ---- doing it ---- */

static void show_progress(void *arg, uint64_t changed)
{
	struct change *change = arg;
	int64_t now = clock_mono_ms();
	char number[32];

	if (now - change->shown_ms < PROGRESS_MS)
		return;
	change->shown_ms = now;
	output_number(change->changed + changed, number, sizeof(number));
	(void)fprintf(stderr, "\r%s recipients so far\033[K", number);
}

static bool change_found(struct change *change, struct queue_filter filter, struct error *err)
{
	struct queue_filter concerned = filter;
	uint64_t changed = 0;
	bool ok;

	if (change->held >= 0 && filter.held < 0)
		concerned.held = change->held;
	if (!queue_list(site.queue, &concerned, 0, UINT64_MAX, note_touched, change, err))
		return false;
	if (change->touched.failed)
		return error_set(err, ERR_NO_MEMORY, "out of memory; narrow it down by filters");
	ok = change->apply(change, &filter, &changed, err);
	change->changed += changed;
	return ok;
}

static bool note_found(void *arg, const struct queue_row *row)
{
	*(bool *)arg = true;
	return false;
}

/* A trace that is not there is an error, a filter that finds nothing is an answer. */
static bool is_queued(struct span trace, struct error *err)
{
	struct queue_filter filter = { .trace = trace, .held = -1 };
	bool found = false;

	return queue_list(site.queue, &filter, 0, 1, note_found, &found, err) &&
	       (found || error_set(err, ERR_NO_SUCH_MESSAGE,
	                         "not in the queue; `posthouse explain` tells what became of messages"));
}

static enum exit_code change_each(
        struct cli *cli, size_t first, struct change *change, const struct queue_filter *filter)
{
	struct queue_filter one = *filter;
	enum exit_code code = CLI_OK, failed;
	struct error err;

	if (cli->word_count == first && !change_found(change, *filter, &err))
		code = cli_error("queue", &err);
	for (size_t i = first; i < cli->word_count; i++) {
		one.trace = span_of(cli->words[i]);
		if (is_queued(one.trace, &err) && change_found(change, one, &err))
			continue;
		failed = cli_error(cli->words[i], &err);
		code = code == CLI_OK ? failed : code;
	}
	return code;
}

static enum exit_code run(struct cli *cli, size_t first, struct change *change)
{
	struct queue_filter filter;
	struct error err;
	char number[32];
	enum exit_code code;

	change->now_ms = clock_wall_ms();
	if (!filter_from_options(cli, change->now_ms, &filter, &err))
		return cli_error(NULL, &err);
	if (cli->word_count == first && filter_is_everything(&filter) && cli->options[OPT_ALL] == NULL)
		return cli_usage_error(
		        cli, "that would be the whole queue: name messages, narrow it down, or say --all");
	if ((cli->word_count > first || !filter_is_everything(&filter)) && cli->options[OPT_ALL] != NULL)
		return cli_usage_error(cli, "--all is for the whole queue: without messages and filters");
	note_who(change);
	code = site_open(cli, SITE_QUEUE, &site);
	if (code != CLI_OK)
		return code;
	buffer_init(&change->touched, TOUCHED_MAX);
	if (isatty(STDERR_FILENO) == 1) {
		change->shown_ms = clock_mono_ms();
		queue_show_progress(site.queue, show_progress, change);
	}
	code = change_each(cli, first, change, &filter);
	if (change->shown_ms != 0)
		(void)fputs("\r\033[K", stderr);
	tell_story(change);
	output_number(change->changed, number, sizeof(number));
	if (code == CLI_OK && cli->options[OPT_JSON] != NULL)
		code = output_json(
		        json_pack("{s:s, s:I}", "done", change->done, "recipients", (json_int_t)change->changed));
	else if (code == CLI_OK || change->changed > 0)
		(void)printf("%s recipient%s %s\n", number, change->changed == 1 ? "" : "s", change->done);
	buffer_free(&change->touched);
	site_close(&site);
	return code;
}

/* ---- the verbs ---- */

static bool apply_retry(
        const struct change *change, const struct queue_filter *filter, uint64_t *changed, struct error *err)
{
	return queue_retry(site.queue, filter, change->now_ms, changed, err);
}

enum exit_code cmd_queue_retry(struct cli *cli)
{
	struct change change = { .done = "due now", .event = "to be tried at once", .held = 0, .apply = apply_retry };

	return run(cli, 0, &change);
}

static bool apply_hold(
        const struct change *change, const struct queue_filter *filter, uint64_t *changed, struct error *err)
{
	return queue_hold(site.queue, filter, changed, err);
}

enum exit_code cmd_queue_hold(struct cli *cli)
{
	struct change change = { .done = "held", .event = "held", .held = 0, .apply = apply_hold };

	return run(cli, 0, &change);
}

static bool apply_release(
        const struct change *change, const struct queue_filter *filter, uint64_t *changed, struct error *err)
{
	return queue_release(site.queue, filter, change->now_ms, changed, err);
}

enum exit_code cmd_queue_release(struct cli *cli)
{
	struct change change = { .done = "released", .event = "released", .held = 1, .apply = apply_release };

	return run(cli, 0, &change);
}

static bool apply_drop(
        const struct change *change, const struct queue_filter *filter, uint64_t *changed, struct error *err)
{
	return queue_drop(site.queue, filter, changed, err);
}

enum exit_code cmd_queue_drop(struct cli *cli)
{
	struct change change = {
		.done = "dropped; nobody is told", .event = "dropped without a report", .held = -1, .apply = apply_drop
	};

	return run(cli, 0, &change);
}

/* What failed on the old way, or waits because others failed there, is due at once on the new one. What else waits keeps its time: it is an undo
 * time, or one that the sender gave. */
static bool apply_reroute(
        const struct change *change, const struct queue_filter *filter, uint64_t *changed, struct error *err)
{
	struct queue_filter failed = *filter;
	uint64_t due;

	failed.tried = true;
	return queue_reroute(site.queue, filter, change->domain, changed, err) &&
	       queue_retry(site.queue, &failed, change->now_ms, &due, err);
}

/* A domain, or an address literal (RFC 5321 §4.1.3); what is in the brackets the relay judges when it goes there. */
static bool destination(const char *word, char *out, size_t size, struct error *err)
{
	size_t length = strlen(word);

	if (word[0] != '[')
		return domain_key(span_of(word), out, size, err);
	if (word[length - 1] != ']' || length < 4 || !span_copy(span_of(word), out, size))
		return error_set(err, ERR_SYNTAX, "expected a domain, or an address like [192.0.2.1]");
	for (char *c = out; *c != '\0'; c++)
		*c = ascii_lower(*c);
	return true;
}

enum exit_code cmd_queue_reroute(struct cli *cli)
{
	char domain[DOMAIN_MAX + 1], event[TEXT_MAX / 2];
	struct change change = { .done = "rerouted", .event = event, .held = -1, .only_remote = true };
	struct error err;

	change.apply = apply_reroute;
	if (!destination(cli->words[0], domain, sizeof(domain), &err))
		return cli_error(cli->words[0], &err);
	change.domain = span_of(domain);
	(void)snprintf(event, sizeof(event), "sent by the way of %.200s from now on", domain);
	return run(cli, 1, &change);
}
