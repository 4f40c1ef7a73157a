#include "smtpd/syntax/xclient.h"

#include "base/buffer.h"
#include "base/macros.h"
#include "base/utf8.h"
#include "message/xtext.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define IPV6_TAG "IPV6:"

/* --- values: what was said, decoded ------------------------------------------------------------------------------ */

typedef bool take_value(struct span value, enum xclient_said said, struct xclient_args *out);

static bool take_address(struct span value, enum xclient_said said, struct xclient_args *out)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)&out->address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->address;
	char text[INET6_ADDRSTRLEN];

	out->address_said = said;
	if (said == XCLIENT_UNAVAILABLE)
		return true;
	if (span_starts_nocase(value, SPAN(IPV6_TAG))) {
		in6->sin6_family = AF_INET6;
		return span_copy(span_skip(value, sizeof(IPV6_TAG) - 1), text, sizeof(text)) &&
		       inet_pton(AF_INET6, text, &in6->sin6_addr) == 1;
	}
	in4->sin_family = AF_INET;
	return span_copy(value, text, sizeof(text)) && inet_pton(AF_INET, text, &in4->sin_addr) == 1;
}

static bool take_port(struct span value, enum xclient_said said, struct xclient_args *out)
{
	uint64_t port = 0;

	out->port_said = said;
	if (said == XCLIENT_SAID && !span_number(value, UINT16_MAX, &port))
		return false;
	out->port = (uint16_t)port;
	return true;
}

static bool take_proto(struct span value, enum xclient_said said, struct xclient_args *out)
{
	out->proto_said = said;
	out->esmtp = span_equal_nocase(value, SPAN("ESMTP"));
	return said == XCLIENT_UNAVAILABLE || out->esmtp || span_equal_nocase(value, SPAN("SMTP"));
}

static bool take_text(struct span value, enum xclient_said said, struct xclient_text *out)
{
	out->said = said;
	return said == XCLIENT_UNAVAILABLE || (value.len > 0 && span_copy(value, out->value, sizeof(out->value)));
}

static bool take_name(struct span value, enum xclient_said said, struct xclient_args *out)
{
	return take_text(value, said, &out->name);
}

static bool take_helo(struct span value, enum xclient_said said, struct xclient_args *out)
{
	return take_text(value, said, &out->helo);
}

static bool take_login(struct span value, enum xclient_said said, struct xclient_args *out)
{
	return take_text(value, said, &out->login);
}

static const struct attribute {
	const char *name;
	take_value *take;
} attributes[] = {
	{ "NAME", take_name },
	{ "ADDR", take_address },
	{ "PORT", take_port },
	{ "PROTO", take_proto },
	{ "HELO", take_helo },
	{ "LOGIN", take_login },
};

/* --- the line ------------------------------------------------------------------------------------------------------ */

static bool is_one_word(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] <= 32 || text.ptr[i] == 127)
			return false;
	return utf8_valid(text);
}

static bool is_unavailable(struct span value)
{
	return span_equal_nocase(value, SPAN("[UNAVAILABLE]")) || span_equal_nocase(value, SPAN("[TEMPUNAVAIL]"));
}

static const struct attribute *find(struct span name, unsigned *seen)
{
	for (size_t i = 0; i < ARRAY_LEN(attributes); i++) {
		if (!span_equal_nocase(name, span_of(attributes[i].name)))
			continue;
		if (*seen & 1u << i)
			return NULL;
		*seen |= 1u << i;
		return &attributes[i];
	}
	return NULL;
}

/* name "=" value; `value` is decoded into a buffer of the caller's. */
static bool take_attribute(struct span word, unsigned *seen, struct buffer *decoded, struct xclient_args *out)
{
	const struct attribute *attribute;
	struct span name, value;
	enum xclient_said said;

	buffer_clear(decoded);
	if (!span_take_until(&word, '=', &name) || (attribute = find(name, seen)) == NULL ||
	        !xtext_decode(word, decoded))
		return false;
	value = buffer_span(decoded);
	said = is_unavailable(value) ? XCLIENT_UNAVAILABLE : XCLIENT_SAID;
	return value.len <= XCLIENT_VALUE_MAX && is_one_word(value) && attribute->take(value, said, out);
}

bool xclient_parse(struct span in, struct xclient_args *out, struct error *err)
{
	struct buffer decoded;
	unsigned seen = 0;
	bool ok = true;

	*out = (struct xclient_args) { .address_said = XCLIENT_NOT_SAID };
	buffer_init(&decoded, 2 * XCLIENT_VALUE_MAX);
	for (in = span_trim(in); ok && in.len > 0; in = span_trim(in)) {
		struct span word;

		if (!span_take_until(&in, ' ', &word)) {
			word = in;
			in = SPAN_EMPTY;
		}
		ok = take_attribute(word, &seen, &decoded, out);
	}
	buffer_free(&decoded);
	if (!ok)
		return error_set(
		        err, ERR_BAD_VALUE, "bad attribute: expected each of " XCLIENT_ATTRIBUTES " at most once");
	return seen != 0 || error_set(err, ERR_SYNTAX, "expected attributes");
}
