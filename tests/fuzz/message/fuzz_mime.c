/* The tree holds together, and cutting the message anywhere changes nothing. The first octet says where it is cut. */
#include "message/mime.h"

#include "base/check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_part(const struct mime_part *parts, size_t count, size_t index, uint64_t size)
{
	const struct mime_part *part = &parts[index];

	CHECK(part->body_at == part->header_at + part->header_len);
	CHECK(part->body_at + part->body_len <= size && part->body_lines <= part->body_len);
	CHECK((part->parent == MIME_NO_PART) == (index == 0));
	CHECK(part->first_child == MIME_NO_PART || part->first_child == index + 1);
	CHECK(part->next_sibling == MIME_NO_PART || (part->next_sibling > index && part->next_sibling < count));
	CHECK(part->type.len > 0 && part->subtype.len > 0 && part->encoding.len > 0);
	if (index == 0)
		return;
	CHECK(part->header_at >= parts[part->parent].body_at);
	CHECK(part->body_at + part->body_len <= parts[part->parent].body_at + parts[part->parent].body_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mime_parser *whole = mime_parser_new(NULL);
	struct mime_parser *cut = mime_parser_new(NULL);
	const struct mime_part *a, *b;
	size_t count, cut_count;
	size_t piece = size == 0 ? 1 : data[0] % 16 + 1u;
	struct span rest = span_skip(span_make(data, size), 1);

	CHECK(whole != NULL && cut != NULL);
	CHECK(mime_parser_feed(whole, rest) && mime_parser_finish(whole));
	a = mime_parser_parts(whole, &count);
	for (size_t i = 0; i < count; i++)
		check_part(a, count, i, rest.len);
	for (; rest.len > 0; rest = span_skip(rest, piece))
		CHECK(mime_parser_feed(cut, span_first(rest, piece)));
	CHECK(mime_parser_finish(cut));
	b = mime_parser_parts(cut, &cut_count);
	CHECK(count == cut_count);
	for (size_t i = 0; i < count; i++)
		CHECK(a[i].header_at == b[i].header_at && a[i].body_at == b[i].body_at &&
		        a[i].body_len == b[i].body_len && a[i].body_lines == b[i].body_lines &&
		        a[i].kind == b[i].kind && a[i].parent == b[i].parent);
	mime_parser_free(&whole);
	mime_parser_free(&cut);
	return 0;
}
