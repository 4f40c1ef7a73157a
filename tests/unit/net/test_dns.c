/* Questions to the DNS: against NSD with zones signed, forged and plain, and against servers that lie or say nothing. */
#include "name_server.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/privileges.h"
#include "net/dns_internal.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define PATIENCE_MS 20000

/* --- zones ------------------------------------------------------------------------------------------------------ */

static void write_signed(void *file)
{
	fprintf(file, "@ IN MX 20 mx2\n@ IN MX 10 MX1\n");
	fprintf(file, "mx1 IN A 192.0.2.1\nmx1 IN AAAA 2001:db8::1\nmx2 IN A 192.0.2.2\n");
	fprintf(file, "_25._tcp.mx1 IN TLSA 3 1 1 %064d\n", 0);
	fprintf(file, "_mta-sts IN TXT \"v=STSv1;\" \" id=1;\"\n");
	fprintf(file, "null IN MX 0 .\nalias IN CNAME mx1\ndangling IN CNAME nowhere\n");
	fprintf(file, "out IN CNAME www.plain.test.\nodd IN CNAME a/b\na/b IN A 192.0.2.3\n");
	for (int i = 0; i < 17; i++)
		fprintf(file, "chain%d IN CNAME chain%d\n", i, i + 1);
	fprintf(file, "chain17 IN A 192.0.2.4\n");
	fprintf(file, "loop1 IN CNAME loop2\nloop2 IN CNAME loop1\n");
	for (int i = 0; i < 500; i++)
		fprintf(file, "many IN A 10.0.%d.%d\n", i / 250, i % 250 + 1);
}

static void write_plain(void *file)
{
	fprintf(file, "@ IN MX 10 www\nwww IN A 192.0.2.66\n");
}

static const struct zone zones[] = {
	{ "signed.test", ZONE_SIGNED, write_signed },
	{ "plain.test", ZONE_PLAIN, write_plain },
	{ "forged.test", ZONE_FORGED, write_plain },
	{ "expired.test", ZONE_EXPIRED, write_plain },
	{ "stripped.test", ZONE_STRIPPED, write_plain },
	{ "office.local", ZONE_PLAIN, write_plain },
	{ "10.in-addr.arpa", ZONE_PLAIN, write_plain },
};

static struct name_server server;

static int start_server(void **state)
{
	log_set_level(LOG_ERROR);
	name_server_start(&server, zones, ARRAY_LEN(zones));
	return 0;
}

static int stop_server(void **state)
{
	name_server_stop(&server);
	return 0;
}

/* --- asking ----------------------------------------------------------------------------------------------------- */

struct asked {
	struct dns *dns; /* freed inside done(), when set */
	struct dns_query *query;
	unsigned told;
	enum dns_status status;
	bool secure;
	size_t count;
	uint32_t ttl;
	char canonical[DNS_NAME_MAX + 1];
	char first[DNS_NAME_MAX + 1]; /* as text, of the first record */
	char why[200];
};

static void on_done(void *arg, const struct dns_answer *answer)
{
	struct asked *a = arg;
	struct dns_mx mx;

	a->told++;
	a->status = answer->status;
	a->secure = answer->secure;
	a->count = answer->count;
	a->ttl = answer->ttl;
	snprintf(a->canonical, sizeof(a->canonical), "%s", answer->canonical);
	snprintf(a->why, sizeof(a->why), "%s", answer->why == NULL ? "" : answer->why);
	if (answer->count > 0 && answer->records[0].len == 4)
		inet_ntop(AF_INET, answer->records[0].ptr, a->first, sizeof(a->first));
	else if (answer->count > 0 && dns_read_mx(answer->records[0], &mx))
		snprintf(a->first, sizeof(a->first), "%s", mx.host);
	dns_cancel(&a->query); /* harmless here, when it is the one that is told */
	if (a->dns != NULL)
		dns_free(&a->dns);
}

static struct dns *new_dns(uv_loop_t *loop, const char *forward, const char *anchor)
{
	struct dns_settings settings = { .forward = span_of(forward), .trust_anchor = anchor };
	struct dns *dns = NULL;
	struct error err;

	if (!dns_new(loop, &settings, &dns, &err))
		fail_msg("%s %s", err.reason, err.detail);
	return dns;
}

static void turns_until(uv_loop_t *loop, const unsigned *count, unsigned wanted)
{
	for (unsigned i = 0; i < PATIENCE_MS && *count < wanted; i++) {
		uv_run(loop, UV_RUN_NOWAIT);
		if (*count < wanted)
			usleep(1000);
	}
	assert_int_equal(*count, wanted);
}

static void close_all(uv_loop_t *loop, struct dns **dns)
{
	dns_free(dns);
	assert_null(*dns);
	uv_run(loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(loop), 0);
}

static void ask(uv_loop_t *loop, struct dns *dns, const char *name, enum dns_type type, struct asked *a)
{
	*a = (struct asked) { 0 };
	a->query = dns_ask(dns, name, type, on_done, a);
	assert_non_null(a->query);
	assert_int_equal(a->told, 0); /* never from inside the call */
	turns_until(loop, &a->told, 1);
}

/* --- what a zone says ------------------------------------------------------------------------------------------- */

static const struct answer_case {
	const char *name;
	enum dns_type type;
	enum dns_status status;
	bool secure;
	size_t count;
	const char *canonical; /* NULL: the name */
} answer_cases[] = {
	{ "signed.test", DNS_MX, DNS_OK, true, 2, NULL },
	{ "Signed.TEST.", DNS_MX, DNS_OK, true, 2, "signed.test" },
	{ "mx1.signed.test", DNS_A, DNS_OK, true, 1, NULL },
	{ "mx1.signed.test", DNS_AAAA, DNS_OK, true, 1, NULL },
	{ "_25._tcp.mx1.signed.test", DNS_TLSA, DNS_OK, true, 1, NULL },
	{ "_mta-sts.signed.test", DNS_TXT, DNS_OK, true, 1, NULL },
	{ "null.signed.test", DNS_MX, DNS_OK, true, 1, NULL },
	{ "mx1.signed.test", DNS_MX, DNS_NO_DATA, true, 0, NULL },
	{ "mx2.signed.test", DNS_AAAA, DNS_NO_DATA, true, 0, NULL },
	{ "nowhere.signed.test", DNS_A, DNS_NO_NAME, true, 0, NULL },
	{ "_25._tcp.mx2.signed.test", DNS_TLSA, DNS_NO_NAME, true, 0, NULL }, /* proven: no DANE */
	{ "alias.signed.test", DNS_A, DNS_OK, true, 1, "mx1.signed.test" },
	{ "alias.signed.test", DNS_MX, DNS_NO_DATA, true, 0, "mx1.signed.test" },
	{ "dangling.signed.test", DNS_A, DNS_NO_NAME, true, 0, "nowhere.signed.test" },
	{ "out.signed.test", DNS_A, DNS_OK, false, 1, "www.plain.test" }, /* as secure as its weakest part */
	{ "odd.signed.test", DNS_A, DNS_OK, true, 1, NULL },
	{ "chain1.signed.test", DNS_A, DNS_OK, true, 1, "chain17.signed.test" }, /* 16 */
	{ "chain0.signed.test", DNS_A, DNS_TEMPORARY, false, 0, "chain17.signed.test" },
	{ "many.signed.test", DNS_A, DNS_OK, true, DNS_RECORDS_MAX, NULL }, /* of 500, by TCP */
	{ "plain.test", DNS_MX, DNS_OK, false, 1, NULL },
	{ "www.plain.test", DNS_AAAA, DNS_NO_DATA, false, 0, NULL },
	{ "nowhere.plain.test", DNS_A, DNS_NO_NAME, false, 0, NULL },
	{ "www.forged.test", DNS_A, DNS_BOGUS, false, 0, NULL },
	{ "www.forged.test", DNS_AAAA, DNS_NO_DATA, true, 0, NULL }, /* that was not touched */
	{ "www.expired.test", DNS_A, DNS_BOGUS, false, 0, NULL },
	{ "nowhere.expired.test", DNS_A, DNS_BOGUS, false, 0, NULL },
	{ "www.stripped.test", DNS_A, DNS_BOGUS, false, 0, NULL },
	{ "elsewhere.example", DNS_A, DNS_TEMPORARY, false, 0, NULL }, /* NSD refuses what it does not serve */
	{ "www.office.local", DNS_A, DNS_OK, false, 1, NULL },
	{ "www.10.in-addr.arpa", DNS_A, DNS_OK, false, 1, NULL },
	/* never asked for */
	{ "", DNS_A, DNS_NO_NAME, false, 0, "" },
	{ "192.0.2.1", DNS_A, DNS_NO_NAME, false, 0, "" },
	{ "a b.signed.test", DNS_A, DNS_NO_NAME, false, 0, "" },
};

static void answers_come_with_their_security(void **state)
{
	struct dns *dns;
	struct asked a;
	uv_loop_t loop;

	uv_loop_init(&loop);
	dns = new_dns(&loop, server.forward, server.anchor);
	for (size_t i = 0; i < ARRAY_LEN(answer_cases); i++) {
		const struct answer_case *c = &answer_cases[i];
		const char *canonical = c->canonical == NULL ? c->name : c->canonical;

		ask(&loop, dns, c->name, c->type, &a);
		if (a.status != c->status || a.secure != c->secure || a.count != c->count ||
		        strcmp(a.canonical, canonical) != 0)
			fail_msg("%s %d: status %d, secure %d, %zu records, \"%s\" %s", c->name, c->type, a.status,
			        a.secure, a.count, a.canonical, a.why);
		assert_int_equal(
		        a.why[0] != '\0', c->status == DNS_TEMPORARY || c->status == DNS_BOGUS || canonical[0] == '\0');
		if (c->status == DNS_OK)
			assert_in_range(a.ttl, 1, 300);
	}
	ask(&loop, dns, "null.signed.test", DNS_MX, &a);
	assert_string_equal(a.first, "");
	ask(&loop, dns, "www.plain.test", DNS_A, &a);
	assert_string_equal(a.first, "192.0.2.66");
	ask(&loop, dns, "loop1.signed.test", DNS_A, &a);
	assert_true(a.status == DNS_TEMPORARY);
	close_all(&loop, &dns);
}

static void many_questions_at_once(void **state)
{
	static struct asked asked[200];
	unsigned told = 0;
	struct dns *dns;
	uv_loop_t loop;

	uv_loop_init(&loop);
	dns = new_dns(&loop, server.forward, server.anchor);
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		char name[100];

		asked[i] = (struct asked) { 0 };
		snprintf(name, sizeof(name), "nowhere%zu.signed.test", i / 2); /* each twice */
		asked[i].query = dns_ask(dns, name, DNS_A, on_done, &asked[i]);
		if (i % 5 == 0)
			dns_cancel(&asked[i].query);
	}
	for (int turn = 0; turn < PATIENCE_MS && told < 160; turn++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		told = 0;
		for (size_t i = 0; i < ARRAY_LEN(asked); i++)
			told += asked[i].told;
		usleep(1000);
	}
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		assert_int_equal(asked[i].told, i % 5 != 0);
		if (i % 5 != 0)
			assert_int_equal(asked[i].status, DNS_NO_NAME);
	}
	close_all(&loop, &dns);
}

static void without_an_anchor_nothing_is_secure(void **state)
{
	char path[400], text[] = "; nothing\n";
	struct dns *dns;
	struct asked a;
	uv_loop_t loop;
	FILE *f;

	snprintf(path, sizeof(path), "%s/no-anchor", server.folder);
	f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
	uv_loop_init(&loop);
	dns = new_dns(&loop, server.forward, path);
	ask(&loop, dns, "mx1.signed.test", DNS_A, &a);
	assert_int_equal(a.status, DNS_OK);
	assert_false(a.secure);
	close_all(&loop, &dns);
}

static void bad_settings_are_named(void **state)
{
	static const char *const forwards[] = { "nonsense", "192.0.2.1@", "192.0.2.1@70000", "192.0.2.1@0",
		"192.0.2.1 x", "192.0.2.1@53@53", "300.0.2.1", "ns.example.org",
		"192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1 "
		"192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1 192.0.2.1" };
	static const char *const good[] = { "192.0.2.1", "192.0.2.1@5353", " 192.0.2.1\t2001:db8::1@53 ", "" };
	struct dns_settings settings = { .trust_anchor = server.anchor };
	struct dns *dns = NULL;
	struct error err;
	uv_loop_t loop;
	char path[400];

	uv_loop_init(&loop);
	for (size_t i = 0; i < ARRAY_LEN(forwards); i++) {
		settings.forward = span_of(forwards[i]);
		assert_false(dns_new(&loop, &settings, &dns, &err));
		assert_null(dns);
		assert_true(err.reason[0] != '\0');
	}
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		settings.forward = span_of(good[i]);
		assert_true(dns_new(&loop, &settings, &dns, &err));
		dns_free(&dns);
	}
	settings.forward = span_of("192.0.2.1");
	settings.trust_anchor = "/no/such/file";
	assert_false(dns_new(&loop, &settings, &dns, &err));
	assert_non_null(strstr(err.detail, "/no/such/file"));
	snprintf(path, sizeof(path), "%s/nsd.conf", server.folder); /* no anchor at all */
	settings.trust_anchor = path;
	assert_false(dns_new(&loop, &settings, &dns, &err));
	assert_null(dns);
	dns_free(&dns);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* --- servers that say nothing ----------------------------------------------------------------------------------- */

struct mute {
	int udp;
	char forward[64];
};

static void open_mute(struct mute *m)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(address);

	m->udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(m->udp, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(m->udp, (struct sockaddr *)&address, &len), 0);
	snprintf(m->forward, sizeof(m->forward), "127.0.0.1@%u", ntohs(address.sin_port));
}

static void silence_has_an_end(void **state)
{
	struct asked a, b = { 0 };
	struct mute m;
	struct dns *dns;
	uv_loop_t loop;

	uv_loop_init(&loop);
	open_mute(&m);
	dns_query_ms = 30;
	dns = new_dns(&loop, m.forward, server.anchor);
	ask(&loop, dns, "www.plain.test", DNS_A, &a);
	assert_int_equal(a.status, DNS_TEMPORARY);
	assert_string_equal(a.why, "no answer from the DNS in time");
	b.query = dns_ask(dns, "www.plain.test", DNS_A, on_done, &b); /* libunbound still works on it */
	turns_until(&loop, &b.told, 1);
	close_all(&loop, &dns);
	assert_int_equal(a.told + b.told, 2);
	dns_query_ms = DNS_QUERY_MS;
	close(m.udp);
}

static void a_cancelled_question_stays_unanswered(void **state)
{
	struct dns_query *none = NULL;
	struct asked a = { 0 }, b = { 0 }, c = { 0 };
	struct mute m;
	struct dns *dns;
	uv_loop_t loop;

	uv_loop_init(&loop);
	open_mute(&m);
	dns_query_ms = 20;
	dns = new_dns(&loop, m.forward, server.anchor);
	dns_cancel(&none);
	a.query = dns_ask(dns, "a.plain.test", DNS_A, on_done, &a);
	b.query = dns_ask(dns, "not a name", DNS_A, on_done, &b); /* refused, and not yet told */
	c.query = dns_ask(dns, "c.plain.test", DNS_A, on_done, &c);
	dns_cancel(&a.query);
	dns_cancel(&b.query);
	assert_null(a.query);
	turns_until(&loop, &c.told, 1);
	assert_int_equal(a.told + b.told, 0);
	close_all(&loop, &dns);
	dns_query_ms = DNS_QUERY_MS;
	close(m.udp);
}

static void too_many_questions_are_refused(void **state)
{
	static struct asked asked[DNS_QUERIES_MAX + 1];
	struct asked *last = &asked[DNS_QUERIES_MAX];
	struct mute m;
	struct dns *dns;
	uv_loop_t loop;

	uv_loop_init(&loop);
	open_mute(&m);
	dns = new_dns(&loop, m.forward, server.anchor);
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		char name[64];

		asked[i] = (struct asked) { 0 };
		snprintf(name, sizeof(name), "a%zu.plain.test", i);
		asked[i].query = dns_ask(dns, name, DNS_A, on_done, &asked[i]);
	}
	turns_until(&loop, &last->told, 1);
	assert_int_equal(last->status, DNS_TEMPORARY);
	assert_non_null(strstr(last->why, "too many"));
	dns_cancel(&asked[0].query);
	*last = (struct asked) { 0 };
	last->query = dns_ask(dns, "again.plain.test", DNS_A, on_done, last); /* there is room again */
	for (int i = 0; i < 5; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(last->told, 0);
	close_all(&loop, &dns); /* with a thousand under way */
	for (size_t i = 0; i < ARRAY_LEN(asked); i++)
		assert_int_equal(asked[i].told, 0);
	close(m.udp);
}

static void all_may_end_inside_an_answer(void **state)
{
	static const char *const names[] = { "www.plain.test", "not a name" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct asked a = { 0 };
		uv_loop_t loop;

		uv_loop_init(&loop);
		a.dns = new_dns(&loop, server.forward, server.anchor);
		a.query = dns_ask(a.dns, names[i], DNS_A, on_done, &a);
		for (int j = 0; j < 10; j++) /* the same question: answered together, in any order */
			dns_ask(a.dns, names[i], DNS_A, on_done, &a);
		uv_run(&loop, UV_RUN_DEFAULT);
		assert_int_equal(a.told, 1);
		assert_int_equal(uv_loop_close(&loop), 0);
	}
}

/* --- servers that do not know DNSSEC ---------------------------------------------------------------------------- */

static const struct without_case {
	const char *name;
	enum dns_status status;
	size_t count;
} without_cases[] = {
	{ "www.plain.test", DNS_OK, 1 },
	{ "www.forged.test", DNS_OK, 1 },
	{ "mx1.signed.test", DNS_OK, 1 },
	{ "nowhere.signed.test", DNS_NO_NAME, 0 },
	{ "chain0.signed.test", DNS_TEMPORARY, 0 },
};

/* NSD does not serve the root: with the root's real key everything is bogus. Nobody insisted on DNSSEC, so mail may leave. */
static void without_dnssec_answers_come_all_the_same(void **state)
{
	static struct asked asked[40];
	struct dns *dns;
	struct asked a;
	uv_loop_t loop;

	uv_loop_init(&loop);
	dns = new_dns(&loop, server.forward, NULL);
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) { /* all asked before anybody knows */
		asked[i] = (struct asked) { 0 };
		asked[i].query = dns_ask(dns, without_cases[i % 4].name, DNS_A, on_done, &asked[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		turns_until(&loop, &asked[i].told, 1);
		assert_int_equal(asked[i].status, without_cases[i % 4].status);
		assert_false(asked[i].secure);
	}
	for (size_t i = 0; i < ARRAY_LEN(without_cases); i++) {
		ask(&loop, dns, without_cases[i].name, DNS_A, &a);
		assert_int_equal(a.status, without_cases[i].status);
		assert_int_equal(a.count, without_cases[i].count);
		assert_false(a.secure);
	}
	close_all(&loop, &dns);
}

/* While answers are held, and in each turn before and after. */
static void held_questions_may_be_cancelled(void **state)
{
	for (int turns = 0; turns < 40; turns++) {
		struct asked a = { 0 }, b = { 0 };
		struct dns *dns;
		uv_loop_t loop;

		uv_loop_init(&loop);
		dns = new_dns(&loop, server.forward, NULL);
		a.query = dns_ask(dns, "www.plain.test", DNS_A, on_done, &a);
		b.query = dns_ask(dns, "www.plain.test", DNS_MX, on_done, &b);
		for (int i = 0; i < turns; i++) {
			uv_run(&loop, UV_RUN_NOWAIT);
			usleep(200);
		}
		if (a.told == 0)
			dns_cancel(&a.query);
		if (turns % 2 == 0)
			turns_until(&loop, &b.told, 1);
		close_all(&loop, &dns);
		assert_true(a.told <= 1 && b.told <= 1);
	}
}

static void write_root(void *file)
{
	fprintf(file, "www.example. IN A 192.0.2.66\nmx.example. IN A 192.0.2.1\n");
}

/* Once the root has validated nothing that does not is taken any more. */
static void proven_dnssec_stands(void **state)
{
	static const struct zone root = { ".", ZONE_FORGED, write_root };
	const char *anchor = dns_root_anchor;
	struct asked first = { 0 }, a;
	struct name_server roots;
	struct dns *dns;
	uv_loop_t loop;

	uv_loop_init(&loop);
	name_server_start(&roots, &root, 1);
	dns_root_anchor = roots.anchor;
	dns = new_dns(&loop, roots.forward, NULL);
	first.query = dns_ask(dns, "www.example", DNS_A, on_done, &first); /* forged, before anything is proven */
	turns_until(&loop, &first.told, 1);
	assert_int_equal(first.status, DNS_BOGUS);
	ask(&loop, dns, "mx.example", DNS_A, &a);
	assert_int_equal(a.status, DNS_OK);
	assert_true(a.secure);
	ask(&loop, dns, "www.example", DNS_A, &a);
	assert_int_equal(a.status, DNS_BOGUS);
	close_all(&loop, &dns);
	dns_root_anchor = anchor;
	name_server_stop(&roots);
}

/* --- servers that lie ------------------------------------------------------------------------------------------- */

enum lie {
	LIE_NONE,
	LIE_ID,        /* an answer to somebody else, then the right one */
	LIE_NAME,      /* an answer to another question */
	LIE_GARBAGE,   /* noise behind a good header */
	LIE_SHORT,     /* cut off in the header */
	LIE_COUNT,     /* 65535 answers, it says */
	LIE_POINTERS,  /* a name that points to itself */
	LIE_TRUNCATED, /* come by TCP, where nobody is */
	LIE_OTHER,     /* an address of another name in the answer section */
	LIE_RDLENGTH,  /* an A record of 3 octets */
	LIE_QUESTION,  /* the question is sent back as it came */
};

/* Returns the length of the answer to `packet`, in place. */
static size_t lie_about(uint8_t packet[512], size_t len, enum lie lie)
{
	static const uint8_t good[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 9 };
	static const uint8_t loop[] = { 0xc0, 0, 0, 5, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 0 };
	static const uint8_t other[] = { 4, 'e', 'v', 'i', 'l', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4,
		192, 0, 2, 6 };
	const uint8_t *record = lie == LIE_POINTERS ? loop : lie == LIE_OTHER ? other : good;
	size_t size = lie == LIE_POINTERS ? sizeof(loop) : lie == LIE_OTHER ? sizeof(other) : sizeof(good);
	size_t end = 12;

	if (lie == LIE_QUESTION)
		return len;
	while (end < len && packet[end] != 0)
		end += packet[end] + 1u;
	end += 5;
	packet[2] = lie == LIE_TRUNCATED ? 0x86 : 0x84; /* QR AA (TC) */
	packet[3] = 0x80;                               /* RA */
	packet[6] = 0;
	packet[7] = 1;
	memset(packet + 8, 0, 4); /* no OPT */
	memcpy(packet + end, record, size);
	end += size;
	switch (lie) {
	case LIE_ID: packet[0] ^= 0x55; break;
	case LIE_NAME: packet[13] ^= 1; break;
	case LIE_GARBAGE: memset(packet + 12, 0xa7, end - 12); break;
	case LIE_SHORT: return 7;
	case LIE_COUNT: packet[6] = packet[7] = 0xff; break;
	case LIE_POINTERS: packet[end - 1] = (uint8_t)(end - 2); break;
	case LIE_RDLENGTH: packet[end - 5] = 3; return end - 1;
	case LIE_TRUNCATED: packet[7] = 0; return end - size;
	default: break;
	}
	return end;
}

/* How many were answered. */
static unsigned answer_all(const struct mute *m, enum lie lie)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	uint8_t packet[512], copy[512];
	unsigned answered = 0;
	ssize_t got;

	while ((got = recvfrom(m->udp, packet, sizeof(packet) - 64, 0, (struct sockaddr *)&from, &len)) > 12) {
		size_t out;

		memcpy(copy, packet, (size_t)got);
		out = lie_about(packet, (size_t)got, lie);
		(void)sendto(m->udp, packet, out, 0, (struct sockaddr *)&from, len);
		if (lie == LIE_ID) {
			out = lie_about(copy, (size_t)got, LIE_NONE);
			(void)sendto(m->udp, copy, out, 0, (struct sockaddr *)&from, len);
		}
		answered++;
	}
	return answered;
}

static const struct lie_case {
	enum lie lie;
	bool good;
} lie_cases[] = {
	{ LIE_NONE, true },
	{ LIE_ID, true },
	{ LIE_NAME, false },
	{ LIE_GARBAGE, false },
	{ LIE_SHORT, false },
	{ LIE_COUNT, false },
	{ LIE_POINTERS, false },
	{ LIE_TRUNCATED, false },
	{ LIE_OTHER, false },
	{ LIE_RDLENGTH, false },
	{ LIE_QUESTION, false },
};

static void lies_are_as_good_as_silence(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(lie_cases); i++) {
		const struct lie_case *c = &lie_cases[i];
		struct asked a = { 0 };
		bool again = false;
		unsigned lied = 0;
		struct mute m;
		struct dns *dns;
		uv_loop_t loop;

		uv_loop_init(&loop);
		open_mute(&m);
		dns = new_dns(&loop, m.forward, server.anchor);
		a.query = dns_ask(dns, "www.plain.test", DNS_A, on_done, &a);
		for (int turn = 0; turn < PATIENCE_MS && a.told == 0; turn++) {
			lied += answer_all(&m, c->lie);
			if (lied > 0 && !c->good && !again) { /* the same question once more, but with less time */
				again = true;
				dns_cancel(&a.query);
				dns_query_ms = 60;
				a.query = dns_ask(dns, "www.plain.test", DNS_A, on_done, &a);
			}
			uv_run(&loop, UV_RUN_NOWAIT);
			usleep(500);
		}
		dns_query_ms = DNS_QUERY_MS;
		assert_true(lied > 0);
		assert_int_equal(a.told, 1);
		/* A record of a wrong length is handed on: dns_read_address() refuses it. */
		if (c->good ? a.status != DNS_OK : a.first[0] != '\0' || a.status == DNS_NO_NAME)
			fail_msg("row %zu: %d %s %s", i, a.status, a.first, a.why);
		assert_false(a.secure);
		if (c->good)
			assert_string_equal(a.first, "192.0.2.9");
		close_all(&loop, &dns);
		close(m.udp);
	}
}

/* "Come by TCP": 65535 octets are promised and dripped, one after the other. */
static void an_answer_without_end_is_not_waited_for(void **state)
{
	struct asked a = { 0 };
	struct sockaddr_in address;
	socklen_t len = sizeof(address);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), tcp = -1;
	bool dripped = false;
	struct mute m;
	struct dns *dns;
	uv_loop_t loop;

	uv_loop_init(&loop);
	open_mute(&m);
	assert_int_equal(getsockname(m.udp, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(bind(listening, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listening, 5), 0);
	dns = new_dns(&loop, m.forward, server.anchor);
	a.query = dns_ask(dns, "www.plain.test", DNS_A, on_done, &a);
	for (int turn = 0; turn < PATIENCE_MS && a.told == 0; turn++) {
		answer_all(&m, LIE_TRUNCATED);
		if (tcp < 0) {
			tcp = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
			if (tcp >= 0)
				(void)send(tcp, "\377\377", 2, MSG_NOSIGNAL);
		} else {
			if (!dripped) { /* the same question once more, but with less time */
				dns_cancel(&a.query);
				dns_query_ms = 60;
				a.query = dns_ask(dns, "www.plain.test", DNS_A, on_done, &a);
			}
			dripped |= send(tcp, "x", 1, MSG_NOSIGNAL) == 1;
		}
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(500);
	}
	assert_true(dripped);
	assert_int_equal(a.told, 1);
	assert_int_equal(a.status, DNS_TEMPORARY);
	close_all(&loop, &dns);
	close(tcp);
	close(listening);
	close(m.udp);
	dns_query_ms = DNS_QUERY_MS;
}

/* --- locked in -------------------------------------------------------------------------------------------------- */

/* Everything was read before; libunbound's thread begins afterwards and is locked in as well. */
static int ask_inside_a_sandbox(void)
{
	struct sandbox_settings nothing = { 0 };
	struct dns_settings settings = { .forward = span_of(server.forward), .trust_anchor = server.anchor };
	struct asked a = { 0 }, b = { 0 };
	struct dns *dns;
	struct error err;
	uv_loop_t loop;
	FILE *f;

	uv_loop_init(&loop);
	if (!dns_new(&loop, &settings, &dns, &err) || !sandbox_enter(&nothing, &err))
		return 2;
	f = fopen(server.anchor, "r");
	if (f != NULL) { /* no Landlock in this kernel: there is nothing to be shown */
		fclose(f);
		return 77;
	}
	dns_ask(dns, "signed.test", DNS_MX, on_done, &a);
	dns_ask(dns, "many.signed.test", DNS_A, on_done, &b); /* by TCP */
	for (int i = 0; i < PATIENCE_MS && (a.told == 0 || b.told == 0); i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	return a.status == DNS_OK && a.secure && a.count == 2 && b.status == DNS_OK && b.secure ? 0 : 3;
}

static void it_works_inside_a_sandbox(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(ask_inside_a_sandbox());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_works_inside_a_sandbox),
		cmocka_unit_test(answers_come_with_their_security),
		cmocka_unit_test(many_questions_at_once),
		cmocka_unit_test(without_an_anchor_nothing_is_secure),
		cmocka_unit_test(bad_settings_are_named),
		cmocka_unit_test(silence_has_an_end),
		cmocka_unit_test(a_cancelled_question_stays_unanswered),
		cmocka_unit_test(too_many_questions_are_refused),
		cmocka_unit_test(all_may_end_inside_an_answer),
		cmocka_unit_test(without_dnssec_answers_come_all_the_same),
		cmocka_unit_test(held_questions_may_be_cancelled),
		cmocka_unit_test(proven_dnssec_stands),
		cmocka_unit_test(lies_are_as_good_as_silence),
		cmocka_unit_test(an_answer_without_end_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
