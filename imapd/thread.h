/* imapd/thread.h — the algorithms of THREAD (RFC 5256 §3): pure.
 *
 * Messages are given in the order of the mailbox. The answer is written as RFC 5256 §4 thread-list: "(2)(3 6 (4 23)(44 7 96))". Memory and time are
 * about linear in messages and references (sorting apart), nothing recurses. Where links over and over make it costly to see that no
 * loop arises (THREAD_WALK_MAX steps; only mail made for that purpose gets there), further links are left out as if they made one. Ids that no
 * message has become dummies as long as there is memory for them (`dummies_max`); further such ids are passed over, so that nobody can keep
 * a user from his threads by mailing him references.
 * Any thread. */
#ifndef IMAPD_THREAD_H
#define IMAPD_THREAD_H

#include "base/buffer.h"

#define THREAD_WALK_MAX 50000000u /* a fraction of a second */

/* Ids and subjects are compared by a hash of 64 bits with a key that is new for each command: nobody can prepare two that fall together, and a million
 * ids do so by chance once in ten million commands. It saves keeping, and comparing, some 100 MiB of text. */
struct thread_hash {
	uint64_t key[2];
};
void thread_hash_init(struct thread_hash *hash);
uint64_t thread_hash_of(const struct thread_hash *hash, struct span text); /* 0 for the empty text only */

struct thread_message {
	uint32_t number;            /* what is answered: sequence number or UID */
	bool is_reply;              /* a reply or forward mark was taken off its subject */
	int64_t sent;               /* unix seconds: of Date:, else the internal date (§2.2) */
	uint64_t subject;           /* hash of the base subject, collated (fold_collate); 0: empty */
	uint64_t id;                /* hash of the normalised message id; 0: none */
	const uint64_t *references; /* hashes of References, or of the first id of In-Reply-To when that has none */
	uint32_t reference_count;
};

/* What they take while they run, in octets, messages and answer apart. Of a node: 20 in an array that doubles, twice while it is moved to
 * another place (60); 16 in a table that is two thirds full at most, and doubles (72 while it does); 4 each in the order, the places of pruned
 * dummies and the roots (12). Of a root: 8 for its subject, and 32 while roots are sorted. A message may be a node and a root. */
#define THREAD_DUMMY_COST   (60 + 72 + 12)
#define THREAD_MESSAGE_COST (THREAD_DUMMY_COST + 8 + 32)

/* False: out of memory, or out is full. */
bool thread_references(const struct thread_message *messages, size_t count, size_t dummies_max, struct buffer *out);
bool thread_ordered_subject(const struct thread_message *messages, size_t count, struct buffer *out);

#endif
