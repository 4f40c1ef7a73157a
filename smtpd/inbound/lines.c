#include "smtpd/inbound/lines.h"

#include "message/transcode.h"
#include "smtpd/syntax/data_scan.h"

#define READ_PIECE (16 * KIB)

struct conversion {
	struct spool *from, *to;
};

static bool read_octets(void *arg, uint64_t offset, void *out, size_t size, size_t *got, struct error *err)
{
	return spool_read(((struct conversion *)arg)->from, offset, out, size, got, err);
}

static bool write_octets(void *arg, struct span bytes, struct error *err)
{
	return spool_append(((struct conversion *)arg)->to, bytes, err);
}

/* A converter works on the parts that it sees: in headers and between parts there may be what no line has. */
static bool is_lines(struct spool *spool, struct error *err)
{
	struct data_scan scan;
	char piece[READ_PIECE];
	uint64_t at = 0;
	size_t got;

	data_scan_init(&scan);
	do {
		if (!spool_read(spool, at, piece, sizeof(piece), &got, err))
			return false;
		if (!data_scan_chunk(&scan, span_make(piece, got)))
			break;
		at += got;
	} while (got == sizeof(piece));
	return (at == spool_size(spool) && data_scan_whole(&scan)) ||
	       error_set(err, ERR_SYNTAX, "bare CR, bare LF or NUL outside of the parts (RFC 3030 3)");
}

bool lines_make(struct store *store, uint64_t limit, bool in_file, struct spool **spool, struct error *err)
{
	struct conversion conversion = { .from = *spool };
	const struct transcode_io io = { read_octets, write_octets, &conversion };
	struct transcode_need need;

	if (!transcode_look(&io, &need, err))
		return false;
	if (!need.binary)
		return is_lines(*spool, err);
	if (!spool_new(store, limit, &conversion.to, err))
		return false;
	if (in_file)
		spool_leave_memory(conversion.to);
	if (!transcode(&io, TRANSCODE_8BIT, err) || !is_lines(conversion.to, err)) {
		spool_free(&conversion.to);
		return false;
	}
	spool_free(spool);
	*spool = conversion.to;
	return true;
}
