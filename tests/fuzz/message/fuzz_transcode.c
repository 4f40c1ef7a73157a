/* Whatever a message is: converted, it has only what the target may have, its parts say the same, and converting it again changes nothing. */
#include "message/transcode.h"

#include "base/buffer.h"
#include "base/check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct text {
	struct span in;
	struct buffer out;
};

static bool read_text(void *arg, uint64_t offset, void *out, size_t size, size_t *got, struct error *err)
{
	struct text *text = arg;
	struct span rest = span_skip(text->in, offset);

	*got = rest.len < size ? rest.len : size;
	if (*got > 0)
		memcpy(out, rest.ptr, *got);
	return true;
}

static bool write_text(void *arg, struct span bytes, struct error *err)
{
	return buffer_append_span(&((struct text *)arg)->out, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text first, second;
	struct transcode_io io = { read_text, write_text, &first }, again = { read_text, write_text, &second };
	enum transcode_target target;
	struct transcode_need need;
	struct error err;

	if (size == 0)
		return 0;
	target = data[0] & 1 ? TRANSCODE_7BIT : TRANSCODE_8BIT;
	first.in = span_make(data + 1, size - 1);
	buffer_init(&first.out, 64 * MIB);
	buffer_init(&second.out, 64 * MIB);
	if (transcode(&io, target, &err)) {
		for (size_t i = 0; i < first.out.len; i++) {
			unsigned char c = (unsigned char)first.out.data[i];
			CHECK(c != 0 && (c < 128 || target == TRANSCODE_8BIT));
			CHECK((c == '\n') == (i > 0 && first.out.data[i - 1] == '\r'));
		}
		second.in = buffer_span(&first.out);
		CHECK(transcode_look(&again, &need, &err));
		CHECK(!need.eight_bit || target == TRANSCODE_8BIT);
		CHECK(transcode(&again, target, &err));
		CHECK(second.out.len == first.out.len &&
		        (first.out.len == 0 || memcmp(second.out.data, first.out.data, first.out.len) == 0));
	} else {
		CHECK(err.code == ERR_UNSUPPORTED && first.out.len == 0);
	}
	buffer_free(&first.out);
	buffer_free(&second.out);
	return 0;
}
