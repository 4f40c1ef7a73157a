#include "smtpd/inbound/story.h"

#include "smtpd/inbound/deliver_private.h"

#include <stdio.h>

#define UID_TEXT   24
#define STORY_TEXT 512

/* --- recipients ------------------------------------------------------------------------------------------------------ */

static void tell_forwards(const struct resolution *resolution, char *out, size_t size)
{
	size_t len = (size_t)snprintf(
	        out, size, "an alias: %zu here, %zu elsewhere", resolution->count, resolution->remote_count);

	for (size_t i = 0; i < resolution->remote_count && len + 2 < size; i++)
		len += (size_t)snprintf(
		        out + len, size - len, "%s%s", i == 0 ? ": " : ", ", resolution_remote(resolution, i));
}

/* False: plain. */
static bool tell_routing(const struct routing *routing, char *out, size_t size)
{
	const struct resolution *resolution = &routing->resolution;

	if (routing->returned)
		snprintf(out, size, "a report for a message that was forwarded: goes to %s",
		        routing->remote[0] != '\0' ? routing->remote : "a sender who is here now");
	else if (routing->remote[0] != '\0')
		snprintf(out, size, "another server's, domain %s", routing->domain);
	else if (resolution->remote_count > 0)
		tell_forwards(resolution, out, size);
	else if (resolution->catch_all)
		snprintf(out, size, "nobody's: the catch-all of the domain");
	else if (resolution->count > 1)
		snprintf(out, size, "an alias: %zu accounts", resolution->count);
	else
		return false;
	return true;
}

void story_recipient(
        struct event_log *log, struct span trace, const struct smtp_path *recipient, const struct routing *routing)
{
	char text[STORY_TEXT];

	if (log == NULL || !tell_routing(routing, text, sizeof(text)))
		return;
	event_note(log, &(struct event) {
	                        .kind = EVENT_RECIPIENT,
	                        .trace = trace,
	                        .recipient = recipient->mailbox,
	                        .text = span_of(text),
	                });
}

void story_refused(struct event_log *log, enum event_kind kind, struct span trace, struct span sender,
        struct span recipient, struct span reply)
{
	if (trace.len > 0)
		event_note(log, &(struct event) {
		                        .kind = kind,
		                        .trace = trace,
		                        .sender = sender,
		                        .recipient = recipient,
		                        .text = reply,
		                });
}

/* --- the message ----------------------------------------------------------------------------------------------------- */

static struct event event_of(const struct delivery *delivery, enum event_kind kind)
{
	const struct trace *trace = delivery->request.trace;

	return (struct event) {
		.kind = kind,
		.trace = trace->id,
		.message_id = span_of(delivery->prepared.message_id),
		.sender = trace->sender,
		.recipient = delivery->request.envelope->rcpt_count == 1
		                     ? envelope_address(delivery->request.envelope, 0)
		                     : SPAN_EMPTY,
	};
}

static void tell_received(const struct delivery *delivery)
{
	const struct delivery_request *request = &delivery->request;
	const struct trace *trace = request->trace;
	struct event event = event_of(delivery, EVENT_RECEIVED);
	char text[STORY_TEXT], detail[STORY_TEXT];

	snprintf(text, sizeof(text), "from %.*s [%.*s] with %s%s%.*s, %zu recipient%s", SPAN_FMT(trace->helo),
	        SPAN_FMT(trace->peer), trace_protocol(trace), request->login.len > 0 ? ", logged in as " : "",
	        SPAN_FMT(request->login), request->envelope->rcpt_count, request->envelope->rcpt_count == 1 ? "" : "s");
	snprintf(detail, sizeof(detail), "peer=%.*s tls=%.*s login=%.*s size=%llu recipients=%zu",
	        SPAN_FMT(trace->peer), SPAN_FMT(trace->tls_version), SPAN_FMT(request->login),
	        (unsigned long long)spool_size(request->spool), request->envelope->rcpt_count);
	event.at_ms = request->received_ms;
	event.text = span_of(text);
	event.detail = span_of(detail);
	event_note(request->accept->events, &event);
}

static size_t tell_part(const struct delivery *delivery, const struct part *part, char *out, size_t size)
{
	const struct envelope *envelope = delivery->request.envelope;
	const char *folder = part->folder[0] != '\0' ? part->folder : part->sent ? "Sent" : "INBOX";
	char uid[UID_TEXT] = " (was there already)";

	if (!part->already)
		snprintf(uid, sizeof(uid), ", UID %u", part->uid);
	return (size_t)snprintf(out, size, "%s%.*s: %s%s", part == &delivery->parts[0] ? "" : "; ",
	        SPAN_FMT(part->sent ? delivery->request.trace->sender : envelope_address(envelope, part->target->rcpt)),
	        folder, uid);
}

static bool has_it(const struct part *part)
{
	return part->delivery != NULL && part->error.code == ERR_NONE && (part->uid > 0 || part->already);
}

/* One event, however many mailboxes; the detail has their accounts and UIDs for programs. */
static void tell_delivered(const struct delivery *delivery)
{
	struct event event = event_of(delivery, EVENT_DELIVERED);
	char text[EVENT_TEXT_MAX], detail[EVENT_TEXT_MAX];
	size_t text_len = 0, detail_len = 0, told = 0;

	text[0] = detail[0] = '\0';
	for (size_t i = 0; i <= delivery->part_count; i++) {
		const struct part *part = i < delivery->part_count ? &delivery->parts[i] : &delivery->sent_part;

		if (!has_it(part))
			continue;
		told++;
		if (text_len < sizeof(text) - 1)
			text_len += tell_part(delivery, part, text + text_len, sizeof(text) - text_len);
		if (detail_len < sizeof(detail) - 1)
			detail_len += (size_t)snprintf(detail + detail_len, sizeof(detail) - detail_len,
			        "%saccount=%lld uid=%u", detail_len > 0 ? " " : "", (long long)part->target->account_id,
			        part->uid);
	}
	event.text = span_of(text);
	event.detail = span_of(detail);
	if (told > 0)
		event_note(delivery->request.accept->events, &event);
}

static void tell_letter(const struct delivery *delivery, const struct letter *letter)
{
	struct event event = event_of(delivery, EVENT_QUEUED);
	char text[STORY_TEXT], detail[STORY_TEXT];
	size_t count = letter->entry.recipient_count;
	int len;

	len = snprintf(text, sizeof(text), "%zu recipient%s", count, count == 1 ? "" : "s");
	if (letter->alias.len > 0)
		len += snprintf(text + len, sizeof(text) - (size_t)len, ", forwarded by %.*s as <%.*s>",
		        SPAN_FMT(letter->alias), SPAN_FMT(span_first(letter->entry.sender, 200)));
	snprintf(detail, sizeof(detail), "recipients=%zu not_before=%lld from=%.*s", count,
	        (long long)letter->entry.not_before_ms, SPAN_FMT(delivery->request.trace->id));
	event.trace = span_of(letter->trace);
	event.sender = letter->entry.sender;
	event.text = span_of(text);
	event.detail = span_of(detail);
	event_note(delivery->request.accept->events, &event);
}

void story_tell(const struct delivery *delivery)
{
	if (delivery->request.accept->events == NULL)
		return;
	tell_received(delivery);
	tell_delivered(delivery);
	for (size_t i = 0; delivery->outcome.queued && i < delivery->letters.count; i++)
		tell_letter(delivery, &delivery->letters.items[i]);
}
