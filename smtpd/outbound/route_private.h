/* smtpd/outbound/route_private.h — what route.c (which hosts) and route_host.c (one host's addresses and TLSA) share. */
#ifndef SMTPD_OUTBOUND_ROUTE_PRIVATE_H
#define SMTPD_OUTBOUND_ROUTE_PRIVATE_H

#include "smtpd/outbound/route.h"

#include "net/network.h"
#include "net/worker.h"
#include "smtpd/outbound/sts_find.h"

#define ROUTE_HOSTS_AT_ONCE 3 /* each asks two questions at once, and up to two more after them */
#define ROUTE_OWN_MAX       64

struct router {
	struct router_parts parts;
	uint8_t own[ROUTE_OWN_MAX][NETWORK_KEY_LEN];
	size_t own_count;
	bool own_all; /* we listen on every address of this machine */
};

/* One host while its questions are under way. */
struct host_query {
	struct route_query *route;
	char name[DNS_NAME_MAX + 1];
	uint16_t preference;
	bool name_is_secure;                  /* DNSSEC, or the admin said it */
	struct dns_query *ipv4, *ipv6, *tlsa; /* tlsa: also of the alias */
	unsigned waiting;
	bool started, done;
	bool insecure, temporary; /* of any answer */
	bool tlsa_temporary;      /* RFC 7672: not known whether it has TLSA: not to be used now */
	char canonical[DNS_NAME_MAX + 1];
	char tlsa_base[DNS_NAME_MAX + 1];
	struct sockaddr_storage ipv4_addresses[ROUTE_ADDRESSES_MAX], ipv6_addresses[ROUTE_ADDRESSES_MAX];
	size_t ipv4_count, ipv6_count;
	enum dane_state dane;
	char (*tlsa_data)[ROUTE_TLSA_LEN]; /* ROUTE_TLSA_MAX; NULL: none */
	struct span tlsa_records[ROUTE_TLSA_MAX];
	size_t tlsa_count;
	bool self; /* an address of it is ours */
};

struct route_query {
	struct router *router;
	route_done *done; /* NULL: cancelled */
	void *arg;
	char domain[DNS_NAME_MAX + 1];
	char sender_domain[DNS_NAME_MAX + 1];
	unsigned flags;
	struct worker_job job;
	bool in_job;
	bool found; /* route */
	struct route route;
	struct error error; /* of the job */
	struct dns_query *mx;
	bool implicit_mx;
	char next_hop[DNS_NAME_MAX + 1]; /* of the result */
	struct sts_find *sts;
	struct sts_policy *policy; /* NULL: none */
	struct host_query *hosts;  /* in the order to try them */
	size_t host_count, hosts_started, hosts_done;
	bool hosts_known;
	bool answered;
	uv_timer_t timer;
};

/* Asks; route_host_done() comes later, once. False: nothing could be asked. */
bool route_host_start(struct host_query *host);
void route_host_cancel(struct host_query *host);
void route_host_done(struct host_query *host);
bool route_host_is_alias(const struct host_query *host);
bool route_is_own(const struct router *router, const struct sockaddr *address);
uint16_t route_port(const struct route_query *query);

#endif
