/* A message into the mailboxes of accounts: one job for each, those of one account together in one transaction. */
#include "smtpd/inbound/deliver_private.h"

#include "base/log.h"

#include <sodium.h>

/* The copy for Sent of who writes to himself is another operation than his mail. */
void delivery_operation_id(const struct part *part, uint8_t out[OP_ID_LEN])
{
	struct {
		int64_t account_id;
		int64_t sent;
	} key = { part->target->account_id, part->sent };

	crypto_generichash(out, OP_ID_LEN, part->delivery->prepared.content, CONTENT_HASH, (const unsigned char *)&key,
	        sizeof(key));
}

/* --- one transaction for parts of one account ------------------------------------------------------------------------ */

/* Gives a part its batch; the account is open. */
typedef bool part_build(struct part *part, struct account *account);

static bool no_memory(struct error *err)
{
	return error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
}

/* The mailbox that a subaddress asks for; 0: there is none, so INBOX. */
static int64_t find_folder(struct part *part, struct account *account)
{
	struct span name = envelope_text(part->delivery->request.envelope, part->target->folder);
	char stored[MAILBOX_NAME_MAX + 1];
	struct mailbox_info info;
	struct error err;

	part->folder[0] = '\0';
	if (name.len == 0 || !mailbox_find_any_case(account, name, stored, &info, &err))
		return 0;
	(void)span_copy(span_of(stored), part->folder, sizeof(part->folder)); /* as long as the name in the address */
	return info.id;
}

static bool append(struct part *part, struct account *account, const struct new_message *message)
{
	int64_t folder = find_folder(part, account);

	if (folder != 0)
		return batch_append(part->batch, folder, message);
	return batch_append_to_use(part->batch, part->sent ? USE_SENT : USE_INBOX, message);
}

static bool build_delivery(struct part *part, struct account *account)
{
	const struct delivery *delivery = part->delivery;
	const struct new_message message = {
		.prefix = buffer_span(&delivery->prepared.prefix),
		.body = delivery->request.spool,
		.summary = &delivery->prepared.summary,
		.internal_date_ms = delivery->request.received_ms,
		.flags.system = part->sent ? FLAG_SEEN : 0,
	};
	bool is_queued = part->sent && delivery->outcome.queued;
	uint8_t op_id[OP_ID_LEN];

	delivery_operation_id(part, op_id);
	part->batch = batch_new(is_queued ? delivery->sent_op_id : op_id);
	if (part->batch == NULL || !append(part, account, &message))
		return no_memory(&part->error);
	if (is_queued)
		batch_record_op(part->batch); /* so that the relay finds it done */
	batch_limit_usage(part->batch, part->target->quota_bytes, part->target->quota_messages);
	return true;
}

/* A batch that does nothing but note, or forget, that the account has the message. */
static bool build_note(struct part *part, void (*note)(struct batch *batch))
{
	uint8_t op_id[OP_ID_LEN];

	delivery_operation_id(part, op_id);
	part->batch = batch_new(op_id);
	if (part->batch == NULL)
		return no_memory(&part->error);
	note(part->batch);
	return true;
}

static bool build_record(struct part *part, struct account *account)
{
	(void)account;
	return build_note(part, batch_record_op);
}

static bool build_forget(struct part *part, struct account *account)
{
	(void)account;
	return build_note(part, batch_forget_op);
}

static void take_result(struct part *part)
{
	const struct batch_result *result = batch_result(part->batch);
	uint64_t quota = part->target->quota_bytes;

	part->error = result->error;
	part->already = part->already || result->already_done;
	if (result->uid_count > 0)
		part->uid = result->uids[0];
	if (part->error.code != ERR_OVER_QUOTA)
		return;
	if (quota > 0 && part->delivery->prepared.summary.size > quota)
		error_set(&part->error, ERR_TOO_LARGE, "the message is larger than the mailbox may hold");
	else
		error_set(&part->error, ERR_OVER_QUOTA, "the mailbox is full, try again later");
}

static void commit_built(struct account *account, struct part **parts, size_t count, part_build *build)
{
	struct batch *batches[WORKER_BATCH_MAX];
	struct part *built[WORKER_BATCH_MAX];
	struct error err;
	size_t ready = 0;
	bool ok;

	for (size_t i = 0; i < count; i++)
		if (build(parts[i], account)) {
			built[ready] = parts[i];
			batches[ready++] = parts[i]->batch;
		}
	ok = ready == 0 || account_commit(account, batches, ready, &err);
	for (size_t i = 0; i < ready; i++) {
		if (ok)
			take_result(built[i]);
		else
			built[i]->error = err;
	}
}

/* A folder that went away between the look and the commit: then INBOX, as if it had never been. */
static void try_inbox(struct account *account, struct part **parts, size_t count, part_build *build)
{
	for (size_t i = 0; i < count; i++) {
		if (parts[i]->folder[0] == '\0' || parts[i]->error.code != ERR_NO_SUCH_MAILBOX)
			continue;
		batch_free(&parts[i]->batch);
		error_clear(&parts[i]->error);
		commit_built(account, &parts[i], 1, build);
	}
}

static void commit_parts(struct part **parts, size_t count, part_build *build)
{
	struct account *account;
	struct error err;

	if (count == 0)
		return;
	if (account_open(parts[0]->delivery->request.accept->store, parts[0]->target->account_id, &account, &err)) {
		commit_built(account, parts, count, build);
		try_inbox(account, parts, count, build);
		account_release(&account);
	} else {
		for (size_t i = 0; i < count; i++)
			parts[i]->error = err;
	}
	for (size_t i = 0; i < count; i++)
		batch_free(&parts[i]->batch);
}

/* --- jobs ------------------------------------------------------------------------------------------------------------ */

static bool prepare_at_need(struct delivery *delivery, struct error *err)
{
	if (delivery->prepared.has_summary)
		return true;
	if (delivery->is_prepared)
		return prepare_summary(&delivery->request, &delivery->prepared, err);
	return prepare_for_mailboxes(&delivery->request, &delivery->prepared, err);
}

static void run_deliver(struct worker_job **jobs, size_t count)
{
	struct part *ready[WORKER_BATCH_MAX];
	size_t ready_count = 0;

	for (size_t i = 0; i < count; i++) {
		struct part *part = container_of(jobs[i], struct part, job);

		if (prepare_at_need(part->delivery, &part->error))
			ready[ready_count++] = part;
	}
	commit_parts(ready, ready_count, build_delivery);
}

static void run_note(struct worker_job **jobs, size_t count, part_build *build)
{
	struct part *parts[WORKER_BATCH_MAX];

	for (size_t i = 0; i < count; i++)
		parts[i] = container_of(jobs[i], struct part, job);
	commit_parts(parts, count, build);
}

/* Writes down that this account has the message, for the sender's next try. */
static void run_record(struct worker_job **jobs, size_t count)
{
	run_note(jobs, count, build_record);
}

/* That try has come and all have the message: the same once more is a message of its own. */
static void run_forget(struct worker_job **jobs, size_t count)
{
	run_note(jobs, count, build_forget);
}

static void run_prepare(struct worker_job *job)
{
	struct delivery *delivery = container_of(job, struct delivery, job);

	(void)prepare_for_mailboxes(&delivery->request, &delivery->prepared, &delivery->error);
}

/* --- on the loop ----------------------------------------------------------------------------------------------------- */

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
		delivery_finish(delivery);
}

static void note(struct part *part, void (*run_batch)(struct worker_job **, size_t), bool wanted)
{
	if (part->delivery != NULL && part->error.code == ERR_NONE && wanted)
		submit_part(part, run_batch, on_noted);
}

/* Only for those that have it now and had it not before. */
void parts_record(struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->part_count; i++)
		note(&delivery->parts[i], run_record, !delivery->parts[i].already);
	note(&delivery->sent_part, run_record, !delivery->sent_part.already);
	if (delivery->pending == 0)
		delivery_finish(delivery);
}

void parts_forget(struct delivery *delivery)
{
	for (size_t i = 0; i < delivery->part_count; i++)
		note(&delivery->parts[i], run_forget, delivery->parts[i].already);
	note(&delivery->sent_part, run_forget, delivery->sent_part.already);
	if (delivery->pending == 0)
		delivery_finish(delivery);
}

static void on_delivered(struct worker_job *job)
{
	struct part *part = container_of(job, struct part, job);
	struct delivery *delivery = part->delivery;

	if ((delivery->part_count > 1 || part->sent) && part->error.code != ERR_NONE)
		LOG(LOG_WARNING, "smtp.part_failed", LOG_SPAN("id", delivery->request.trace->id),
		        LOG_NUMBER("account", part->target->account_id), LOG_FAILURE(&part->error));
	if (--delivery->pending > 0)
		return;
	delivery->is_prepared = true;
	delivery_parts_done(delivery);
}

/* After the others, so that what nobody took is not among what was sent. */
void parts_file_sent(struct delivery *delivery)
{
	delivery->sent_part = (struct part) { .delivery = delivery, .target = &delivery->sender, .sent = true };
	submit_part(&delivery->sent_part, run_deliver, on_delivered);
}

static void on_queued_sent(struct worker_job *job)
{
	struct part *part = container_of(job, struct part, job);

	if (part->error.code != ERR_NONE) /* the relay will try again */
		LOG(LOG_WARNING, "smtp.part_failed", LOG_SPAN("id", part->delivery->request.trace->id),
		        LOG_NUMBER("account", part->target->account_id), LOG_FAILURE(&part->error));
	delivery_finish(part->delivery);
}

_Static_assert(
        (int64_t)OP_ID_KEEP_DAYS * 86400 > SMTP_HOLD_MAX, "the copy filed now is known when the relay comes to it");

/* Clients that do not know of it put their own copy there right after the 250: what is there by then can be recognised (imapd). */
void parts_file_queued_sent(struct delivery *delivery)
{
	delivery->sent_part = (struct part) { .delivery = delivery, .target = &delivery->sender, .sent = true };
	submit_part(&delivery->sent_part, run_deliver, on_queued_sent);
}

static void on_prepared(struct worker_job *job)
{
	struct delivery *delivery = container_of(job, struct delivery, job);

	if (delivery->error.code != ERR_NONE) {
		delivery->outcome.error = delivery->error;
		delivery_finish(delivery);
		return;
	}
	delivery->is_prepared = true;
	for (size_t i = 0; i < delivery->part_count; i++)
		submit_part(&delivery->parts[i], run_deliver, on_delivered);
}

void parts_start(struct delivery *delivery)
{
	if (delivery->part_count == 1) {
		submit_part(&delivery->parts[0], run_deliver, on_delivered);
		return;
	}
	delivery->job = (struct worker_job) { .run = run_prepare, .done = on_prepared, .lane = WORKER_WRITE };
	worker_submit(delivery->request.pool, &delivery->job);
}
