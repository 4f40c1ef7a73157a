/* common/sasl/plain.h — the message of PLAIN (RFC 4616 §2): [authzid] NUL authcid NUL passwd. Pure; any thread. */
#ifndef SASL_PLAIN_H
#define SASL_PLAIN_H

#include "base/span.h"

struct plain_message {
	struct span authzid; /* empty: as authcid */
	struct span authcid;
	struct span passwd;
};

/* False: not exactly two NULs, an empty name or password, not UTF-8, or over the limits of auth_client.h. */
bool plain_parse(struct span in, struct plain_message *out);

#endif
