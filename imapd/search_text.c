#include "imapd/search_text.h"

#include "message/fold.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK       16
#define WASTE_SLACK (16 * KIB) /* octets compared in vain that nobody minds */

/* The octets of folded mail, commonest first; what is not named is rarer. */
static const char common_octets[] = " etaoinsrhldcumpfgwyb.v,k-0123=/456789:><\"x_q'jz\r\n;&+";

static unsigned rarity(char c)
{
	const char *at = c == '\0' ? NULL : strchr(common_octets, c);

	if (at != NULL)
		return (unsigned)(at - common_octets);
	return (unsigned char)c >= 0x80
	               ? 40
	               : sizeof(common_octets); /* text that is not Latin is full of the same lead octets */
}

static void choose_rare(struct text_needle *needle)
{
	const char *text = needle->folded.data;

	needle->rare = needle->rarer = 0;
	for (size_t i = 1; i < needle->folded.len; i++)
		if (rarity(text[i]) > rarity(text[needle->rarer]))
			needle->rarer = i;
	if (needle->rarer == 0 && needle->folded.len > 1)
		needle->rare = 1;
	for (size_t i = 0; i < needle->folded.len; i++)
		if (i != needle->rarer && rarity(text[i]) > rarity(text[needle->rare]))
			needle->rare = i;
}

bool text_needle_init(struct text_needle *needle, struct span utf8)
{
	buffer_init(&needle->folded, NEEDLE_MAX * FOLD_GROWTH_MAX);
	needle->rare = needle->rarer = 0;
	if (utf8.len > NEEDLE_MAX || !fold_text(utf8, &needle->folded))
		return false;
	if (needle->folded.len > 0)
		choose_rare(needle);
	return true;
}

void text_needle_free(struct text_needle *needle)
{
	buffer_free(&needle->folded);
}

static bool find_linear(struct span needle, struct span in)
{
	return memmem(in.ptr, in.len, needle.ptr, needle.len) != NULL;
}

#ifdef __SSE2__
static unsigned candidates(const char *at, const struct text_needle *needle, __m128i rare, __m128i rarer)
{
	__m128i a = _mm_loadu_si128((const __m128i *)(const void *)(at + needle->rare));
	__m128i b = _mm_loadu_si128((const __m128i *)(const void *)(at + needle->rarer));

	return (unsigned)_mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(a, rare), _mm_cmpeq_epi8(b, rarer)));
}

static bool find_rare(const struct text_needle *needle, struct span in)
{
	struct span wanted = buffer_span(&needle->folded);
	__m128i rare = _mm_set1_epi8(wanted.ptr[needle->rare]);
	__m128i rarer = _mm_set1_epi8(wanted.ptr[needle->rarer]);
	size_t waste = 0;
	size_t at = 0;

	/* Both loads end where the needle at the last of the places would. */
	for (; at + wanted.len + BLOCK - 1 <= in.len; at += BLOCK) {
		unsigned hits = candidates(in.ptr + at, needle, rare, rarer);

		for (; hits != 0; hits &= hits - 1) {
			if (memcmp(in.ptr + at + __builtin_ctz(hits), wanted.ptr, wanted.len) == 0)
				return true;
			waste += wanted.len;
		}
		if (waste > at + WASTE_SLACK)
			break;
	}
	return find_linear(wanted, span_skip(in, at));
}
#else
static bool find_rare(const struct text_needle *needle, struct span in)
{
	return find_linear(buffer_span(&needle->folded), in);
}
#endif

bool text_find(const struct text_needle *needle, struct span folded)
{
	if (needle->folded.len == 0)
		return true;
	if (needle->folded.len > folded.len)
		return false;
	if (needle->folded.len == 1)
		return memchr(folded.ptr, needle->folded.data[0], folded.len) != NULL;
	return find_rare(needle, folded);
}

void text_stream_init(struct text_stream *stream, const struct text_needle *needle)
{
	*stream = (struct text_stream) { .needle = needle };
	buffer_init(&stream->tail, 2 * needle->folded.len + 1);
}

void text_stream_free(struct text_stream *stream)
{
	buffer_free(&stream->tail);
}

void text_stream_reset(struct text_stream *stream)
{
	stream->found = false;
	buffer_clear(&stream->tail);
}

/* Keeps the last octets of `text`, fewer than the needle has; none from before a NUL, which no needle contains. */
static bool keep_tail(struct text_stream *stream, struct span text)
{
	size_t keep = stream->needle->folded.len - 1;
	const char *nul;

	if (text.len > keep)
		text = span_skip(text, text.len - keep);
	nul = text.len == 0 ? NULL : memrchr(text.ptr, '\0', text.len);
	if (nul != NULL)
		text = span_skip(text, (size_t)(nul + 1 - text.ptr));
	if (stream->tail.data != NULL && text.ptr >= stream->tail.data &&
	        text.ptr <= stream->tail.data + stream->tail.len) {
		buffer_consume(&stream->tail, stream->tail.len - text.len); /* it is the end of the tail itself */
		return true;
	}
	buffer_clear(&stream->tail);
	return buffer_append_span(&stream->tail, text);
}

bool text_stream_feed(struct text_stream *stream, struct span folded)
{
	size_t len = stream->needle->folded.len;

	if (stream->found || len == 0 || folded.len == 0) {
		stream->found = stream->found || len == 0;
		return true;
	}
	if (stream->tail.len > 0) { /* a match over the cut */
		if (!buffer_append_span(&stream->tail, span_first(folded, len - 1)))
			return false;
		stream->found = text_find(stream->needle, buffer_span(&stream->tail));
		if (stream->found)
			return true;
		if (folded.len < len)
			return keep_tail(stream, buffer_span(&stream->tail));
	}
	stream->found = text_find(stream->needle, folded);
	return stream->found || keep_tail(stream, folded);
}
