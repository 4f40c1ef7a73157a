#include "imapd/binary.h"

#include <string.h>

/* A part on its way through the decoder. */
struct pass {
	const struct octet_source *source;
	uint64_t at, len; /* of the part's body */
	uint64_t next;    /* encoded octets fed */
	uint64_t decoded; /* octets that came out before what `plain` holds */
	struct transfer_decoder decoder;
	struct buffer raw, plain;
};

static void pass_init(struct pass *pass, const struct octet_source *source, uint64_t at, uint64_t len)
{
	*pass = (struct pass) { .source = source, .at = at, .len = len };
	buffer_init(&pass->raw, BINARY_PIECE);
	buffer_init(&pass->plain, 2 * BINARY_PIECE + TRANSFER_PENDING_MAX);
}

static void pass_free(struct pass *pass)
{
	buffer_free(&pass->raw);
	buffer_free(&pass->plain);
}

/* Reads the next piece into raw. */
static bool pass_read(struct pass *pass, struct error *err)
{
	uint64_t left = pass->len - pass->next;
	size_t size = left < BINARY_PIECE ? (size_t)left : BINARY_PIECE;

	buffer_clear(&pass->raw);
	if (!pass->source->read(pass->source->arg, pass->at + pass->next, size, &pass->raw, err))
		return false;
	if (pass->raw.len != size)
		return error_detail(err, ERR_DAMAGED, "a part ends before its recorded length");
	return true;
}

/* Feeds raw[from, to); what comes out is in plain. */
static bool pass_feed(struct pass *pass, size_t from, size_t to, struct error *err)
{
	pass->decoded += pass->plain.len;
	buffer_clear(&pass->plain);
	transfer_feed(&pass->decoder, span_make(pass->raw.data + from, to - from), &pass->plain);
	pass->next += to - from;
	if (pass->next == pass->len)
		transfer_finish(&pass->decoder, &pass->plain);
	return !pass->plain.failed || error_set(err, ERR_NO_MEMORY, "out of memory");
}

static void add_point(struct binary_map *map, const struct pass *pass)
{
	uint64_t last = map->count > 0 ? map->points[map->count - 1].encoded : 0;

	if (map->count == BINARY_POINTS_MAX || pass->next < last + map->step || pass->decoder.pending_len > 0)
		return;
	map->points[map->count++] = (struct binary_point) {
		.encoded = pass->next,
		.decoded = pass->decoded + pass->plain.len,
		.bits = pass->decoder.bits,
		.bit_chars = pass->decoder.bit_chars,
	};
}

/* Behind a line end the decoder of quoted-printable holds nothing back. */
static size_t last_line_end(struct span raw)
{
	size_t at;

	return span_find_last(raw, '\n', &at) ? at + 1 : raw.len;
}

static bool map_piece(struct binary_map *map, struct pass *pass, struct error *err)
{
	size_t cut;

	if (!pass_read(pass, err))
		return false;
	cut = last_line_end(buffer_span(&pass->raw));
	for (size_t from = 0, to = cut; from < pass->raw.len; from = to, to = pass->raw.len) {
		if (!pass_feed(pass, from, to, err))
			return false;
		if (pass->plain.len > 0 && memchr(pass->plain.data, '\0', pass->plain.len) != NULL)
			map->has_nul = true;
		add_point(map, pass);
	}
	return true;
}

bool binary_map_fill(struct binary_map *map, int64_t message_id, uint64_t at, uint64_t len,
        enum transfer_encoding encoding, const struct octet_source *source, struct error *err)
{
	struct pass pass;
	bool ok = true;

	map->message_id = 0;
	map->at = at;
	map->len = len;
	map->encoding = encoding;
	map->has_nul = false;
	map->count = 0;
	map->step = len / BINARY_POINTS_MAX > BINARY_PIECE ? len / BINARY_POINTS_MAX : BINARY_PIECE;
	pass_init(&pass, source, at, len);
	transfer_init(&pass.decoder, encoding);
	while (ok && pass.next < len)
		ok = map_piece(map, &pass, err);
	map->size = pass.decoded + pass.plain.len;
	if (ok)
		map->message_id = message_id;
	pass_free(&pass);
	return ok;
}

bool binary_map_is(const struct binary_map *map, int64_t message_id, uint64_t at, uint64_t len)
{
	return map->message_id == message_id && map->at == at && map->len == len;
}

/* The decoder as it was at the last point not behind `offset`. */
static void resume(struct pass *pass, const struct binary_map *map, uint64_t offset)
{
	unsigned low = 0, high = map->count;

	transfer_init(&pass->decoder, map->encoding);
	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (map->points[middle].decoded <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return;
	pass->next = map->points[low - 1].encoded;
	pass->decoded = map->points[low - 1].decoded;
	pass->decoder.bits = map->points[low - 1].bits;
	pass->decoder.bit_chars = map->points[low - 1].bit_chars;
}

/* What of plain lies in [*offset, *offset + *size) is appended; both move on. */
static bool take_plain(const struct pass *pass, uint64_t *offset, size_t *size, struct buffer *out)
{
	struct span piece;

	if (*offset >= pass->decoded + pass->plain.len)
		return true;
	piece = span_first(span_skip(buffer_span(&pass->plain), (size_t)(*offset - pass->decoded)), *size);
	*offset += piece.len;
	*size -= piece.len;
	return buffer_append_span(out, piece);
}

bool binary_read(const struct binary_map *map, const struct octet_source *source, uint64_t offset, size_t size,
        struct buffer *out, struct error *err)
{
	struct pass pass;
	bool ok = true;

	pass_init(&pass, source, map->at, map->len);
	resume(&pass, map, offset);
	while (ok && size > 0 && pass.next < map->len) {
		ok = pass_read(&pass, err) && pass_feed(&pass, 0, pass.raw.len, err);
		if (ok && !take_plain(&pass, &offset, &size, out))
			ok = error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	pass_free(&pass);
	if (ok && size > 0)
		return error_detail(err, ERR_DAMAGED, "a part decodes to less than it did before");
	return ok;
}
