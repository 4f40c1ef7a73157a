/* The part of APPEND that waits for the disk. */
#include "imapd/append.h"

#include "base/check.h"
#include "storage/directory.h"
#include "storage/mailbox_name.h"

#define READ_PIECE (16 * KIB)

struct quota {
	uint64_t bytes, messages; /* 0: no limit */
	bool file_sent;           /* what is submitted is filed in Sent by smtpd */
};

static bool find_quota(const struct append *a, struct quota *out, struct error *err)
{
	struct account_info info;

	if (!directory_account(a->directory, a->account_id, &info, err))
		return false;
	*out = (struct quota) { info.quota_bytes, info.quota_messages, info.options.file_sent };
	return true;
}

static bool out_of_memory(struct error *err)
{
	return error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
}

/* --- at the announcement --- */

static bool has_room(const struct append *a, struct account *account, struct error *err)
{
	struct account_usage usage;
	struct quota quota;

	if (!find_quota(a, &quota, err))
		return false;
	if (quota.bytes == 0 && quota.messages == 0)
		return true;
	if (!account_usage(account, &usage, err))
		return false;
	if ((quota.bytes > 0 && (usage.bytes > quota.bytes || a->announced > quota.bytes - usage.bytes)) ||
	        (quota.messages > 0 && usage.messages + a->count > quota.messages))
		return error_set(err, ERR_OVER_QUOTA, "the account has no room for it"); /* RFC 9208 §4.3.1 */
	return true;
}

static bool find_mailbox(struct append *a, struct account *account, struct mailbox_info *out, struct error *err)
{
	struct mailbox_name name;

	if (mailbox_find(account, a->mailbox, out, err))
		return true;
	/* RFC 9051 §6.3.12: TRYCREATE unless it is certain that it cannot be created */
	if (err->code == ERR_NO_SUCH_MAILBOX)
		a->try_create = mailbox_name_parse(a->mailbox, &name, err) &&
		                !error_set(err, ERR_NO_SUCH_MAILBOX, "no such mailbox");
	return false;
}

void append_check(struct append *a)
{
	struct account *account;
	struct mailbox_info mailbox;

	if (!account_open(a->store, a->account_id, &account, &a->error))
		return;
	if (find_mailbox(a, account, &mailbox, &a->error))
		(void)has_room(a, account, &a->error);
	account_release(&account);
}

/* --- what is computed of each message --- */

static bool feed(struct summary_builder *builder, struct spool *spool, struct error *err)
{
	char piece[READ_PIECE];
	uint64_t at = 0;
	size_t got;

	do {
		if (!spool_read(spool, at, piece, sizeof(piece), &got, err))
			return false;
		(void)summary_feed(builder, span_make(piece, got)); /* summary_finish() reports */
		at += got;
	} while (got == sizeof(piece));
	return true;
}

static bool summarise(struct append_part *part, struct error *err)
{
	struct summary_builder *builder = summary_builder_of_thread();
	struct error ignored;

	if (builder == NULL)
		return out_of_memory(err);
	if (!feed(builder, part->spool, err)) {
		if (summary_finish(builder, &part->summary, &ignored)) /* ready for the next message */
			message_summary_free(&part->summary);
		return false;
	}
	return summary_finish(builder, &part->summary, err);
}

static size_t summary_size(const struct message_summary *summary)
{
	return summary->envelope.len + summary->body_structure.len + summary->body.len + summary->parts.len +
	       summary->header.len + summary->preview.len + summary->base_subject.len + summary->references.len;
}

static bool prepare(struct append *a, struct error *err)
{
	size_t summaries = 0;

	for (size_t i = 0; i < a->count; i++) {
		struct append_part *part = &a->parts[i];

		if (!summarise(part, err) || !spool_sync(part->spool, err))
			return false;
		summaries += summary_size(&part->summary);
		if (summaries > APPEND_SUMMARIES_MAX && a->count > 1)
			return error_set(err, ERR_LIMIT, "too much for one APPEND: send them one by one");
	}
	return true;
}

/* --- the transaction --- */

struct commit {
	struct append *appends[WORKER_BATCH_MAX];
	struct batch *batches[WORKER_BATCH_MAX];
	size_t count;
	struct quota quota;
	struct span last_name; /* the mailbox found last: pipelines mostly fill one */
	struct mailbox_info last;
};

static bool find_target(struct commit *c, struct append *a, struct account *account, struct error *err)
{
	if (c->last.id != 0 && span_equal(c->last_name, a->mailbox))
		return true;
	if (!find_mailbox(a, account, &c->last, err)) {
		c->last.id = 0;
		return false;
	}
	c->last_name = a->mailbox;
	return true;
}

static bool build(const struct commit *c, const struct append *a, struct batch **out)
{
	*out = batch_new(NULL);
	if (*out == NULL)
		return false;
	batch_limit_usage(*out, c->quota.bytes, c->quota.messages);
	for (size_t i = 0; i < a->count; i++) {
		const struct new_message message = {
			.body = a->parts[i].spool,
			.summary = &a->parts[i].summary,
			.internal_date_ms = a->parts[i].internal_date_ms,
			.flags = a->parts[i].flags,
		};

		if (!batch_append(*out, c->last.id, &message))
			return false;
	}
	return true;
}

/* RFC 4315 §3; it is done, so a code that finds no memory is left out. */
static void tell_uids(struct append *a, uint32_t uid_validity, const uint32_t *uids, size_t count)
{
	if (!buffer_printf(&a->uids, "APPENDUID %u ", uid_validity) || !sequence_set_write(&a->uids, uids, count))
		buffer_clear(&a->uids);
}

/* The client's copy of what smtpd has filed in Sent: it is there, so nothing is stored. */
static bool is_there(const struct commit *c, struct append *a, struct account *account)
{
	uint32_t uid = c->quota.file_sent && c->last.use == USE_SENT ? append_known(a, account, c->last.id) : 0;

	if (uid != 0)
		tell_uids(a, c->last.uid_validity, &uid, 1);
	return uid != 0;
}

static void add(struct commit *c, struct append *a, struct account *account)
{
	struct batch *batch = NULL;

	if (!find_target(c, a, account, &a->error) || is_there(c, a, account))
		return;
	if (!build(c, a, &batch)) {
		batch_free(&batch);
		out_of_memory(&a->error);
		return;
	}
	c->appends[c->count] = a;
	c->batches[c->count++] = batch;
}

static void take_result(struct append *a, const struct batch_result *result)
{
	a->error = result->error;
	a->try_create = result->no_target;
	if (a->error.code != ERR_NONE)
		return;
	CHECK(result->uid_count == a->count);
	tell_uids(a, result->uid_validity, result->uids, result->uid_count);
}

static void fail_all(struct worker_job **jobs, size_t count, const struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		struct append *a = container_of(jobs[i], struct append, job);

		if (a->error.code == ERR_NONE)
			a->error = *err;
	}
}

static void commit_in(struct account *account, struct worker_job **jobs, size_t count)
{
	struct commit c = { .count = 0 };
	struct error err;

	if (!find_quota(container_of(jobs[0], struct append, job), &c.quota, &err)) {
		fail_all(jobs, count, &err);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		struct append *a = container_of(jobs[i], struct append, job);

		if (a->error.code == ERR_NONE)
			add(&c, a, account);
	}
	if (c.count > 0 && !account_commit(account, c.batches, c.count, &err)) {
		for (size_t i = 0; i < c.count; i++)
			c.appends[i]->error = err;
	} else {
		for (size_t i = 0; i < c.count; i++)
			take_result(c.appends[i], batch_result(c.batches[i]));
	}
	for (size_t i = 0; i < c.count; i++)
		batch_free(&c.batches[i]);
}

static void free_parts(struct append *a)
{
	for (size_t i = 0; i < a->count; i++) {
		spool_free(&a->parts[i].spool);
		message_summary_free(&a->parts[i].summary);
	}
	a->count = 0;
}

static void prepare_once(struct append *a)
{
	if (!a->prepared && a->error.code == ERR_NONE)
		(void)prepare(a, &a->error);
	a->prepared = true;
}

void append_prepare(struct worker_job **jobs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		prepare_once(container_of(jobs[i], struct append, job));
}

void append_commit(struct worker_job **jobs, size_t count)
{
	struct account *account;
	struct error err;
	size_t ready = 0;

	for (size_t i = 0; i < count; i++) {
		struct append *a = container_of(jobs[i], struct append, job);

		prepare_once(a);
		ready += a->error.code == ERR_NONE;
	}
	if (ready > 0) {
		const struct append *first = container_of(jobs[0], struct append, job);

		if (account_open(first->store, first->account_id, &account, &err)) {
			commit_in(account, jobs, count);
			account_release(&account);
		} else {
			fail_all(jobs, count, &err);
		}
	}
	for (size_t i = 0; i < count; i++)
		free_parts(container_of(jobs[i], struct append, job));
}
