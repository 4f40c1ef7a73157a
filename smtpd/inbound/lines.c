#include "smtpd/inbound/lines.h"

#include "message/transcode.h"

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

bool lines_make(struct store *store, uint64_t limit, struct spool **spool, struct error *err)
{
	struct conversion conversion = { .from = *spool };
	const struct transcode_io io = { read_octets, write_octets, &conversion };
	struct transcode_need need;

	if (!transcode_look(&io, &need, err))
		return false;
	if (!need.binary)
		return true;
	if (!spool_new(store, limit, &conversion.to, err))
		return false;
	if (!transcode(&io, TRANSCODE_8BIT, err)) {
		spool_free(&conversion.to);
		return false;
	}
	spool_free(spool);
	*spool = conversion.to;
	return true;
}
