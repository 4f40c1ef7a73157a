/* Messages for a client that did not say UTF8, and the dots of every reply: any octets, fed in pieces of any size.
 *
 * Judged: the surrogate is as long as promised, the same in pieces and as a whole; a header that is wholly UTF-8 comes out in
 * ASCII; what is sent ends with CRLF.CRLF and nowhere before. */
#include "base/check.h"
#include "base/utf8.h"
#include "pop3d/downgrade.h"
#include "pop3d/stuffing.h"
#include "pop3d/surrogate.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void send_in_pieces(
        const struct surrogate *s, struct span message, size_t piece, struct buffer *out, uint64_t *sent)
{
	struct stuffing stuffing;
	uint64_t at = 0;

	stuffing_init(&stuffing, STUFFING_ALL);
	*sent = 0;
	while (message.len > 0) {
		struct span bytes = span_first(message, piece), run;

		message = span_skip(message, piece);
		while (surrogate_next(s, &at, &bytes, &run)) {
			CHECK(stuffing_feed(&stuffing, run, out));
			*sent += run.len;
		}
	}
	CHECK(stuffing_finish(&stuffing, out));
}

static void check_end(const struct buffer *out)
{
	const char *end = memmem(out->data, out->len, "\r\n.\r\n", 5);

	if (out->len == 3)
		CHECK(memcmp(out->data, ".\r\n", 3) == 0);
	else
		CHECK(end != NULL && end + 5 == out->data + out->len);
	CHECK(memmem(out->data, out->len - 3, "\n.\r\n", 4) == NULL);
}

static void check_top(struct span message, uint8_t lines)
{
	struct stuffing stuffing;
	struct buffer out;

	buffer_init(&out, 4 * MIB);
	stuffing_init(&stuffing, lines);
	CHECK(stuffing_feed(&stuffing, message, &out) && stuffing_finish(&stuffing, &out));
	check_end(&out);
	buffer_free(&out);
}

static void check_ascii(struct span header)
{
	struct buffer out;

	buffer_init(&out, 4 * MIB);
	CHECK(downgrade_header(header, &out));
	CHECK(!utf8_is_ascii(header) || span_equal(buffer_span(&out), header));
	buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer whole, pieces;
	struct surrogate s;
	struct span message;
	uint64_t sent;

	if (size < 2)
		return 0;
	message = span_make(data + 2, size - 2);
	buffer_init(&whole, 4 * MIB);
	buffer_init(&pieces, 4 * MIB);
	surrogate_init(&s);
	CHECK(surrogate_feed(&s, message) && surrogate_finish(&s));
	send_in_pieces(&s, message, SIZE_MAX, &whole, &sent);
	CHECK((int64_t)sent == (int64_t)message.len + s.growth);
	send_in_pieces(&s, message, 1 + data[0], &pieces, &sent);
	CHECK(span_equal(buffer_span(&whole), buffer_span(&pieces)));
	check_end(&whole);
	check_top(message, data[1]);
	check_ascii(message);
	surrogate_free(&s);
	buffer_free(&whole);
	buffer_free(&pieces);
	return 0;
}
