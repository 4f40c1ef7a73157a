/* common/message/mime.h — the part tree of a message (RFC 2045, RFC 2046) as octet offsets into it.
 *
 * A push parser: feed the stored message in pieces of any size, in order; memory stays flat however large it is (one header
 * block at a time, and the array of parts). Linear in the input, no recursion. Nothing is ever an error: what is beyond a
 * limit below becomes part of one opaque part (application/octet-stream), and lines of text that look like nothing are text.
 * Order of parts: as they begin in the message (depth first); part 0 is the message itself.
 * Owner: the caller of mime_parser_new(), until mime_parser_free(); the parts live as long. Any thread, one at a time. */
#ifndef MESSAGE_MIME_H
#define MESSAGE_MIME_H

#include "message/header.h"
#include "message/params.h"
#include "message/transfer.h"

#define MIME_DEPTH_MAX         100 /* multiparts and messages within one another */
#define MIME_PARTS_MAX         10000
#define MIME_FIELDS_MAX        10000     /* header fields of all parts together */
#define MIME_HEADER_MAX        MIB       /* octets of one header block that are looked at */
#define MIME_HEADERS_TOTAL_MAX (2 * MIB) /* octets of all header blocks together that are looked at */
#define MIME_BOUNDARY_MAX      1024      /* octets; RFC 2046 §5.1.1 allows 70 */
#define MIME_NO_PART           UINT32_MAX

enum mime_kind { MIME_LEAF, MIME_MULTIPART, MIME_MESSAGE };

/* Spans with ptr NULL are absent. All live in the parser. */
struct mime_part {
	uint32_t parent;      /* index, or MIME_NO_PART */
	uint32_t first_child; /* of a multipart; of a message: the part that is its content */
	uint32_t next_sibling;
	uint32_t depth; /* of part 0: 0 */
	enum mime_kind kind;
	bool is_message;     /* its header is a message's (From, Subject ...): part 0, and a MIME_MESSAGE's content */
	uint64_t header_at;  /* octets from the start of the message */
	uint64_t header_len; /* with the empty line */
	uint64_t body_at;    /* header_at + header_len */
	uint64_t body_len;   /* without the line end that belongs to the boundary (RFC 2046 §5.1.1) */
	uint64_t body_lines; /* line ends in the body */
	struct span type, subtype; /* never absent: the default of the context when the field is missing or broken */
	struct mime_params params;
	struct span id, description, encoding;
	struct span disposition;
	struct mime_params disposition_params;
	struct span md5, language, location; /* language: the field's value, unfolded */
	enum transfer_encoding transfer;
	void *context; /* the hooks' own */
};

/* Called while feeding; each may be NULL. Spans are valid during the call only. */
struct mime_hooks {
	void *context;
	/* A part's header is complete: block is what was collected of it. Returns whether on_body is wanted for this part. */
	bool (*on_header)(void *context, struct mime_part *part, struct span block);
	/* Octets of a leaf's body, still transfer encoded; may include the line end that belongs to the boundary after it. */
	void (*on_body)(void *context, struct mime_part *part, struct span bytes);
	void (*on_end)(void *context, struct mime_part *part); /* the part is complete; not for parts of cut tables */
};

struct mime_parser;
struct mime_parser *mime_parser_new(const struct mime_hooks *hooks); /* hooks may be NULL; NULL: out of memory */
void mime_parser_free(struct mime_parser **parser);
void mime_parser_reset(struct mime_parser *parser); /* for the next message; keeps memory */
/* False only when out of memory; then the parser can only be reset or freed. */
bool mime_parser_feed(struct mime_parser *parser, struct span bytes);
bool mime_parser_finish(struct mime_parser *parser);
/* After finish. */
const struct mime_part *mime_parser_parts(const struct mime_parser *parser, size_t *count);

#endif
