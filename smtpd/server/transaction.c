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
	(void)span_copy(args->envid, transaction->envid, sizeof(transaction->envid)); /* fits: the grammar */
	transaction->mail.envid = span_of(transaction->envid);
	envelope_init(&transaction->envelope);
	buffer_init(&transaction->chunk, DATA_CHUNK_MAX);
	return transaction;
}

void transaction_free(struct transaction **transaction)
{
	struct transaction *it = *transaction;

	if (it == NULL)
		return;
	spool_free(&it->spool);
	envelope_free(&it->envelope);
	buffer_free(&it->chunk);
	free(it);
	*transaction = NULL;
}
