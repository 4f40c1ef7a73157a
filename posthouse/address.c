#include "posthouse/address.h"

#include "base/utf8.h"

#include <string.h>

/* RFC 5322 §3.2.3: atext */
static bool is_atext(unsigned char c)
{
	return ascii_is_alnum(c) || c >= 0x80 || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool is_dot_string(struct span text)
{
	struct span atom;

	do {
		if (!span_take_run(&text, is_atext, &atom))
			return false;
	} while (span_take_char(&text, '.'));
	return text.len == 0;
}

bool address_check(struct span address, struct error *err)
{
	struct span local;

	if (!span_take_until(&address, '@', &local) || address.len == 0 ||
	        memchr(address.ptr, '@', address.len) != NULL)
		return error_set(err, ERR_BAD_ADDRESS, "not an address");
	if (!is_dot_string(local) || !utf8_valid(local))
		return error_set(err, ERR_BAD_ADDRESS,
		        "not an address: before the @ are letters, digits and . ! # $ %% & ' * + - / = ? ^ _ ` { | } ~");
	if (local.len > LOCAL_PART_MAX)
		return error_set(err, ERR_BAD_ADDRESS, "more than %d characters before the @", LOCAL_PART_MAX);
	if (span_equal(local, SPAN("*")))
		return error_set(err, ERR_BAD_ADDRESS, "* is only for an alias that catches all");
	return true;
}

bool address_check_alias(struct span address, struct error *err)
{
	if (span_starts(address, SPAN("*@")) && address.len > 2 &&
	        memchr(address.ptr + 2, '@', address.len - 2) == NULL)
		return true;
	return address_check(address, err);
}
