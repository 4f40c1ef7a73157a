/* posthouse/cmd_queue_show.c — `posthouse queue show TRACE`: all that is known of a message that waits, and with --message the message. */
#include "posthouse/cli.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "posthouse/filter.h"
#include "posthouse/site.h"
#include "posthouse/words.h"
#include "storage/address_key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE    (64 * KIB)
#define TEXT_MAX 600

static struct site site;

struct shown {
	int64_t now_ms, message_id;
	json_t *message, *recipients;
	bool failed;
};

static const struct {
	unsigned flag;
	const char *name;
} flag_names[] = {
	{ QUEUE_SMTPUTF8, "needs SMTPUTF8" },
	{ QUEUE_8BIT, "8-bit" },
	{ QUEUE_REQUIRETLS, "REQUIRETLS: only over verified TLS" },
	{ QUEUE_TLS_NO, "TLS-Required: No" },
	{ QUEUE_REPORT, "a report of ours" },
};

static const struct {
	unsigned flag;
	const char *name;
} notify_names[] = {
	{ NOTIFY_NEVER, "never" },
	{ NOTIFY_SUCCESS, "success" },
	{ NOTIFY_FAILURE, "failure" },
	{ NOTIFY_DELAY, "delay" },
};

/* ---- where it goes, and with which TLS ---- */

static const char *const tls_words[] = {
	[ROUTE_TLS_NONE] = "without TLS, as the route says",
	[ROUTE_TLS_MAY] = "TLS if the server offers it, as the route says",
	[ROUTE_TLS_ENCRYPT] = "TLS or not at all, as the route says; the certificate is not looked at",
	[ROUTE_TLS_VERIFY] = "TLS with a certificate that is right, or not at all, as the route says",
};

static void domain_of(const char *address, char *out, size_t size)
{
	struct span text = span_of(address);
	struct error err;
	size_t at;

	out[0] = '\0';
	if (span_find_last(text, '@', &at) && !domain_key(span_skip(text, at + 1), out, size, &err))
		(void)span_copy(span_skip(text, at + 1), out, size);
}

/* RFC 8461 §5: a policy that is known already. */
static void sts_words(const char *domain, int64_t now_ms, char *out, size_t size)
{
	struct sts_policy_row policy;
	struct error err;
	bool found = false;
	char until[32];

	out[0] = '\0';
	if (!site.settings.relay.mta_sts ||
	        !relay_store_find_policy(site.relay, span_of(domain), &policy, &found, &err) || !found)
		return;
	output_date(policy.expires_ms, until, sizeof(until));
	if (policy.expires_ms > now_ms)
		(void)snprintf(out, size, "; an MTA-STS policy of the domain is known until %s", until);
	free(policy.policy);
}

static void tls_text(const struct queue_message *message, const struct route *route, bool has_route, const char *domain,
        int64_t now_ms, char *out, size_t size)
{
	char sts[TEXT_MAX / 4];

	if (message->flags & QUEUE_REQUIRETLS) {
		(void)snprintf(out, size,
		        "TLS with a certificate that is right, and a server that does REQUIRETLS (RFC 8689)");
	} else if (has_route && route->tls != ROUTE_TLS_DEFAULT) {
		(void)snprintf(out, size, "%s", tls_words[route->tls]);
	} else {
		const char *strict = site.settings.relay.mta_sts ? "MTA-STS where the domain has it, else "
		                     : site.settings.relay.dane  ? " where the domain has it, else "
		                                                 : "";

		sts_words(domain, now_ms, sts, sizeof(sts));
		(void)snprintf(out, size, "%s%s%sTLS if the server offers it%s", site.settings.relay.dane ? "DANE" : "",
		        site.settings.relay.dane && site.settings.relay.mta_sts ? " or " : "", strict, sts);
	}
}

/* Of a remote recipient. A reroute by hand is not seen here, but in `posthouse explain`. */
static void describe_way(
        const struct queue_message *message, const struct queue_rcpt *rcpt, int64_t now_ms, json_t *out)
{
	char domain[DOMAIN_MAX + 1], sender_domain[DOMAIN_MAX + 1], way[TEXT_MAX], tls[TEXT_MAX];
	struct route route = { .kind = ROUTE_MX };
	struct error err;
	bool has_route = false;

	domain_of(rcpt->address, domain, sizeof(domain));
	domain_of(message->sender, sender_domain, sizeof(sender_domain));
	if (!relay_store_find_route(site.relay, span_of(domain), span_of(sender_domain), &route, &has_route, &err))
		has_route = false;
	route_words(has_route ? &route : NULL, domain, way, sizeof(way));
	tls_text(message, &route, has_route, domain, now_ms, tls, sizeof(tls));
	secret_wipe(&route, sizeof(route));
	(void)json_object_set_new(out, "way", json_string(way));
	(void)json_object_set_new(out, "tls", json_string(tls));
}

/* ---- rows ---- */

static void flags_text(unsigned flags, char *out, size_t size)
{
	size_t length = 0;

	out[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(flag_names) && length < size; i++)
		if (flags & flag_names[i].flag)
			length += (size_t)snprintf(
			        out + length, size - length, "%s%s", length > 0 ? ", " : "", flag_names[i].name);
}

static void notify_text(unsigned notify, char *out, size_t size)
{
	size_t length = (size_t)snprintf(out, size, "%s", notify == 0 ? "as usual: failure, delay" : "");

	for (size_t i = 0; i < ARRAY_LEN(notify_names) && length < size; i++)
		if (notify & notify_names[i].flag)
			length += (size_t)snprintf(
			        out + length, size - length, "%s%s", length > 0 ? ", " : "", notify_names[i].name);
}

static json_t *describe_message(const struct queue_message *m)
{
	char flags[TEXT_MAX];

	flags_text(m->flags, flags, sizeof(flags));
	return json_pack("{s:s, s:s, s:s?, s:s, s:I, s:I, s:I, s:o, s:i, s:I, s:s}", "trace", m->trace, "sender",
	        m->sender, "message_id", m->message_id, "envelope_id", m->envid, "size", (json_int_t)m->size,
	        "created_ms", (json_int_t)m->created_ms, "expires_ms", (json_int_t)m->expires_ms, "deliver_by_ms",
	        m->deliver_by_ms > 0 ? json_integer((json_int_t)m->deliver_by_ms) : json_null(), "priority",
	        m->priority, "account_id", (json_int_t)m->account_id, "properties", flags);
}

static json_t *describe_recipient(const struct queue_message *message, const struct queue_rcpt *rcpt, int64_t now_ms)
{
	char next[TEXT_MAX], notify[TEXT_MAX];
	json_t *out;

	next_words(rcpt, now_ms, next, sizeof(next));
	notify_text(rcpt->notify, notify, sizeof(notify));
	out = json_pack("{s:s, s:s, s:b, s:I, s:I, s:s, s:s, s:b, s:s, s:s}", "recipient", rcpt->address, "kind",
	        rcpt->kind == QUEUE_REMOTE  ? "remote"
	        : rcpt->kind == QUEUE_LOCAL ? "local"
	                                    : "sent",
	        "held", rcpt->held, "attempts", (json_int_t)rcpt->attempts, "next_attempt_ms",
	        (json_int_t)rcpt->next_attempt_ms, "last_reply", rcpt->reply, "what_next", next, "warned", rcpt->warned,
	        "original_recipient", rcpt->orcpt, "notify", notify);
	if (out != NULL && rcpt->kind == QUEUE_REMOTE)
		describe_way(message, rcpt, now_ms, out);
	else if (out != NULL)
		(void)json_object_set_new(out, "way",
		        json_sprintf("the mailbox %s of account %lld",
		                rcpt->kind == QUEUE_SENT  ? "Sent"
		                : rcpt->folder[0] != '\0' ? rcpt->folder
		                                          : "INBOX",
		                (long long)rcpt->account_id));
	return out;
}

static bool add_row(void *arg, const struct queue_row *row)
{
	struct shown *shown = arg;

	if (shown->message != NULL && row->message->id != shown->message_id)
		return false; /* a part of it, which can be shown by its own trace */
	if (shown->message == NULL)
		shown->message = describe_message(row->message);
	shown->message_id = row->message->id;
	shown->failed =
	        shown->message == NULL || json_array_append_new(shown->recipients,
	                                          describe_recipient(row->message, row->recipient, shown->now_ms)) != 0;
	return !shown->failed;
}

static bool read_shown(const char *trace, uint64_t limit, struct shown *shown, struct error *err)
{
	struct queue_filter filter = { .trace = span_of(trace), .held = -1 };

	if (!queue_list(site.queue, &filter, 0, limit, add_row, shown, err))
		return false;
	if (shown->failed)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	return shown->message != NULL || error_set(err, ERR_NO_SUCH_MESSAGE,
	                                         "not in the queue; `posthouse explain` tells what became of messages");
}

/* ---- printing ---- */

static const struct column message_columns[] = {
	{ "trace", "Message", COLUMN_TEXT },
	{ "sender", "Sender", COLUMN_TEXT },
	{ "message_id", "Message-ID", COLUMN_TEXT },
	{ "size", "Size", COLUMN_SIZE },
	{ "created_ms", "Taken in", COLUMN_DATE },
	{ "expires_ms", "Tried until", COLUMN_DATE },
	{ "deliver_by_ms", "Deliver by", COLUMN_DATE },
	{ "priority", "Priority", COLUMN_NUMBER },
	{ "properties", "Properties", COLUMN_TEXT },
	{ "envelope_id", "Envelope id", COLUMN_TEXT },
};

static const struct column recipient_columns[] = {
	{ "recipient", "Recipient", COLUMN_TEXT },
	{ "what_next", "  Next", COLUMN_TEXT },
	{ "attempts", "  Tried", COLUMN_NUMBER },
	{ "last_reply", "  Last answer", COLUMN_TEXT },
	{ "way", "  Goes to", COLUMN_TEXT },
	{ "tls", "  TLS", COLUMN_TEXT },
	{ "notify", "  Sender is told", COLUMN_TEXT },
	{ "warned", "  Delay was told", COLUMN_YES },
};

/* Takes over both. */
static enum exit_code print_shown(json_t *message, json_t *recipients, bool as_json)
{
	enum exit_code code;
	json_t *rcpt;
	size_t i;

	if (as_json) {
		(void)json_object_set_new(message, "recipients", recipients);
		return output_json(message);
	}
	code = output_object(message, message_columns, ARRAY_LEN(message_columns), false);
	json_array_foreach(recipients, i, rcpt)
	{
		if (code == CLI_OK)
			code = output_text("\n");
		if (code == CLI_OK)
			code = output_object(json_incref(rcpt), recipient_columns,
			        ARRAY_LEN(recipient_columns) - (json_object_get(rcpt, "tls") == NULL ? 3 : 0), false);
	}
	json_decref(recipients);
	return code;
}

/* As it will be sent, octet by octet. */
static bool print_message(int64_t message_id, struct error *err)
{
	static char piece[PIECE];
	uint64_t offset = 0;
	size_t got;

	do {
		if (!queue_read(site.queue, message_id, offset, piece, sizeof(piece), &got, err) ||
		        !file_write_all(STDOUT_FILENO, span_make(piece, got), err))
			return false;
		offset += got;
	} while (got > 0);
	return true;
}

enum exit_code cmd_queue_show(struct cli *cli)
{
	struct shown shown = { .now_ms = clock_wall_ms() };
	bool only_message = cli->options[OPT_MESSAGE] != NULL;
	struct error err;
	enum exit_code code;

	if (only_message && cli->options[OPT_JSON] != NULL)
		return cli_usage_error(cli, "--message prints the message as it is, never as JSON");
	code = site_open(cli, SITE_QUEUE | SITE_RELAY, &site);
	if (code != CLI_OK)
		return code;
	shown.recipients = json_array();
	if (!read_shown(cli->words[0], only_message ? 1 : QUEUE_RECIPIENTS_MAX, &shown, &err) ||
	        (only_message && !print_message(shown.message_id, &err)))
		code = cli_error(cli->words[0], &err);
	if (code == CLI_OK && !only_message) {
		code = print_shown(shown.message, shown.recipients, cli->options[OPT_JSON] != NULL);
	} else {
		json_decref(shown.message);
		json_decref(shown.recipients);
	}
	site_close(&site);
	return code;
}
