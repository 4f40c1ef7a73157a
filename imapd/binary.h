/* imapd/binary.h — parts with their transfer encoding undone: BINARY, BINARY.PEEK, BINARY.SIZE (RFC 3516, RFC 9051 §6.4.5).
 *
 * The size of a decoded part is known only when it has been decoded once. That pass leaves a map: points of the decoder from which it can go
 * on, so that the 400 pieces of a 25 MiB part do not decode it 400 times. A session keeps the map of the part it read last.
 * The encoded octets come through a callback, so nothing here knows the store. Memory: a map, and one piece of BINARY_PIECE. Any thread,
 * one at a time. Messages never change, so a map never grows old. */
#ifndef IMAPD_BINARY_H
#define IMAPD_BINARY_H

#include "base/error.h"
#include "message/transfer.h"

#define BINARY_POINTS_MAX 512
#define BINARY_PIECE      (64 * KIB) /* encoded octets read at once */

/* Appends `size` octets of the message from `offset`; fewer only with false and *err. */
struct octet_source {
	bool (*read)(void *arg, uint64_t offset, size_t size, struct buffer *out, struct error *err);
	void *arg;
};

/* Before the octet `encoded` of the part, `decoded` octets have come out and the decoder holds nothing but these bits. */
struct binary_point {
	uint64_t encoded, decoded;
	uint32_t bits, bit_chars;
};

struct binary_map {
	int64_t message_id; /* 0: the map is empty */
	uint64_t at, len;   /* the part's body in the message */
	enum transfer_encoding encoding;
	uint64_t size; /* decoded */
	bool has_nul;  /* in the decoded octets: then it needs a literal8 (RFC 3516 §4.3) */
	uint64_t step; /* octets between points, at least */
	unsigned count;
	struct binary_point points[BINARY_POINTS_MAX];
};

/* Decodes the part once. `encoding` is not TRANSFER_UNKNOWN. False: *err, and the map is empty. */
bool binary_map_fill(struct binary_map *map, int64_t message_id, uint64_t at, uint64_t len,
        enum transfer_encoding encoding, const struct octet_source *source, struct error *err);
/* Is it the map of that part? */
bool binary_map_is(const struct binary_map *map, int64_t message_id, uint64_t at, uint64_t len);
/* Appends the decoded octets [offset, offset + size), which must lie within map->size. */
bool binary_read(const struct binary_map *map, const struct octet_source *source, uint64_t offset, size_t size,
        struct buffer *out, struct error *err);

#endif
