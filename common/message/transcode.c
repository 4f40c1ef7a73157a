#include "message/transcode.h"

#include "message/mime.h"
#include "message/transfer_encode.h"

#include <stdlib.h>

#define PIECE         (64 * KIB)
#define LONG_LINE     998 /* RFC 5322 §2.1.1 */
#define QUOTED_FACTOR 6   /* base64 when more than one octet in so many would need three characters */

/* What one leaf's body is made of; in the part's context. */
struct leaf {
	uint64_t octets, special;
	uint64_t line;
	bool eight_bit, binary, was_cr;
	bool is_multipart; /* by its header; the parser takes it for one part: it has no boundary, or lies too deep */
};

struct work {
	const struct transcode_io *io;
	enum transcode_target target;
	struct mime_parser *parser;
	const struct mime_part *parts;
	size_t count;
	bool eight_bit, utf8_header, binary, no_memory;
	uint64_t size;                   /* of the message */
	uint64_t eight_bits, in_headers; /* octets over 127, and those of them in header blocks */
	struct buffer out;
	bool gap_was_cr;
};

/* ---- first reading: what is in it ---- */

static void count_octet(struct leaf *leaf, unsigned char c)
{
	if (leaf->was_cr && c != '\n')
		leaf->binary = true;
	if (c == '\n' && !leaf->was_cr)
		leaf->binary = true;
	if (c == 0)
		leaf->binary = true;
	if (c > 127)
		leaf->eight_bit = true;
	if (c > 126 || c == '=' || (c < ' ' && c != '\r' && c != '\n' && c != '\t'))
		leaf->special++;
	leaf->line = c == '\n' ? 0 : leaf->line + 1;
	if (leaf->line > LONG_LINE + 1) /* its CR was counted */
		leaf->binary = true;
	leaf->was_cr = c == '\r';
	leaf->octets++;
}

static uint64_t count_eight_bits(struct span bytes)
{
	uint64_t count = 0;

	for (size_t i = 0; i < bytes.len; i++)
		count += (unsigned char)bytes.ptr[i] > 127;
	return count;
}

static bool says_multipart(struct span block)
{
	struct header_field field;

	return header_find(block, SPAN("Content-Type"), &field) &&
	       span_starts_nocase(span_trim(field.value), SPAN("multipart"));
}

static bool on_header(void *context, struct mime_part *part, struct span block)
{
	struct work *work = context;
	uint64_t count = count_eight_bits(block);
	struct leaf *leaf;

	work->in_headers += count;
	work->utf8_header = work->utf8_header || count > 0;
	part->context = NULL;
	if (part->kind != MIME_LEAF)
		return false;
	leaf = calloc(1, sizeof(*leaf));
	if (leaf == NULL)
		work->no_memory = true;
	else
		leaf->is_multipart = says_multipart(block);
	part->context = leaf;
	return leaf != NULL;
}

static void on_body(void *context, struct mime_part *part, struct span bytes)
{
	struct leaf *leaf = part->context;

	(void)context;
	for (size_t i = 0; i < bytes.len; i++)
		count_octet(leaf, (unsigned char)bytes.ptr[i]);
}

static void work_free(struct work *work)
{
	for (size_t i = 0; i < work->count; i++)
		free(work->parts[i].context);
	mime_parser_free(&work->parser);
	buffer_free(&work->out);
}

static bool read_all(struct work *work, char *piece, struct error *err)
{
	size_t got;

	do {
		if (!work->io->read(work->io->arg, work->size, piece, PIECE, &got, err))
			return false;
		if (!mime_parser_feed(work->parser, span_make(piece, got)))
			return error_set(err, ERR_NO_MEMORY, "out of memory");
		work->size += got;
		work->eight_bits += count_eight_bits(span_make(piece, got));
	} while (got == PIECE);
	return mime_parser_finish(work->parser) || error_set(err, ERR_NO_MEMORY, "out of memory");
}

static bool look(struct work *work, struct error *err)
{
	const struct mime_hooks hooks = { .context = work, .on_header = on_header, .on_body = on_body };
	char *piece = malloc(PIECE);
	bool ok;

	buffer_init(&work->out, 4 * PIECE);
	work->parser = mime_parser_new(&hooks);
	if (piece == NULL || work->parser == NULL) {
		free(piece);
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	ok = read_all(work, piece, err);
	free(piece);
	work->parts = mime_parser_parts(work->parser, &work->count);
	for (size_t i = 0; i < work->count; i++) {
		const struct leaf *leaf = work->parts[i].context;
		work->binary = work->binary || (leaf != NULL && leaf->binary);
	}
	work->eight_bit = work->eight_bits > work->in_headers; /* also where no part is: preambles, epilogues */
	if (ok && work->no_memory)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	return ok;
}

bool transcode_look(const struct transcode_io *io, struct transcode_need *out, struct error *err)
{
	struct work work = { .io = io };
	bool ok = look(&work, err);

	*out = (struct transcode_need) { work.eight_bit, work.utf8_header, work.binary };
	work_free(&work);
	return ok;
}

/* ---- what has to change ---- */

static bool body_changes(const struct work *work, const struct mime_part *part)
{
	const struct leaf *leaf = part->context;

	return leaf != NULL && (leaf->binary || (leaf->eight_bit && work->target == TRANSCODE_7BIT));
}

static bool is_type(const struct mime_part *part, const char *type, const char *subtype)
{
	return span_equal_nocase(part->type, span_of(type)) &&
	       (subtype == NULL || span_equal_nocase(part->subtype, span_of(subtype)));
}

/* RFC 1847 §2.1: what is signed must not be touched. */
static bool is_signed(const struct work *work, const struct mime_part *part)
{
	for (uint32_t i = part->parent; i != MIME_NO_PART; i = work->parts[i].parent) {
		if (is_type(&work->parts[i], "multipart", "signed"))
			return true;
	}
	return false;
}

static bool can_change(const struct work *work, const struct mime_part *part, struct error *err)
{
	if (is_signed(work, part))
		return error_set(err, ERR_UNSUPPORTED, "a signed part would have to be changed");
	/* RFC 2045 §6.4: these may not be encoded */
	if (((const struct leaf *)part->context)->is_multipart || is_type(part, "message", "rfc822") ||
	        is_type(part, "message", "partial") || is_type(part, "message", "external-body"))
		return error_set(
		        err, ERR_UNSUPPORTED, "a part of type multipart or message cannot be converted as a whole");
	if (part->transfer == TRANSFER_UNKNOWN)
		return error_set(err, ERR_UNSUPPORTED, "a part has a transfer encoding that is not known");
	return true;
}

static bool all_can_change(const struct work *work, struct error *err)
{
	if (work->target == TRANSCODE_7BIT && work->utf8_header)
		return error_set(err, ERR_UNSUPPORTED, "the header has characters that need SMTPUTF8");
	for (size_t i = 0; i < work->count; i++) {
		if (body_changes(work, &work->parts[i]) && !can_change(work, &work->parts[i], err))
			return false;
	}
	return true;
}

/* A container that says "8bit" of what is 7bit now would be wrong (RFC 2045 §6.4). */
static bool label_changes(const struct work *work, const struct mime_part *part)
{
	struct span name;

	if (part->kind == MIME_LEAF || is_signed(work, part) || !transfer_encoding_name(part->encoding, &name))
		return false;
	return span_equal_nocase(name, SPAN("binary")) ||
	       (work->target == TRANSCODE_7BIT && span_equal_nocase(name, SPAN("8bit")));
}

/* RFC 2045 §6.7 is for what people read. */
static bool prefers_quoted(const struct mime_part *part)
{
	const struct leaf *leaf = part->context;

	return is_type(part, "text", NULL) && leaf->special <= leaf->octets / QUOTED_FACTOR + 1;
}

/* ---- second reading: writing ---- */

static bool flush(struct work *work, struct error *err)
{
	bool ok = !work->out.failed || error_set(err, ERR_NO_MEMORY, "out of memory");

	ok = ok && (work->out.len == 0 || work->io->write(work->io->arg, buffer_span(&work->out), err));
	buffer_clear(&work->out);
	return ok;
}

/* What is between the parts, and what is clean anyway: never an octet that the target cannot have. */
static void put_gap(struct work *work, struct span bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		unsigned char c = (unsigned char)bytes.ptr[i];
		if (work->gap_was_cr && c != '\n')
			(void)buffer_append_char(&work->out, '\n');
		if (c == '\n' && !work->gap_was_cr)
			(void)buffer_append_char(&work->out, '\r');
		if (c == 0 || (c > 127 && work->target == TRANSCODE_7BIT))
			c = '?';
		(void)buffer_append_char(&work->out, (char)c);
		work->gap_was_cr = c == '\r';
	}
}

static bool copy(struct work *work, uint64_t from, uint64_t to, struct error *err)
{
	char piece[16 * KIB];
	size_t got, want;

	for (; from < to; from += got) {
		want = to - from < sizeof(piece) ? (size_t)(to - from) : sizeof(piece);
		if (!work->io->read(work->io->arg, from, piece, want, &got, err))
			return false;
		if (got == 0)
			return error_set(err, ERR_IO, "the message is shorter than it was");
		put_gap(work, span_make(piece, got));
		if (!flush(work, err))
			return false;
	}
	return true;
}

static bool read_block(struct work *work, const struct mime_part *part, struct buffer *block, struct error *err)
{
	size_t got;

	if (part->header_len > MIME_HEADER_MAX)
		return error_set(err, ERR_UNSUPPORTED, "a header is too large to be converted");
	if (!buffer_reserve(block, part->header_len))
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	if (!work->io->read(work->io->arg, part->header_at, block->data, part->header_len, &got, err))
		return false;
	block->len = got;
	return got == part->header_len || error_set(err, ERR_IO, "the message is shorter than it was");
}

/* The header again with another Content-Transfer-Encoding; a message that was no MIME becomes one (RFC 1428 §3). */
static bool put_header(struct work *work, const struct mime_part *part, const char *encoding, struct error *err)
{
	struct header_reader reader;
	struct header_field field;
	struct buffer block;
	bool has_version = false, has_type = false;

	buffer_init(&block, MIME_HEADER_MAX + 1);
	if (!read_block(work, part, &block, err)) {
		buffer_free(&block);
		return false;
	}
	header_reader_init(&reader, buffer_span(&block));
	while (header_next(&reader, &field)) {
		if (span_equal_nocase(field.name, SPAN("Content-Transfer-Encoding")))
			continue;
		has_version = has_version || span_equal_nocase(field.name, SPAN("MIME-Version"));
		has_type = has_type || span_equal_nocase(field.name, SPAN("Content-Type"));
		put_gap(work, span_make(block.data + field.at, field.len));
	}
	buffer_free(&block);
	if (part->is_message && !has_version)
		(void)buffer_append_text(&work->out, "MIME-Version: 1.0\r\n");
	if (part->is_message && !has_type)
		(void)buffer_append_text(&work->out, "Content-Type: text/plain; charset=unknown-8bit\r\n");
	(void)buffer_printf(&work->out, "Content-Transfer-Encoding: %s\r\n\r\n", encoding);
	work->gap_was_cr = false;
	return flush(work, err);
}

/* ---- one body ---- */

struct body_state {
	struct transfer_decoder decoder;
	struct transfer_encoder encoder;
	struct buffer decoded;
};

static bool body_feed(struct work *work, struct body_state *state, struct span bytes, bool last)
{
	buffer_clear(&state->decoded);
	return transfer_feed(&state->decoder, bytes, &state->decoded) &&
	       (!last || transfer_finish(&state->decoder, &state->decoded)) &&
	       transfer_encode(&state->encoder, buffer_span(&state->decoded), &work->out);
}

static bool put_body_pieces(
        struct work *work, const struct mime_part *part, struct body_state *state, struct error *err)
{
	char piece[16 * KIB];
	uint64_t at = part->body_at, end = part->body_at + part->body_len;
	size_t got;

	do {
		size_t want = end - at < sizeof(piece) ? (size_t)(end - at) : sizeof(piece);
		if (!work->io->read(work->io->arg, at, piece, want, &got, err))
			return false;
		if (got == 0 && want > 0)
			return error_set(err, ERR_IO, "the message is shorter than it was");
		at += got;
		if (!body_feed(work, state, span_make(piece, got), at == end))
			return error_set(err, ERR_NO_MEMORY, "out of memory");
		if (!flush(work, err))
			return false;
	} while (at < end);
	return true;
}

static bool put_body(struct work *work, const struct mime_part *part, bool is_quoted, struct error *err)
{
	bool at_end = part->body_at + part->body_len == work->size, ok;
	struct body_state state;

	transfer_init(&state.decoder, part->transfer);
	transfer_encode_init(&state.encoder, is_quoted ? TRANSFER_QUOTED_PRINTABLE : TRANSFER_BASE64);
	buffer_init(&state.decoded, 2 * PIECE);
	ok = put_body_pieces(work, part, &state, err);
	(void)transfer_encode_finish(&state.encoder, at_end, &work->out);
	buffer_free(&state.decoded);
	work->gap_was_cr = false;
	return ok && flush(work, err);
}

static bool put_part(struct work *work, const struct mime_part *part, uint64_t *at, struct error *err)
{
	bool changes = body_changes(work, part), is_quoted = changes && prefers_quoted(part);
	const char *encoding = is_quoted                        ? "quoted-printable"
	                       : changes                        ? "base64"
	                       : work->target == TRANSCODE_7BIT ? "7bit"
	                                                        : "8bit";

	if (!changes && !label_changes(work, part))
		return true;
	if (!copy(work, *at, part->header_at, err) || !put_header(work, part, encoding, err))
		return false;
	*at = part->body_at;
	if (!changes)
		return true;
	*at = part->body_at + part->body_len;
	return put_body(work, part, is_quoted, err);
}

bool transcode(const struct transcode_io *io, enum transcode_target target, struct error *err)
{
	struct work work = { .io = io, .target = target };
	uint64_t at = 0;
	bool ok = look(&work, err) && all_can_change(&work, err);

	for (size_t i = 0; ok && i < work.count; i++)
		ok = put_part(&work, &work.parts[i], &at, err);
	ok = ok && copy(&work, at, work.size, err);
	work_free(&work);
	return ok;
}
