/* smtpd/outbound/source.h — from which of our addresses we send.
 *
 * Of [relay] source_addresses, for IPv4 and IPv6 each: the first whose reverse name is our host name and leads back to it (receivers look at that);
 * else the first with any reverse name that leads back; else the first. DNS is asked at start and each SOURCE_LOOK_MS, not per connection.
 * Thread: the loop's. */
#ifndef SMTPD_OUTBOUND_SOURCE_H
#define SMTPD_OUTBOUND_SOURCE_H

#include "net/dns.h"

#define SOURCES_MAX    16
#define SOURCE_LOOK_MS 3600000

struct sources;

/* ERR_BAD_VALUE: not a list of addresses. */
bool sources_new(uv_loop_t *loop, struct dns *dns, struct span addresses, const char *hostname, struct sources **out,
        struct error *err);
void sources_stop(struct sources *sources);  /* also of NULL */
void sources_free(struct sources **sources); /* the loop has ended */
/* NULL: the kernel's choice. Port 0. */
const struct sockaddr *sources_for(const struct sources *sources, sa_family_t family);

#endif
