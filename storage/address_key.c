#include "storage/address_key.h"

#include "base/utf8.h"

#include <idn2.h>
#include <stdlib.h>
#include <utf8proc.h>

static bool bad(struct error *err, const char *what)
{
	return error_set(err, ERR_BAD_ADDRESS, "%s", what);
}

static bool is_plain_label(struct span label)
{
	if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++) {
		unsigned char c = (unsigned char)label.ptr[i];

		if (!ascii_is_alnum(c) && c != '-' && c != '_')
			return false;
	}
	return true;
}

static bool is_plain_name(struct span name)
{
	struct span label;

	while (span_take_until(&name, '.', &label)) {
		if (!is_plain_label(label))
			return false;
	}
	return is_plain_label(name);
}

static bool ascii_domain(struct span domain, char *out, size_t size, struct error *err)
{
	if (!is_plain_name(domain) || !span_copy(domain, out, size))
		return bad(err, "not a domain name");
	for (char *c = out; *c != '\0'; c++)
		*c = ascii_lower(*c);
	return true;
}

bool domain_key(struct span domain, char *out, size_t size, struct error *err)
{
	char text[4 * DOMAIN_MAX + 1];
	char *labels = NULL;
	int code;
	bool ok;

	if (domain.len > 0 && domain.ptr[domain.len - 1] == '.')
		domain.len--;
	if (utf8_is_ascii(domain))
		return ascii_domain(domain, out, size, err);
	if (!utf8_valid(domain) || !span_copy(domain, text, sizeof(text)))
		return bad(err, "not a domain name");
	code = idn2_to_ascii_8z(text, &labels, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (code == IDN2_MALLOC)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	if (code != IDN2_OK)
		return bad(err, "not a domain name");
	ok = ascii_domain(span_of(labels), out, size, err);
	idn2_free(labels);
	return ok;
}

bool local_key(struct span local, char *out, size_t size, struct error *err)
{
	utf8proc_uint8_t *composed = NULL;
	utf8proc_ssize_t len;
	bool ok;

	if (local.len == 0 || local.len > LOCAL_PART_MAX || !utf8_valid(local))
		return bad(err, "not a local part");
	if (utf8_is_ascii(local)) {
		ok = span_copy(local, out, size);
	} else {
		len = utf8proc_map((const utf8proc_uint8_t *)local.ptr, (utf8proc_ssize_t)local.len, &composed,
		        UTF8PROC_STABLE | UTF8PROC_COMPOSE);
		if (len == UTF8PROC_ERROR_NOMEM)
			return error_set(err, ERR_NO_MEMORY, "out of memory");
		ok = len > 0 && span_copy(span_make(composed, (size_t)len), out, size);
		free(composed);
	}
	if (!ok)
		return bad(err, "not a local part");
	for (char *c = out; *c != '\0'; c++)
		*c = ascii_lower(*c);
	return true;
}

bool address_key(struct span address, struct address_key *out, struct error *err)
{
	size_t at;

	if (!span_find_last(address, '@', &at))
		return bad(err, "an address needs an @");
	return local_key(span_first(address, at), out->local, sizeof(out->local), err) &&
	       domain_key(span_skip(address, at + 1), out->domain, sizeof(out->domain), err);
}
