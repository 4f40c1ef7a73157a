/* imapd/fetch_ahead.h — a large part that a client takes in pieces, read a little ahead.
 *
 * Clients take a 25 MiB part in hundreds of pieces, one after the other. From the second of them on, a read of the body file takes FETCH_AHEAD octets,
 * and the pieces that lie in them need neither a job nor the store. Octets of a message never change, so what is here never grows old.
 * Kept by a session from command to command, and given back by any command that is no FETCH and by a FETCH of something else. All sessions of the
 * process have FETCH_AHEAD_TOTAL together; where that is used up nothing is read ahead.
 * Owner: the session. One thread at a time: the loop, or the job of the FETCH. */
#ifndef IMAPD_FETCH_AHEAD_H
#define IMAPD_FETCH_AHEAD_H

#include "base/buffer.h"
#include "imapd/body_section.h"

#define FETCH_AHEAD         (512 * KIB)
#define FETCH_AHEAD_TOTAL   (16 * MIB)
#define FETCH_AHEAD_NUMBERS 16 /* of a section: what lies deeper is not read ahead */

struct fetch_ahead {
	int64_t message_id;
	uint32_t numbers[FETCH_AHEAD_NUMBERS];
	unsigned number_count;
	enum section_text text;
	uint64_t at, len;     /* the section in the message */
	uint64_t next;        /* in the section: behind the last piece */
	bool in_turn;         /* the last piece followed the one before it */
	bool used;            /* by the command under way */
	uint64_t octets_at;   /* in the message */
	struct buffer octets; /* of FETCH_AHEAD, counted in the total while it has memory */
};

/* A piece of that section at [at, at + len) of the message goes out. *ahead is made at need; without memory there is none. */
void fetch_ahead_note(
        struct fetch_ahead **ahead, int64_t message_id, const struct fetch_item *item, uint64_t at, uint64_t len);
/* Does all of the piece that the item asks for lie in memory? ahead may be NULL. */
bool fetch_ahead_has(const struct fetch_ahead *ahead, int64_t message_id, const struct fetch_item *item);
/* The octets [at, at + len) of the message, if they lie in memory. */
bool fetch_ahead_find(const struct fetch_ahead *ahead, int64_t message_id, uint64_t at, uint64_t len, struct span *out);
/* Is it worth reading more than [at, at + len)? Then *size octets are to be read into ahead->octets, which is empty and has room. */
bool fetch_ahead_wants(struct fetch_ahead *ahead, int64_t message_id, uint64_t at, uint64_t len, size_t *size);
/* A FETCH has ended: gives it back when that asked for something else, or has had the last piece. */
void fetch_ahead_tidy(struct fetch_ahead **ahead);
void fetch_ahead_free(struct fetch_ahead **ahead);

#endif
