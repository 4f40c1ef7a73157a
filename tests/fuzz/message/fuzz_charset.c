/* Label, line end, text. The text is cut at every octet for the stream, and must come out the same. */
#include "message/charset.h"

#include "base/check.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_make(data, size);
	struct span label;
	struct charset_converter *converter;
	struct buffer whole, cut;

	if (!span_take_until(&text, '\n', &label))
		return 0;
	buffer_init(&whole, 16 * MIB);
	buffer_init(&cut, 16 * MIB);
	CHECK(charset_to_utf8(label, text, &whole));
	CHECK(utf8_valid(buffer_span(&whole)));
	converter = charset_open(label);
	CHECK(converter != NULL);
	for (; text.len > 0; text = span_skip(text, 1))
		CHECK(charset_feed(converter, span_first(text, 1), &cut));
	CHECK(charset_finish(converter, &cut));
	charset_close(&converter);
	CHECK(utf8_valid(buffer_span(&cut)));
	buffer_free(&whole);
	buffer_free(&cut);
	return 0;
}
