/* posthouse/route.h — routes from the words of the command line. Any thread. */
#ifndef POSTHOUSE_ROUTE_H
#define POSTHOUSE_ROUTE_H

#include "base/error.h"
#include "base/span.h"
#include "storage/relay_store.h"

/* "example.net", ".example.net", "from:example.test", "*" in the form in which they are kept: A-labels, lower case.
 * ERR_SYNTAX, ERR_BAD_ADDRESS. size: at least sizeof(route.match). */
bool route_match(struct span word, char *out, size_t size, struct error *err);
/* "mx", "HOST", "HOST:PORT", "[2001:db8::1]:PORT", each also as "lmtp:HOST:PORT", or "lmtp:/path" of a Unix socket: kind, host and
 * port of *out. ERR_SYNTAX. */
bool route_via(struct span word, struct route *out, struct error *err);
/* "none", "may", "encrypt", "verify". ERR_SYNTAX. */
bool route_tls(struct span word, enum route_tls *out, struct error *err);
const char *route_tls_name(enum route_tls tls); /* of ROUTE_TLS_DEFAULT: "default" */

#endif
