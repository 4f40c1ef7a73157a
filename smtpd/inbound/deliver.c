#include "smtpd/inbound/deliver_private.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

bool delivery_wants_sent(const struct delivery *delivery)
{
	return delivery->request.account_id != 0 && delivery->request.options->file_sent;
}

void delivery_finish(struct delivery *delivery)
{
	if (delivery->results != NULL)
		each_finish(delivery);
	story_tell(delivery);
	delivery->done(delivery->arg, &delivery->outcome);
	prepared_free(&delivery->prepared);
	letters_free(&delivery->letters);
	free(delivery->failed);
	free(delivery->results);
	free(delivery);
}

static void refuse(struct delivery *delivery, const struct error *err)
{
	delivery->outcome.error = *err;
	delivery_finish(delivery);
}

/* --- the mailboxes have answered ------------------------------------------------------------------------------------- */

static size_t count_good(struct delivery *delivery)
{
	size_t good = 0;

	delivery->outcome.already = 0;
	for (size_t i = 0; i < delivery->part_count; i++) {
		const struct part *part = &delivery->parts[i];

		delivery->outcome.already += part->already;
		if (part->error.code == ERR_NONE)
			good++;
		else if (delivery->outcome.error.code == ERR_NONE)
			delivery->outcome.error = part->error;
	}
	return good;
}

/* Those that failed are the queue's from here on; so is a copy for Sent that could not be filed. */
static bool mark_failed(struct delivery *delivery)
{
	delivery->failed = calloc(delivery->part_count, sizeof(delivery->failed[0]));
	for (size_t i = 0; delivery->failed != NULL && i < delivery->part_count; i++)
		delivery->failed[i] = delivery->parts[i].error.code != ERR_NONE;
	return delivery->failed != NULL;
}

static void all_took_it(struct delivery *delivery)
{
	if (delivery->outcome.already > 0 || delivery->sent_part.already)
		parts_forget(delivery);
	else
		delivery_finish(delivery);
}

/* Neither now nor later for some: then only the sender can see to it. A copy for Sent alone is not worth a message sent twice. */
static void queue_failed(struct delivery *delivery)
{
	LOG(LOG_WARNING, "smtp.queue_failed", LOG_SPAN("id", delivery->request.trace->id),
	        LOG_FAILURE(&delivery->error));
	if (delivery->outcome.error.code == ERR_NONE) {
		all_took_it(delivery);
		return;
	}
	delivery->outcome.partial = true;
	parts_record(delivery);
}

static void some_took_it(struct delivery *delivery)
{
	if (mark_failed(delivery)) {
		queue_start(delivery);
		return;
	}
	error_set(&delivery->error, ERR_NO_MEMORY, "out of memory, try again later");
	queue_failed(delivery);
}

void delivery_parts_done(struct delivery *delivery)
{
	size_t good = count_good(delivery);

	if (delivery->results != NULL)
		each_parts_done(delivery);
	else if (good == 0)
		delivery_finish(delivery);
	else if (delivery_wants_sent(delivery) && delivery->sent_part.delivery == NULL)
		parts_file_sent(delivery); /* and comes back */
	else if (good < delivery->part_count || delivery->sent_part.error.code != ERR_NONE)
		some_took_it(delivery);
	else
		all_took_it(delivery);
}

/* --- the queue has answered ------------------------------------------------------------------------------------------ */

/* Then nothing may be left of it, so the sender's copy waits with the others. */
static bool may_be_undone(const struct delivery *delivery)
{
	return delivery->request.options->undo_ms > 0 && delivery->request.not_before_ms > 0;
}

void delivery_queued(struct delivery *delivery)
{
	bool after_parts = delivery->failed != NULL;

	delivery->outcome.queued = delivery->error.code == ERR_NONE;
	delivery->outcome.limited =
	        delivery->is_prepared && delivery->error.code == ERR_LIMIT; /* it is queue_add()'s */
	if (delivery->results != NULL)
		each_queued(delivery);
	else if (after_parts && delivery->outcome.queued) {
		error_clear(&delivery->outcome.error);
		all_took_it(delivery);
	} else if (after_parts) {
		queue_failed(delivery);
	} else if (delivery->outcome.queued && delivery_wants_sent(delivery) && !may_be_undone(delivery)) {
		parts_file_queued_sent(delivery);
	} else if (delivery->outcome.queued) {
		delivery_finish(delivery);
	} else {
		refuse(delivery, &delivery->error);
	}
}

/* --- the beginning --------------------------------------------------------------------------------------------------- */

static bool goes_to_queue(const struct delivery_request *request)
{
	if (request->each)
		return request->envelope->target_count == 0;
	return request->envelope->remote_count > 0 || request->envelope->wants_success || request->not_before_ms > 0;
}

static struct delivery *delivery_new(const struct delivery_request *request, deliver_done *done, void *arg)
{
	size_t parts = request->envelope->target_count;
	struct delivery *delivery = calloc(1, sizeof(*delivery) + parts * sizeof(delivery->parts[0]));

	if (delivery == NULL)
		return NULL;
	delivery->request = *request;
	delivery->done = done;
	delivery->arg = arg;
	delivery->part_count = parts;
	delivery->sender = (struct delivery_target) { .account_id = request->account_id };
	prepared_init(&delivery->prepared);
	if (delivery_wants_sent(delivery))
		random_bytes(delivery->sent_op_id, sizeof(delivery->sent_op_id));
	for (size_t i = 0; i < parts; i++) {
		delivery->parts[i].delivery = delivery;
		delivery->parts[i].target = &request->envelope->targets[i];
	}
	if (!request->each || each_new(delivery))
		return delivery;
	prepared_free(&delivery->prepared);
	free(delivery);
	return NULL;
}

bool deliver_start(const struct delivery_request *request, deliver_done *done, void *arg)
{
	struct delivery *delivery;

	CHECK(request->envelope->target_count + request->envelope->remote_count > 0);
	delivery = delivery_new(request, done, arg);
	if (delivery == NULL)
		return false;
	if (goes_to_queue(request))
		queue_start(delivery);
	else
		parts_start(delivery);
	return true;
}
