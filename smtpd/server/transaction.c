#include "smtpd/server/transaction.h"

#include "base/clock.h"
#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>

struct transaction *transaction_new(const struct mail_args *args)
{
	struct transaction *transaction = calloc(1, sizeof(*transaction));
	struct smtp_path *sender;

	if (transaction == NULL)
		return NULL;
	snprintf(transaction->id, sizeof(transaction->id), "%016llx", (unsigned long long)random_u64());
	transaction->started_ms = clock_mono_ms();
	transaction->mail = *args;
	sender = &transaction->mail.sender;
	(void)span_copy(sender->mailbox, transaction->sender, sizeof(transaction->sender)); /* fits: the grammar */
	sender->domain = span_skip(span_of(transaction->sender), sender->mailbox.len - sender->domain.len);
	sender->mailbox = span_of(transaction->sender);
	buffer_init(&transaction->names, TRANSACTION_NAMES_MAX);
	buffer_init(&transaction->chunk, DATA_CHUNK_MAX);
	return transaction;
}

void transaction_free(struct transaction **transaction)
{
	struct transaction *it = *transaction;

	if (it == NULL)
		return;
	spool_free(&it->spool);
	buffer_free(&it->names);
	buffer_free(&it->chunk);
	free(it->targets);
	free(it);
	*transaction = NULL;
}

static bool has_account(const struct transaction *transaction, int64_t id)
{
	for (size_t i = 0; i < transaction->target_count; i++)
		if (transaction->targets[i].account_id == id)
			return true;
	return false;
}

static bool make_room(struct transaction *transaction, size_t more, struct error *err)
{
	size_t want = transaction->target_count + more;
	struct delivery_target *grown;

	if (want <= transaction->target_capacity)
		return true;
	if (want > ACCOUNTS_MAX)
		return error_set(
		        err, ERR_LIMIT, "too many recipients: the message would reach over %d mailboxes", ACCOUNTS_MAX);
	want = want < 2 * transaction->target_capacity ? 2 * transaction->target_capacity : want;
	grown = realloc(transaction->targets, want * sizeof(*grown));
	if (grown == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
	transaction->targets = grown;
	transaction->target_capacity = want;
	return true;
}

bool transaction_add(
        struct transaction *transaction, struct span mailbox, const struct resolution *resolution, struct error *err)
{
	if (!make_room(transaction, resolution->count, err))
		return false;
	for (size_t i = 0; i < resolution->count; i++) {
		if (has_account(transaction, resolution->targets[i].account_id))
			continue;
		transaction->targets[transaction->target_count++] = (struct delivery_target) {
			.account_id = resolution->targets[i].account_id,
			.quota_bytes = resolution->targets[i].quota_bytes,
			.quota_messages = resolution->targets[i].quota_messages,
		};
	}
	if (transaction->recipients++ == 0)
		(void)span_copy(mailbox, transaction->first_recipient, sizeof(transaction->first_recipient));
	if (transaction->names.len > 0)
		buffer_append_char(&transaction->names, ',');
	buffer_append_span(&transaction->names, mailbox);
	return true;
}
