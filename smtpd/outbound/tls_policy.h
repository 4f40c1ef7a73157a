/* smtpd/outbound/tls_policy.h — what TLS a host must show before it gets the mail of a domain, and where that demand comes from.
 *
 * In this order (RFC 8461 §2, RFC 7672 §2.2, RFC 8689 §4): an admin's override for the domain; DANE, when MX and address answers are secure and there
 * are TLSA records for the host; MTA-STS, when the domain has a policy; else opportunistic. REQUIRETLS on the message raises whatever it is to
 * a verified certificate and forbids servers that do not offer REQUIRETLS. Thread: the loop's; the pure parts any. */
#ifndef SMTPD_OUTBOUND_TLS_POLICY_H
#define SMTPD_OUTBOUND_TLS_POLICY_H

#include "base/error.h"
#include "base/span.h"

#include <stdint.h>

#define STS_MX_MAX      100
#define STS_MX_NAME_MAX 255

enum tls_level { TLS_LEVEL_NONE, TLS_LEVEL_MAY, TLS_LEVEL_ENCRYPT, TLS_LEVEL_VERIFY, TLS_LEVEL_DANE };
enum tls_source { TLS_SOURCE_DEFAULT, TLS_SOURCE_OVERRIDE, TLS_SOURCE_DANE, TLS_SOURCE_STS, TLS_SOURCE_REQUIRETLS };

const char *tls_level_name(enum tls_level level);    /* "may", "dane": for events and `queue show` */
const char *tls_source_name(enum tls_source source); /* "mta-sts" */

/* What is known of one host, and what follows from it. */
#define TLS_LEVEL_UNSAID ((enum tls_level) - 1)
enum dane_state {
	DANE_NONE,     /* not secure, or no TLSA records */
	DANE_UNUSABLE, /* records that nobody can use (RFC 7672 §2.2): TLS without a look at the certificate */
	DANE_USABLE,
};

/* --- MTA-STS, pure (RFC 8461 §3); conformance: vectors/mta-sts --- */
enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };
struct sts_policy {
	enum sts_mode mode;
	uint32_t max_age; /* seconds, at most 31557600 */
	char mx[STS_MX_MAX][STS_MX_NAME_MAX + 1];
	size_t mx_count;
};
/* The TXT records at _mta-sts.<domain>: exactly one must begin with "v=STSv1;"; false otherwise. */
bool sts_parse_records(const struct span *records, size_t count, char *id, size_t id_size);
bool sts_parse_policy(struct span text, struct sts_policy *out, struct error *err);
bool sts_matches(const struct sts_policy *policy, struct span host); /* RFC 8461 §4.1 */

/* --- the demand on one host, pure --- */
struct tls_facts {
	enum tls_level override; /* the admin's, or TLS_LEVEL_UNSAID */
	enum dane_state dane;
	enum sts_mode sts;   /* of a policy that the host is in; STS_NONE otherwise */
	bool name_is_secure; /* who the host is was answered by DNSSEC or said by the admin */
	bool requiretls;     /* RFC 8689, the message's */
	bool tls_no;         /* RFC 8689 §5: "TLS-Required: No", the message's */
};
struct tls_demand {
	enum tls_level level;
	enum tls_source source;
};
/* False: REQUIRETLS cannot be satisfied with this host. */
bool tls_demand(const struct tls_facts *facts, struct tls_demand *out);

#endif
