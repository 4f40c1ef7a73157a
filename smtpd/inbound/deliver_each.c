/* LMTP (RFC 2033): what became of each RCPT. */
#include "smtpd/inbound/deliver_private.h"

#include "base/log.h"

#include <stdlib.h>

bool each_new(struct delivery *delivery)
{
	delivery->results = calloc(delivery->request.envelope->rcpt_count, sizeof(delivery->results[0]));
	return delivery->results != NULL;
}

/* --- which RCPTs have it ------------------------------------------------------------------------------------------- */

static bool has_it(const struct delivery *delivery, size_t target)
{
	return delivery->parts[target].error.code == ERR_NONE;
}

/* More than one way leads on from this RCPT, and on one of them the message has arrived, or goes to another server, which the queue sees to. */
static bool is_ours_by_now(const struct delivery *delivery, size_t rcpt)
{
	const struct envelope *envelope = delivery->request.envelope;

	for (size_t i = 0; i < envelope->link_count; i++)
		if (envelope->links[i].rcpt == rcpt && has_it(delivery, envelope->links[i].target))
			return true;
	for (size_t i = 0; i < envelope->remote_count; i++)
		if (envelope->remotes[i].rcpt == rcpt)
			return true;
	return false;
}

static bool mark_for_queue(struct delivery *delivery, bool *any)
{
	const struct envelope *envelope = delivery->request.envelope;

	*any = envelope->remote_count > 0;
	delivery->failed = calloc(delivery->part_count, sizeof(delivery->failed[0]));
	for (size_t i = 0; delivery->failed != NULL && i < envelope->link_count; i++) {
		const struct envelope_link *link = &envelope->links[i];

		if (has_it(delivery, link->target) || !is_ours_by_now(delivery, link->rcpt))
			continue;
		delivery->failed[link->target] = true;
		*any = true;
	}
	return delivery->failed != NULL;
}

/* --- the steps ----------------------------------------------------------------------------------------------------- */

static void all_said(struct delivery *delivery)
{
	if (delivery->outcome.already > 0)
		parts_forget(delivery);
	else
		delivery_finish(delivery);
}

/* Refused as a message: nothing of it goes anywhere. */
static bool nobody_may_have_it(const struct delivery *delivery)
{
	return !delivery->prepared.has_summary;
}

void each_parts_done(struct delivery *delivery)
{
	bool any;

	if (nobody_may_have_it(delivery)) {
		delivery->error = delivery->outcome.error;
		delivery_finish(delivery);
	} else if (!mark_for_queue(delivery, &any)) {
		error_set(&delivery->error, ERR_NO_MEMORY, "out of memory, try again later");
		each_queued(delivery);
	} else if (any) {
		queue_start(delivery);
	} else {
		all_said(delivery);
	}
}

/* Neither now nor later for some: then the client tries again, and finds those who have it. */
void each_queued(struct delivery *delivery)
{
	if (delivery->outcome.queued || delivery->part_count == 0) {
		all_said(delivery);
		return;
	}
	LOG(LOG_WARNING, "smtp.queue_failed", LOG_SPAN("id", delivery->request.trace->id),
	        LOG_FAILURE(&delivery->error));
	parts_record(delivery);
}

/* --- the results --------------------------------------------------------------------------------------------------- */

static void worse(struct error *result, const struct error *err)
{
	if (result->code == ERR_NONE)
		*result = *err;
}

static void refuse_all(struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->request.envelope->rcpt_count; i++)
		delivery->results[i] = delivery->outcome.error;
}

void each_finish(struct delivery *delivery)
{
	const struct envelope *envelope = delivery->request.envelope;

	delivery->outcome.results = delivery->results;
	if (delivery->part_count > 0 && nobody_may_have_it(delivery)) {
		refuse_all(delivery);
		return;
	}
	for (size_t i = 0; i < envelope->link_count; i++) {
		const struct envelope_link *link = &envelope->links[i];
		bool queued = delivery->failed != NULL && delivery->failed[link->target];

		if (has_it(delivery, link->target) || (queued && delivery->outcome.queued))
			continue;
		worse(&delivery->results[link->rcpt], queued ? &delivery->error : &delivery->parts[link->target].error);
	}
	for (size_t i = 0; !delivery->outcome.queued && i < envelope->remote_count; i++)
		worse(&delivery->results[envelope->remotes[i].rcpt], &delivery->error);
}
