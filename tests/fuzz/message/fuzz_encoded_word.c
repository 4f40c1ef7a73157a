#include "message/encoded_word.h"
#include "message/subject.h"

#include "base/check.h"
#include "base/utf8.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer text;
	bool is_reply;

	buffer_init(&text, 16 * MIB);
	CHECK(encoded_word_decode(span_make(data, size), &text));
	CHECK(utf8_valid(buffer_span(&text)));
	CHECK(text.len == 0 || memchr(text.data, '\n', text.len) == NULL);
	buffer_clear(&text);
	CHECK(subject_base(span_make(data, size), &text, &is_reply));
	CHECK(utf8_valid(buffer_span(&text)));
	buffer_free(&text);
	return 0;
}
