/* The first octet says which encoding and where the text is cut; cutting changes nothing. */
#include "message/transfer.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum transfer_encoding encoding = size > 0 && (data[0] & 1) ? TRANSFER_BASE64 : TRANSFER_QUOTED_PRINTABLE;
	size_t piece = size > 0 ? data[0] / 2 % 16 + 1u : 1;
	struct span rest = span_skip(span_make(data, size), 1);
	struct transfer_decoder decoder;
	struct buffer whole, cut;

	buffer_init(&whole, size + 16);
	buffer_init(&cut, size + 16);
	transfer_init(&decoder, encoding);
	CHECK(transfer_feed(&decoder, rest, &whole) && transfer_finish(&decoder, &whole));
	transfer_init(&decoder, encoding);
	for (; rest.len > 0; rest = span_skip(rest, piece))
		CHECK(transfer_feed(&decoder, span_first(rest, piece), &cut));
	CHECK(transfer_finish(&decoder, &cut));
	CHECK(span_equal(buffer_span(&whole), buffer_span(&cut)));
	(void)transfer_encoding_of(span_make(data, size));
	buffer_free(&whole);
	buffer_free(&cut);
	return 0;
}
