/* Fields stand one behind the other inside the block, and unfolding makes one line. */
#include "message/header.h"

#include "base/check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span block = span_make(data, size);
	struct header_reader reader;
	struct header_field field;
	struct buffer text;
	size_t end = 0;
	size_t len;

	buffer_init(&text, size + 1);
	header_reader_init(&reader, block);
	while (header_next(&reader, &field)) {
		CHECK(field.at >= end && field.at + field.len <= size && field.name.len > 0);
		end = field.at + field.len;
		buffer_clear(&text);
		CHECK(header_unfold(field.value, &text));
		CHECK(text.len == 0 || memchr(text.data, '\n', text.len) == NULL);
	}
	if (header_length(block, &len))
		CHECK(len <= size && end <= len);
	buffer_free(&text);
	return 0;
}
