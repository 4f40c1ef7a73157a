/* storage/relay_store.h — relay.db: what the relay must know besides the queue: routes with their passwords, TLS overrides, and the
 * MTA-STS policies it has seen (RFC 8461 §3.2: kept for max_age, so over a restart). Only the relay and the command line open it.
 * Every call may wait for the disk: worker threads only; one handle may be used by several threads. */
#ifndef STORAGE_RELAY_STORE_H
#define STORAGE_RELAY_STORE_H

#include "base/error.h"
#include "base/span.h"

#include <stdint.h>

#define ROUTE_HOST_MAX     255
#define ROUTE_USER_MAX     320
#define ROUTE_PASSWORD_MAX 256
#define ROUTES_MAX         1000
#define STS_POLICY_MAX     (64 * 1024) /* RFC 8461 §3.3 */
#define STS_ID_MAX         32

struct relay_store;

bool relay_store_open(const char *data_dir, struct relay_store **out, struct error *err); /* makes the file at need */
void relay_store_close(struct relay_store **store);

/* Where mail for a recipient domain, or of a sender domain, goes instead of its MX. Looked for in this order: the recipient's domain, then
 * ".domain" of each parent, the sender's domain ("from:example.test"), "*". */
enum route_kind { ROUTE_MX, ROUTE_SMTP, ROUTE_LMTP }; /* MX: as DNS says; ends the search */
enum route_tls {
	ROUTE_TLS_DEFAULT, /* DANE, MTA-STS, else opportunistic */
	ROUTE_TLS_NONE,    /* no STARTTLS */
	ROUTE_TLS_MAY,     /* opportunistic, whatever DNS says */
	ROUTE_TLS_ENCRYPT, /* TLS or nothing; certificate not looked at */
	ROUTE_TLS_VERIFY,  /* a certificate for the host's name from a public CA (or DANE) */
};
struct route {
	char match[ROUTE_HOST_MAX +
	           6]; /* "example.net", ".example.net", "from:example.test", "*"; A-labels, lower case */
	enum route_kind kind;
	char host[ROUTE_HOST_MAX +
	          1];  /* a name, an address literal, or (LMTP) the path of a Unix socket; empty for ROUTE_MX */
	uint16_t port; /* 0: 25 (or what relay.port says), with implicit_tls 465 */
	bool implicit_tls;
	enum route_tls tls;
	char user[ROUTE_USER_MAX + 1];         /* empty: no AUTH */
	char password[ROUTE_PASSWORD_MAX + 1]; /* wipe it after use */
};
bool relay_store_set_route(
        struct relay_store *store, const struct route *route, struct error *err);               /* adds or replaces */
bool relay_store_remove_route(struct relay_store *store, struct span match, struct error *err); /* ERR_NO_SUCH_DOMAIN */
bool relay_store_each_route(
        struct relay_store *store, bool (*each)(void *arg, const struct route *route), void *arg, struct error *err);
/* ERR_NONE and *found. Domains in A-labels, lower case. */
bool relay_store_find_route(struct relay_store *store, struct span recipient_domain, struct span sender_domain,
        struct route *out, bool *found, struct error *err);

/* MTA-STS (RFC 8461): the policy as fetched, and when. */
struct sts_policy_row {
	char domain[ROUTE_HOST_MAX + 1];
	char id[STS_ID_MAX + 1]; /* of the TXT record when it was fetched */
	int64_t fetched_ms;      /* also when it was confirmed by a later fetch */
	int64_t expires_ms;      /* fetched + max_age */
	char *policy;            /* the file's text; owner: the caller, free() */
	size_t policy_len;
};
bool relay_store_find_policy(
        struct relay_store *store, struct span domain, struct sts_policy_row *out, bool *found, struct error *err);
bool relay_store_put_policy(struct relay_store *store, const struct sts_policy_row *row, struct error *err);
/* Policies that expire before `before_ms` (to be fetched anew in good time, RFC 8461 §3.3), at most max domains. */
bool relay_store_policies_expiring(struct relay_store *store, int64_t before_ms, char (*domains)[ROUTE_HOST_MAX + 1],
        size_t max, size_t *count, struct error *err);

#endif
