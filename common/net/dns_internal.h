/* common/net/dns_internal.h — what dns.c and dns_read.c share, and tests and fuzz targets reach. */
#ifndef NET_DNS_INTERNAL_H
#define NET_DNS_INTERNAL_H

#include "net/dns.h"

/* A name to ask for: host names and service names (RFC 1123 §2.1, RFC 8552), lower case, without the dot at the end. */
bool dns_clean_name(struct span name, char out[DNS_NAME_MAX + 1]);
/* How many CNAME records the answer section of a whole message has; false when it is malformed. */
bool dns_count_cnames(struct span packet, size_t *count);

/* dns_answer.c: what libunbound says of `asked`, within our limits; valid as long as result and records. */
struct ub_result;
void dns_answer_from(struct dns_answer *answer, const struct ub_result *result, const char *asked,
        struct span records[DNS_RECORDS_MAX]);

/* dns_setup.c: all settings; the context is ready for questions, and no file is read later. validate: with the trust anchor.
 * *optional: who forwards for us may turn out not to know DNSSEC, and nobody insisted on it. NULL: *err says why. */
struct ub_ctx;
struct ub_ctx *dns_setup(const struct dns_settings *settings, bool validate, bool *optional, struct error *err);

extern const char *dns_root_anchor; /* Debian's; variable only for tests */

/* Waits, milliseconds. Variable only so that tests need not wait. */
extern unsigned dns_query_ms;

#endif
