/* posthouse/cmd_queue.c — `posthouse queue list`: what waits, page by page. show is in cmd_queue_show.c, what changes it in
 * cmd_queue_change.c. */
#include "posthouse/cli.h"

#include "base/clock.h"
#include "posthouse/filter.h"
#include "posthouse/site.h"

#include <stdio.h>
#include <string.h>

#define REPLY_SHOWN   60 /* octets of the last answer in a table */
#define ADDRESS_SHOWN 40
#define LINE_MAX      400
#define NUMBER_MAX    32

static struct site site;

struct listing {
	struct queue_filter filter;
	uint64_t skip, limit;
	int64_t now_ms;
	bool as_json, more;
	json_t *rows;
};

static const struct column columns[] = {
	{ "trace", "TRACE", COLUMN_TEXT },
	{ "age_ms", "AGE", COLUMN_DURATION },
	{ "size", "SIZE", COLUMN_SIZE },
	{ "sender", "SENDER", COLUMN_TEXT },
	{ "recipient", "RECIPIENT", COLUMN_TEXT },
	{ "attempts", "TRIES", COLUMN_NUMBER },
	{ "next", "NEXT TRY", COLUMN_TEXT },
	{ "reply", "LAST ANSWER", COLUMN_TEXT },
};

static const char *const kind_names[] = { [QUEUE_REMOTE] = "remote", [QUEUE_LOCAL] = "local", [QUEUE_SENT] = "sent" };

/* ---- rows ---- */

static json_t *json_row(const struct queue_message *message, const struct queue_rcpt *rcpt)
{
	return json_pack("{s:s, s:I, s:I, s:s, s:s?, s:s, s:s, s:I, s:b, s:I, s:s}", "trace", message->trace,
	        "created_ms", (json_int_t)message->created_ms, "size", (json_int_t)message->size, "sender",
	        message->sender, "message_id", message->message_id, "recipient", rcpt->address, "kind",
	        kind_names[rcpt->kind], "attempts", (json_int_t)rcpt->attempts, "held", rcpt->held, "next_attempt_ms",
	        (json_int_t)rcpt->next_attempt_ms, "last_reply", rcpt->reply);
}

static void next_text(const struct queue_rcpt *rcpt, int64_t now_ms, char *out, size_t size)
{
	char duration[NUMBER_MAX];

	output_duration(rcpt->next_attempt_ms - now_ms, duration, sizeof(duration));
	if (rcpt->held)
		(void)snprintf(out, size, "held");
	else if (rcpt->next_attempt_ms <= now_ms)
		(void)snprintf(out, size, "now");
	else
		(void)snprintf(out, size, "in %s", duration);
}

/* Cut to `max` octets; what was cut ends in "...". */
static json_t *shortened(const char *text, size_t max)
{
	char out[LINE_MAX];
	size_t length = strlen(text);

	output_printable(span_of(text), out, max + 1 < sizeof(out) ? max + 1 : sizeof(out));
	if (length > max)
		memcpy(out + strlen(out), "...", sizeof("..."));
	return json_string(out);
}

static json_t *table_row(const struct queue_message *message, const struct queue_rcpt *rcpt, int64_t now_ms)
{
	char next[NUMBER_MAX + 8];
	int64_t age = now_ms - message->created_ms;

	next_text(rcpt, now_ms, next, sizeof(next));
	return json_pack("{s:s, s:I, s:I, s:o, s:o, s:I, s:s, s:o}", "trace", message->trace, "age_ms",
	        (json_int_t)(age > 0 ? age : 0), "size", (json_int_t)message->size, "sender",
	        shortened(message->sender[0] != '\0' ? message->sender : "<>", ADDRESS_SHOWN), "recipient",
	        shortened(rcpt->address, ADDRESS_SHOWN), "attempts", (json_int_t)rcpt->attempts, "next", next, "reply",
	        shortened(rcpt->reply[0] != '\0' ? rcpt->reply : "-", REPLY_SHOWN));
}

/* One more than the limit is asked for, to know whether there is another page. */
static bool add_row(void *arg, const struct queue_row *row)
{
	struct listing *listing = arg;

	listing->more = json_array_size(listing->rows) == listing->limit;
	return !listing->more &&
	       json_array_append_new(
	               listing->rows, listing->as_json ? json_row(row->message, row->recipient)
	                                               : table_row(row->message, row->recipient, listing->now_ms)) == 0;
}

/* ---- totals ---- */

static void total_text(const struct listing *listing, const struct queue_counts *counts, char *out, size_t size)
{
	char shown[NUMBER_MAX], of[NUMBER_MAX], messages[NUMBER_MAX], held[NUMBER_MAX], due[NUMBER_MAX];

	output_number(json_array_size(listing->rows), shown, sizeof(shown));
	output_number(counts->recipients, of, sizeof(of));
	output_number(counts->messages, messages, sizeof(messages));
	output_number(counts->held, held, sizeof(held));
	output_number(counts->due, due, sizeof(due));
	if (filter_is_everything(&listing->filter))
		(void)snprintf(out, size, "shown %s of %s recipients of %s messages; %s held, %s due now%s\n", shown,
		        of, messages, held, due, listing->more ? "; there are more: --page, --limit" : "");
	else
		(void)snprintf(out, size, "shown %s%s; %s recipients wait in all\n", shown,
		        listing->more ? ", there are more: --page, --limit" : "", of);
}

static enum exit_code print_json(struct listing *listing, const struct queue_counts *counts)
{
	return output_json(json_pack("{s:I, s:I, s:b, s:I, s:I, s:I, s:I, s:o}", "shown",
	        (json_int_t)json_array_size(listing->rows), "skipped", (json_int_t)listing->skip, "more", listing->more,
	        "queue_recipients", (json_int_t)counts->recipients, "queue_messages", (json_int_t)counts->messages,
	        "queue_held", (json_int_t)counts->held, "queue_due", (json_int_t)counts->due, "recipients",
	        listing->rows));
}

static enum exit_code print_table(struct listing *listing, const struct queue_counts *counts)
{
	char totals[LINE_MAX];
	enum exit_code code = CLI_OK;

	total_text(listing, counts, totals, sizeof(totals));
	if (counts->recipients == 0) {
		json_decref(listing->rows);
		return output_text("the queue is empty\n");
	}
	if (json_array_size(listing->rows) > 0)
		code = output_list(listing->rows, columns, ARRAY_LEN(columns), false);
	else
		json_decref(listing->rows);
	return code == CLI_OK ? output_text(totals) : code;
}

static bool read_rows(struct listing *listing, struct queue_counts *counts, struct error *err)
{
	return queue_count(site.queue, listing->now_ms, counts, err) &&
	       queue_list(site.queue, &listing->filter, listing->skip, listing->limit + 1, add_row, listing, err);
}

enum exit_code cmd_queue_list(struct cli *cli)
{
	struct listing listing = { .now_ms = clock_wall_ms(), .as_json = cli->options[OPT_JSON] != NULL };
	struct queue_counts counts;
	struct error err;
	enum exit_code code;

	if (!filter_from_options(cli, listing.now_ms, &listing.filter, &err) ||
	        !page_from_options(cli, &listing.skip, &listing.limit, &err))
		return cli_error(NULL, &err);
	listing.filter.trace = span_of(cli->words[0]);
	code = site_open(cli, SITE_QUEUE, &site);
	if (code != CLI_OK)
		return code;
	listing.rows = json_array();
	if (read_rows(&listing, &counts, &err)) {
		code = listing.as_json ? print_json(&listing, &counts) : print_table(&listing, &counts);
	} else {
		json_decref(listing.rows);
		code = cli_error("queue", &err);
	}
	site_close(&site);
	return code;
}
