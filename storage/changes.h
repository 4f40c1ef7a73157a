/* storage/changes.h — what happened to an account since a mod-sequence: the feed of IMAP's views, of search and of copies.
 *
 * One consistent state per call. Answers are exact above the floor: since_modseq below it is ERR_CONFLICT ("too old": read
 * everything again), but for one mailbox that has not changed since. It costs what has changed, not what is there. A since_modseq above the account's finds nothing.
 * Mailbox names, counters and subscriptions are not listed (their changes show in the account's modseq): read them by mailbox_list(). */
#ifndef STORAGE_CHANGES_H
#define STORAGE_CHANGES_H

#include "storage/mailbox.h"

struct mailbox_changes {
	int64_t mailbox_id;
	bool deleted;             /* the mailbox itself is gone; nothing else is filled */
	const uint32_t *vanished; /* UIDs that are gone, rising; also of messages that came and went since */
	size_t vanished_count;
	const struct message_row *rows; /* new ones, and those whose flags changed; rising UIDs */
	size_t row_count;
	struct mailbox_info info; /* as it is now, without `subscribed` */
};

struct account_changes {
	uint64_t modseq;              /* the account's now: the next call's since */
	uint64_t keywords_version;    /* keyword_list.version now */
	struct keyword_list keywords; /* filled (version is not 0) when it is newer than since_modseq */
	struct mailbox_changes *mailboxes;
	size_t count;
	void *memory[2]; /* what vanished and rows point into */
};

/* mailbox_id 0: all mailboxes; else only that one, `deleted` when it is not there. */
bool account_changes(struct account *account, uint64_t since_modseq, int64_t mailbox_id, struct account_changes *out,
        struct error *err);
void account_changes_free(struct account_changes *changes);
/* Differs from the last call when another process may have changed the account (8 microseconds). */
bool account_data_version(struct account *account, uint32_t *version, struct error *err);

#endif
