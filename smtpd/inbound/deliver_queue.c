/* A message into queue.db: those that wait at the same time are one transaction. */
#include "smtpd/inbound/deliver_private.h"

#include "base/check.h"

#include <stdlib.h>

#define QUEUE_KEY (UINT64_MAX) /* no account's */

/* --- on a worker ----------------------------------------------------------------------------------------------------- */

static bool make_letters(struct delivery *delivery)
{
	const struct letters_wanted all = {
		.remotes = true,
		.sent = delivery_wants_sent(delivery),
		.sent_op_id = delivery->sent_op_id,
	};
	const struct letters_wanted rest = {
		.targets = delivery->failed,
		.remotes = delivery->request.each,
		.sent = delivery->sent_part.delivery != NULL && delivery->sent_part.error.code != ERR_NONE,
	};

	return letters_make(&delivery->request, &delivery->prepared, delivery->failed != NULL ? &rest : &all,
	        &delivery->letters, &delivery->error);
}

/* What the mailboxes did not need to know, the queue does: what the next server must be able to do, also with a report. */
static bool prepare(struct delivery *delivery)
{
	if (delivery->failed != NULL)
		return prepare_flags(&delivery->request, &delivery->prepared, &delivery->error);
	if (!delivery->is_prepared)
		delivery->is_prepared = prepare_for_queue(&delivery->request, &delivery->prepared, &delivery->error);
	return delivery->is_prepared;
}

static void run_prepare(struct worker_job *job)
{
	(void)prepare(container_of(job, struct delivery, job));
}

static bool add_letters(struct delivery **deliveries, size_t count, struct error *err)
{
	struct queue *queue = deliveries[0]->request.accept->queue;
	struct queue_entry **entries;
	size_t total = 0, at = 0;
	bool ok;

	for (size_t i = 0; i < count; i++)
		total += deliveries[i]->letters.count;
	entries = malloc(total * sizeof(*entries));
	if (entries == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < deliveries[i]->letters.count; k++)
			entries[at++] = &deliveries[i]->letters.items[k].entry;
	ok = queue_add(queue, entries, total, err);
	free(entries);
	if (ok)
		error_clear(err);
	return ok;
}

/* When all together cannot be written, perhaps one of them alone was the reason. */
static void add_each(struct delivery **deliveries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)add_letters(&deliveries[i], 1, &deliveries[i]->error);
}

static void run_queue(struct worker_job **jobs, size_t count)
{
	struct delivery *ready[WORKER_BATCH_MAX];
	size_t ready_count = 0;
	struct error err;

	for (size_t i = 0; i < count; i++) {
		struct delivery *delivery = container_of(jobs[i], struct delivery, job);

		if (prepare(delivery) && make_letters(delivery))
			ready[ready_count++] = delivery;
	}
	if (ready_count == 1)
		(void)add_letters(ready, 1, &ready[0]->error);
	else if (ready_count > 1 && !add_letters(ready, ready_count, &err))
		add_each(ready, ready_count);
}

/* --- on the loop ----------------------------------------------------------------------------------------------------- */

static void on_queued(struct worker_job *job)
{
	delivery_queued(container_of(job, struct delivery, job));
}

static void submit(struct delivery *delivery)
{
	delivery->job = (struct worker_job) {
		.run_batch = run_queue,
		.done = on_queued,
		.lane = WORKER_WRITE,
		.key = QUEUE_KEY,
	};
	worker_submit(delivery->request.pool, &delivery->job);
}

static void on_prepared(struct worker_job *job)
{
	struct delivery *delivery = container_of(job, struct delivery, job);

	if (delivery->is_prepared)
		submit(delivery);
	else
		delivery_queued(delivery);
}

void queue_start(struct delivery *delivery)
{
	if (delivery->is_prepared || spool_size(delivery->request.spool) <= STORE_INLINE_BODY_MAX) {
		submit(delivery);
		return;
	}
	delivery->job = (struct worker_job) { .run = run_prepare, .done = on_prepared, .lane = WORKER_WRITE };
	worker_submit(delivery->request.pool, &delivery->job);
}
