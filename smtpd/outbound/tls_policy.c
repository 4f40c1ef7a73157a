#include "smtpd/outbound/tls_policy.h"

#include "base/macros.h"

const char *tls_level_name(enum tls_level level)
{
	static const char *const names[] = {
		[TLS_LEVEL_NONE] = "none",
		[TLS_LEVEL_MAY] = "may",
		[TLS_LEVEL_ENCRYPT] = "encrypt",
		[TLS_LEVEL_VERIFY] = "verify",
		[TLS_LEVEL_DANE] = "dane",
	};

	return (size_t)level < ARRAY_LEN(names) ? names[level] : "?";
}

const char *tls_source_name(enum tls_source source)
{
	static const char *const names[] = {
		[TLS_SOURCE_DEFAULT] = "default",
		[TLS_SOURCE_OVERRIDE] = "override",
		[TLS_SOURCE_DANE] = "dane",
		[TLS_SOURCE_STS] = "mta-sts",
		[TLS_SOURCE_REQUIRETLS] = "requiretls",
	};

	return (size_t)source < ARRAY_LEN(names) ? names[source] : "?";
}

bool tls_demand(const struct tls_facts *facts, struct tls_demand *out)
{
	*out = (struct tls_demand) { TLS_LEVEL_MAY, TLS_SOURCE_DEFAULT };
	if (facts->override != TLS_LEVEL_UNSAID) {
		*out = (struct tls_demand) { facts->override, TLS_SOURCE_OVERRIDE };
		if (facts->override == TLS_LEVEL_VERIFY && facts->dane == DANE_USABLE)
			out->level = TLS_LEVEL_DANE;
	} else if (facts->dane == DANE_USABLE) {
		*out = (struct tls_demand) { TLS_LEVEL_DANE, TLS_SOURCE_DANE };
	} else if (facts->dane == DANE_UNUSABLE) {
		/* RFC 7672 §2.2: records that are there and cannot be used ask for TLS all the same */
		*out = (struct tls_demand) { TLS_LEVEL_ENCRYPT, TLS_SOURCE_DANE };
	} else if (facts->sts == STS_ENFORCE) {
		*out = (struct tls_demand) { TLS_LEVEL_VERIFY, TLS_SOURCE_STS };
	}
	if (facts->tls_no && facts->override == TLS_LEVEL_UNSAID && out->level != TLS_LEVEL_NONE) {
		/* RFC 8689 §4.2.2: try, but do not fail for it */
		*out = (struct tls_demand) { TLS_LEVEL_MAY, TLS_SOURCE_REQUIRETLS };
		return true;
	}
	if (!facts->requiretls)
		return true;
	/* RFC 8689 §4.2.1: the name must have come by DNSSEC, by MTA-STS, or from the admin. */
	if (!facts->name_is_secure && facts->sts != STS_ENFORCE)
		return false;
	if (out->level < TLS_LEVEL_VERIFY)
		*out = (struct tls_demand) { TLS_LEVEL_VERIFY, TLS_SOURCE_REQUIRETLS };
	return true;
}
