/* storage/same_message.h — is this message in a mailbox already? A client that sends mail also appends it to Sent, where the server may file it too.
 * Blocks: worker threads. */
#ifndef STORAGE_SAME_MESSAGE_H
#define STORAGE_SAME_MESSAGE_H

#include "storage/mailbox.h"

#define SAME_LOOKED_AT 50 /* newest messages of the mailbox */

struct same_message {
	struct span message_id; /* as in a summary; empty: nothing is the same */
	uint64_t body;          /* octets behind the header */
	int64_t since_ms;       /* internal date at least */
	bool submitted; /* only what came by submission: it has a Received field, what a client has appended has none */
};

/* The header may differ (Bcc, marks of the client's). The body must not: a message that the client writes anew, as without its
 * attachments, has the same Message-ID, and the client deletes the first one next. Returns the UID of the newest; 0: none, or it could not be read. */
uint32_t mailbox_find_same(struct account *account, int64_t mailbox_id, const struct same_message *wanted);

#endif
