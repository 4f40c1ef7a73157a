/* common/message/summary.h — what is computed once, at delivery, and kept beside the message in the store.
 *
 * Feed the whole message as it is stored (trace prefix, then body) in pieces of any size, then finish. Nothing in a message
 * makes it fail, only lack of memory. A builder may be used again after finish (it keeps some memory); a worker keeps one.
 * All texts are ready to be copied out: no reader needs the body for them.
 * Owner: builder: the caller of summary_builder_new(), until summary_builder_free(). Summary: whoever called
 * summary_finish(), until message_summary_free(); it does not depend on the builder. Any thread, one at a time. */
#ifndef MESSAGE_SUMMARY_H
#define MESSAGE_SUMMARY_H

#include "message/mime.h"

#include "base/error.h"

#define SUMMARY_REFERENCES_MAX 100       /* message ids kept; of a longer list the first and the last ones */
#define SUMMARY_TEXT_MAX       (8 * MIB) /* envelope or body structure; beyond: the plain one of an opaque message */
#define SUMMARY_PARTS_VERSION  1

struct message_summary {
	/* IMAP syntax (RFC 3501, RFC 9051 §7.5.2), with the outer parentheses. Strings are quoted when they can be (short
	 * 7-bit text without CR, LF, NUL), literals "{n}CRLF..." otherwise. No NIL envelope: always "(" ten fields ")". */
	struct span envelope;
	struct span body_structure; /* extended (BODYSTRUCTURE) */
	struct span body;           /* without extension data (BODY) */

	struct span parts;        /* binary, see message_parts_read() */
	struct span header;       /* the header block with its empty line, at most HEADER_BLOCK_MAX octets of it */
	struct span preview;      /* UTF-8, one line, at most PREVIEW_CHARS (preview.h); empty when there is no text */
	struct span base_subject; /* RFC 5256 §2.1, UTF-8; case as sent */
	bool subject_is_reply;    /* a reply or forward marker was taken off the subject (RFC 5256 §2.1) */

	/* RFC 5256 §3: message ids without < >, comments and quotes. Lists: separated by LF, in the order sent. */
	struct span message_id;  /* empty when there is none */
	struct span in_reply_to; /* the first one */
	struct span references;  /* without repetitions next to each other */

	bool has_date;
	int64_t date;        /* of Date:, unix seconds */
	uint64_t size;       /* octets fed */
	uint64_t header_len; /* with the empty line; larger than header.len only beyond HEADER_BLOCK_MAX */
	bool has_attachment; /* a part that a mail client would list as one */

	void *memory; /* what all spans point into */
};

struct summary_builder;
struct summary_builder *summary_builder_new(void); /* NULL: out of memory */
void summary_builder_free(struct summary_builder **builder);
/* The calling thread's own, used again and again; it ends with its thread. NULL: out of memory. */
struct summary_builder *summary_builder_of_thread(void);

/* False only for ERR_NO_MEMORY, which summary_finish() then reports; further feeds do nothing. */
bool summary_feed(struct summary_builder *builder, struct span bytes);
/* Fills *out and makes the builder ready for the next message (also when it fails). False: *err is ERR_NO_MEMORY. */
bool summary_finish(struct summary_builder *builder, struct message_summary *out, struct error *err);
void message_summary_free(struct message_summary *summary); /* also of a zeroed one */

/* The parts blob: version (1 octet, SUMMARY_PARTS_VERSION), count, then for each part, in order, as base-128 numbers (low
 * group first, high bit: more): parent + 1 (0: none), kind, transfer encoding, header_at (minus the parent's body_at),
 * header_len, body_len, body_lines. body_at is header_at + header_len. */
struct message_part {
	uint32_t parent; /* MIME_NO_PART for the message itself */
	enum mime_kind kind;
	enum transfer_encoding transfer;
	uint64_t header_at, header_len, body_len, body_lines;
};
/* Reads at most capacity parts; *count is how many there are in the blob. False when the blob is damaged. */
bool message_parts_read(struct span blob, struct message_part *parts, size_t capacity, size_t *count);

#endif
