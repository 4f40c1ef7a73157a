#include "smtpd/outbound/story.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX (QUEUE_REPLY_MAX + DNS_NAME_MAX + 128)

static enum event_kind kind_of(const struct queue_rcpt *rcpt, const struct fate *fate)
{
	if (fate->result == QUEUE_AGAIN)
		return EVENT_DEFERRED;
	if (fate->outcome.kind != OUTCOME_DONE)
		return EVENT_FAILED;
	return rcpt->kind == QUEUE_REMOTE ? EVENT_RELAYED : EVENT_DELIVERED;
}

static void write_text(char *out, size_t size, const struct parcel *parcel, const struct fate *fate)
{
	const char *host = parcel->peer.host;

	if (host[0] == '\0' || fate->outcome.ours)
		(void)snprintf(out, size, "%s", fate->outcome.text);
	else if (strcmp(parcel->peer.address, "") == 0)
		(void)snprintf(out, size, "%s said: %s", host, fate->outcome.text);
	else
		(void)snprintf(out, size, "%s [%s] said: %s", host, parcel->peer.address, fate->outcome.text);
	for (char *at = out; *at != '\0'; at++)
		if (*at == '\n')
			*at = ' ';
}

static const char *log_name(enum event_kind kind)
{
	return kind == EVENT_DEFERRED  ? "relay.deferred"
	       : kind == EVENT_FAILED  ? "relay.failed"
	       : kind == EVENT_RELAYED ? "relay.relayed"
	                               : "relay.delivered";
}

static void tell(const struct parcel *parcel, const struct queue_rcpt *rcpt, const struct fate *fate)
{
	enum event_kind kind = kind_of(rcpt, fate);
	char text[TEXT_MAX], detail[PARCEL_DETAIL_MAX + 128];

	write_text(text, sizeof(text), parcel, fate);
	(void)snprintf(detail, sizeof(detail), "status=%s attempts=%u%s%s", fate->outcome.status, rcpt->attempts + 1,
	        parcel->peer.detail[0] != '\0' ? " " : "", parcel->peer.detail);
	if (fate->result == QUEUE_AGAIN)
		(void)snprintf(detail + strlen(detail), sizeof(detail) - strlen(detail), " next=%lld",
		        (long long)(fate->next_ms / 1000));
	event_note(parcel->relay->events, &(struct event) { .at_ms = clock_wall_ms(),
	                                          .kind = kind,
	                                          .trace = span_of(parcel->part.trace),
	                                          .message_id = span_of(parcel->part.message_id),
	                                          .sender = span_of(parcel->part.sender),
	                                          .recipient = span_of(rcpt->address),
	                                          .text = span_of(text),
	                                          .detail = span_of(detail) });
	LOG(kind == EVENT_FAILED ? LOG_WARNING : LOG_INFO, log_name(kind), LOG_TEXT("id", parcel->part.trace),
	        LOG_TEXT("to", rcpt->address), LOG_TEXT("status", fate->outcome.status),
	        LOG_TEXT("host", parcel->peer.host), LOG_TEXT("said", text));
}

void story_of_parcel(const struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->part.recipient_count; i++)
		if (parcel->fates[i].result != QUEUE_UNDONE)
			tell(parcel, &parcel->part.recipients[i], &parcel->fates[i]);
}

void story_of_attempt(const struct parcel *parcel, const char *host, const char *address, const struct outcome *outcome)
{
	char text[TEXT_MAX];

	(void)snprintf(text, sizeof(text), "%s [%s]: %s", host, address, outcome->text);
	event_note(parcel->relay->events, &(struct event) { .at_ms = clock_wall_ms(),
	                                          .kind = EVENT_ATTEMPT,
	                                          .trace = span_of(parcel->part.trace),
	                                          .sender = span_of(parcel->part.sender),
	                                          .recipient = span_of(parcel->part.recipients[0].address),
	                                          .text = span_of(text) });
}

void story_of_report(struct relay *relay, struct span about, const struct queue_entry *report)
{
	char text[QUEUE_ADDRESS_MAX + 64], detail[QUEUE_TRACE_MAX + 16];

	(void)snprintf(text, sizeof(text), "a report went to %.*s", SPAN_FMT(report->recipients[0].address));
	(void)snprintf(detail, sizeof(detail), "report=%.*s", SPAN_FMT(report->trace));
	event_note(relay->events, &(struct event) { .at_ms = clock_wall_ms(),
	                                  .kind = EVENT_REPORT,
	                                  .trace = about,
	                                  .recipient = report->recipients[0].address,
	                                  .text = span_of(text),
	                                  .detail = span_of(detail) });
	event_note(relay->events, &(struct event) { .at_ms = clock_wall_ms(),
	                                  .kind = EVENT_QUEUED,
	                                  .trace = report->trace,
	                                  .message_id = report->message_id,
	                                  .recipient = report->recipients[0].address,
	                                  .text = SPAN("a report about another message") });
}
