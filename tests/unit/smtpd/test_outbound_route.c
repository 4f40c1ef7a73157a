/* Which hosts get the mail of a domain, in which order, with which TLS: against a DNS made of rows. Faked: net/dns's questions, the worker
 * pool, the admin's routes, the MTA-STS finder, OpenSSL's opinion of TLSA records. */
#include "base/random.h"
#include "net/dial.h"
#include "smtpd/outbound/route_private.h"
#include "smtpd/outbound/sts_find.h"

#include "base/macros.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

/* --- a DNS of rows -------------------------------------------------------------------------------------------------- */

struct row {
	const char *name;
	enum dns_type type;
	const char *data; /* "10 mx.test", "192.0.2.1", "2001:db8::1", "3 1 1" */
	bool secure;
	enum dns_status status; /* other than DNS_OK: that is the answer */
	const char *canonical;  /* NULL: the name itself */
};

static const struct row rows[] = {
	{ "plain.test", DNS_MX, "20 b.test", false, DNS_OK, NULL },
	{ "plain.test", DNS_MX, "10 a.test", false, DNS_OK, NULL },
	{ "a.test", DNS_A, "192.0.2.1", false, DNS_OK, NULL },
	{ "a.test", DNS_AAAA, "2001:db8::1", false, DNS_OK, NULL },
	{ "a.test", DNS_AAAA, "2001:db8::2", false, DNS_OK, NULL },
	{ "b.test", DNS_A, "192.0.2.2", false, DNS_OK, NULL },
	{ "null.test", DNS_MX, "0 .", false, DNS_OK, NULL },
	{ "nomx.test", DNS_MX, NULL, false, DNS_NO_DATA, NULL },
	{ "nomx.test", DNS_A, "192.0.2.3", false, DNS_OK, NULL },
	{ "nothing.test", DNS_MX, NULL, false, DNS_NO_DATA, NULL },
	{ "nothing.test", DNS_A, NULL, false, DNS_NO_DATA, NULL },
	{ "hostless.test", DNS_MX, "10 gone.test", false, DNS_OK, NULL },
	{ "servfail.test", DNS_MX, NULL, false, DNS_TEMPORARY, NULL },
	{ "bogus.test", DNS_MX, NULL, false, DNS_BOGUS, NULL },
	{ "late.test", DNS_MX, "10 slow.test", false, DNS_OK, NULL },
	{ "slow.test", DNS_A, NULL, false, DNS_TEMPORARY, NULL },
	{ "backup.test", DNS_MX, "10 slow.test", false, DNS_OK, NULL },
	{ "backup.test", DNS_MX, "20 b.test", false, DNS_OK, NULL },
	{ "us.test", DNS_MX, "10 Relay.Test", false, DNS_OK, NULL },
	{ "relay.test", DNS_A, "198.51.100.1", false, DNS_OK, NULL },
	{ "usbyip.test", DNS_MX, "10 c.test", false, DNS_OK, NULL },
	{ "c.test", DNS_A, "198.51.100.1", false, DNS_OK, NULL },
	{ "webackup.test", DNS_MX, "10 a.test", false, DNS_OK, NULL },
	{ "webackup.test", DNS_MX, "20 relay.test", false, DNS_OK, NULL },
	{ "webackup.test", DNS_MX, "20 b.test", false, DNS_OK, NULL },
	{ "webackup.test", DNS_MX, "30 b.test", false, DNS_OK, NULL },
	{ "evil.test", DNS_MX, "10 zero.test", false, DNS_OK, NULL },
	{ "zero.test", DNS_A, "0.0.0.0", false, DNS_OK, NULL },
	{ "zero.test", DNS_A, "224.0.0.1", false, DNS_OK, NULL },
	{ "zero.test", DNS_A, "255.255.255.255", false, DNS_OK, NULL },
	{ "zero.test", DNS_AAAA, "::", false, DNS_OK, NULL },
	{ "dane.test", DNS_MX, "10 d.test", true, DNS_OK, NULL },
	{ "d.test", DNS_A, "192.0.2.4", true, DNS_OK, NULL },
	{ "_25._tcp.d.test", DNS_TLSA, "3 1 1", true, DNS_OK, NULL },
	{ "halfdane.test", DNS_MX, "10 d.test", false, DNS_OK, NULL }, /* the MX is not secure: no DANE */
	{ "unusable.test", DNS_MX, "10 e.test", true, DNS_OK, NULL },
	{ "e.test", DNS_A, "192.0.2.5", true, DNS_OK, NULL },
	{ "_25._tcp.e.test", DNS_TLSA, "0 0 1", true, DNS_OK, NULL },
	{ "insecuretlsa.test", DNS_MX, "10 f.test", true, DNS_OK, NULL },
	{ "f.test", DNS_A, "192.0.2.6", true, DNS_OK, NULL },
	{ "_25._tcp.f.test", DNS_TLSA, "3 1 1", false, DNS_OK, NULL },
	{ "tlsabogus.test", DNS_MX, "10 g.test", true, DNS_OK, NULL },
	{ "g.test", DNS_A, "192.0.2.7", true, DNS_OK, NULL },
	{ "_25._tcp.g.test", DNS_TLSA, NULL, false, DNS_BOGUS, NULL },
	{ "alias.test", DNS_MX, "10 h.test", true, DNS_OK, NULL },
	{ "h.test", DNS_A, "192.0.2.8", true, DNS_OK, "real.test" },
	{ "_25._tcp.real.test", DNS_TLSA, "3 1 1", true, DNS_OK, NULL },
	{ "alias2.test", DNS_MX, "10 i.test", true, DNS_OK, NULL },
	{ "i.test", DNS_A, "192.0.2.9", true, DNS_OK, "bare.test" },
	{ "_25._tcp.i.test", DNS_TLSA, "3 1 1", true, DNS_OK, NULL },
	{ "alias3.test", DNS_MX, "10 j.test", true, DNS_OK, NULL }, /* a secure alias out of the signed zone */
	{ "j.test", DNS_A, "192.0.2.10", false, DNS_OK, "unsigned.test" },
	{ "j.test", DNS_CNAME, "unsigned.test", true, DNS_OK, NULL },
	{ "_25._tcp.j.test", DNS_TLSA, "3 1 1", true, DNS_OK, NULL },
	{ "_25._tcp.unsigned.test", DNS_TLSA, "0 0 1", true, DNS_OK, NULL }, /* nobody asks for these */
	{ "alias4.test", DNS_MX, "10 k.test", true, DNS_OK, NULL },
	{ "k.test", DNS_A, "192.0.2.11", false, DNS_OK, "unsigned.test" },
	{ "k.test", DNS_CNAME, "unsigned.test", false, DNS_OK, NULL }, /* neither is this */
	{ "_25._tcp.k.test", DNS_TLSA, "3 1 1", true, DNS_OK, NULL },
	{ "alias5.test", DNS_MX, "10 l.test", true, DNS_OK, NULL },
	{ "l.test", DNS_A, "192.0.2.12", false, DNS_OK, "unsigned.test" },
	{ "l.test", DNS_CNAME, NULL, false, DNS_BOGUS, NULL },
	{ "alias6.test", DNS_MX, "10 m.test", true, DNS_OK, NULL },
	{ "m.test", DNS_A, "192.0.2.13", false, DNS_OK, "unsigned.test" },
	{ "m.test", DNS_CNAME, "unsigned.test", true, DNS_OK, NULL },
	{ "_25._tcp.m.test", DNS_TLSA, NULL, false, DNS_TEMPORARY, NULL },
	{ "alias7.test", DNS_MX, "10 n.test", true, DNS_OK, NULL }, /* no TLSA */
	{ "n.test", DNS_A, "192.0.2.14", false, DNS_OK, "unsigned.test" },
	{ "n.test", DNS_CNAME, "unsigned.test", true, DNS_OK, NULL },
	{ "alias8.test", DNS_MX, "10 j.test", false, DNS_OK, NULL }, /* the MX is not secure */
	{ "moved.test", DNS_MX, "10 h.test", true, DNS_OK, "target.test" },
	{ "moved2.test", DNS_MX, "10 h.test", false, DNS_OK, "target.test" },
	{ "sts.test", DNS_MX, "10 a.test", false, DNS_OK, NULL },
	{ "sts.test", DNS_MX, "20 b.test", false, DNS_OK, NULL },
	{ "ststest.test", DNS_MX, "10 b.test", false, DNS_OK, NULL },
	{ "stsbad.test", DNS_MX, "10 b.test", false, DNS_OK, NULL },
	{ "six.test", DNS_MX, "10 a.test", false, DNS_OK, NULL },
	{ "smart.test", DNS_A, "192.0.2.20", false, DNS_OK, NULL },
	{ "stssmart.test", DNS_A, "192.0.2.21", false, DNS_OK, NULL },
	{ "stsother.test", DNS_A, "192.0.2.22", false, DNS_OK, NULL },
	{ "loop.test", DNS_MX, "10 lo.test", false, DNS_OK, NULL },
	{ "lo.test", DNS_A, "127.0.0.2", false, DNS_OK, NULL },
};

struct dns_query {
	struct dns_query *next;
	char name[DNS_NAME_MAX + 1];
	enum dns_type type;
	dns_done *done;
	void *arg;
	bool cancelled;
};

static struct dns_query *asked, **asked_end = &asked;
static unsigned asked_count, most_at_once, at_once;
static bool flood; /* flood.test has more MX than anybody needs, each with more addresses */

struct dns_query *dns_ask(struct dns *dns, const char *name, enum dns_type type, dns_done *done, void *arg)
{
	struct dns_query *query = calloc(1, sizeof(*query));

	(void)dns;
	assert_non_null(query);
	(void)snprintf(query->name, sizeof(query->name), "%s", name);
	query->type = type;
	query->done = done;
	query->arg = arg;
	*asked_end = query;
	asked_end = &query->next;
	asked_count++;
	at_once++;
	most_at_once = at_once > most_at_once ? at_once : most_at_once;
	return query;
}

void dns_cancel(struct dns_query **query)
{
	if (*query != NULL)
		(*query)->cancelled = true;
	*query = NULL;
}

static size_t put_name(uint8_t *out, const char *name)
{
	size_t at = 0;

	while (*name != '\0' && strcmp(name, ".") != 0) {
		size_t len = strcspn(name, ".");

		out[at++] = (uint8_t)len;
		memcpy(out + at, name, len);
		at += len;
		name += len + (name[len] == '.');
	}
	out[at++] = 0;
	return at;
}

static size_t encode(enum dns_type type, const char *data, uint8_t out[300])
{
	unsigned a, b, c;
	char name[256];
	int end = 0;

	if (type == DNS_A)
		return inet_pton(AF_INET, data, out) == 1 ? 4 : 0;
	if (type == DNS_AAAA)
		return inet_pton(AF_INET6, data, out) == 1 ? 16 : 0;
	if (type == DNS_CNAME)
		return put_name(out, data);
	if (type == DNS_MX) {
		uint64_t preference;
		struct span in = span_of(data), word;

		assert_true(span_take_until(&in, ' ', &word) && span_number(word, 65535, &preference));
		assert_true(span_copy(in, name, sizeof(name)));
		out[0] = (uint8_t)(preference >> 8);
		out[1] = (uint8_t)preference;
		return 2 + put_name(out + 2, name);
	}
	(void)end;
	a = (unsigned)(data[0] - '0');
	b = (unsigned)(data[2] - '0');
	c = (unsigned)(data[4] - '0');
	out[0] = (uint8_t)a;
	out[1] = (uint8_t)b;
	out[2] = (uint8_t)c;
	memset(out + 3, 0xab, 32);
	return 35;
}

static uint8_t wire[DNS_RECORDS_MAX][300];
static struct span spans[DNS_RECORDS_MAX];

static void answer_flood(const struct dns_query *query, struct dns_answer *answer)
{
	char data[64];

	answer->status = DNS_OK;
	answer->count = DNS_RECORDS_MAX;
	for (size_t i = 0; i < DNS_RECORDS_MAX; i++) {
		if (query->type == DNS_MX)
			(void)snprintf(data, sizeof(data), "%zu m%zu.flood.test", i % 3, i);
		else if (query->type == DNS_A)
			(void)snprintf(data, sizeof(data), "192.0.2.%zu", i + 1);
		else
			(void)snprintf(data, sizeof(data), "2001:db8::%zx", i + 1);
		spans[i] = span_make(wire[i], encode(query->type, data, wire[i]));
	}
}

static void answer_rows(const struct dns_query *query, struct dns_answer *answer)
{
	bool known = false;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (strcmp(rows[i].name, query->name) != 0)
			continue;
		known = true;
		if (rows[i].type != query->type)
			continue;
		answer->status = rows[i].status;
		answer->secure = rows[i].secure;
		(void)snprintf(answer->canonical, sizeof(answer->canonical), "%s",
		        rows[i].canonical != NULL ? rows[i].canonical : rows[i].name);
		if (rows[i].status == DNS_OK) {
			spans[answer->count] =
			        span_make(wire[answer->count], encode(query->type, rows[i].data, wire[answer->count]));
			answer->count++;
		}
	}
	if (answer->count == 0 && answer->status == DNS_OK)
		answer->status = known ? DNS_NO_DATA : DNS_NO_NAME;
}

static bool answer_one(void)
{
	struct dns_query *query = asked;
	struct dns_answer answer = { .status = DNS_OK, .records = spans, .why = "made up" };

	if (query == NULL)
		return false;
	asked = query->next;
	if (asked == NULL)
		asked_end = &asked;
	at_once--;
	if (!query->cancelled) {
		if (flood && strstr(query->name, "flood.test") != NULL && query->type != DNS_TLSA)
			answer_flood(query, &answer);
		else
			answer_rows(query, &answer);
		query->done(query->arg, &answer);
	}
	free(query);
	return true;
}

/* --- the other fakes -------------------------------------------------------------------------------------------------- */

static struct worker_job *job;

void worker_submit(struct worker_pool *pool, struct worker_job *it)
{
	(void)pool;
	assert_null(job);
	job = it;
}

static void run_job(void)
{
	struct worker_job *it = job;

	job = NULL;
	if (it == NULL)
		return;
	it->run(it);
	it->done(it);
}

static const struct route *admin_route;
static bool routes_fail;

bool relay_store_find_route(struct relay_store *store, struct span recipient_domain, struct span sender_domain,
        struct route *out, bool *found, struct error *err)
{
	(void)store;
	(void)recipient_domain;
	(void)sender_domain;
	if (routes_fail)
		return error_set(err, ERR_IO, "the disk");
	*found = admin_route != NULL;
	if (*found)
		*out = *admin_route;
	error_clear(err);
	return true;
}

size_t tls_usable_tlsa(const struct span *tlsa, size_t count)
{
	size_t usable = 0;

	for (size_t i = 0; i < count; i++)
		usable += tlsa[i].ptr[0] == 2 || tlsa[i].ptr[0] == 3;
	return usable;
}

struct sts_find {
	sts_found *done;
	void *arg;
	struct sts_policy policy;
	bool has_policy, never;
};
static struct sts_find *finding;
static bool no_memory_for_sts;

struct sts_find *sts_find(struct sts_finder *finder, const char *domain, sts_found *done, void *arg)
{
	struct error err;
	const char *mode = strcmp(domain, "ststest.test") == 0 ? "testing" : "enforce";
	char text[200];

	(void)finder;
	if (no_memory_for_sts)
		return NULL;
	finding = calloc(1, sizeof(*finding));
	assert_non_null(finding);
	finding->done = done;
	finding->arg = arg;
	finding->has_policy = strncmp(domain, "sts", 3) == 0;
	(void)snprintf(
	        text, sizeof(text), "version: STSv1\nmode: %s\nmax_age: 1\nmx: a.test\nmx: stssmart.test\n", mode);
	assert_true(sts_parse_policy(span_of(text), &finding->policy, &err));
	return finding;
}

const struct sts_policy *sts_known(const struct sts_find *find)
{
	return find->has_policy ? &find->policy : NULL;
}

void sts_cancel(struct sts_find **find)
{
	if (*find != NULL) {
		assert_ptr_equal(*find, finding);
		free(finding);
		finding = NULL;
	}
	*find = NULL;
}

static void answer_sts(void)
{
	struct sts_find *it = finding;

	if (it == NULL || it->never)
		return;
	finding = NULL;
	it->done(it->arg, it->has_policy ? &it->policy : NULL);
	free(it);
}

/* --- asking ------------------------------------------------------------------------------------------------------------ */

static uv_loop_t loop;
static struct router *router;
static struct route_result *result;
static unsigned result_count;

static void on_route(void *arg, const struct route_result *it)
{
	(void)arg;
	result_count++;
	route_result_free(&result);
	result = route_result_copy(it);
	assert_non_null(result);
}

static void drain(void)
{
	run_job();
	while (answer_one())
		;
	answer_sts();
	while (answer_one())
		;
	while (uv_run(&loop, UV_RUN_NOWAIT) != 0 && result_count == 0)
		;
}

static const struct route_result *find(const char *domain, unsigned flags)
{
	result_count = 0;
	assert_non_null(route_find(router, domain, "sender.test", flags, on_route, NULL));
	assert_int_equal(result_count, 0);
	drain();
	assert_int_equal(result_count, 1);
	return result;
}

static int setup(void **state)
{
	struct router_parts parts = {
		.loop = &loop,
		.sts = (struct sts_finder *)&loop, /* any: it is faked */
		.dane = true,
		.hostname = "relay.test",
		.own_addresses = "198.51.100.1 2001:db8:ffff::1",
		.own_port = 25,
		.port = 25,
	};
	struct error err;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_true(router_new(&parts, &router, &err));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	route_result_free(&result);
	router_free(&router);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	return 0;
}

/* --- the tables -------------------------------------------------------------------------------------------------------- */

static const struct {
	const char *domain;
	unsigned flags;
	enum error_code code;
	const char *status; /* of a failure */
	const char *hosts;  /* "name level source, ..." */
} cases[] = {
	{ "plain.test", 0, ERR_NONE, NULL, "a.test may default, b.test may default" },
	{ "null.test", 0, ERR_NO_SUCH_DOMAIN, "5.1.10", NULL },      /* RFC 7505 */
	{ "nowhere.test", 0, ERR_NO_SUCH_DOMAIN, "5.1.2", NULL },    /* NXDOMAIN */
	{ "nomx.test", 0, ERR_NONE, NULL, "nomx.test may default" }, /* RFC 5321 §5.1 */
	{ "nothing.test", 0, ERR_NO_SUCH_DOMAIN, "5.1.2", NULL },
	{ "hostless.test", 0, ERR_CLOSED, "5.4.4", NULL },
	{ "servfail.test", 0, ERR_TEMPORARY, "4.4.3", NULL },
	{ "bogus.test", 0, ERR_TEMPORARY, "4.4.3", NULL }, /* never a bounce */
	{ "late.test", 0, ERR_TEMPORARY, "4.4.3", NULL },
	{ "backup.test", 0, ERR_NONE, NULL, "b.test may default" },
	{ "us.test", 0, ERR_BAD_VALUE, "5.4.6", NULL },
	{ "usbyip.test", 0, ERR_BAD_VALUE, "5.4.6", NULL },
	{ "webackup.test", 0, ERR_NONE, NULL, "a.test may default" }, /* not us, nor who is not better than us */
	{ "evil.test", 0, ERR_CLOSED, "5.4.4", NULL },
	{ "[192.0.2.9]", 0, ERR_NONE, NULL, "[192.0.2.9] may default" },
	{ "[IPv6:2001:db8::9]", 0, ERR_NONE, NULL, "[IPv6:2001:db8::9] may default" },
	{ "[198.51.100.1]", 0, ERR_BAD_VALUE, "5.4.6", NULL },
	{ "[x]", 0, ERR_BAD_VALUE, "5.1.2", NULL },
	{ "dane.test", 0, ERR_NONE, NULL, "d.test dane dane" },
	{ "halfdane.test", 0, ERR_NONE, NULL, "d.test may default" },
	{ "unusable.test", 0, ERR_NONE, NULL, "e.test encrypt dane" },
	{ "insecuretlsa.test", 0, ERR_NONE, NULL, "f.test may default" },
	{ "tlsabogus.test", 0, ERR_TEMPORARY, "4.7.5", NULL },
	{ "alias.test", 0, ERR_NONE, NULL, "h.test dane dane" },
	{ "alias2.test", 0, ERR_NONE, NULL, "i.test dane dane" },
	{ "alias3.test", 0, ERR_NONE, NULL, "j.test dane dane" },
	{ "alias4.test", 0, ERR_NONE, NULL, "k.test may default" },
	{ "alias5.test", 0, ERR_TEMPORARY, "4.7.5", NULL },
	{ "alias6.test", 0, ERR_TEMPORARY, "4.7.5", NULL },
	{ "alias7.test", 0, ERR_NONE, NULL, "n.test may default" },
	{ "alias8.test", 0, ERR_NONE, NULL, "j.test may default" },
	{ "sts.test", 0, ERR_NONE, NULL, "a.test verify mta-sts" }, /* b.test is not in the policy */
	{ "ststest.test", 0, ERR_NONE, NULL, "b.test may default" },
	{ "stsbad.test", 0, ERR_TEMPORARY, "4.7.5", NULL },
	{ "plain.test", ROUTE_REQUIRETLS, ERR_UNSUPPORTED, "5.7.10", NULL },
	{ "dane.test", ROUTE_REQUIRETLS, ERR_NONE, NULL, "d.test dane dane" },
	{ "sts.test", ROUTE_REQUIRETLS, ERR_NONE, NULL, "a.test verify mta-sts" },
	{ "stsbad.test", ROUTE_TLS_NO, ERR_NONE, NULL, "b.test may requiretls" }, /* RFC 8689 §4.2.2 */
	{ "tlsabogus.test", ROUTE_TLS_NO, ERR_NONE, NULL, "g.test may requiretls" },
};

static void describe(const struct route_result *it, char *out, size_t size)
{
	size_t at = 0;

	out[0] = '\0';
	for (size_t i = 0; i < it->host_count; i++)
		at += (size_t)snprintf(out + at, size - at, "%s%s %s %s", i > 0 ? ", " : "", it->hosts[i].name,
		        tls_level_name(it->hosts[i].level), tls_source_name(it->hosts[i].source));
}

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct route_result *it = find(cases[i].domain, cases[i].flags);
		char hosts[1000];

		if (it->code != cases[i].code)
			fail_msg("%s: %s, %s", cases[i].domain, error_name(it->code), it->why);
		if (cases[i].status != NULL && strcmp(it->status, cases[i].status) != 0)
			fail_msg("%s: %s", cases[i].domain, it->status);
		describe(it, hosts, sizeof(hosts));
		if (cases[i].hosts != NULL)
			assert_string_equal(hosts, cases[i].hosts);
	}
}

static void details(void **state)
{
	const struct route_result *it = find("plain.test", 0);

	(void)state;
	assert_int_equal(it->hosts[0].address_count, 3);
	assert_int_equal(it->hosts[0].addresses[0].ss_family, AF_INET6); /* in turn */
	assert_int_equal(it->hosts[0].addresses[1].ss_family, AF_INET);
	assert_int_equal(it->hosts[0].addresses[2].ss_family, AF_INET6);
	assert_int_equal(ntohs(((const struct sockaddr_in *)&it->hosts[0].addresses[1])->sin_port), 25);
	it = find("alias.test", 0);
	assert_string_equal(it->hosts[0].tlsa_base, "real.test"); /* RFC 7672 §2.2.3: the end of the chain ... */
	assert_int_equal(it->hosts[0].tlsa_count, 1);
	assert_int_equal(it->hosts[0].tlsa[0].len, 35);
	assert_true(it->hosts[0].secure);
	assert_string_equal(it->next_hop, "");
	assert_string_equal(find("moved.test", 0)->next_hop, "target.test"); /* RFC 7672 §3.2.2 */
	assert_string_equal(find("moved2.test", 0)->next_hop, "");
	it = find("alias2.test", 0);
	assert_string_equal(it->hosts[0].tlsa_base, "i.test"); /* ... or the name itself */
	it = find("alias3.test", 0);
	assert_string_equal(
	        it->hosts[0].tlsa_base, "j.test"); /* ... which is the only one where the chain is not secure */
	assert_int_equal(it->hosts[0].tlsa[0].ptr[0], 3);
	assert_false(it->hosts[0].secure);
	it = find("ststest.test", 0);
	assert_true(it->sts_testing && it->hosts[0].sts_mismatch);
}

/* The answers are bounded here too, and the questions. */
static void too_much(void **state)
{
	const struct route_result *it;

	(void)state;
	flood = true;
	asked_count = most_at_once = 0;
	it = find("flood.test", 0);
	assert_int_equal(it->host_count, ROUTE_HOSTS_MAX);
	for (size_t i = 0; i < it->host_count; i++) {
		assert_int_equal(it->hosts[i].address_count, ROUTE_ADDRESSES_MAX);
		assert_true(i == 0 || it->hosts[i - 1].preference <= it->hosts[i].preference);
	}
	assert_true(asked_count <= 1 + 3 * ROUTE_HOSTS_MAX);
	assert_true(most_at_once <= 7);
	flood = false;
}

/* RFC 5321 §5.1: hosts of one preference share the load. */
static void shuffled(void **state)
{
	unsigned first[3] = { 0 };

	(void)state;
	random_seed_for_test(3);
	flood = true;
	for (int i = 0; i < 60; i++) {
		const struct route_result *it = find("flood.test", 0);
		unsigned number = 0;

		assert_int_equal(it->hosts[0].preference, 0);
		assert_int_equal(it->hosts[0].name[0], 'm');
		for (const char *at = it->hosts[0].name + 1; *at != '.'; at++)
			number = 10 * number + (unsigned)(*at - '0');
		first[number % 99 / 33]++;
	}
	assert_true(first[0] > 5 && first[1] > 5 && first[2] > 5);
	flood = false;
	random_seed_for_test(0);
}

#define TEN_OF_PATH "/2345/7890"
#define TOO_LONG_PATH                                                                                                  \
	TEN_OF_PATH TEN_OF_PATH TEN_OF_PATH TEN_OF_PATH TEN_OF_PATH TEN_OF_PATH TEN_OF_PATH TEN_OF_PATH TEN_OF_PATH    \
	        TEN_OF_PATH TEN_OF_PATH

static const struct {
	struct route route;
	const char *domain;
	unsigned flags;
	enum error_code code;
	const char *status, *hosts;
	unsigned port;
} admin_cases[] = {
	{ { .kind = ROUTE_SMTP, .host = "smart.test", .port = 587 }, "plain.test", 0, ERR_NONE, NULL,
	        "smart.test may default", 587 },
	{ { .kind = ROUTE_SMTP, .host = "smart.test", .implicit_tls = true, .tls = ROUTE_TLS_VERIFY }, "null.test", 0,
	        ERR_NONE, NULL, "smart.test verify override", 465 },
	{ { .kind = ROUTE_LMTP, .host = "127.0.0.1", .port = 24, .tls = ROUTE_TLS_NONE }, "x.test", 0, ERR_NONE, NULL,
	        "127.0.0.1 none override", 24 },
	{ { .kind = ROUTE_MX, .tls = ROUTE_TLS_ENCRYPT }, "sts.test", 0, ERR_NONE, NULL,
	        "a.test encrypt override, b.test encrypt override", 25 },
	/* a password only goes to the server that is meant, or on this machine */
	{ { .kind = ROUTE_SMTP, .host = "smart.test", .implicit_tls = true, .user = "u", .password = "p" }, "x.test", 0,
	        ERR_NONE, NULL, "smart.test verify override", 465 },
	{ { .kind = ROUTE_LMTP, .host = "/run/lmtp", .user = "u" }, "x.test", 0, ERR_NONE, NULL,
	        "/run/lmtp may default", 0 },
	{ { .kind = ROUTE_LMTP, .host = TOO_LONG_PATH }, "x.test", 0, ERR_TEMPORARY, "4.3.5", NULL, 0 },
	{ { .kind = ROUTE_SMTP, .host = "mistyped.test" }, "plain.test", 0, ERR_TEMPORARY, "4.4.4", NULL, 0 },
	{ { .kind = ROUTE_SMTP, .host = "198.51.100.1" }, "plain.test", 0, ERR_TEMPORARY, "4.3.5", NULL, 0 },
	/* RFC 8461 §3.4: its own policy, and not that of the domain */
	{ { .kind = ROUTE_SMTP, .host = "stssmart.test" }, "plain.test", 0, ERR_NONE, NULL,
	        "stssmart.test verify mta-sts", 25 },
	{ { .kind = ROUTE_SMTP, .host = "stsother.test" }, "plain.test", 0, ERR_TEMPORARY, "4.7.5", NULL, 0 },
	{ { .kind = ROUTE_SMTP, .host = "smart.test" }, "sts.test", 0, ERR_NONE, NULL, "smart.test may default", 25 },
	{ { .kind = ROUTE_SMTP, .host = "stssmart.test", .tls = ROUTE_TLS_MAY }, "plain.test", 0, ERR_NONE, NULL,
	        "stssmart.test may override", 25 },
	{ { .kind = ROUTE_LMTP, .host = "stssmart.test", .port = 24 }, "plain.test", 0, ERR_NONE, NULL,
	        "stssmart.test may default", 24 },
	{ { .kind = ROUTE_SMTP, .host = "smart.test" }, "plain.test", ROUTE_REQUIRETLS, ERR_NONE, NULL,
	        "smart.test verify requiretls", 25 },
};

static void by_admin(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(admin_cases); i++) {
		const struct route_result *it;
		char hosts[1000];

		admin_route = &admin_cases[i].route;
		it = find(admin_cases[i].domain, admin_cases[i].flags);
		admin_route = NULL;
		describe(it, hosts, sizeof(hosts));
		if (it->code != admin_cases[i].code)
			fail_msg("row %zu: %s, %s", i, error_name(it->code), it->why);
		if (it->code != ERR_NONE) {
			assert_string_equal(it->status, admin_cases[i].status);
			continue;
		}
		assert_string_equal(hosts, admin_cases[i].hosts);
		assert_true(it->has_route);
		if (it->hosts[0].addresses[0].ss_family == AF_UNIX) {
			assert_string_equal(
			        ((const struct sockaddr_un *)&it->hosts[0].addresses[0])->sun_path, it->route.host);
			continue;
		}
		assert_int_equal(
		        ntohs(((const struct sockaddr_in *)&it->hosts[0].addresses[0])->sin_port), admin_cases[i].port);
	}
	routes_fail = true;
	assert_int_equal(find("plain.test", 0)->code, ERR_TEMPORARY);
	routes_fail = false;
}

/* No memory is no way around a policy. */
static void policy_unknown(void **state)
{
	const struct route smart = { .kind = ROUTE_SMTP, .host = "stssmart.test" };

	(void)state;
	no_memory_for_sts = true;
	assert_int_equal(find("sts.test", 0)->code, ERR_TEMPORARY);
	admin_route = &smart;
	assert_int_equal(find("plain.test", 0)->code, ERR_TEMPORARY);
	admin_route = NULL;
	no_memory_for_sts = false;
}

/* Whoever keeps DNS silent for long enough gets no mail around DANE; others are not held up. */
static void no_time(void **state)
{
	static const struct {
		const char *domain;
		int answers; /* before the time is over */
		enum error_code code;
		const char *said; /* the status, or the hosts */
	} at[] = {
		{ "dane.test", 0, ERR_TEMPORARY, "4.4.3" },
		{ "dane.test", 1, ERR_TEMPORARY, "4.4.3" },   /* MX */
		{ "dane.test", 2, ERR_TEMPORARY, "4.7.5" },   /* A */
		{ "dane.test", 3, ERR_TEMPORARY, "4.7.5" },   /* AAAA, not TLSA */
		{ "alias2.test", 4, ERR_TEMPORARY, "4.7.5" }, /* one TLSA of two */
		{ "alias3.test", 2, ERR_TEMPORARY, "4.7.5" }, /* A, not its alias */
		{ "alias4.test", 3, ERR_TEMPORARY, "4.7.5" },
		{ "alias4.test", 4, ERR_NONE, "k.test may default" }, /* the alias is not secure */
		{ "plain.test", 2, ERR_NONE, "a.test may default" },
		{ "halfdane.test", 2, ERR_NONE, "d.test may default" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		struct route_query *query;
		char hosts[1000];

		result_count = 0;
		query = route_find(router, at[i].domain, "", 0, on_route, NULL);
		assert_non_null(query);
		run_job();
		for (int k = 0; k < at[i].answers; k++)
			assert_true(answer_one());
		query->timer.timer_cb(&query->timer);
		assert_int_equal(result_count, 1);
		if (result->code != at[i].code)
			fail_msg("%s after %d: %s", at[i].domain, at[i].answers, error_name(result->code));
		describe(result, hosts, sizeof(hosts));
		assert_string_equal(result->code == ERR_NONE ? hosts : result->status, at[i].said);
		while (answer_one())
			;
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	}
}

/* Who listens everywhere is also the whole of 127.0.0.0/8. */
static void loops(void **state)
{
	struct router_parts parts = router->parts;
	struct error err;

	(void)state;
	assert_int_equal(find("loop.test", 0)->code, ERR_NONE);
	router_free(&router);
	parts.own_addresses = "0.0.0.0 ::";
	assert_true(router_new(&parts, &router, &err));
	assert_string_equal(find("loop.test", 0)->status, "5.4.6");
	assert_string_equal(find("[127.9.9.9]", 0)->status, "5.4.6");
	assert_string_equal(find("[IPv6:::1]", 0)->status, "5.4.6");
	assert_string_equal(find("[IPv6:::ffff:127.0.0.3]", 0)->status, "5.4.6");
	assert_int_equal(find("plain.test", 0)->code, ERR_NONE);
}

/* Who is not answered may go away at any time. */
static void cancelled(void **state)
{
	(void)state;
	for (int steps = 0; steps < 8; steps++) {
		struct route_query *query;

		result_count = 0;
		query = route_find(router, "sts.test", "", 0, on_route, NULL);
		assert_non_null(query);
		if (steps > 0)
			run_job();
		for (int i = 1; i < steps; i++)
			(void)answer_one();
		route_cancel(&query);
		assert_null(query);
		run_job();
		while (answer_one())
			;
		assert_null(finding);
		(void)uv_run(&loop, UV_RUN_NOWAIT);
		assert_int_equal(result_count, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(table, setup, teardown),
		cmocka_unit_test_setup_teardown(details, setup, teardown),
		cmocka_unit_test_setup_teardown(too_much, setup, teardown),
		cmocka_unit_test_setup_teardown(shuffled, setup, teardown),
		cmocka_unit_test_setup_teardown(by_admin, setup, teardown),
		cmocka_unit_test_setup_teardown(policy_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(no_time, setup, teardown),
		cmocka_unit_test_setup_teardown(loops, setup, teardown),
		cmocka_unit_test_setup_teardown(cancelled, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
