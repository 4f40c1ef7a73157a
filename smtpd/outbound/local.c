#include "smtpd/outbound/local.h"

#include "base/check.h"
#include "base/clock.h"
#include "message/summary.h"
#include "smtpd/outbound/finish.h"
#include "smtpd/outbound/scheduler.h"
#include "smtpd/outbound/settle.h"
#include "storage/batch.h"
#include "storage/same_message.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE         (64 * KIB)
#define SENT_KNOWN_MS (24 * 3600 * (int64_t)1000) /* a client's own copy may have the date of its clock */
#define FOLDER_TEXT   129                         /* as in struct queue_rcpt */
#define PREFIX_MAX    (2 * QUEUE_ADDRESS_MAX + 64)

struct local;

struct local_part {
	struct worker_job job;
	struct local *local;
	size_t recipient;
	struct batch *batch;
	char prefix[PREFIX_MAX];
	struct message_summary summary;
	struct error error;
	char folder[FOLDER_TEXT];
	uint32_t uid;
	bool already;
};

struct local {
	struct parcel *parcel;
	/* read once, by the first job that needs it */
	pthread_mutex_t mutex;
	struct spool *body;
	size_t left;
	struct local_part parts[];
};

/* --- on a worker ------------------------------------------------------------------------------------------------- */

static bool copy_body(struct local *local, char *piece, struct error *err)
{
	const struct queue_message *message = &local->parcel->part;
	struct relay *relay = local->parcel->relay;
	uint64_t at = 0;
	size_t got;

	if (!spool_new(relay->store, message->size, &local->body, err))
		return false;
	do {
		if (!queue_read(relay->queue, message->id, at, piece, PIECE, &got, err) ||
		        !spool_append(local->body, span_make(piece, got), err))
			return false;
		at += got;
	} while (got == PIECE);
	return spool_sync(local->body, err);
}

/* All recipients of a message share one spool; a large one is linked into each account, never copied. */
static bool need_body(struct local *local, struct error *err)
{
	char *piece;
	bool ok = true;

	(void)pthread_mutex_lock(&local->mutex);
	if (local->body == NULL) {
		piece = malloc(PIECE);
		ok = piece != NULL ? copy_body(local, piece, err) : error_set(err, ERR_NO_MEMORY, "out of memory");
		free(piece);
		if (!ok)
			spool_free(&local->body);
	}
	(void)pthread_mutex_unlock(&local->mutex);
	return ok;
}

/* spool_read() is for one thread at a time. */
static bool read_body(struct local *local, uint64_t at, char *out, size_t *got, struct error *err)
{
	bool ok;

	(void)pthread_mutex_lock(&local->mutex);
	ok = spool_read(local->body, at, out, PIECE, got, err);
	(void)pthread_mutex_unlock(&local->mutex);
	return ok;
}

static bool summarize(struct local_part *part, struct error *err)
{
	struct summary_builder *builder = summary_builder_of_thread();
	char *piece = malloc(PIECE);
	struct error ignored;
	uint64_t at = 0;
	size_t got = 0;
	bool ok = builder != NULL && piece != NULL ? true : error_set(err, ERR_NO_MEMORY, "out of memory");

	if (ok)
		(void)summary_feed(builder, span_of(part->prefix));
	while (ok) {
		ok = read_body(part->local, at, piece, &got, err);
		if (!ok || !summary_feed(builder, span_make(piece, got)) || got < PIECE)
			break;
		at += got;
	}
	free(piece);
	if (!ok) {
		if (builder != NULL)
			(void)summary_finish(builder, &part->summary, &ignored);
		message_summary_free(&part->summary);
		return false;
	}
	return summary_finish(builder, &part->summary, err);
}

static void write_prefix(struct local_part *part, const struct queue_message *message, const struct queue_rcpt *rcpt)
{
	if (rcpt->kind == QUEUE_LOCAL)
		(void)snprintf(part->prefix, sizeof(part->prefix), "Return-Path: <%s>\r\nDelivered-To: %s\r\n",
		        message->sender, rcpt->address);
}

/* The folder of a subaddress, where it exists; else INBOX. */
static bool add_message(
        struct local_part *part, struct account *account, const struct queue_rcpt *rcpt, struct error *err)
{
	const struct new_message message = {
		.prefix = span_of(part->prefix),
		.body = part->local->body,
		.summary = &part->summary,
		.internal_date_ms = part->local->parcel->part.created_ms,
		.flags = { .system = rcpt->kind == QUEUE_SENT ? FLAG_SEEN : 0 },
	};
	char stored[MAILBOX_NAME_MAX + 1];
	struct mailbox_info info;
	bool ok;

	if (rcpt->kind == QUEUE_SENT) {
		ok = batch_append_to_use(part->batch, USE_SENT, &message);
		(void)snprintf(part->folder, sizeof(part->folder), "Sent");
	} else if (rcpt->folder[0] != '\0' &&
	           mailbox_find_any_case(account, span_of(rcpt->folder), stored, &info, err)) {
		ok = batch_append(part->batch, info.id, &message);
		(void)span_copy(
		        span_of(stored), part->folder, sizeof(part->folder)); /* as long as the name in the address */
	} else {
		ok = batch_append_to_use(part->batch, USE_INBOX, &message);
		(void)snprintf(part->folder, sizeof(part->folder), "INBOX");
	}
	return ok || error_set(err, ERR_NO_MEMORY, "out of memory");
}

/* The sender's copy of what waited in its undo time comes so late that his mail client may have put its own there. */
static bool is_there(const struct local_part *part, struct account *account)
{
	const struct queue_message *message = &part->local->parcel->part;
	const struct queue_rcpt *rcpt = &message->recipients[part->recipient];
	const struct same_message wanted = {
		.message_id = part->summary.message_id,
		.body = part->summary.size - part->summary.header_len,
		.since_ms = message->created_ms - SENT_KNOWN_MS,
	};
	struct mailbox_info sent;
	struct error err;

	return rcpt->kind == QUEUE_SENT && rcpt->next_attempt_ms > message->created_ms &&
	       mailbox_find_use(account, USE_SENT, &sent, &err) && mailbox_find_same(account, sent.id, &wanted) != 0;
}

static bool build(struct local_part *part, struct account *account, struct error *err)
{
	const struct parcel *parcel = part->local->parcel;
	const struct queue_rcpt *rcpt = &parcel->part.recipients[part->recipient];
	struct account_info info;

	if (!directory_account(parcel->relay->directory, rcpt->account_id, &info, err))
		return false;
	part->batch = batch_new(rcpt->op_id);
	if (part->batch == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	batch_record_op(part->batch);
	if (rcpt->kind == QUEUE_LOCAL)
		batch_limit_usage(part->batch, info.quota_bytes, info.quota_messages);
	return add_message(part, account, rcpt, err);
}

static bool prepare(struct local_part *part)
{
	const struct parcel *parcel = part->local->parcel;

	write_prefix(part, &parcel->part, &parcel->part.recipients[part->recipient]);
	return need_body(part->local, &part->error) && summarize(part, &part->error);
}

static void take_result(struct local_part *part)
{
	const struct batch_result *result = batch_result(part->batch);

	part->error = result->error;
	part->already = result->already_done;
	part->uid = result->uid_count > 0 ? result->uids[0] : 0;
}

static void commit(struct account *account, struct local_part **parts, size_t count)
{
	struct batch *batches[WORKER_BATCH_MAX];
	struct error err;
	bool ok;

	if (count == 0)
		return;
	for (size_t i = 0; i < count; i++)
		batches[i] = parts[i]->batch;
	ok = account_commit(account, batches, count, &err);
	for (size_t i = 0; i < count; i++) {
		if (ok)
			take_result(parts[i]);
		else
			parts[i]->error = err;
	}
}

/* All are of one account. */
static void run(struct worker_job **jobs, size_t count)
{
	struct local_part *ready[WORKER_BATCH_MAX], *built[WORKER_BATCH_MAX];
	size_t ready_count = 0, built_count = 0;
	struct account *account;
	struct error err;

	for (size_t i = 0; i < count; i++) {
		struct local_part *part = container_of(jobs[i], struct local_part, job);

		if (prepare(part))
			ready[ready_count++] = part;
	}
	if (ready_count == 0)
		return;
	if (account_open(ready[0]->local->parcel->relay->store,
	            ready[0]->local->parcel->part.recipients[ready[0]->recipient].account_id, &account, &err)) {
		for (size_t i = 0; i < ready_count; i++)
			if (is_there(ready[i], account)) {
				error_clear(&ready[i]->error);
				ready[i]->already = true;
			} else if (build(ready[i], account, &ready[i]->error)) {
				error_clear(&ready[i]->error);
				built[built_count++] = ready[i];
			}
		commit(account, built, built_count);
		account_release(&account);
	} else {
		for (size_t i = 0; i < ready_count; i++)
			ready[i]->error = err;
	}
	for (size_t i = 0; i < ready_count; i++)
		batch_free(&ready[i]->batch);
}

/* --- on the loop ------------------------------------------------------------------------------------------------- */

static void judge(const struct local_part *part, struct outcome *out)
{
	const struct error *err = &part->error;

	switch (err->code) {
	case ERR_NONE:
		outcome_set(out, OUTCOME_DONE, "2.0.0", part->already ? "delivered before" : "delivered to %s, UID %u",
		        part->folder, (unsigned)part->uid);
		return;
	case ERR_NO_SUCH_ACCOUNT:
	case ERR_NO_SUCH_ADDRESS:
		outcome_set(out, OUTCOME_FAILED, "5.1.1", "the mailbox does not exist any more");
		return;
	case ERR_OVER_QUOTA: outcome_set(out, OUTCOME_AGAIN, "4.2.2", "the mailbox is full"); return;
	case ERR_TOO_LARGE:
		outcome_set(out, OUTCOME_FAILED, "5.2.3", "the message is larger than the mailbox may hold");
		return;
	default: outcome_set(out, OUTCOME_AGAIN, "4.3.0", "the mailbox cannot be written now: %s", err->reason); return;
	}
}

static void on_done(struct worker_job *job)
{
	struct local_part *part = container_of(job, struct local_part, job);
	struct local *local = part->local;
	struct parcel *parcel = local->parcel;
	struct outcome outcome;

	judge(part, &outcome);
	settle(parcel, part->recipient, &outcome);
	message_summary_free(&part->summary);
	if (--local->left > 0)
		return;
	spool_free(&local->body);
	(void)pthread_mutex_destroy(&local->mutex);
	free(local);
	parcel->relay->scheduler->local--;
	finisher_add(parcel->relay->finisher, parcel);
}

void local_deliver(struct parcel *parcel)
{
	size_t count = parcel->part.recipient_count;
	struct local *local = calloc(1, sizeof(*local) + count * sizeof(local->parts[0]));

	if (local == NULL) {
		scheduler_parcel_back(parcel->relay->scheduler, parcel);
		return;
	}
	local->parcel = parcel;
	local->left = count;
	(void)pthread_mutex_init(&local->mutex, NULL);
	parcel->relay->scheduler->local++;
	for (size_t i = 0; i < count; i++) {
		struct local_part *part = &local->parts[i];

		part->local = local;
		part->recipient = i;
		part->job = (struct worker_job) {
			.run_batch = run,
			.done = on_done,
			.lane = WORKER_WRITE,
			.key = (uint64_t)parcel->part.recipients[i].account_id,
		};
		worker_submit(parcel->relay->pool, &part->job);
	}
}
