#include "base/macros.h"
#include "sasl/mechanism.h"

/* The one table (RFC 4422 §3.1), in the order to announce. Not here on purpose: CRAM-MD5, DIGEST-MD5 and NTLM need the
 * clear password in the store, and clients would pick them first. */
static const struct mechanism *const mechanisms[] = {
	&plain_mechanism,         /* RFC 4616 */
	&login_mechanism,         /* draft-murchison-sasl-login */
	&scram_sha_256_mechanism, /* RFC 7677 */
	&scram_sha_256_plus_mechanism, /* RFC 7677 with RFC 9266 or RFC 5929; last: clients pick by a preference of their own */
};

bool channel_can_bind(const struct sasl_channel *channel)
{
	return channel->secure && (channel->bindings[0].len > 0 || channel->bindings[1].len > 0);
}

const struct mechanism *mechanism_find(struct span name, const struct sasl_channel *channel)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (span_equal_nocase(name, span_of(mechanisms[i]->name)))
			return !mechanisms[i]->binds || channel_can_bind(channel) ? mechanisms[i] : NULL;
	return NULL;
}

#define WITHOUT_BINDING "PLAIN LOGIN SCRAM-SHA-256"

const char *sasl_mechanism_names(const struct sasl_channel *channel)
{
	if (!channel->secure)
		return "";
	return channel_can_bind(channel) ? WITHOUT_BINDING " SCRAM-SHA-256-PLUS" : WITHOUT_BINDING;
}
