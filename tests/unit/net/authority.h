/* tests/unit/net/authority.h — certificates of every kind that a TLS client may be shown, and TLSA records of them. */
#ifndef TESTS_NET_AUTHORITY_H
#define TESTS_NET_AUTHORITY_H

#include "base/span.h"

#include <stdint.h>

struct certificate_kind {
	const char *file;        /* PATH.crt and PATH.key below the folder; the chain follows in PATH.crt */
	const char *names;       /* subjectAltNames, blank-separated; "": none */
	const char *common_name; /* NULL: none */
	const char *issuer;      /* `file` of one made before; NULL: itself */
	bool is_ca;
	int from_days, to_days; /* from today */
};

void authority_make(const char *folder, const struct certificate_kind *kinds, size_t count);

#define TLSA_MAX 2048
/* rdata of a TLSA record for the first certificate in folder/file.crt (RFC 6698 §2.1). */
struct span tlsa_of(
        const char *folder, const char *file, uint8_t usage, uint8_t selector, uint8_t matching, uint8_t out[TLSA_MAX]);

#endif
