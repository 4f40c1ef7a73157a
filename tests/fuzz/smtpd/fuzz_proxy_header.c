/* PROXY headers: in whatever pieces they come, the same is found, and not an octet more is taken. */
#include "smtpd/syntax/proxy_header.h"

#include "base/check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum proxy_found read_in_pieces(struct proxy_reader *reader, struct span in, size_t piece, size_t *took)
{
	enum proxy_found found = PROXY_MORE;

	proxy_reader_init(reader);
	*took = 0;
	while (found == PROXY_MORE && *took < in.len) {
		size_t wanted = proxy_wants(reader);
		struct span part = span_first(span_skip(in, *took), wanted < piece ? wanted : piece);

		CHECK(wanted > 0 && wanted <= PROXY_FIXED + PROXY_MORE_MAX);
		found = proxy_read(reader, part);
		*took += part.len;
	}
	return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_storage client, again;
	struct proxy_reader whole, pieces;
	size_t took, took_in_pieces;
	enum proxy_found found;
	struct span in;

	if (size < 1)
		return 0;
	in = span_make(data + 1, size - 1);
	found = read_in_pieces(&whole, in, SIZE_MAX, &took);
	CHECK(read_in_pieces(&pieces, in, (size_t)data[0] + 1, &took_in_pieces) == found);
	if (found == PROXY_BAD)
		return 0;
	CHECK(took == took_in_pieces && took <= PROXY_FIXED + PROXY_MORE_MAX);
	if (found != PROXY_CLIENT)
		return 0;
	proxy_client(&whole, &client);
	proxy_client(&pieces, &again);
	CHECK(memcmp(&client, &again, sizeof(client)) == 0);
	CHECK(client.ss_family == AF_INET || client.ss_family == AF_INET6);
	return 0;
}
