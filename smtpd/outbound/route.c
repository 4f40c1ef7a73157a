#include "smtpd/outbound/route_private.h"

#include "base/check.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/random.h"
#include "base/secret.h"
#include "smtpd/outbound/settings.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define PORT_SMTPS       465
#define LIST_ADDRESS_MAX 64

/* Each route asks for two records of each of its hosts and for the policy, each fetch for two: a question that DNS refuses for their number would be
 * mail put off for nothing. */
_Static_assert(RELAY_ROUTES_AT_ONCE *(2 * ROUTE_HOSTS_AT_ONCE + 1) + 2 * STS_FETCHES_MAX <= DNS_QUERIES_MAX,
        "all routes may be asked for at once");

static void advance(struct route_query *query);

/* --- the end ----------------------------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
	struct route_query *query = container_of((uv_timer_t *)handle, struct route_query, timer);

	secret_wipe(&query->route, sizeof(query->route));
	free(query->policy);
	free(query->hosts);
	free(query);
}

static void query_free(struct route_query *query)
{
	dns_cancel(&query->mx);
	sts_cancel(&query->sts);
	for (size_t i = 0; i < query->host_count; i++)
		route_host_cancel(&query->hosts[i]);
	uv_close((uv_handle_t *)&query->timer, on_timer_closed);
}

static void answer(struct route_query *query, struct route_result *result)
{
	CHECK(!query->answered);
	query->answered = true;
	result->has_route = query->found;
	if (query->found)
		result->route = query->route;
	query->done(query->arg, result);
	secret_wipe(&result->route, sizeof(result->route));
	query_free(query);
}

static void fail(struct route_query *query, enum error_code code, const char *status, const char *why)
{
	struct route_result result = { .code = code, .status = status };

	(void)snprintf(result.why, sizeof(result.why), "%s", why);
	answer(query, &result);
}

/* "what: name" */
static void fail_of(
        struct route_query *query, enum error_code code, const char *status, const char *what, const char *name)
{
	char why[sizeof(((struct route_result *)0)->why)];

	(void)snprintf(why, sizeof(why), "%.120s: %.130s", what, name);
	fail(query, code, status, why);
}

void route_cancel(struct route_query **query)
{
	struct route_query *it = *query;

	*query = NULL;
	if (it == NULL)
		return;
	it->done = NULL;
	if (!it->in_job)
		query_free(it);
}

struct route_result *route_result_copy(const struct route_result *result)
{
	size_t size = sizeof(*result) + result->host_count * sizeof(struct route_host), bytes = 0;
	struct route_result *copy;
	struct route_host *hosts;
	char *at;

	for (size_t i = 0; i < result->host_count; i++)
		for (size_t k = 0; k < result->hosts[i].tlsa_count; k++)
			bytes += result->hosts[i].tlsa[k].len;
	copy = malloc(size + bytes);
	if (copy == NULL)
		return NULL;
	*copy = *result;
	hosts = (struct route_host *)(copy + 1);
	if (result->host_count > 0)
		memcpy(hosts, result->hosts, result->host_count * sizeof(*hosts));
	at = (char *)copy + size;
	for (size_t i = 0; i < result->host_count; i++)
		for (size_t k = 0; k < hosts[i].tlsa_count; k++) {
			memcpy(at, hosts[i].tlsa[k].ptr, hosts[i].tlsa[k].len);
			hosts[i].tlsa[k].ptr = at;
			at += hosts[i].tlsa[k].len;
		}
	copy->hosts = hosts;
	return copy;
}

void route_result_free(struct route_result **result)
{
	if (*result == NULL)
		return;
	secret_wipe(&(*result)->route, sizeof((*result)->route));
	free(*result);
	*result = NULL;
}

/* --- what comes out ---------------------------------------------------------------------------------------------- */

static bool is_by_admin(const struct route_query *query)
{
	return query->found && query->route.kind != ROUTE_MX;
}

/* Of a Unix socket, for LMTP on this machine. */
static bool is_path(const char *host)
{
	return host[0] == '/';
}

uint16_t route_port(const struct route_query *query)
{
	if (is_by_admin(query) && query->route.port != 0)
		return query->route.port;
	if (is_by_admin(query) && query->route.implicit_tls)
		return PORT_SMTPS;
	return (uint16_t)query->router->parts.port;
}

static enum tls_level override_of(const struct route_query *query)
{
	if (!query->found)
		return TLS_LEVEL_UNSAID;
	switch (query->route.tls) {
	case ROUTE_TLS_NONE: return TLS_LEVEL_NONE;
	case ROUTE_TLS_MAY: return TLS_LEVEL_MAY;
	case ROUTE_TLS_ENCRYPT: return TLS_LEVEL_ENCRYPT;
	case ROUTE_TLS_VERIFY: return TLS_LEVEL_VERIFY;
	case ROUTE_TLS_DEFAULT: break;
	}
	/* A password is for the server that the admin has named, not for whoever answers at its address. */
	return is_by_admin(query) && query->route.user[0] != '\0' && !is_path(query->route.host) ? TLS_LEVEL_VERIFY
	                                                                                         : TLS_LEVEL_UNSAID;
}

/* IPv6 and IPv4 in turn: a family that does not work here costs one try, not eight. */
static void put_addresses(struct route_host *out, const struct host_query *host)
{
	size_t a = 0, b = 0;

	while (out->address_count < ROUTE_ADDRESSES_MAX && (a < host->ipv6_count || b < host->ipv4_count)) {
		if (a < host->ipv6_count)
			out->addresses[out->address_count++] = host->ipv6_addresses[a++];
		if (b < host->ipv4_count && out->address_count < ROUTE_ADDRESSES_MAX)
			out->addresses[out->address_count++] = host->ipv4_addresses[b++];
	}
}

/* What was left out, and why: told when nothing is left. */
struct left_out {
	unsigned temporary, tlsa, sts, requiretls;
};

/* Not known whether it has TLSA records (RFC 7672 §2.1.2): it failed, or there was no time. Who may not be asked gets no mail now: DNS kept
 * silent would be a way around DANE. */
static bool may_have_tlsa(const struct route_query *query, const struct host_query *host)
{
	return host->tlsa_temporary || (!host->done && query->router->parts.dane && host->name_is_secure &&
	                                       (!host->insecure || route_host_is_alias(host)));
}

static bool put_host(
        const struct route_query *query, struct host_query *host, struct route_host *out, struct left_out *left)
{
	bool in_policy = query->policy != NULL && sts_matches(query->policy, span_of(host->name));
	enum sts_mode mode = query->policy == NULL ? STS_NONE : query->policy->mode;
	struct tls_facts facts = {
		.override = override_of(query),
		.dane = host->dane,
		.sts = in_policy ? mode : STS_NONE,
		.name_is_secure = host->name_is_secure,
		.requiretls = (query->flags & ROUTE_REQUIRETLS) != 0,
		.tls_no = (query->flags & ROUTE_TLS_NO) != 0,
	};
	struct tls_demand demand;

	memset(out, 0, sizeof(*out));
	put_addresses(out, host);
	if (out->address_count == 0) {
		left->temporary += host->temporary || !host->done;
		return false;
	}
	if (may_have_tlsa(query, host) && !facts.tls_no &&
	        (facts.override == TLS_LEVEL_UNSAID || facts.override == TLS_LEVEL_VERIFY)) {
		left->tlsa++;
		return false;
	}
	/* RFC 8461 §5: DANE comes first (§2); the admin's word before both. */
	if (mode == STS_ENFORCE && !in_policy && host->dane == DANE_NONE && !facts.tls_no &&
	        facts.override == TLS_LEVEL_UNSAID) {
		left->sts++;
		return false;
	}
	if (!tls_demand(&facts, &demand)) {
		left->requiretls++;
		return false;
	}
	(void)snprintf(out->name, sizeof(out->name), "%s", host->name);
	(void)snprintf(out->tlsa_base, sizeof(out->tlsa_base), "%s", host->tlsa_base);
	out->preference = host->preference;
	out->level = demand.level;
	out->source = demand.source;
	out->secure = host->name_is_secure && !host->insecure;
	out->sts_mismatch = mode == STS_TESTING && !in_policy;
	memcpy(out->tlsa, host->tlsa_records, sizeof(out->tlsa));
	out->tlsa_count = demand.level == TLS_LEVEL_DANE ? host->tlsa_count : 0;
	return true;
}

static void fail_empty(struct route_query *query, const struct left_out *left)
{
	const char *whose = is_by_admin(query) ? query->route.host : query->domain;

	if (is_by_admin(query) && left->requiretls + left->sts + left->tlsa ==
	                                  0) /* what an admin has mistyped is not the sender's fault */
		fail_of(query, ERR_TEMPORARY, "4.4.4", "no address for the server that the admin's route names",
		        query->route.host);
	else if (left->temporary > 0)
		fail_of(query, ERR_TEMPORARY, "4.4.3", "DNS has no answer for the mail servers of", query->domain);
	else if (left->tlsa > 0)
		fail_of(query, ERR_TEMPORARY, "4.7.5", "DNSSEC: the TLSA records cannot be read now, of", whose);
	else if (left->sts > 0)
		fail_of(query, ERR_TEMPORARY, "4.7.5", "no mail server is in the MTA-STS policy of", whose);
	else if (left->requiretls > 0)
		fail_of(query, ERR_UNSUPPORTED, "5.7.10",
		        "TLS was required for this message, and the names of the mail servers are not protected (no DNSSEC, no MTA-STS), of",
		        query->domain);
	else if (query->implicit_mx)
		fail_of(query, ERR_NO_SUCH_DOMAIN, "5.1.2", "the domain has no mail server and no address",
		        query->domain);
	else
		fail_of(query, ERR_CLOSED, "5.4.4", "no mail server of the domain has an address", query->domain);
}

/* An MX that is ourselves, and all that come after it, are left out (RFC 5321 §5.1). Of hosts that an admin names only it itself. */
static void cut_self(struct route_query *query)
{
	for (size_t i = 0; i < query->host_count; i++) {
		uint16_t preference = query->hosts[i].preference;

		if (!query->hosts[i].self)
			continue;
		while (i > 0 && query->hosts[i - 1].preference == preference)
			i--;
		for (size_t k = i; k < query->host_count; k++)
			route_host_cancel(&query->hosts[k]);
		query->host_count = i;
	}
}

/* False: no memory, and that is the answer: without its policy the domain would be less safe. */
static bool take_policy(struct route_query *query, const struct sts_policy *policy)
{
	if (policy == NULL || policy->mode == STS_NONE)
		return true;
	query->policy = malloc(sizeof(*query->policy));
	if (query->policy == NULL) {
		fail(query, ERR_TEMPORARY, "4.3.0", "out of memory");
		return false;
	}
	*query->policy = *policy;
	return true;
}

static void finish(struct route_query *query)
{
	struct route_result result = { .code = ERR_NONE };
	struct left_out left = { 0, 0, 0, 0 };
	struct route_host *hosts;

	if (query->sts != NULL && !take_policy(query, sts_known(query->sts))) /* time is over: what was known holds */
		return;
	cut_self(query);
	if (query->host_count == 0 && is_by_admin(query)) {
		fail_of(query, ERR_TEMPORARY, "4.3.5", "the admin's route leads back to this server",
		        query->route.host);
		return;
	}
	if (query->host_count == 0) {
		fail_of(query, ERR_BAD_VALUE, "5.4.6",
		        "the mail server for this domain is this one, which does not know it", query->domain);
		return;
	}
	hosts = calloc(query->host_count, sizeof(*hosts));
	if (hosts == NULL) {
		fail(query, ERR_TEMPORARY, "4.3.0", "out of memory");
		return;
	}
	for (size_t i = 0; i < query->host_count; i++)
		if (put_host(query, &query->hosts[i], &hosts[result.host_count], &left))
			result.host_count++;
	result.hosts = hosts;
	(void)snprintf(result.next_hop, sizeof(result.next_hop), "%s", query->next_hop);
	result.sts_testing = query->policy != NULL && query->policy->mode == STS_TESTING;
	if (result.host_count == 0)
		fail_empty(query, &left);
	else
		answer(query, &result);
	free(hosts);
}

static void on_time_over(uv_timer_t *timer)
{
	struct route_query *query = container_of(timer, struct route_query, timer);

	if (query->in_job) { /* nothing was asked yet; the disk is slow */
		(void)uv_timer_start(timer, on_time_over, ROUTE_TIME_MS, 0);
		return;
	}
	if (!query->hosts_known)
		fail_of(query, ERR_TEMPORARY, "4.4.3", "DNS has no answer for", query->domain);
	else
		finish(query);
}

/* --- hosts ------------------------------------------------------------------------------------------------------- */

void route_host_done(struct host_query *host)
{
	host->route->hosts_done++;
	advance(host->route);
}

/* Asks for a few hosts at once; ends when all is known. */
static void advance(struct route_query *query)
{
	while (query->hosts_started < query->host_count &&
	        query->hosts_started - query->hosts_done < ROUTE_HOSTS_AT_ONCE) {
		struct host_query *host = &query->hosts[query->hosts_started++];

		if (host->done) { /* an address literal */
			query->hosts_done++;
		} else if (!route_host_start(host)) {
			host->temporary = true;
			host->done = true;
			query->hosts_done++;
		}
	}
	if (query->hosts_known && query->hosts_done == query->host_count && query->sts == NULL)
		finish(query);
}

static struct host_query *add_host(struct route_query *query, const char *name, uint16_t preference, bool secure)
{
	struct host_query *host = &query->hosts[query->host_count++];

	*host = (struct host_query) { .route = query, .preference = preference, .name_is_secure = secure };
	(void)snprintf(host->name, sizeof(host->name), "%s", name);
	return host;
}

static bool one_host(struct route_query *query, const char *name, bool secure)
{
	query->hosts = calloc(1, sizeof(*query->hosts));
	if (query->hosts == NULL) {
		fail(query, ERR_TEMPORARY, "4.3.0", "out of memory");
		return false;
	}
	add_host(query, name, 0, secure);
	query->hosts_known = true;
	return true;
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3), or without brackets as an admin writes it. */
static bool read_literal(const char *text, uint16_t port, struct sockaddr_storage *out)
{
	struct span in = span_of(text);
	char address[INET6_ADDRSTRLEN];
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (in.len >= 2 && in.ptr[0] == '[' && in.ptr[in.len - 1] == ']')
		in = span_first(span_skip(in, 1), in.len - 2);
	(void)span_take_word(&in, "IPv6:");
	if (!span_copy(in, address, sizeof(address)))
		return false;
	if (inet_pton(AF_INET, address, &ipv4->sin_addr) == 1) {
		ipv4->sin_family = AF_INET;
		ipv4->sin_port = htons(port);
		return true;
	}
	if (inet_pton(AF_INET6, address, &ipv6->sin6_addr) != 1)
		return false;
	ipv6->sin6_family = AF_INET6;
	ipv6->sin6_port = htons(port);
	return true;
}

static bool take_literal(struct route_query *query, const char *text)
{
	struct sockaddr_storage address;
	struct host_query *host;

	if (!read_literal(text, route_port(query), &address) || !one_host(query, text, true))
		return false;
	host = &query->hosts[0];
	host->done = true;
	host->insecure = true; /* no name, so no TLSA */
	host->self = route_is_own(query->router, (struct sockaddr *)&address);
	if (address.ss_family == AF_INET)
		host->ipv4_addresses[host->ipv4_count++] = address;
	else
		host->ipv6_addresses[host->ipv6_count++] = address;
	return true;
}

static bool take_path(struct route_query *query, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct host_query *host;

	if (!span_copy(span_of(path), address.sun_path, sizeof(address.sun_path)) || !one_host(query, path, true))
		return false;
	host = &query->hosts[0];
	host->done = true;
	host->insecure = true;
	memcpy(&host->ipv4_addresses[host->ipv4_count++], &address, sizeof(address));
	return true;
}

/* --- MX ---------------------------------------------------------------------------------------------------------- */

static int by_preference(const void *left, const void *right)
{
	const struct dns_mx *a = left, *b = right;

	return (a->preference > b->preference) - (a->preference < b->preference);
}

/* RFC 5321 §5.1: hosts of the same preference in random order, so that they share the load. */
static void sort_hosts(struct dns_mx *list, size_t count)
{
	for (size_t i = count; i > 1; i--) {
		size_t k = random_below((uint32_t)i);
		struct dns_mx other = list[i - 1];

		list[i - 1] = list[k];
		list[k] = other;
	}
	for (size_t i = 1; i < count; i++) /* stable, unlike qsort() */
		for (size_t k = i; k > 0 && by_preference(&list[k - 1], &list[k]) > 0; k--) {
			struct dns_mx other = list[k - 1];

			list[k - 1] = list[k];
			list[k] = other;
		}
}

static void take_mx(struct route_query *query, const struct dns_answer *mx)
{
	struct dns_mx *list = calloc(DNS_RECORDS_MAX, sizeof(*list));
	size_t count = 0, null_count = 0;

	query->hosts = calloc(ROUTE_HOSTS_MAX, sizeof(*query->hosts));
	if (list == NULL || query->hosts == NULL) {
		free(list);
		fail(query, ERR_TEMPORARY, "4.3.0", "out of memory");
		return;
	}
	for (size_t i = 0; i < mx->count && count < DNS_RECORDS_MAX; i++) {
		if (!dns_read_mx(mx->records[i], &list[count]))
			continue;
		if (list[count].host[0] == '\0')
			null_count++;
		else
			count++;
	}
	sort_hosts(list, count);
	if (mx->secure && strcasecmp(mx->canonical, query->domain) != 0)
		(void)snprintf(query->next_hop, sizeof(query->next_hop), "%s", mx->canonical);
	for (size_t i = 0; i < count && query->host_count < ROUTE_HOSTS_MAX; i++) {
		struct host_query *host = add_host(query, list[i].host, list[i].preference, mx->secure);

		host->self = span_equal_nocase(span_of(list[i].host), span_of(query->router->parts.hostname));
	}
	free(list);
	query->hosts_known = true;
	if (count == 0 && null_count > 0) /* RFC 7505 */
		fail_of(query, ERR_NO_SUCH_DOMAIN, "5.1.10", "the domain takes no mail", query->domain);
	else if (count == 0)
		fail_of(query, ERR_TEMPORARY, "4.4.3", "DNS has no readable mail server for", query->domain);
	else
		advance(query);
}

static void on_mx(void *arg, const struct dns_answer *mx)
{
	struct route_query *query = arg;

	query->mx = NULL;
	switch (mx->status) {
	case DNS_OK: take_mx(query, mx); return;
	case DNS_NO_NAME:
		fail_of(query, ERR_NO_SUCH_DOMAIN, "5.1.2", "the domain does not exist", query->domain);
		return;
	case DNS_NO_DATA: /* RFC 5321 §5.1: the domain itself, with preference 0 */
		query->implicit_mx = true;
		if (one_host(query, query->domain, mx->secure))
			advance(query);
		return;
	case DNS_TEMPORARY:
		fail_of(query, ERR_TEMPORARY, "4.4.3", mx->why != NULL ? mx->why : "DNS has no answer", query->domain);
		return;
	case DNS_BOGUS:
		LOG(LOG_WARNING, "relay.dns_bogus", LOG_TEXT("domain", query->domain), LOG_TEXT("why", mx->why));
		fail_of(query, ERR_TEMPORARY, "4.4.3", "DNSSEC says that the answer of DNS is forged", query->domain);
		return;
	}
}

static void on_policy(void *arg, const struct sts_policy *policy)
{
	struct route_query *query = arg;

	query->sts = NULL;
	if (take_policy(query, policy))
		advance(query);
}

/* What the admin says of TLS goes first. False: no memory, and that is the answer, as in take_policy(). */
static bool ask_policy(struct route_query *query, const char *domain)
{
	struct router *router = query->router;

	if (router->parts.sts == NULL || override_of(query) != TLS_LEVEL_UNSAID)
		return true;
	query->sts = sts_find(router->parts.sts, domain, on_policy, query);
	if (query->sts == NULL)
		fail(query, ERR_TEMPORARY, "4.3.0", "out of memory");
	return query->sts != NULL;
}

static void ask_mx(struct route_query *query)
{
	struct router *router = query->router;

	query->mx = dns_ask(router->parts.dns, query->domain, DNS_MX, on_mx, query);
	if (query->mx == NULL) {
		fail(query, ERR_TEMPORARY, "4.4.3", "DNS cannot be asked now");
		return;
	}
	(void)ask_policy(query, query->domain);
}

/* --- the admin's routes ------------------------------------------------------------------------------------------ */

static void run_find(struct worker_job *job)
{
	struct route_query *query = container_of(job, struct route_query, job);

	(void)relay_store_find_route(query->router->parts.store, span_of(query->domain), span_of(query->sender_domain),
	        &query->route, &query->found, &query->error);
}

static void on_found(struct worker_job *job)
{
	struct route_query *query = container_of(job, struct route_query, job);
	const char *host = query->route.host;
	struct sockaddr_storage ignored;

	query->in_job = false;
	if (query->done == NULL) {
		query_free(query);
		return;
	}
	if (query->error.code != ERR_NONE) {
		LOG(LOG_ERROR, "relay.routes", LOG_FAILURE(&query->error));
		fail(query, ERR_TEMPORARY, "4.3.0", "the routes cannot be read now");
		return;
	}
	if (!query->found || query->route.kind == ROUTE_MX)
		host = query->domain[0] == '[' ? query->domain : NULL;
	if (host == NULL) {
		ask_mx(query);
	} else if (is_path(host) || host[0] == '[' || read_literal(host, 0, &ignored)) {
		if (is_path(host) ? take_path(query, host) : take_literal(query, host))
			advance(query);
		else if (!query->answered)
			fail_of(query, is_by_admin(query) ? ERR_TEMPORARY : ERR_BAD_VALUE,
			        is_by_admin(query) ? "4.3.5" : "5.1.2", "not an address that mail can go to", host);
	} else if (one_host(query, host, true)) {
		if (query->route.kind != ROUTE_SMTP || ask_policy(query, host)) /* RFC 8461 §3.4: its own */
			advance(query);
	}
}

struct route_query *route_find(struct router *router, const char *domain, const char *sender_domain, unsigned flags,
        route_done *done, void *arg)
{
	struct route_query *query = calloc(1, sizeof(*query));

	if (query == NULL || uv_timer_init(router->parts.loop, &query->timer) != 0) {
		free(query);
		return NULL;
	}
	query->router = router;
	query->done = done;
	query->arg = arg;
	query->flags = flags;
	(void)snprintf(query->domain, sizeof(query->domain), "%s", domain);
	(void)snprintf(query->sender_domain, sizeof(query->sender_domain), "%s", sender_domain);
	(void)uv_timer_start(&query->timer, on_time_over, ROUTE_TIME_MS, 0);
	query->job = (struct worker_job) { .run = run_find, .done = on_found, .lane = WORKER_READ };
	query->in_job = true;
	worker_submit(router->parts.pool, &query->job);
	return query;
}

/* --- ourselves --------------------------------------------------------------------------------------------------- */

static bool is_loopback(const uint8_t key[NETWORK_KEY_LEN])
{
	static const uint8_t ipv4[] = { [10] = 0xff, 0xff, 127 }, ipv6[NETWORK_KEY_LEN] = { [15] = 1 };

	return memcmp(key, ipv4, sizeof(ipv4)) == 0 || memcmp(key, ipv6, sizeof(ipv6)) == 0;
}

bool route_is_own(const struct router *router, const struct sockaddr *address)
{
	const struct sockaddr_in *ipv4 =
	        (const struct sockaddr_in *)address; /* the port is at the same place in both */
	uint8_t key[NETWORK_KEY_LEN];

	if (router->parts.own_port == 0 || ntohs(ipv4->sin_port) != router->parts.own_port)
		return false;
	network_address(address, key);
	if (router->own_all && is_loopback(key)) /* all of 127.0.0.0/8, not only what an interface is called */
		return true;
	for (size_t i = 0; i < router->own_count; i++)
		if (memcmp(router->own[i], key, sizeof(key)) == 0)
			return true;
	return false;
}

static void add_own(struct router *router, const struct sockaddr *address)
{
	if (router->own_count < ROUTE_OWN_MAX)
		network_address(address, router->own[router->own_count++]);
}

static void add_interfaces(struct router *router)
{
	uv_interface_address_t *list;
	int count;

	if (uv_interface_addresses(&list, &count) != 0)
		return;
	for (int i = 0; i < count; i++)
		add_own(router, (const struct sockaddr *)&list[i].address);
	uv_free_interface_addresses(list, count);
}

static void read_own(struct router *router)
{
	struct span in = span_of(router->parts.own_addresses), word;
	struct sockaddr_storage address;
	char text[LIST_ADDRESS_MAX];

	while (in.len > 0) {
		if (!span_take_until(&in, ' ', &word)) {
			word = in;
			in = SPAN_EMPTY;
		}
		if (!span_copy(word, text, sizeof(text)) || !read_literal(text, 0, &address))
			continue;
		router->own_all = router->own_all || strcmp(text, "0.0.0.0") == 0 || strcmp(text, "::") == 0;
		add_own(router, (struct sockaddr *)&address);
	}
	if (router->own_all)
		add_interfaces(router);
}

bool router_new(const struct router_parts *parts, struct router **out, struct error *err)
{
	struct router *router = calloc(1, sizeof(*router));

	if (router == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	router->parts = *parts;
	read_own(router);
	*out = router;
	return true;
}

void router_free(struct router **router)
{
	free(*router);
	*router = NULL;
}
