#include "sasl/saslprep.h"

#include "base/macros.h"
#include "base/secret.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <utf8proc.h>

struct range {
	uint32_t first;
	uint32_t last;
};

/* RFC 3454 B.1: commonly mapped to nothing. */
static const struct range mapped_to_nothing[] = { { 0x00AD, 0x00AD }, { 0x034F, 0x034F }, { 0x1806, 0x1806 },
	{ 0x180B, 0x180D }, { 0x200B, 0x200D }, { 0x2060, 0x2060 }, { 0xFE00, 0xFE0F }, { 0xFEFF, 0xFEFF } };

/* RFC 3454 C.1.2: non-ASCII blanks, mapped to SPACE (U+200B is in B.1 as well and goes by that). */
static const struct range blanks[] = { { 0x00A0, 0x00A0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200A }, { 0x202F, 0x202F },
	{ 0x205F, 0x205F }, { 0x3000, 0x3000 } };

/* RFC 4013 §2.3: RFC 3454 C.2.1 to C.9, without the ASCII controls, which prohibited() knows. */
static const struct range prohibited_ranges[] = {
	{ 0x0080, 0x009F }, { 0x06DD, 0x06DD }, { 0x070F, 0x070F }, { 0x180E, 0x180E }, /* C.2.2 */
	{ 0x0340, 0x0341 }, { 0x200E, 0x200F },                                         /* C.8 */
	{ 0x2028, 0x202E },                                                             /* C.2.2, C.8 */
	{ 0x2061, 0x2063 }, { 0x206A, 0x206F },                                         /* C.2.2, C.8 */
	{ 0x2FF0, 0x2FFB },                                                             /* C.7 */
	{ 0xE000, 0xF8FF },                                                             /* C.3 */
	{ 0xFDD0, 0xFDEF },                                                             /* C.4 */
	{ 0xFFF9, 0xFFFF },                                                             /* C.2.2, C.6, C.4 */
	{ 0x1D173, 0x1D17A },                                                           /* C.2.2 */
	{ 0xE0001, 0xE0001 }, { 0xE0020, 0xE007F },                                     /* C.9 */
	{ 0xF0000, 0x10FFFF },                                                          /* C.3, C.4 */
};

static bool in_ranges(uint32_t c, const struct range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

static bool prohibited(uint32_t c)
{
	if (c < 0x20 || c == 0x7F) /* C.2.1 */
		return true;
	if (c >= 0x10000 && (c & 0xFFFE) == 0xFFFE) /* C.4 in every plane */
		return true;
	return in_ranges(c, prohibited_ranges, ARRAY_LEN(prohibited_ranges));
}

static bool map(struct span in, struct buffer *out)
{
	uint32_t c;

	while (utf8_take(&in, &c)) {
		if (in_ranges(c, mapped_to_nothing, ARRAY_LEN(mapped_to_nothing)))
			continue;
		if (!utf8_append(out, in_ranges(c, blanks, ARRAY_LEN(blanks)) ? ' ' : c))
			return false;
	}
	return true;
}

enum direction { NEUTRAL, LEFT_TO_RIGHT, RIGHT_TO_LEFT };

static enum direction direction_of(uint32_t c)
{
	switch (utf8proc_get_property((utf8proc_int32_t)c)->bidi_class) {
	case UTF8PROC_BIDI_CLASS_L: return LEFT_TO_RIGHT;
	case UTF8PROC_BIDI_CLASS_R:
	case UTF8PROC_BIDI_CLASS_AL: return RIGHT_TO_LEFT;
	default: return NEUTRAL;
	}
}

/* RFC 3454 §6: with any right-to-left character there is no left-to-right one, and the first and the last are right-to-left. */
static bool directions_agree(struct span text)
{
	enum direction first = NEUTRAL, last = NEUTRAL;
	bool any_left = false, any_right = false, begun = false;
	uint32_t c;

	while (utf8_take(&text, &c)) {
		last = direction_of(c);
		if (!begun)
			first = last;
		begun = true;
		any_left |= last == LEFT_TO_RIGHT;
		any_right |= last == RIGHT_TO_LEFT;
	}
	return !any_right || (!any_left && first == RIGHT_TO_LEFT && last == RIGHT_TO_LEFT);
}

static bool check(struct span text, struct error *err)
{
	struct span rest = text;
	uint32_t c;

	while (utf8_take(&rest, &c))
		if (prohibited(c))
			return error_set(err, ERR_BAD_VALUE, "it has a character that is not allowed");
	if (!directions_agree(text))
		return error_set(err, ERR_BAD_VALUE, "it mixes left-to-right and right-to-left text");
	return true;
}

static bool append_nfkc(struct span mapped, struct buffer *out, struct error *err)
{
	utf8proc_uint8_t *folded = NULL;
	utf8proc_ssize_t len = utf8proc_map((const utf8proc_uint8_t *)mapped.ptr, (utf8proc_ssize_t)mapped.len, &folded,
	        UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
	bool ok;

	if (len < 0)
		return error_set(
		        err, len == UTF8PROC_ERROR_NOMEM ? ERR_NO_MEMORY : ERR_BAD_VALUE, "it cannot be normalised");
	ok = check(span_make(folded, (size_t)len), err) &&
	     (buffer_append(out, folded, (size_t)len) || error_set(err, ERR_NO_MEMORY, "out of memory"));
	secret_wipe(folded, (size_t)len);
	free(folded);
	return ok;
}

bool saslprep(struct span in, struct buffer *out, struct error *err)
{
	struct buffer mapped;
	bool ok;

	if (utf8_is_ascii(in))
		return check(in, err) &&
		       (buffer_append_span(out, in) || error_set(err, ERR_NO_MEMORY, "out of memory"));
	if (!utf8_valid(in))
		return error_set(err, ERR_BAD_VALUE, "it is not UTF-8");
	buffer_init(&mapped, in.len);
	if (!buffer_reserve(&mapped, in.len) || !map(in, &mapped)) {
		secret_buffer_free(&mapped);
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	ok = append_nfkc(buffer_span(&mapped), out, err);
	secret_buffer_free(&mapped);
	return ok;
}
