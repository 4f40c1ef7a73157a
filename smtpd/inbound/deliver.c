#include "smtpd/inbound/deliver.h"

#include "base/check.h"
#include "base/log.h"
#include "message/header.h"
#include "message/summary.h"
#include "storage/batch.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define READ_PIECE   (16 * KIB)
#define CONTENT_HASH 32

struct delivery;

/* One account's part. */
struct part {
	struct worker_job job;
	struct delivery *delivery;
	const struct delivery_target *target;
	struct batch *batch;
	struct error error;
	bool already;
};

struct delivery {
	struct delivery_request request;
	deliver_done *done;
	void *arg;
	struct worker_job prepare_job; /* only with several accounts */
	struct buffer prefix;
	struct message_summary summary;
	struct error prepare_error;
	struct delivery_outcome outcome;
	uint8_t content[CONTENT_HASH];
	size_t pending; /* parts whose job is under way */
	size_t part_count;
	struct part parts[];
};

/* --- prepare, on a worker -------------------------------------------------------------------------------------- */

static pthread_once_t builder_once = PTHREAD_ONCE_INIT;
static pthread_key_t builder_key;

static void builder_destroy(void *builder)
{
	struct summary_builder *it = builder;

	summary_builder_free(&it);
}

static void builder_key_make(void)
{
	CHECK(pthread_key_create(&builder_key, builder_destroy) == 0);
}

/* One builder for each worker thread, used again and again; it ends with its thread. NULL: out of memory. */
static struct summary_builder *builder_of_thread(void)
{
	struct summary_builder *builder;

	pthread_once(&builder_once, builder_key_make);
	builder = pthread_getspecific(builder_key);
	if (builder == NULL) {
		builder = summary_builder_new();
		if (builder != NULL && pthread_setspecific(builder_key, builder) != 0)
			summary_builder_free(&builder);
	}
	return builder;
}

/* The header block of the message as received, at most HEADER_BLOCK_MAX octets of it. */
static bool read_header(struct spool *spool, struct buffer *out, struct error *err)
{
	size_t got, len;

	while (out->len < HEADER_BLOCK_MAX) {
		if (!buffer_reserve(out, READ_PIECE))
			return error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
		if (!spool_read(spool, out->len, out->data + out->len, READ_PIECE, &got, err))
			return false;
		out->len += got;
		if (header_length(buffer_span(out), &len)) {
			out->len = len;
			return true;
		}
		if (got < READ_PIECE)
			return true;
	}
	return true;
}

static bool check_header(struct delivery *delivery, struct error *err)
{
	const struct delivery_request *request = &delivery->request;
	struct message_request message = { .account_id = request->account_id };
	struct buffer header;
	bool ok;

	buffer_init(&header, HEADER_BLOCK_MAX + READ_PIECE);
	ok = read_header(request->spool, &header, err);
	message.header = buffer_span(&header);
	ok = ok && accept_message(request->accept, &message, err);
	if (ok && request->account_id != 0 && !trace_add_missing(&delivery->prefix, request->trace, message.header))
		ok = error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
	buffer_free(&header);
	return ok;
}

/* One pass over the message: the summary for its readers, and the hash that knows it again. */
static bool digest_body(struct delivery *delivery, struct summary_builder *builder, struct error *err)
{
	crypto_generichash_state hash;
	struct span sender = delivery->request.trace->sender;
	char piece[READ_PIECE];
	uint64_t at = 0;
	size_t got;

	crypto_generichash_init(&hash, NULL, 0, CONTENT_HASH);
	crypto_generichash_update(&hash, (const unsigned char *)sender.ptr, sender.len);
	crypto_generichash_update(&hash, (const unsigned char *)"", 1);
	do {
		if (!spool_read(delivery->request.spool, at, piece, sizeof(piece), &got, err))
			return false;
		summary_feed(builder, span_make(piece, got));
		crypto_generichash_update(&hash, (const unsigned char *)piece, got);
		at += got;
	} while (got == sizeof(piece));
	crypto_generichash_final(&hash, delivery->content, CONTENT_HASH);
	return true;
}

static bool digest(struct delivery *delivery, struct error *err)
{
	struct summary_builder *builder = builder_of_thread();
	struct error ignored;

	if (builder == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
	summary_feed(builder, buffer_span(&delivery->prefix));
	if (!digest_body(delivery, builder, err)) {
		summary_finish(builder, &delivery->summary, &ignored); /* ready for the next message */
		return false;
	}
	return summary_finish(builder, &delivery->summary, err);
}

static bool prepare(struct delivery *delivery)
{
	struct error *err = &delivery->prepare_error;

	if (!trace_write(&delivery->prefix, delivery->request.trace))
		return error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
	return check_header(delivery, err) && digest(delivery, err) && spool_sync(delivery->request.spool, err);
}

/* --- commit, on a worker --------------------------------------------------------------------------------------- */

static void operation_id(const struct delivery *delivery, int64_t account_id, uint8_t out[OP_ID_LEN])
{
	crypto_generichash(out, OP_ID_LEN, delivery->content, CONTENT_HASH, (const unsigned char *)&account_id,
	        sizeof(account_id));
}

static bool part_build(struct part *part)
{
	struct delivery *delivery = part->delivery;
	const struct new_message message = {
		.prefix = buffer_span(&delivery->prefix),
		.body = delivery->request.spool,
		.summary = &delivery->summary,
		.internal_date_ms = delivery->request.received_ms,
	};
	uint8_t op_id[OP_ID_LEN];

	operation_id(delivery, part->target->account_id, op_id);
	part->batch = batch_new(op_id);
	if (part->batch == NULL || !batch_append_to_use(part->batch, USE_INBOX, &message))
		return error_set(&part->error, ERR_NO_MEMORY, "out of memory, try again later");
	batch_limit_usage(part->batch, part->target->quota_bytes, part->target->quota_messages);
	return true;
}

static void part_take_result(struct part *part)
{
	const struct batch_result *result = batch_result(part->batch);
	uint64_t quota = part->target->quota_bytes;

	part->error = result->error;
	part->already = result->already_done;
	if (part->error.code != ERR_OVER_QUOTA)
		return;
	if (quota > 0 && part->delivery->summary.size > quota)
		error_set(&part->error, ERR_TOO_LARGE, "the message is larger than the mailbox may hold");
	else
		error_set(&part->error, ERR_OVER_QUOTA, "the mailbox is full, try again later");
}

/* One transaction for all parts of one account that have a batch. */
static void commit_parts(struct part **parts, size_t count)
{
	struct batch *batches[WORKER_BATCH_MAX];
	struct account *account;
	struct error err;
	bool ok;

	if (count == 0)
		return;
	for (size_t i = 0; i < count; i++)
		batches[i] = parts[i]->batch;
	ok = account_open(parts[0]->delivery->request.accept->store, parts[0]->target->account_id, &account, &err);
	if (ok) {
		ok = account_commit(account, batches, count, &err);
		account_release(&account);
	}
	for (size_t i = 0; i < count; i++) {
		if (ok)
			part_take_result(parts[i]);
		else
			parts[i]->error = err;
	}
}

static void run_deliver(struct worker_job **jobs, size_t count)
{
	struct part *ready[WORKER_BATCH_MAX];
	size_t ready_count = 0;

	for (size_t i = 0; i < count; i++) {
		struct part *part = container_of(jobs[i], struct part, job);
		struct delivery *delivery = part->delivery;

		if (delivery->part_count == 1 && !prepare(delivery))
			part->error = delivery->prepare_error;
		else if (part_build(part))
			ready[ready_count++] = part;
	}
	commit_parts(ready, ready_count);
	for (size_t i = 0; i < count; i++)
		batch_free(&container_of(jobs[i], struct part, job)->batch);
}

static void run_prepare(struct worker_job *job)
{
	prepare(container_of(job, struct delivery, prepare_job));
}

static void note_operations(struct worker_job **jobs, size_t count, void (*note)(struct batch *batch))
{
	struct part *ready[WORKER_BATCH_MAX];
	size_t ready_count = 0;

	for (size_t i = 0; i < count; i++) {
		struct part *part = container_of(jobs[i], struct part, job);
		uint8_t op_id[OP_ID_LEN];

		operation_id(part->delivery, part->target->account_id, op_id);
		part->batch = batch_new(op_id);
		if (part->batch == NULL) {
			error_set(&part->error, ERR_NO_MEMORY, "out of memory");
			continue;
		}
		note(part->batch);
		ready[ready_count++] = part;
	}
	commit_parts(ready, ready_count);
	for (size_t i = 0; i < count; i++)
		batch_free(&container_of(jobs[i], struct part, job)->batch);
}

/* Writes down that this account has the message, for the sender's next try. */
static void run_record(struct worker_job **jobs, size_t count)
{
	note_operations(jobs, count, batch_record_op);
}

/* That try has come and all have the message: the same once more is a message of its own. */
static void run_forget(struct worker_job **jobs, size_t count)
{
	note_operations(jobs, count, batch_forget_op);
}

/* --- on the loop ----------------------------------------------------------------------------------------------- */

static void finish(struct delivery *delivery)
{
	delivery->done(delivery->arg, &delivery->outcome);
	buffer_free(&delivery->prefix);
	message_summary_free(&delivery->summary);
	free(delivery);
}

static void take_outcome(struct delivery *delivery)
{
	struct delivery_outcome *outcome = &delivery->outcome;
	size_t good = 0;

	for (size_t i = 0; i < delivery->part_count; i++) {
		const struct part *part = &delivery->parts[i];

		outcome->already += part->already;
		if (part->error.code == ERR_NONE)
			good++;
		else if (outcome->error.code == ERR_NONE)
			outcome->error = part->error;
	}
	outcome->partial = good > 0 && good < delivery->part_count;
}

static void submit_part(
        struct part *part, void (*run_batch)(struct worker_job **, size_t), void (*done)(struct worker_job *))
{
	part->job = (struct worker_job) {
		.run_batch = run_batch,
		.done = done,
		.lane = WORKER_WRITE,
		.key = (uint64_t)part->target->account_id,
	};
	part->delivery->pending++;
	worker_submit(part->delivery->request.pool, &part->job);
}

static void on_noted(struct worker_job *job)
{
	struct part *part = container_of(job, struct part, job);
	struct delivery *delivery = part->delivery;

	if (part->error.code != ERR_NONE)
		LOG(LOG_WARNING, "smtp.record_failed", LOG_SPAN("id", delivery->request.trace->id),
		        LOG_NUMBER("account", part->target->account_id), LOG_FAILURE(&part->error));
	if (--delivery->pending == 0)
		finish(delivery);
}

/* Only for those that have it now and had it not before. */
static void record_successes(struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->part_count; i++)
		if (delivery->parts[i].error.code == ERR_NONE && !delivery->parts[i].already)
			submit_part(&delivery->parts[i], run_record, on_noted);
	if (delivery->pending == 0)
		finish(delivery);
}

static void forget_earlier_tries(struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->part_count; i++)
		if (delivery->parts[i].already)
			submit_part(&delivery->parts[i], run_forget, on_noted);
}

static void on_delivered(struct worker_job *job)
{
	struct part *part = container_of(job, struct part, job);
	struct delivery *delivery = part->delivery;

	if (delivery->part_count > 1 && part->error.code != ERR_NONE)
		LOG(LOG_WARNING, "smtp.part_failed", LOG_SPAN("id", delivery->request.trace->id),
		        LOG_NUMBER("account", part->target->account_id), LOG_FAILURE(&part->error));
	if (--delivery->pending > 0)
		return;
	take_outcome(delivery);
	if (delivery->outcome.partial)
		record_successes(delivery);
	else if (delivery->outcome.already > 0 && delivery->outcome.error.code == ERR_NONE)
		forget_earlier_tries(delivery);
	else
		finish(delivery);
}

static void on_prepared(struct worker_job *job)
{
	struct delivery *delivery = container_of(job, struct delivery, prepare_job);

	if (delivery->prepare_error.code != ERR_NONE) {
		delivery->outcome.error = delivery->prepare_error;
		finish(delivery);
		return;
	}
	for (size_t i = 0; i < delivery->part_count; i++)
		submit_part(&delivery->parts[i], run_deliver, on_delivered);
}

static struct delivery *delivery_new(const struct delivery_request *request, deliver_done *done, void *arg)
{
	struct delivery *delivery = calloc(1, sizeof(*delivery) + request->target_count * sizeof(delivery->parts[0]));

	if (delivery == NULL)
		return NULL;
	delivery->request = *request;
	delivery->done = done;
	delivery->arg = arg;
	delivery->part_count = request->target_count;
	buffer_init(&delivery->prefix, PREFIX_MAX);
	for (size_t i = 0; i < delivery->part_count; i++) {
		delivery->parts[i].delivery = delivery;
		delivery->parts[i].target = &request->targets[i];
	}
	return delivery;
}

bool deliver_start(const struct delivery_request *request, deliver_done *done, void *arg)
{
	struct delivery *delivery;

	CHECK(request->target_count > 0);
	delivery = delivery_new(request, done, arg);
	if (delivery == NULL)
		return false;
	if (delivery->part_count == 1) {
		submit_part(&delivery->parts[0], run_deliver, on_delivered);
		return true;
	}
	delivery->prepare_job = (struct worker_job) { .run = run_prepare, .done = on_prepared, .lane = WORKER_WRITE };
	worker_submit(request->pool, &delivery->prepare_job);
	return true;
}
