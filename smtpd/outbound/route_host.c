/* One host: its addresses, and its TLSA records when all that led to it is secure (RFC 7672). */
#include "smtpd/outbound/route_private.h"

#include "net/dial.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Not a place to connect to: unspecified, multicast, broadcast. */
static bool is_reachable(const struct sockaddr_storage *address)
{
	if (address->ss_family == AF_INET) {
		uint32_t it = ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr);

		return it >> 24 != 0 && !IN_MULTICAST(it) && it != INADDR_BROADCAST;
	} else {
		const struct in6_addr *it = &((const struct sockaddr_in6 *)address)->sin6_addr;

		return !IN6_IS_ADDR_UNSPECIFIED(it) && !IN6_IS_ADDR_MULTICAST(it);
	}
}

static void take_addresses(struct host_query *host, const struct dns_answer *answer, bool ipv6)
{
	struct sockaddr_storage *list = ipv6 ? host->ipv6_addresses : host->ipv4_addresses;
	size_t *count = ipv6 ? &host->ipv6_count : &host->ipv4_count;

	for (size_t i = 0; i < answer->count && *count < ROUTE_ADDRESSES_MAX; i++) {
		struct sockaddr_storage *to = &list[*count];

		if (!dns_read_address(answer->records[i], route_port(host->route), to) ||
		        (to->ss_family == AF_INET6) != ipv6 || !is_reachable(to))
			continue;
		if (route_is_own(host->route->router, (const struct sockaddr *)to))
			host->self = true;
		(*count)++;
	}
}

/* --- TLSA -------------------------------------------------------------------------------------------------------- */

static void ask_tlsa(struct host_query *host, const char *base);

static void finish(struct host_query *host)
{
	host->done = true;
	route_host_done(host);
}

static void copy_tlsa(struct host_query *host, const struct dns_answer *answer)
{
	host->tlsa_data = calloc(ROUTE_TLSA_MAX, sizeof(*host->tlsa_data));
	if (host->tlsa_data == NULL) {
		host->tlsa_temporary = true;
		return;
	}
	for (size_t i = 0; i < answer->count && host->tlsa_count < ROUTE_TLSA_MAX; i++) {
		if (answer->records[i].len > ROUTE_TLSA_LEN)
			continue;
		memcpy(host->tlsa_data[host->tlsa_count], answer->records[i].ptr, answer->records[i].len);
		host->tlsa_records[host->tlsa_count] =
		        span_make(host->tlsa_data[host->tlsa_count], answer->records[i].len);
		host->tlsa_count++;
	}
	host->dane = tls_usable_tlsa(host->tlsa_records, host->tlsa_count) > 0 ? DANE_USABLE : DANE_UNUSABLE;
}

/* RFC 7672 §2.2.3: the end of the host's alias chain is asked first, then the name itself. An answer that is not secure is none; a
 * question that fails leaves it open whether there are records, so the host may not be used now. */
static void on_tlsa(void *arg, const struct dns_answer *answer)
{
	struct host_query *host = arg;

	host->tlsa = NULL;
	if (answer->status == DNS_TEMPORARY || answer->status == DNS_BOGUS) {
		host->tlsa_temporary = true;
	} else if (answer->status == DNS_OK && answer->secure && answer->count > 0) {
		copy_tlsa(host, answer);
	} else if (strcmp(host->tlsa_base, host->name) != 0) {
		ask_tlsa(host, host->name);
		return;
	}
	finish(host);
}

static void ask_tlsa(struct host_query *host, const char *base)
{
	char name[DNS_NAME_MAX + 1];
	int len = snprintf(name, sizeof(name), "_%u._tcp.%.240s", (unsigned)route_port(host->route), base);

	if (base != host->tlsa_base)
		(void)snprintf(host->tlsa_base, sizeof(host->tlsa_base), "%s", base);
	if (len > 0 && len < (int)sizeof(name))
		host->tlsa = dns_ask(host->route->router->parts.dns, name, DNS_TLSA, on_tlsa, host);
	if (host->tlsa == NULL) {
		host->tlsa_temporary = true;
		finish(host);
	}
}

bool route_host_is_alias(const struct host_query *host)
{
	return host->canonical[0] != '\0' && strcasecmp(host->canonical, host->name) != 0;
}

static void on_alias(void *arg, const struct dns_answer *answer)
{
	struct host_query *host = arg;

	host->tlsa = NULL;
	if (answer->status == DNS_OK && answer->secure) {
		ask_tlsa(host, host->name);
		return;
	}
	host->tlsa_temporary = answer->status == DNS_TEMPORARY || answer->status == DNS_BOGUS;
	finish(host);
}

/* RFC 7672 §2.2.3: the addresses are not secure, perhaps only because the alias leads out of a signed zone. When the alias itself is secure, its
 * own name may have TLSA records; the name that it leads to may not. */
static void ask_alias(struct host_query *host)
{
	host->tlsa = dns_ask(host->route->router->parts.dns, host->name, DNS_CNAME, on_alias, host);
	if (host->tlsa == NULL) {
		host->tlsa_temporary = true;
		finish(host);
	}
}

static void addresses_done(struct host_query *host)
{
	bool any = host->ipv4_count + host->ipv6_count > 0;

	if (!any || !host->name_is_secure || !host->route->router->parts.dane) {
		finish(host);
	} else if (!host->insecure) {
		(void)snprintf(host->tlsa_base, sizeof(host->tlsa_base), "%s",
		        route_host_is_alias(host) ? host->canonical : host->name);
		ask_tlsa(host, host->tlsa_base);
	} else if (route_host_is_alias(host)) {
		ask_alias(host);
	} else {
		finish(host);
	}
}

/* --- addresses --------------------------------------------------------------------------------------------------- */

static void take_answer(struct host_query *host, const struct dns_answer *answer, bool ipv6)
{
	if (answer->status == DNS_TEMPORARY || answer->status == DNS_BOGUS)
		host->temporary = true;
	if (answer->status == DNS_OK) {
		take_addresses(host, answer, ipv6);
		(void)snprintf(host->canonical, sizeof(host->canonical), "%s", answer->canonical);
	}
	if (!answer->secure && answer->status == DNS_OK)
		host->insecure = true;
	if (--host->waiting == 0)
		addresses_done(host);
}

static void on_ipv4(void *arg, const struct dns_answer *answer)
{
	struct host_query *host = arg;

	host->ipv4 = NULL;
	take_answer(host, answer, false);
}

static void on_ipv6(void *arg, const struct dns_answer *answer)
{
	struct host_query *host = arg;

	host->ipv6 = NULL;
	take_answer(host, answer, true);
}

bool route_host_start(struct host_query *host)
{
	struct dns *dns = host->route->router->parts.dns;

	host->ipv4 = dns_ask(dns, host->name, DNS_A, on_ipv4, host);
	host->ipv6 = dns_ask(dns, host->name, DNS_AAAA, on_ipv6, host);
	host->waiting = (host->ipv4 != NULL) + (host->ipv6 != NULL);
	return host->waiting > 0;
}

void route_host_cancel(struct host_query *host)
{
	dns_cancel(&host->ipv4);
	dns_cancel(&host->ipv6);
	dns_cancel(&host->tlsa);
	free(host->tlsa_data);
	host->tlsa_data = NULL;
}
