/* imapd/fetch_command.h — FETCH under way, for cmd_fetch.c (what is asked, which messages), fetch_seen.c (\Seen) and fetch_chunks.c (out it goes).
 *
 *   cmd_fetch -> fetch_next_slice -> [fetch_set_seen ->] fetch_start_slice -> chunk, chunk ... -> fetch_next_slice ... -> fetch_finish
 *
 * The state belongs to the request. Thread: the loop's. */
#ifndef IMAPD_FETCH_COMMAND_H
#define IMAPD_FETCH_COMMAND_H

#include "imapd/fetch_ranges.h"
#include "imapd/fetch_render.h"
#include "imapd/fetch_vanished.h"

struct fetch {
	struct fetch_args args;
	struct fetch_plan plan;
	struct fetch_ranges ranges;
	struct fetch_slice slice;
	struct fetch_render render;
	struct buffer out[2]; /* one being rendered, one going out */
	unsigned filling;
	int64_t mailbox_id;
	size_t gone;
	bool sets_seen, last_slice;
	struct batch *seen;
	struct vanished vanished;
	struct sequence_set vanished_set;
};

/* cmd_fetch.c: the next messages, or the end */
void fetch_next_slice(struct imap_session *s);
void fetch_refuse_memory(struct imap_session *s);
/* fetch_seen.c: of the slice. False: nothing is to be set, or it cannot be; else fetch_start_slice() follows, whatever came of it. */
bool fetch_set_seen(struct imap_session *s);
/* fetch_chunks.c */
void fetch_start_slice(struct imap_session *s);
void fetch_finish(struct imap_session *s); /* the tagged line */

#endif
