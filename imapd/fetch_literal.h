/* imapd/fetch_literal.h — the items of FETCH whose value may be long: sections, RFC822.*, BINARY, and texts that were rendered at delivery.
 * For fetch_render.c only. */
#ifndef IMAPD_FETCH_LITERAL_H
#define IMAPD_FETCH_LITERAL_H

#include "imapd/fetch_render.h"

enum literal_source {
	LITERAL_NONE, /* nothing follows */
	LITERAL_TEXT,
	LITERAL_OCTETS, /* of the stored message */
	LITERAL_BINARY, /* decoded by the map */
};

struct fetch_literal {
	enum literal_source source;
	bool announced; /* "{len}" goes in front */
	bool has_nul;   /* "~{len}": literal8 (RFC 3516 §4.3) */
	uint64_t len;
	uint64_t at;      /* in the message, or in the decoded part */
	struct span text; /* good while render->stored and render->fields are */
};

/* A column that is IMAP syntax already. */
void fetch_literal_text(struct fetch_literal *literal, struct span text);
/* What an item with a section stands for in render->stored. False: *err; ERR_BAD_VALUE: a transfer encoding that we do not know. */
bool fetch_literal_find(
        struct fetch_render *render, const struct plan_item *planned, struct fetch_literal *literal, struct error *err);
void fetch_literal_announce(const struct fetch_literal *literal, struct buffer *out);
/* Appends from render->sent on, as much as the chunk has room for, and counts it there. */
bool fetch_literal_put(struct fetch_render *render, const struct fetch_literal *literal, struct error *err);

#endif
