/* The whole way of a message at delivery; its parts blob reads back. The first octet says where it is cut. */
#include "message/summary.h"

#include "base/check.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct message_part parts[MIME_PARTS_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct summary_builder *builder;
	size_t piece = size > 0 ? data[0] * 4 + 1u : 1;
	struct span rest = span_skip(span_make(data, size), 1);
	struct message_summary summary;
	struct error err;
	size_t count;

	if (builder == NULL)
		builder = summary_builder_new();
	CHECK(builder != NULL);
	for (; rest.len > 0; rest = span_skip(rest, piece))
		CHECK(summary_feed(builder, span_first(rest, piece)));
	CHECK(summary_finish(builder, &summary, &err));
	CHECK(message_parts_read(summary.parts, parts, MIME_PARTS_MAX, &count) && count > 0);
	CHECK(utf8_valid(summary.preview) && utf8_valid(summary.base_subject));
	CHECK(summary.header_len <= summary.size && summary.header.len <= summary.header_len);
	message_summary_free(&summary);
	(void)message_parts_read(span_make(data, size), parts, MIME_PARTS_MAX, &count);
	return 0;
}
