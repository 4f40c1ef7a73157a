/* imapd/fetch_render.h — FETCH responses as octets: the worker's half of FETCH.
 *
 * Renders the messages of a slice, in order, into one buffer until it holds about FETCH_CHUNK, or FETCH_TURN_MS have gone by at the end of a message
 * (much may be read for a short answer: other sessions need the thread too); the next call goes on where this one ended, also in the
 * middle of a literal, so a message of any size costs one chunk of memory. Sizes of literals are exact before their first octet goes out: they come
 * from part offsets, from the header fields already cut, or from one decoding pass (imapd/binary.h).
 *
 * A message that cannot be given is left out whole: gone meanwhile (RFC 2180 §4.1.3: counted in `gone`), in an encoding that we cannot undo
 * (`unknown_cte`), damaged (`failure`, of the first such). Only when a part of it is out already there is no way back: `cut`, and the
 * connection must close, so that no client takes a part for the whole.
 * Octets go out as they are stored. Headers that hold UTF-8 do so also for a client that enabled neither UTF8=ACCEPT nor IMAP4rev2 (RFC 6855 §7 leaves the
 * choice): always inside literals, which may hold 8-bit text (RFC 3501 §4.3); a surrogate as in pop3d would make sizes, offsets, body
 * structure and signatures those of another message, and stay in the client's cache after it learns UTF8=ACCEPT.
 * Thread: one at a time, a worker's where the plan wants anything that the index does not know. */
#ifndef IMAPD_FETCH_RENDER_H
#define IMAPD_FETCH_RENDER_H

#include "imapd/binary.h"
#include "imapd/fetch_ahead.h"
#include "imapd/fetch_plan.h"
#include "imapd/fetch_slice.h"
#include "imapd/settings.h"
#include "storage/messages.h"

#define FETCH_OUT_MAX                                                                                                  \
	(2 * FETCH_CHUNK + 4 * COMMAND_MAX) /* a chunk, and what must not be cut: one name and one small value */
#define FETCH_WALK_MAX 1024                 /* messages asked of the store in one call */
#define FETCH_TURN_MS  50

struct fetch_render {
	/* Set by the caller, once a command: */
	const struct fetch_plan *plan;
	int64_t mailbox_id;
	struct binary_map **map;    /* the session's, of the part it decoded last; made at need */
	struct fetch_ahead **ahead; /* the session's; NULL: nothing is read ahead */
	/* ... and for each slice; then message, item and sent begin at 0. */
	const struct fetch_slice *slice;

	/* Where the next chunk begins. */
	size_t message; /* slice->count: all is rendered */
	size_t item;
	uint64_t sent;   /* octets of this item's literal that are out */
	bool in_message; /* "* n FETCH (" is out */
	bool in_literal; /* its "{n}" is out */
	bool from_ahead; /* fetch_render_from_ahead() */

	/* What came of the messages so far. */
	size_t gone;
	bool unknown_cte;
	bool cut;
	struct error failure; /* ERR_NONE: every message that is there was given */

	/* For one call. */
	struct account *account;
	const struct stored_message *stored;
	struct buffer *out;
	size_t message_at;   /* in out: where the message begins, to take it back */
	bool message_is_out; /* an earlier chunk has its beginning */
	int64_t until;       /* FETCH_TURN_MS */
	bool late;
	int64_t dates[FETCH_WALK_MAX];
	size_t dates_at; /* message of dates[0] */
	size_t walk_at;  /* message of the first id asked for */

	/* Kept from message to message, and from call to call. */
	struct buffer fields; /* cut header fields, a header block */
	struct buffer block;
	struct message_part *parts;
	size_t parts_capacity, part_count;
	int64_t parts_of; /* message_id; 0: of none */
};

void fetch_render_init(
        struct fetch_render *render, const struct fetch_plan *plan, int64_t mailbox_id, struct binary_map **map);
void fetch_render_free(struct fetch_render *render);
void fetch_render_begin(struct fetch_render *render, const struct fetch_slice *slice);
bool fetch_render_needs_store(const struct fetch_plan *plan);
/* True: the slice is one message, and what is wanted of it was read ahead: it needs no store after all. */
bool fetch_render_from_ahead(struct fetch_render *render);

/* Appends the next chunk to out (empty, limit FETCH_OUT_MAX). account: NULL where no store is needed. False: *err, the store as a whole
 * cannot be read, or memory is out, or `cut`; what is in out is whole and may be sent, unless cut. */
bool fetch_render_chunk(struct fetch_render *render, struct account *account, struct buffer *out, struct error *err);
bool fetch_render_done(const struct fetch_render *render);

#endif
