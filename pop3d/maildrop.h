/* pop3d/maildrop.h — the locked INBOX of one session as it was at login: message n stays message n to the end.
 *
 * maildrop_open() takes the exclusive lock (RFC 1939 §4) and a snapshot; marks are kept in memory and nothing is deleted
 * before maildrop_update(), which is one transaction (§6). What others remove meanwhile (IMAP) keeps its number.
 * Owner:  the session, until maildrop_close(), which gives back the lock and clears the pointer. The kernel gives back the
 *         lock of a process that dies.
 * Thread: open and update wait for the disk: a worker thread. The rest does not: one thread at a time. */
#ifndef POP3D_MAILDROP_H
#define POP3D_MAILDROP_H

#include "pop3d/settings.h"
#include "storage/store.h"

#define MAILDROP_UID_LEN 16 /* characters of a unique-id; RFC 1939 §7 allows 70 */

struct maildrop_message {
	int64_t id;
	uint32_t uid;
	uint32_t size    : 31; /* octets as handed out, without doubled dots (RFC 1939 §11) */
	uint32_t deleted : 1;
};

struct maildrop {
	struct store *store;
	int64_t account_id;
	int64_t inbox_id;
	struct maildrop_lock *lock;
	uint32_t uid_validity;
	uint32_t total; /* messages at login, marked ones included: the highest number */
	uint32_t count; /* not marked */
	uint64_t size;  /* octets, not marked */
	struct maildrop_message *messages;
};

/* account_open(), where a file that others hold too long is ERR_TEMPORARY: in this program ERR_BUSY is the maildrop's lock. */
bool maildrop_account(struct store *store, int64_t account_id, struct account **out, struct error *err);

/* ERR_BUSY: another session has it. No lock is left behind by a failure. */
bool maildrop_open(struct store *store, int64_t account_id, struct maildrop **out, struct error *err);
/* Removes what is marked: all of it, durable, or (false) nothing. Keeps the lock. */
bool maildrop_update(struct maildrop *maildrop, enum pop3d_delete delete_to, struct error *err);
void maildrop_close(struct maildrop **maildrop);

/* Message `number` (from 1), marked or not; NULL when there is none. */
struct maildrop_message *maildrop_get(struct maildrop *maildrop, uint32_t number);
void maildrop_mark(struct maildrop *maildrop, struct maildrop_message *message); /* not yet marked */
void maildrop_unmark_all(struct maildrop *maildrop);
/* What is really handed out differs from what the store counted (a surrogate, RFC 6856 §2.1). */
void maildrop_set_size(struct maildrop *maildrop, struct maildrop_message *message, uint32_t size);

/* Writes MAILDROP_UID_LEN characters, no NUL: UIDVALIDITY and UID in hexadecimal, neither of which is ever used again. */
void maildrop_uid_text(const struct maildrop *maildrop, const struct maildrop_message *message, char *out);

#endif
