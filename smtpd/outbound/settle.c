#include "smtpd/outbound/settle.h"

static bool may_report(const struct parcel *parcel, const struct queue_rcpt *rcpt)
{
	return parcel->part.sender[0] != '\0' && (parcel->part.flags & QUEUE_REPORT) == 0 && rcpt->kind != QUEUE_SENT &&
	       (rcpt->notify & NOTIFY_NEVER) == 0;
}

static bool wants(const struct queue_rcpt *rcpt, unsigned what, bool otherwise)
{
	return rcpt->notify == 0 ? otherwise : (rcpt->notify & what) != 0;
}

static void report(const struct parcel *parcel, const struct queue_rcpt *rcpt, struct fate *fate,
        enum report_action action, unsigned what, bool otherwise)
{
	fate->report = may_report(parcel, rcpt) && wants(rcpt, what, otherwise);
	fate->action = action;
}

static void done(const struct parcel *parcel, const struct queue_rcpt *rcpt, struct fate *fate)
{
	fate->result = QUEUE_DONE;
	/* RFC 3461 §5.2.2 (b), §5.2.3 (a); a server with DSN tells itself. RFC 2852 §4.1.4: where nobody keeps the time from here on, and
	 * where the sender wants to see the way, whatever NOTIFY says. */
	if (rcpt->kind == QUEUE_REMOTE && parcel->part.deliver_by_ms != 0 &&
	        (!parcel->peer.deliver_by || (parcel->part.flags & QUEUE_BY_TRACE)))
		report(parcel, rcpt, fate, REPORT_RELAYED, ~0u, true);
	else if (rcpt->kind == QUEUE_REMOTE && !parcel->peer.dsn)
		report(parcel, rcpt, fate, REPORT_RELAYED, NOTIFY_SUCCESS, false);
	else if (rcpt->kind == QUEUE_LOCAL)
		report(parcel, rcpt, fate, REPORT_DELIVERED, NOTIFY_SUCCESS, false);
}

static void failed(const struct parcel *parcel, const struct queue_rcpt *rcpt, struct fate *fate)
{
	fate->result = QUEUE_DONE;
	report(parcel, rcpt, fate, REPORT_FAILED, NOTIFY_FAILURE, true);
}

/* In notify mode the sender has said when he wants to hear of delay, unless we give up before. */
static bool waits_for_time(const struct parcel *parcel)
{
	const struct queue_message *message = &parcel->part;

	return message->deliver_by_ms != 0 && (message->flags & QUEUE_BY_RETURN) == 0 &&
	       message->deliver_by_ms < message->expires_ms;
}

static void again(const struct parcel *parcel, const struct queue_rcpt *rcpt, struct fate *fate)
{
	const struct relay *relay = parcel->relay;
	struct schedule_decision decision;
	bool by_over = schedule_by_is_over(&relay->clock, &parcel->part);

	schedule_decide(&relay->settings->schedule, &relay->clock, &parcel->part, rcpt, &decision);
	if (by_over && (parcel->part.flags & QUEUE_BY_RETURN)) {
		outcome_expire(&fate->outcome, "5.4.7", "not delivered in the time that the sender gave");
		failed(parcel, rcpt, fate);
		return;
	}
	if (decision.give_up) {
		outcome_expire(&fate->outcome, "4.4.7", "not delivered for too long");
		failed(parcel, rcpt, fate);
		return;
	}
	fate->result = QUEUE_AGAIN;
	fate->next_ms = decision.next_ms;
	/* RFC 2852 §4.1.3: in notify mode the sender hears once that the time is over. That is the one warning, so none comes before it. */
	if (!rcpt->warned && (by_over || (decision.warn && !waits_for_time(parcel)))) {
		fate->time_is_over = by_over;
		report(parcel, rcpt, fate, REPORT_DELAYED, NOTIFY_DELAY, true);
		fate->warned = true;
	}
	/* There is a try when the time is over, in return mode the last one, and not hours later. */
	if (parcel->part.deliver_by_ms > relay_clock_now(&relay->clock) && fate->next_ms > parcel->part.deliver_by_ms)
		fate->next_ms = parcel->part.deliver_by_ms;
}

void settle(struct parcel *parcel, size_t recipient, const struct outcome *outcome)
{
	const struct queue_rcpt *rcpt = &parcel->part.recipients[recipient];
	struct fate *fate = &parcel->fates[recipient];

	*fate = (struct fate) { .outcome = *outcome, .settled = true, .warned = rcpt->warned };
	switch (outcome->kind) {
	case OUTCOME_DONE: done(parcel, rcpt, fate); return;
	case OUTCOME_FAILED: failed(parcel, rcpt, fate); return;
	case OUTCOME_AGAIN: again(parcel, rcpt, fate); return;
	}
}

void settle_all(struct parcel *parcel, const struct outcome *outcome)
{
	for (size_t i = 0; i < parcel->part.recipient_count; i++)
		settle(parcel, i, outcome);
}

void settle_undone(struct parcel *parcel, const struct outcome *why, int64_t next_ms)
{
	for (size_t i = 0; i < parcel->part.recipient_count; i++) {
		struct fate *fate = &parcel->fates[i];

		*fate = (struct fate) {
			.outcome = *why,
			.settled = true,
			.result = QUEUE_UNDONE,
			.next_ms = next_ms,
			.warned = parcel->part.recipients[i].warned,
		};
	}
}
