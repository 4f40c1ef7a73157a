/* imapd/search_lane.h — what one job of a search works with: a block of messages, asked level by level (for search_run.c).
 *
 *   lane_begin: ROW -> COLUMNS -> HEADERS -> LONG_HEADERS -> OCTETS -> TEXTS -> PIECES -> DONE     (lane_go_on: the arrows)
 *
 * COLUMNS to OCTETS hold the account; TEXTS does not; PIECES opens it for each piece of a message that is in a file. What a call does is bounded: after
 * SEARCH_BLOCK_WORK octets looked through (once for each key that looks for a string) it returns, also between two keys of one header and
 * between two pieces of one message, and the next call goes on there. One message in a row is looked through at once: three times that at most.
 * Owner: the run. Thread: one at a time. */
#ifndef IMAPD_SEARCH_LANE_H
#define IMAPD_SEARCH_LANE_H

#include "imapd/search_run.h"

struct lane;

struct search_run {
	struct search_program *program;
	struct view_message *messages;
	size_t count;
	uint8_t *hits; /* one for each message; each is written by the one job that has its block */
	bool gathered;
	size_t hit_count;
	struct store *store;
	int64_t account_id, mailbox_id;
	size_t state_size;
	bool rows_only;
	struct lane *lanes[SCAN_JOBS_MAX];
};

struct lane *lane_new(struct search_run *run); /* NULL: out of memory */
void lane_free(struct lane *lane);
/* A block: at most SEARCH_BLOCK_MESSAGES that the index cannot decide. Only when the one before is done. */
void lane_begin(struct lane *lane, size_t first, size_t count);
bool lane_go_on(struct lane *lane, struct error *err);
bool lane_is_done(const struct lane *lane);

#endif
