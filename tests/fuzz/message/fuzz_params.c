#include "message/params.h"

#include "base/check.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span value = span_make(data, size);
	struct span first, second;
	struct mime_params params;
	struct arena arena;
	struct buffer text;

	arena_init(&arena, 64 * MIB);
	buffer_init(&text, 64 * MIB);
	CHECK(params_parse_content_type(&arena, value, &first, &second, &params));
	CHECK((first.ptr == NULL) == (second.ptr == NULL));
	CHECK(params.count <= PARAMS_MAX);
	for (size_t i = 0; i < params.count; i++)
		CHECK(params.items[i].name.len > 0 && params.items[i].value.ptr != NULL);
	CHECK(params_parse_disposition(&arena, value, &first, &params));
	CHECK(params_decode(&params, SPAN("filename"), &text));
	CHECK(utf8_valid(buffer_span(&text)));
	buffer_free(&text);
	arena_free(&arena);
	return 0;
}
