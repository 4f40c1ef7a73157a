#include "base/macros.h"
#include "sasl/mechanism.h"

/* The one table (RFC 4422 §3.1), in the order to announce. Not here on purpose: CRAM-MD5, DIGEST-MD5 and NTLM need the
 * clear password in the store, and clients would pick them first. */
static const struct mechanism *const mechanisms[] = {
	&plain_mechanism,         /* RFC 4616 */
	&login_mechanism,         /* draft-murchison-sasl-login */
	&scram_sha_256_mechanism, /* RFC 7677; no -PLUS: channel binding is not offered */
};

const struct mechanism *mechanism_find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (span_equal_nocase(name, span_of(mechanisms[i]->name)))
			return mechanisms[i];
	return NULL;
}

const char *sasl_mechanism_names(bool secure)
{
	return secure ? "PLAIN LOGIN SCRAM-SHA-256" : "";
}
