/* FETCH arguments on the first line, a message behind it: whatever both are, the response can be read back by its literals' sizes to its end, and
 * a store that keeps the message in a file gives the same octets as one that keeps it in a row. */
#include "imapd/fetch_render.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct span text;
static struct message_summary summary;
static bool in_file;

bool messages_read(struct account *account, const int64_t *ids, size_t count, unsigned wants,
        bool (*each)(void *arg, size_t i, const struct stored_message *message), void *arg, struct error *err)
{
	struct stored_message message = { .message_id = ids[0], .thread_id = 1 };

	(void)account;
	(void)wants;
	(void)err;
	CHECK(count == 1);
	message.envelope = summary.envelope;
	message.body = summary.body;
	message.body_structure = summary.body_structure;
	message.parts = summary.parts;
	message.preview = summary.preview;
	message.in_file = in_file;
	message.header = span_first(text, in_file ? (size_t)summary.header_len / 2 : (size_t)summary.header_len);
	message.header_is_whole = !in_file;
	if (!in_file)
		message.rest = span_skip(text, message.header.len);
	(void)each(arg, 0, &message);
	return true;
}

bool message_read(struct account *account, int64_t message_id, uint64_t offset, size_t size, struct buffer *out,
        struct error *err)
{
	(void)account;
	(void)message_id;
	(void)err;
	CHECK(offset <= text.len && size <= text.len - offset);
	return buffer_append_span(out, span_first(span_skip(text, (size_t)offset), size));
}

bool message_header_length(struct account *account, int64_t message_id, uint32_t *length, struct error *err)
{
	(void)account;
	(void)message_id;
	(void)err;
	*length = (uint32_t)summary.header_len;
	return true;
}

bool mailbox_save_dates(struct account *account, int64_t mailbox_id, const uint32_t *uids, size_t count, int64_t *dates,
        struct error *err)
{
	(void)account;
	(void)mailbox_id;
	(void)uids;
	(void)err;
	memset(dates, 0, count * sizeof(*dates));
	return true;
}

static bool write_flags(const struct view *view, uint64_t flags, struct buffer *out)
{
	(void)view;
	(void)flags;
	return buffer_append_text(out, "(\\Seen)");
}

/* A quoted string or a literal at the beginning of *in, or one octet. */
static void skip_token(struct span *in)
{
	struct span at = *in;
	uint64_t size;

	(void)span_take_char(&at, '~');
	if (span_take_char(&at, '{') && span_take_number64(&at, UINT64_MAX, &size) && span_take_word(&at, "}\r\n")) {
		CHECK(size <= at.len);
		*in = span_skip(at, (size_t)size);
		return;
	}
	if (!span_take_char(in, '"')) {
		*in = span_skip(*in, 1);
		return;
	}
	while (!span_take_char(in, '"')) {
		CHECK(in->len > 0 && in->ptr[0] != '\r' && in->ptr[0] != '\n');
		*in = span_skip(*in, in->ptr[0] == '\\' ? 2 : 1);
	}
}

static void check_response(struct span in)
{
	if (in.len == 0)
		return; /* left out: an encoding that we do not know */
	CHECK(span_take_word(&in, "* 1 FETCH ("));
	while (!span_equal(in, SPAN(")\r\n"))) {
		CHECK(in.len > 3);
		skip_token(&in);
	}
}

static void render(const struct fetch_args *args, struct buffer *all)
{
	struct view_message *message = calloc(1, sizeof(*message));
	struct binary_map *map = NULL;
	struct fetch_render fetch;
	struct fetch_slice slice;
	struct fetch_plan plan;
	struct buffer out;
	struct error err;

	buffer_clear(all);
	buffer_init(&out, FETCH_OUT_MAX);
	message->sequence = 1;
	message->row = (struct message_row) { .uid = 1, .size = (uint32_t)text.len, .message_id = 1 };
	CHECK(fetch_plan_init(&plan, args, true, false) && fetch_slice_init(&slice, message, 1));
	CHECK(fetch_slice_write_flags(&slice, write_flags, NULL));
	fetch_render_init(&fetch, &plan, 1, &map);
	fetch_render_begin(&fetch, &slice);
	error_clear(&err);
	while (!fetch_render_done(&fetch) && all->len < 8 * MIB) {
		buffer_clear(&out);
		CHECK(fetch_render_chunk(&fetch, NULL, &out, &err));
		CHECK(buffer_append_span(all, buffer_span(&out)));
	}
	CHECK(fetch.failure.code == ERR_NONE && !fetch.cut);
	if (fetch_render_done(&fetch))
		check_response(buffer_span(all));
	fetch_render_free(&fetch);
	fetch_slice_free(&slice);
	fetch_plan_free(&plan);
	buffer_free(&out);
	free(map);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct summary_builder *builder = summary_builder_new();
	struct span in = span_make(data, size), line;
	struct fetch_args args;
	struct buffer row, file;
	struct arena arena;
	struct error err;
	struct parser parser = { .arena = &arena, .err = &err };

	arena_init(&arena, PARSE_ARENA_MAX);
	buffer_init(&row, 32 * MIB);
	buffer_init(&file, 32 * MIB);
	error_clear(&err);
	if (!span_take_until(&in, '\n', &line))
		line = in;
	parser.in = line;
	text = in;
	CHECK(builder != NULL && summary_feed(builder, text) && summary_finish(builder, &summary, &err));
	if (parse_fetch(&parser, &args)) {
		in_file = false;
		render(&args, &row);
		in_file = true;
		render(&args, &file);
		CHECK(span_equal(buffer_span(&row), buffer_span(&file)));
	}
	message_summary_free(&summary);
	summary_builder_free(&builder);
	buffer_free(&row);
	buffer_free(&file);
	arena_free(&arena);
	return 0;
}
