/* imapd/fetch_slice.h — the run of messages that one or several render jobs work on, with their flags as text.
 *
 * The text of each distinct set of flags is made once, on the loop, so jobs need no list of keywords. Owner: the command. Filled on the loop, then only
 * read by jobs. */
#ifndef IMAPD_FETCH_SLICE_H
#define IMAPD_FETCH_SLICE_H

#include "imapd/view.h"

#define FLAG_TEXTS_MAX (32 * MIB) /* of all distinct sets of flags of a slice */

struct flag_text {
	uint64_t flags;
	uint32_t at, len; /* in texts; len 0: no entry */
};

struct fetch_slice {
	struct view_message *messages;
	size_t count;
	int64_t *ids;            /* beside each */
	uint32_t *uids;          /* beside each */
	bool *changed;           /* beside each: this command set its \Seen; NULL: none */
	struct flag_text *table; /* by hash, open addressing; a power of two */
	size_t table_size, table_used;
	struct buffer texts;
};

/* Takes the messages (malloc'd). False: out of memory; free it all the same. */
bool fetch_slice_init(struct fetch_slice *slice, struct view_message *messages, size_t count);
void fetch_slice_free(struct fetch_slice *slice); /* also of a zeroed one */
/* Makes the texts, after the flags have their last value. write: as view_write_flags(). */
bool fetch_slice_write_flags(struct fetch_slice *slice,
        bool (*write)(const struct view *view, uint64_t flags, struct buffer *out), const struct view *view);
struct span fetch_slice_flags(const struct fetch_slice *slice, uint64_t flags);

#endif
