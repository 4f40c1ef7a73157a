/* FETCH responses, rendered against a store in memory: whole, and the same octets whatever the chunks. */
#include "imapd/fetch_render.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LEN(array) (sizeof(array) / sizeof((array)[0]))
#define MESSAGES   6

/* --- the store --- */

static struct {
	struct span text;
	struct message_summary summary;
	bool missing, damaged, in_file;
	size_t head; /* octets of the header that lie in the row */
} stored[MESSAGES];
static unsigned disk_fails_at; /* the n-th call from now; 0: never */
static size_t octets_read;
static unsigned reads, walks; /* calls of message_read() and messages_read() */

static bool disk_fails(struct error *err)
{
	return disk_fails_at > 0 && --disk_fails_at == 0 && !error_set(err, ERR_IO, "the disk failed");
}

bool messages_read(struct account *account, const int64_t *ids, size_t count, unsigned wants,
        bool (*each)(void *arg, size_t i, const struct stored_message *message), void *arg, struct error *err)
{
	(void)account;
	(void)wants;
	walks++;
	if (disk_fails(err))
		return false;
	for (size_t i = 0; i < count; i++) {
		size_t n = (size_t)ids[i] - 100;
		struct stored_message message = { .message_id = ids[i], .thread_id = 7, .internal_date_ms = -1500 };

		if (stored[n].missing)
			continue;
		message.envelope = stored[n].summary.envelope;
		message.body = stored[n].summary.body;
		message.body_structure = stored[n].summary.body_structure;
		message.parts = stored[n].summary.parts;
		message.preview = stored[n].summary.preview;
		message.damaged = stored[n].damaged;
		message.header = span_first(stored[n].text, stored[n].head);
		message.header_is_whole = stored[n].head == stored[n].summary.header_len;
		message.in_file = stored[n].in_file;
		if (!stored[n].in_file && (wants & WANT_BYTES) != 0)
			message.rest = span_skip(stored[n].text, stored[n].head);
		if (!each(arg, i, &message))
			break;
	}
	return true;
}

bool message_read(struct account *account, int64_t message_id, uint64_t offset, size_t size, struct buffer *out,
        struct error *err)
{
	(void)account;
	if (disk_fails(err))
		return false;
	if (stored[message_id - 100].missing)
		return error_set(err, ERR_NO_SUCH_MESSAGE, "gone");
	octets_read += size;
	reads++;
	return buffer_append_span(out, span_first(span_skip(stored[message_id - 100].text, (size_t)offset), size)) ||
	       error_set(err, ERR_NO_MEMORY, "out of memory");
}

bool message_header_length(struct account *account, int64_t message_id, uint32_t *length, struct error *err)
{
	(void)account;
	(void)err;
	*length = (uint32_t)stored[message_id - 100].summary.header_len;
	return true;
}

bool mailbox_save_dates(struct account *account, int64_t mailbox_id, const uint32_t *uids, size_t count, int64_t *dates,
        struct error *err)
{
	(void)account;
	(void)mailbox_id;
	(void)err;
	for (size_t i = 0; i < count; i++)
		dates[i] = uids[i] == 11 ? 0 : 86400 * (int64_t)uids[i];
	return true;
}

static void put(size_t n, struct span text, bool in_file)
{
	struct summary_builder *builder = summary_builder_new();
	struct error err;

	CHECK(builder != NULL && summary_feed(builder, text) && summary_finish(builder, &stored[n].summary, &err));
	summary_builder_free(&builder);
	stored[n].text = text;
	stored[n].in_file = in_file;
	stored[n].head = (size_t)stored[n].summary.header_len;
}

#define PLAIN "From: a@b\r\nSubject: one\r\n\r\nthe text\r\n"
#define MIXED                                                                                                          \
	"Subject: two\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n"                                            \
	"--A\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n"                                                 \
	"--A\r\nContent-Transfer-Encoding: base64\r\n\r\naABv\r\n"                                                     \
	"--A\r\nContent-Transfer-Encoding: x-unknown\r\n\r\n???\r\n"                                                   \
	"--A\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\nTo: c@d\r\n\r\ninner\r\n--A--\r\n"

static struct buffer big;

static int set_up(void **state)
{
	(void)state;
	memset(stored, 0, sizeof(stored));
	put(0, SPAN(PLAIN), false);
	put(1, SPAN(MIXED), false);
	buffer_init(&big, 4 * MIB);
	buffer_append_text(&big, "Subject: big\r\nContent-Type: application/x; name=big\r\n"
	                         "Content-Transfer-Encoding: base64\r\n\r\n");
	for (unsigned i = 0; big.len < 2 * MIB; i++)
		buffer_printf(&big, "%08x%08x%08xAAAA\r\n", i * 2654435761u, i, i * 40503u);
	put(2, buffer_span(&big), true);
	put(3, SPAN("Subject: \xc3\xa9t\xc3\xa9\r\nTo: \xc3\xa9@x\r\n\r\n\xc3\xa9\r\n"), false);
	put(4, SPAN(""), false);
	put(5, SPAN(MIXED), true);
	disk_fails_at = 0;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < MESSAGES; i++)
		message_summary_free(&stored[i].summary);
	buffer_free(&big);
	return 0;
}

/* --- one FETCH --- */

static bool write_flags(const struct view *view, uint64_t flags, struct buffer *out)
{
	(void)view;
	return buffer_printf(out, "(%s%s)", flags & FLAG_SEEN ? "\\Seen" : "", flags & FLAG_FLAGGED ? "\\Flagged" : "");
}

struct fetch {
	struct fetch_plan plan;
	struct fetch_slice slice;
	struct fetch_render render;
	struct binary_map *map;
	struct buffer all;
	struct error err;
	size_t chunks, longest;
	bool ok;
};

static struct binary_map *kept_map;

static void fetch_begin(
        struct fetch *fetch, struct fetch_item *items, size_t count, const size_t *numbers, size_t number_count)
{
	const struct fetch_args args = { .items = items, .item_count = count };
	struct view_message *messages = calloc(number_count, sizeof(*messages));

	*fetch = (struct fetch) { 0 };
	buffer_init(&fetch->all, 16 * MIB);
	assert_true(fetch_plan_init(&fetch->plan, &args, false, false));
	for (size_t i = 0; i < number_count; i++) {
		messages[i].sequence = (uint32_t)i + 1;
		messages[i].row = (struct message_row) {
			.uid = 10 + (uint32_t)numbers[i],
			.size = (uint32_t)stored[numbers[i]].text.len,
			.message_id = 100 + (int64_t)numbers[i],
			.flags = i % 2 == 0 ? FLAG_SEEN : 0,
			.modseq = 1000,
		};
	}
	assert_true(fetch_slice_init(&fetch->slice, messages, number_count));
	assert_true(fetch_slice_write_flags(&fetch->slice, write_flags, NULL));
	fetch_render_init(&fetch->render, &fetch->plan, 3, &kept_map);
	fetch_render_begin(&fetch->render, &fetch->slice);
}

static void fetch_run(struct fetch *fetch)
{
	struct buffer out;

	buffer_init(&out, FETCH_OUT_MAX);
	error_clear(&fetch->err);
	do {
		buffer_clear(&out);
		fetch->ok = fetch_render_chunk(&fetch->render, NULL, &out, &fetch->err);
		assert_false(out.failed);
		assert_true(buffer_append_span(&fetch->all, buffer_span(&out)));
		fetch->chunks++;
		if (out.len > fetch->longest)
			fetch->longest = out.len;
	} while (fetch->ok && !fetch_render_done(&fetch->render));
	buffer_free(&out);
}

static void fetch_end(struct fetch *fetch)
{
	fetch_render_free(&fetch->render);
	fetch_slice_free(&fetch->slice);
	fetch_plan_free(&fetch->plan);
	buffer_free(&fetch->all);
	free(kept_map);
	kept_map = NULL;
}

static struct fetch_item section_item(enum fetch_kind kind, uint32_t *numbers, enum section_text text)
{
	struct fetch_item item = { .kind = kind, .peek = true, .section = { .parts = numbers, .text = text } };

	while (numbers != NULL && numbers[item.section.part_count] != 0)
		item.section.part_count++;
	return item;
}

static void check_one(struct fetch_item item, size_t n, const char *want)
{
	struct fetch fetch;
	char all[1000];

	fetch_begin(&fetch, &item, 1, &n, 1);
	fetch_run(&fetch);
	assert_true(fetch.ok);
	snprintf(all, sizeof(all), "* 1 FETCH (%s)\r\n", want);
	assert_int_equal(fetch.all.len, strlen(all));
	assert_string_equal(buffer_text(&fetch.all), all);
	fetch_end(&fetch);
}

static uint32_t part_1[] = { 1, 0 }, part_4[] = { 4, 0 }, part_9[] = { 9, 0 };

static void test_items(void **state)
{
	struct span to[] = { SPAN("To") };
	struct fetch_item item;

	(void)state;
	check_one((struct fetch_item) { .kind = FETCH_UID }, 0, "UID 10");
	check_one((struct fetch_item) { .kind = FETCH_FLAGS }, 0, "FLAGS (\\Seen)");
	check_one((struct fetch_item) { .kind = FETCH_RFC822_SIZE }, 0, "RFC822.SIZE 37");
	check_one((struct fetch_item) { .kind = FETCH_MODSEQ }, 0, "MODSEQ (1000)");
	check_one((struct fetch_item) { .kind = FETCH_EMAILID }, 0, "EMAILID (M100)");
	check_one((struct fetch_item) { .kind = FETCH_THREADID }, 0, "THREADID (T7)");
	check_one((struct fetch_item) { .kind = FETCH_SAVEDATE }, 0, "SAVEDATE \"11-Jan-1970 00:00:00 +0000\"");
	check_one((struct fetch_item) { .kind = FETCH_SAVEDATE }, 1, "SAVEDATE NIL");
	check_one((struct fetch_item) { .kind = FETCH_INTERNALDATE }, 0, "INTERNALDATE \"31-Dec-1969 23:59:58 +0000\"");
	check_one((struct fetch_item) { .kind = FETCH_PREVIEW }, 0, "PREVIEW \"the text\"");
	check_one((struct fetch_item) { .kind = FETCH_PREVIEW }, 4, "PREVIEW \"\""); /* RFC 8970 §3.1: never NIL */
	check_one((struct fetch_item) { .kind = FETCH_BODY }, 0,
	        "BODY (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 10 1)");
	check_one((struct fetch_item) { .kind = FETCH_RFC822 }, 0, "RFC822 {37}\r\n" PLAIN);
	check_one((struct fetch_item) { .kind = FETCH_RFC822_HEADER }, 0,
	        "RFC822.HEADER {27}\r\nFrom: a@b\r\nSubject: one\r\n\r\n");
	check_one((struct fetch_item) { .kind = FETCH_RFC822_TEXT }, 0, "RFC822.TEXT {10}\r\nthe text\r\n");
	check_one(section_item(FETCH_SECTION, NULL, SECTION_WHOLE), 4, "BODY[] {0}\r\n");
	check_one(section_item(FETCH_SECTION, part_9, SECTION_WHOLE), 0, "BODY[9] {0}\r\n");
	check_one(section_item(FETCH_BINARY, part_1, SECTION_WHOLE), 1, "BINARY[1] {5}\r\nhello");
	check_one(section_item(FETCH_BINARY_SIZE, part_1, SECTION_WHOLE), 1, "BINARY.SIZE[1] 5");
	check_one(section_item(FETCH_BINARY_SIZE, part_9, SECTION_WHOLE), 1, "BINARY.SIZE[9] 0");
	check_one(section_item(FETCH_BINARY, part_9, SECTION_WHOLE), 1, "BINARY[9] {0}\r\n");
	for (size_t n = 1; n <= 5; n += 4) { /* in a row, and in a file */
		check_one(section_item(FETCH_SECTION, part_4, SECTION_HEADER), n,
		        "BODY[4.HEADER] {24}\r\nSubject: in\r\nTo: c@d\r\n\r\n");
		check_one(section_item(FETCH_BINARY, part_4, SECTION_WHOLE), n,
		        "BINARY[4] {29}\r\nSubject: in\r\nTo: c@d\r\n\r\ninner");
		item = section_item(FETCH_SECTION, part_4, SECTION_HEADER_FIELDS);
		item.section.fields = to;
		item.section.field_count = 1;
		check_one(item, n, "BODY[4.HEADER.FIELDS (To)] {11}\r\nTo: c@d\r\n\r\n");
		item.partial = true; /* calculated after subsetting */
		item.offset = 4;
		item.size = 3;
		check_one(item, n, "BODY[4.HEADER.FIELDS (To)]<4> {3}\r\nc@d");
	}
}

/* A header block of which only the beginning lies beside the row. */
static void test_long_header(void **state)
{
	struct span fields[] = { SPAN("Subject") };
	struct fetch_item item = section_item(FETCH_SECTION, NULL, SECTION_HEADER_FIELDS);

	(void)state;
	item.section.fields = fields;
	item.section.field_count = 1;
	for (stored[0].head = 0; stored[0].head <= 20; stored[0].head += 5) {
		check_one((struct fetch_item) { .kind = FETCH_RFC822_HEADER }, 0,
		        "RFC822.HEADER {27}\r\nFrom: a@b\r\nSubject: one\r\n\r\n");
		check_one((struct fetch_item) { .kind = FETCH_RFC822 }, 0, "RFC822 {37}\r\n" PLAIN);
		check_one(item, 0, "BODY[HEADER.FIELDS (Subject)] {16}\r\nSubject: one\r\n\r\n");
	}
	stored[0].head = (size_t)stored[0].summary.header_len;
}

/* RFC 3516 §4.3: a NUL needs a literal8. */
static void test_nul(void **state)
{
	static const char want[] = "* 1 FETCH (BINARY[2] ~{3}\r\nh\0o)\r\n";
	struct fetch_item item = section_item(FETCH_BINARY, (uint32_t[]) { 2, 0 }, SECTION_WHOLE);
	struct fetch fetch;
	const size_t number = 5;

	(void)state;
	fetch_begin(&fetch, &item, 1, &number, 1);
	fetch_run(&fetch);
	assert_int_equal(fetch.all.len, sizeof(want) - 1);
	assert_memory_equal(fetch.all.data, want, sizeof(want) - 1);
	fetch_end(&fetch);
}

/* 8-bit text stands in literals only, whatever the client has enabled. */
static void test_eight_bit(void **state)
{
	(void)state;
	check_one((struct fetch_item) { .kind = FETCH_ENVELOPE }, 3,
	        "ENVELOPE (NIL {5}\r\n\xc3\xa9t\xc3\xa9 NIL NIL NIL ((NIL NIL {2}\r\n\xc3\xa9 \"x\")) NIL NIL NIL NIL)");
	check_one((struct fetch_item) { .kind = FETCH_PREVIEW }, 3, "PREVIEW {2}\r\n\xc3\xa9");
}

/* Several messages and items; the seen message's new flags are told with it. */
static void test_several(void **state)
{
	struct fetch_item items[] = { { .kind = FETCH_UID }, section_item(FETCH_SECTION, part_1, SECTION_WHOLE) };
	const size_t numbers[] = { 0, 3 };
	struct fetch fetch;

	(void)state;
	fetch_begin(&fetch, items, 2, numbers, 2);
	fetch.slice.changed = calloc(2, sizeof(bool));
	fetch.slice.changed[0] = true;
	fetch.plan.tell_modseq = true;
	fetch_run(&fetch);
	assert_string_equal(buffer_text(&fetch.all),
	        "* 1 FETCH (UID 10 BODY[1] {10}\r\nthe text\r\n FLAGS (\\Seen) MODSEQ (1000))\r\n"
	        "* 2 FETCH (UID 13 BODY[1] {4}\r\n\xc3\xa9\r\n)\r\n");
	fetch_end(&fetch);
}

static const size_t all_numbers[] = { 0, 2, 1, 2, 5, 3 };

/* Longer than a chunk: whole, and never more than a chunk in memory. */
static void test_chunks(void **state)
{
	struct fetch_item items[] = { { .kind = FETCH_UID }, section_item(FETCH_SECTION, NULL, SECTION_WHOLE),
		section_item(FETCH_SECTION, part_1, SECTION_MIME) };
	struct fetch fetch;
	struct span rest;

	(void)state;
	fetch_begin(&fetch, items, 3, all_numbers, LEN(all_numbers));
	fetch_run(&fetch);
	assert_true(fetch.ok && fetch.chunks >= 16);
	assert_true(fetch.longest <= 2 * FETCH_CHUNK);
	rest = buffer_span(&fetch.all);
	for (size_t i = 0; i < LEN(all_numbers); i++) {
		struct span text = stored[all_numbers[i]].text, line;
		char want[100];

		snprintf(want, sizeof(want), "* %zu FETCH (UID %zu BODY[] {%zu}\r", i + 1, all_numbers[i] + 10,
		        text.len);
		assert_true(span_take_until(&rest, '\n', &line));
		assert_true(span_equal(line, span_of(want)));
		assert_true(span_equal(span_first(rest, text.len), text));
		rest = span_skip(rest, text.len);
		assert_true(span_take_word(&rest, " BODY[1.MIME] {"));
		while (!span_take_word(&rest, ")\r\n* ") && rest.len > 3)
			rest = span_skip(rest, 1);
		rest = (struct span) { rest.ptr - 2, rest.len + 2 };
	}
	fetch_end(&fetch);
}

/* A decoded part in chunks, and its pieces without reading what is before them. */
static void test_binary_chunks(void **state)
{
	struct fetch_item item = section_item(FETCH_BINARY, part_1, SECTION_WHOLE);
	struct transfer_decoder decoder;
	struct buffer whole;
	struct fetch fetch;
	const size_t number = 2;
	struct span rest;

	(void)state;
	buffer_init(&whole, 4 * MIB);
	transfer_init(&decoder, TRANSFER_BASE64);
	transfer_feed(&decoder, span_skip(stored[2].text, stored[2].head), &whole);
	fetch_begin(&fetch, &item, 1, &number, 1);
	fetch_run(&fetch);
	assert_true(fetch.chunks > 4);
	rest = buffer_span(&fetch.all);
	assert_true(span_take_until(&rest, '\n', &(struct span) { 0 }));
	assert_true(span_equal(span_first(rest, whole.len), buffer_span(&whole)));
	buffer_free(&fetch.all);
	buffer_init(&fetch.all, MIB);
	item.partial = true;
	item.offset = whole.len - 100;
	item.size = 65536;
	octets_read = 0;
	fetch_render_begin(&fetch.render, &fetch.slice);
	fetch_run(&fetch);
	assert_true(octets_read <= 3 * BINARY_PIECE);
	fetch_end(&fetch);
	buffer_free(&whole);
}

static void test_missing(void **state)
{
	struct fetch_item item = section_item(FETCH_SECTION, NULL, SECTION_WHOLE);
	const size_t numbers[] = { 1, 0, 3, 4, 5 };
	struct fetch fetch;

	(void)state;
	stored[1].missing = stored[3].missing = stored[5].missing = true;
	stored[4].damaged = true;
	fetch_begin(&fetch, &item, 1, numbers, LEN(numbers));
	fetch_run(&fetch);
	assert_true(fetch.ok);
	assert_string_equal(buffer_text(&fetch.all), "* 2 FETCH (BODY[] {37}\r\n" PLAIN ")\r\n");
	assert_int_equal(fetch.render.gone, 3);
	assert_int_equal(fetch.render.failure.code, ERR_DAMAGED);
	fetch_end(&fetch);
}

static void test_unknown_cte(void **state)
{
	struct fetch_item items[] = { { .kind = FETCH_UID },
		section_item(FETCH_BINARY, (uint32_t[]) { 3, 0 }, SECTION_WHOLE) };
	const size_t numbers[] = { 1, 0 };
	struct fetch fetch;

	(void)state;
	fetch_begin(&fetch, items, 2, numbers, 2);
	fetch_run(&fetch);
	assert_true(fetch.ok && fetch.render.unknown_cte);
	assert_string_equal(buffer_text(&fetch.all), "* 2 FETCH (UID 10 BINARY[3] {0}\r\n)\r\n");
	fetch_end(&fetch);
}

/* A file that cannot be read: the message is left out, unless its beginning is out. */
static void test_disk_fails(void **state)
{
	struct fetch_item item = section_item(FETCH_SECTION, NULL, SECTION_WHOLE);
	const size_t numbers[] = { 2, 0 };
	struct fetch fetch;

	(void)state;
	disk_fails_at = 2; /* messages_read, then the first piece */
	fetch_begin(&fetch, &item, 1, numbers, 2);
	fetch_run(&fetch);
	assert_true(fetch.ok && !fetch.render.cut);
	assert_int_equal(fetch.render.failure.code, ERR_IO);
	assert_string_equal(buffer_text(&fetch.all), "* 2 FETCH (BODY[] {37}\r\n" PLAIN ")\r\n");
	fetch_end(&fetch);

	disk_fails_at = 6; /* in the third chunk */
	fetch_begin(&fetch, &item, 1, numbers, 2);
	fetch_run(&fetch);
	assert_true(!fetch.ok && fetch.render.cut);
	fetch_end(&fetch);

	disk_fails_at = 1;
	fetch_begin(&fetch, &item, 1, numbers, 2);
	fetch_run(&fetch);
	assert_true(!fetch.ok && fetch.err.code == ERR_IO && !fetch.render.cut && fetch.all.len == 0);
	fetch_end(&fetch);
}

/* A chunk for which there is no memory: a message that has only begun in it is not gone on with behind what is missing. */
static void test_no_memory(void **state)
{
	struct fetch_item item = section_item(FETCH_SECTION, NULL, SECTION_WHOLE);
	const size_t numbers[] = { 0, 2 };
	struct fetch fetch;
	struct buffer out;

	(void)state;
	fetch_begin(&fetch, &item, 1, numbers, 2);
	buffer_init(&out, FETCH_CHUNK / 2);
	(void)fetch_render_chunk(&fetch.render, NULL, &out, &fetch.err);
	assert_true(out.failed && !fetch.render.in_message && !fetch.render.cut);
	assert_int_equal(fetch.render.failure.code, ERR_NO_MEMORY);
	assert_true(span_equal(buffer_span(&out), SPAN("* 1 FETCH (BODY[] {37}\r\n" PLAIN ")\r\n")));
	buffer_free(&out);
	fetch_end(&fetch);
}

/* A part in pieces, over many commands: the same octets, and few reads once two pieces have come in turn. */
static void take_pieces(struct fetch_ahead **ahead, uint64_t from, uint64_t size, unsigned count, struct buffer *got)
{
	struct fetch_item item = section_item(FETCH_SECTION, part_1, SECTION_WHOLE);
	const size_t number = 2;
	struct fetch fetch;

	item.partial = true;
	item.size = size;
	for (unsigned i = 0; i < count; i++) {
		struct span all, head;
		size_t open;

		item.offset = from + i * size;
		fetch_begin(&fetch, &item, 1, &number, 1);
		fetch.render.ahead = ahead;
		(void)fetch_render_from_ahead(&fetch.render);
		fetch_run(&fetch);
		assert_true(fetch.ok && fetch.render.failure.code == ERR_NONE);
		all = buffer_span(&fetch.all);
		assert_true(span_find(all, '\n', &open));
		head = span_skip(all, open + 1);
		assert_true(head.len >= 3 && buffer_append_span(got, span_first(head, head.len - 3)));
		fetch_ahead_tidy(ahead);
		fetch_end(&fetch);
	}
}

static void test_ahead(void **state)
{
	static const struct {
		const char *name;
		uint64_t from, size;
		unsigned count, reads_max;
		bool kept; /* more is to come */
	} rows[] = {
		{ "one piece", 0, 65536, 1, 1, true },
		{ "two", 65536, 65536, 2, 2, true },
		{ "all", 0, 65536, 33, 2 + 2 * MIB / FETCH_AHEAD + 1, false },
		{ "small ones", 0, 1000, 500, 3, true },
		{ "beyond the end", 2 * MIB - 70000, 65536, 3, 2, false },
		{ "too large", 0, FETCH_AHEAD / 2 + 1, 4, 6, true },
	};
	struct span part = buffer_span(&big);
	struct fetch_ahead *ahead = NULL;
	size_t header, total;
	struct buffer got;

	(void)state;
	header = (size_t)stored[2].summary.header_len;
	total = part.len - header;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct span want = span_skip(part, header + (size_t)(rows[i].from < total ? rows[i].from : total));

		buffer_init(&got, 16 * MIB);
		reads = 0;
		take_pieces(&ahead, rows[i].from, rows[i].size, rows[i].count, &got);
		want = span_first(want, (size_t)rows[i].size * rows[i].count);
		assert_int_equal(got.len, want.len);
		assert_memory_equal(got.data, want.ptr, want.len);
		assert_in_range(reads, 1, rows[i].reads_max);
		assert_int_equal(ahead != NULL, rows[i].kept);
		fetch_ahead_free(&ahead);
		buffer_free(&got);
	}
}

/* Pieces that do not follow each other are read as they are asked for; another section takes the place of the first. */
static void test_ahead_out_of_turn(void **state)
{
	static const uint64_t offsets[] = { 65536, 0, 300000, 65536, 1000000 };
	struct fetch_item whole = section_item(FETCH_SECTION, NULL, SECTION_WHOLE);
	struct fetch_ahead *ahead = NULL;
	struct fetch fetch;
	const size_t number = 2;
	struct buffer got;

	(void)state;
	buffer_init(&got, 16 * MIB);
	octets_read = 0;
	for (size_t i = 0; i < LEN(offsets); i++)
		take_pieces(&ahead, offsets[i], 65536, 1, &got);
	assert_true(octets_read <= LEN(offsets) * 65536);
	take_pieces(&ahead, 0, 65536, 3, &got); /* now there is something to be read ahead of */
	assert_true(ahead->octets.len > 0);
	walks = 0;
	fetch_begin(&fetch, &whole, 1, &number, 1);
	fetch.render.ahead = &ahead;
	assert_false(fetch_render_from_ahead(&fetch.render));
	fetch_run(&fetch);
	assert_true(walks > 0);
	fetch_ahead_tidy(&ahead);
	assert_null(ahead);
	fetch_end(&fetch);
	buffer_free(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items), cmocka_unit_test(test_long_header), cmocka_unit_test(test_nul),
		cmocka_unit_test(test_eight_bit), cmocka_unit_test(test_several), cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_binary_chunks), cmocka_unit_test(test_unknown_cte),
		cmocka_unit_test(test_disk_fails),
		cmocka_unit_test(test_no_memory), cmocka_unit_test(test_ahead),
		cmocka_unit_test(test_ahead_out_of_turn),
		cmocka_unit_test(test_missing), /* last: it spoils the store */
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
