/* imapd/known.h — the UIDs that one client was told of, in order: sequence number n is the n-th. Pure; one thread.
 *
 * Clients of one mailbox mostly know the same UIDs, so lists are shared: each client has a list and how many of it are its own.
 * New UIDs are added behind the list in place, for whoever is told first; the others find them there. Only who must remove
 * some from a list that others use gets a copy. Owner: the holder, until known_clear(). */
#ifndef IMAPD_KNOWN_H
#define IMAPD_KNOWN_H

#include "storage/mailbox.h"

struct known_list {
	unsigned refs;
	uint32_t count, capacity;
	uint32_t *uids; /* rising; what is in it stays as it is while refs > 1, but more may follow */
};

struct known {
	struct known_list *list; /* NULL: none is known */
	uint32_t count;
};

/* All the UIDs of the rows. False: out of memory; *known is empty. */
bool known_from_rows(struct known *known, const struct message_row *rows, uint32_t count);
void known_share(struct known *to, const struct known *from); /* to was empty */
void known_clear(struct known *known);

/* The UIDs of rows come behind; they are larger than all known. False: out of memory, nothing happened. */
bool known_add(struct known *known, const struct message_row *rows, uint32_t count);
/* places: positions, from 0, rising. In place when nobody else holds the list. False: out of memory, nothing happened. */
bool known_remove(struct known *known, const uint32_t *places, uint32_t count);
/* Less than all of it: the first `count`. */
void known_cut(struct known *known, uint32_t count);
/* The first position whose UID is at least uid; count: none. */
uint32_t known_find(const struct known *known, uint32_t uid);
bool known_place(const struct known *known, uint32_t uid, uint32_t *place);

#endif
