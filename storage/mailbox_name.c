#include "storage/mailbox_name.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029; /* RFC 5198 §2 */
}

static bool check_characters(struct span in, struct error *err)
{
	uint32_t c;

	if (in.len > MAILBOX_NAME_MAX)
		return error_set(err, ERR_TOO_LONG, "mailbox name longer than %d octets", MAILBOX_NAME_MAX);
	while (in.len > 0) {
		if (!utf8_take(&in, &c))
			return error_set(err, ERR_BAD_VALUE, "mailbox name is not UTF-8");
		if (is_control(c))
			return error_set(err, ERR_BAD_VALUE, "control character in mailbox name");
	}
	return true;
}

static bool check_levels(struct span in, struct error *err)
{
	unsigned depth = 1;
	struct span level;

	while (span_take_until(&in, '/', &level)) {
		if (level.len == 0)
			return error_set(err, ERR_BAD_VALUE, "empty level in mailbox name");
		if (++depth > MAILBOX_DEPTH_MAX)
			return error_set(err, ERR_TOO_LONG, "mailbox name deeper than %d levels", MAILBOX_DEPTH_MAX);
	}
	if (in.len == 0)
		return error_set(err, ERR_BAD_VALUE, "empty level in mailbox name");
	return true;
}

static bool normalise(struct span in, struct mailbox_name *out, struct error *err)
{
	utf8proc_uint8_t *composed = NULL;
	utf8proc_ssize_t len;
	bool fits;

	if (utf8_is_ascii(in)) {
		out->len = in.len;
		return span_copy(in, out->text, sizeof(out->text)) ||
		       error_set(err, ERR_TOO_LONG, "mailbox name too long");
	}
	len = utf8proc_map((const utf8proc_uint8_t *)in.ptr, (utf8proc_ssize_t)in.len, &composed,
	        UTF8PROC_STABLE | UTF8PROC_COMPOSE);
	if (len < 0)
		return error_set(err, len == UTF8PROC_ERROR_NOMEM ? ERR_NO_MEMORY : ERR_BAD_VALUE, "bad mailbox name");
	out->len = (size_t)len;
	fits = span_copy(span_make(composed, out->len), out->text, sizeof(out->text));
	free(composed);
	return fits || error_set(err, ERR_TOO_LONG, "mailbox name too long");
}

bool mailbox_name_is_inbox(struct span name)
{
	return span_equal_nocase(name, SPAN("INBOX"));
}

/* RFC 9051 §5.1: INBOX in any case, also as the first level of a longer name. */
static void fold_inbox(struct mailbox_name *name)
{
	struct span rest = mailbox_name_span(name);

	if (span_take_word(&rest, "INBOX") && (rest.len == 0 || rest.ptr[0] == '/'))
		memcpy(name->text, "INBOX", 5);
}

bool mailbox_name_parse(struct span in, struct mailbox_name *out, struct error *err)
{
	if (!check_characters(in, err) || !check_levels(in, err) || !normalise(in, out, err))
		return false;
	fold_inbox(out);
	return true;
}

struct span mailbox_name_span(const struct mailbox_name *name)
{
	return span_make(name->text, name->len);
}
