/* common/net/dns_internal.h — what dns.c and dns_read.c share, and tests and fuzz targets reach. */
#ifndef NET_DNS_INTERNAL_H
#define NET_DNS_INTERNAL_H

#include "net/dns.h"

/* A name to ask for: host names and service names (RFC 1123 §2.1, RFC 8552), lower case, without the dot at the end. */
bool dns_clean_name(struct span name, char out[DNS_NAME_MAX + 1]);
/* How many CNAME records the answer section of a whole message has; false when it is malformed. */
bool dns_count_cnames(struct span packet, size_t *count);

/* dns_setup.c: all settings; ctx is ready for questions, and no file is read later. */
struct ub_ctx;
bool dns_setup(struct ub_ctx *ctx, const struct dns_settings *settings, struct error *err);

/* Waits, milliseconds. Variable only so that tests need not wait. */
extern unsigned dns_query_ms;

#endif
