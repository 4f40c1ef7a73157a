/* smtpd/outbound/route.h — the hosts that may take the mail of a domain, in the order to try them, with the TLS each must show.
 *
 *   route_find: route of the admin? -> MX (RFC 5321 §5.1) -> policy (MTA-STS) -> for each host A, AAAA, TLSA -> struct route_result
 *
 * Null MX (RFC 7505): 5.1.10. NXDOMAIN: 5.1.2. DNS in trouble or bogus: try again later (4.4.3), never a bounce. An MX that is ourselves
 * (one of our names or addresses with our port) and all after it are left out; nothing left: 5.4.6. Hosts of the same preference are shuffled
 * (RFC 5321 §5.1). IPv6 and IPv4 of a host are tried in turn. Bounded by ROUTE_HOSTS_MAX and ROUTE_ADDRESSES_MAX. Thread: the loop's. */
#ifndef SMTPD_OUTBOUND_ROUTE_H
#define SMTPD_OUTBOUND_ROUTE_H

#include "net/dns.h"
#include "smtpd/outbound/tls_policy.h"
#include "storage/relay_store.h"

#define ROUTE_HOSTS_MAX     20
#define ROUTE_ADDRESSES_MAX 8 /* of one host */
#define ROUTE_TLSA_MAX      20
#define ROUTE_TLSA_LEN      1024
#define ROUTE_TIME_MS       30000 /* for all questions of one domain */

struct route_host {
	char name[DNS_NAME_MAX + 1];
	uint16_t preference;
	struct sockaddr_storage addresses[ROUTE_ADDRESSES_MAX];
	size_t address_count;
	enum tls_level level;
	enum tls_source source;
	struct span tlsa[ROUTE_TLSA_MAX]; /* in the result's memory */
	size_t tlsa_count;
	char tlsa_base[DNS_NAME_MAX + 1]; /* RFC 7672: whose records they are, the name for SNI; DANE only */
	bool secure;                      /* its name and addresses were answered by DNSSEC */
	bool sts_mismatch; /* not in the domain's policy: skipped in enforce mode, noted in testing mode */
};

struct route_result {
	enum error_code code; /* ERR_NONE: hosts has at least one; ERR_TEMPORARY: again later; else for good */
	const char *status;   /* RFC 3463 of a failure: "5.1.2" */
	char why[256];        /* in words */
	bool has_route;       /* an admin's route decided */
	struct route route;   /* then: kind, user, password, port, implicit_tls */
	const struct route_host *hosts;
	size_t host_count;
	bool sts_testing; /* RFC 8461 §5: failures are noted, mail goes */
	/* RFC 7672 §3.2.2: where a secure alias of the domain led, whose MX these are: a name for a certificate under usage 2; "": no alias */
	char next_hop[DNS_NAME_MAX + 1];
};
/* For who wants to keep it: one block of memory; NULL: out of memory. */
struct route_result *route_result_copy(const struct route_result *result);
void route_result_free(struct route_result **result); /* wipes the password; also of NULL */

struct router;
struct route_query;
struct sts_finder;

struct router_parts {
	uv_loop_t *loop;
	struct worker_pool *pool;
	struct dns *dns;
	struct relay_store *store;
	struct sts_finder *sts; /* NULL: no MTA-STS */
	bool dane;
	const char *hostname;
	const char *own_addresses; /* blank-separated; "0.0.0.0" and "::" stand for all of this machine */
	unsigned own_port;         /* 0: nothing listens here */
	unsigned port;             /* of MX hosts */
};
bool router_new(const struct router_parts *parts, struct router **out, struct error *err);
void router_free(struct router **router); /* the loop has ended */

enum route_flag {
	ROUTE_REQUIRETLS = 1, /* RFC 8689: the message's */
	ROUTE_TLS_NO = 2,     /* RFC 8689 §5: the message's */
};
typedef void route_done(void *arg, const struct route_result *result); /* valid during the call */
/* domain: A-labels, lower case, or an address literal. Never answered from inside the call. NULL: out of memory. */
struct route_query *route_find(struct router *router, const char *domain, const char *sender_domain, unsigned flags,
        route_done *done, void *arg);
void route_cancel(struct route_query **query); /* also of NULL */

#endif
