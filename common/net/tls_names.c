#include "net/tls_internal.h"

#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 4096 /* in all certificates of a context */

struct tls_name {
	char text[TLS_NAME_MAX + 1]; /* lower case; a wildcard without its "*" : ".example.org" */
	size_t len;
	size_t pair;
};

struct tls_names {
	struct tls_name *items;
	size_t count;
};

struct tls_names *tls_names_new(void)
{
	return calloc(1, sizeof(struct tls_names));
}

void tls_names_free(struct tls_names *names)
{
	if (names == NULL)
		return;
	free(names->items);
	free(names);
}

/* Lower case, without a trailing dot; false for what cannot be a host name. */
static bool normalize(struct span name, struct tls_name *out)
{
	if (name.len > 0 && name.ptr[name.len - 1] == '.')
		name.len--;
	if (name.len == 0 || !span_copy(name, out->text, sizeof(out->text)))
		return false;
	out->len = name.len;
	for (size_t i = 0; i < out->len; i++)
		out->text[i] = ascii_lower(out->text[i]);
	return true;
}

static bool add_name(struct tls_names *names, struct span name, size_t pair)
{
	struct tls_name added, *items;

	if (span_starts(name, SPAN("*."))) /* RFC 9525 §6.3: only a whole left-most label */
		name = span_skip(name, 1);
	if (names->count == NAMES_MAX || !normalize(name, &added))
		return true; /* never matches; the certificate is still good for others */
	added.pair = pair;
	items = realloc(names->items, (names->count + 1) * sizeof(*items));
	if (items == NULL)
		return false;
	names->items = items;
	items[names->count++] = added;
	return true;
}

static bool add_common_name(struct tls_names *names, X509 *certificate, size_t pair)
{
	char text[TLS_NAME_MAX + 1];
	int len = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text, sizeof(text));

	return len <= 0 || add_name(names, span_make(text, strnlen(text, (size_t)len)), pair);
}

bool tls_names_add(struct tls_names *names, X509 *certificate, size_t pair)
{
	GENERAL_NAMES *list = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	bool ok = true;

	if (list == NULL)
		return add_common_name(names, certificate, pair);
	for (int i = 0; ok && i < sk_GENERAL_NAME_num(list); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(list, i);

		if (name->type == GEN_DNS)
			ok = add_name(names,
			        span_make(ASN1_STRING_get0_data(name->d.dNSName),
			                (size_t)ASN1_STRING_length(name->d.dNSName)),
			        pair);
	}
	GENERAL_NAMES_free(list);
	return ok;
}

static bool find_exact(const struct tls_names *names, struct span wanted, size_t *pair)
{
	for (size_t i = 0; i < names->count; i++)
		if (span_equal(span_make(names->items[i].text, names->items[i].len), wanted)) {
			*pair = names->items[i].pair;
			return true;
		}
	return false;
}

size_t tls_names_find(const struct tls_names *names, struct span name)
{
	struct tls_name wanted;
	size_t pair, dot;

	if (!normalize(name, &wanted) || wanted.text[0] == '.') /* ".example.org" is how wildcards are kept */
		return 0;
	if (find_exact(names, span_make(wanted.text, wanted.len), &pair))
		return pair;
	if (span_find(span_make(wanted.text, wanted.len), '.', &dot) &&
	        find_exact(names, span_skip(span_make(wanted.text, wanted.len), dot), &pair))
		return pair;
	return 0;
}
