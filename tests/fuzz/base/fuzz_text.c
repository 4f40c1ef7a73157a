/* base64, UTF-8, numbers and the log line on any bytes: what is taken is given back the same, what is written is whole. */
#include "base/base64.h"
#include "base/check.h"
#include "base/log.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_base64(struct span in)
{
	struct buffer a, b;

	buffer_init(&a, 64 * KIB);
	buffer_init(&b, 64 * KIB);
	if (base64_decode(in, &a)) { /* strict: only one way to write it */
		CHECK(base64_encode(buffer_span(&a), &b));
		CHECK(span_equal(buffer_span(&b), in));
	}
	buffer_clear(&a);
	buffer_clear(&b);
	CHECK(base64_encode(in, &a) && base64_decode(buffer_span(&a), &b));
	CHECK(span_equal(buffer_span(&b), in));
	buffer_free(&a);
	buffer_free(&b);
}

static void check_utf8(struct span in)
{
	struct buffer repaired;

	buffer_init(&repaired, 64 * KIB);
	CHECK(utf8_append_repaired(&repaired, in));
	CHECK(utf8_valid(buffer_span(&repaired)));
	CHECK(utf8_valid(in) == span_equal(buffer_span(&repaired), in));
	CHECK(!utf8_is_ascii(in) || utf8_valid(in));
	buffer_free(&repaired);
}

static void check_number(struct span in)
{
	struct span rest = in;
	uint64_t value;
	char text[32];

	if (!span_take_number64(&rest, UINT64_MAX, &value)) {
		CHECK(rest.len == in.len);
		return;
	}
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	while (in.len > 1 && in.ptr[0] == '0' && ascii_is_digit((unsigned char)in.ptr[1]))
		in = span_skip(in, 1);
	CHECK(span_equal(span_first(in, in.len - rest.len), span_of(text)));
}

static void check_log(struct span in)
{
	char line[LOG_LINE_MAX];
	struct log_field field = LOG_SPAN("v", in);
	size_t len = log_format(line, sizeof(line), LOG_INFO, "event", &field, 1);

	CHECK(len <= sizeof(line) && line[len - 1] == '\n');
	for (size_t i = 0; i + 1 < len; i++)
		CHECK(line[i] >= ' ' && line[i] < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_make(data, size);

	if (size > 8192)
		return 0;
	check_base64(in);
	check_utf8(in);
	check_number(in);
	check_log(in);
	return 0;
}
