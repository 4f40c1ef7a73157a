/* First octet: how large the pieces are. The rest is a message: however it is cut, its text is the same; and that text is folded already, also
 * when folded in two halves. */
#include "message/fold.h"
#include "message/message_text.h"

#include "base/check.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool collect(void *context, enum message_text_place place, struct span folded)
{
	struct buffer *places = context;

	CHECK(folded.len > 0 && folded.len <= MESSAGE_TEXT_PIECE_MAX);
	CHECK(buffer_append_span(&places[place], folded));
	return true;
}

static void walk(struct span message, size_t piece, struct buffer *places)
{
	struct message_text_hooks hooks = { .context = places, .headers = true, .bodies = true, .on_text = collect };
	struct message_text *text = message_text_new(&hooks);

	CHECK(text != NULL);
	for (; message.len > 0; message = span_skip(message, piece))
		CHECK(message_text_feed(text, span_first(message, piece)));
	CHECK(message_text_finish(text));
	message_text_free(&text);
}

/* The fold of a fold is itself, as long as it is cut between characters. NUL, which separates, becomes a blank: so by lines of it. */
static void check_folded(struct span folded, size_t piece)
{
	struct span text;

	while (span_take_until(&folded, '\0', &text)) {
		struct buffer again;
		size_t cut = piece < text.len ? piece : text.len;

		while (cut > 0 && cut < text.len && (text.ptr[cut] & 0xc0) == 0x80)
			cut--;
		buffer_init(&again, text.len * FOLD_GROWTH_MAX + 1);
		CHECK(fold_text(span_first(text, cut), &again) && fold_text(span_skip(text, cut), &again));
		CHECK(span_equal(buffer_span(&again), text));
		CHECK(utf8_valid(text));
		buffer_free(&again);
	}
	CHECK(folded.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer whole[2], cut[2];
	struct span message;

	if (size == 0)
		return 0;
	message = span_make(data + 1, size - 1);
	for (int i = 0; i < 2; i++) {
		buffer_init(&whole[i], 64 * MIB);
		buffer_init(&cut[i], 64 * MIB);
	}
	walk(message, size, whole);
	walk(message, (size_t)data[0] + 1, cut);
	for (int i = 0; i < 2; i++) {
		CHECK(span_equal(buffer_span(&whole[i]), buffer_span(&cut[i])));
		check_folded(buffer_span(&whole[i]), data[0]);
		buffer_free(&whole[i]);
		buffer_free(&cut[i]);
	}
	return 0;
}
