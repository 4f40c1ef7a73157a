/* From which of our addresses we send: against a DNS of rows that the test changes. */
#include "base/log.h"
#include "base/macros.h"
#include "smtpd/outbound/source.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#define HOST "Mail.Here.Test"

/* --- a DNS of rows ---------------------------------------------------------------------------------------------------- */

struct row {
	const char *name; /* "1.2.0.192.in-addr.arpa" */
	enum dns_type type;
	const char *data;       /* a name, or an address */
	enum dns_status status; /* other than DNS_OK: that is the answer */
};

struct dns_query {
	struct dns_query *next;
	char name[DNS_NAME_MAX + 1];
	enum dns_type type;
	dns_done *done;
	void *arg;
	bool cancelled;
};

static const struct row *rows;
static struct dns_query *asked, **asked_end = &asked;
static unsigned asked_count;

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
	return query;
}

void dns_cancel(struct dns_query **query)
{
	if (*query != NULL)
		(*query)->cancelled = true;
	*query = NULL;
}

static size_t encode(const struct row *row, uint8_t out[300])
{
	size_t at = 0;

	if (row->type == DNS_A || row->type == DNS_AAAA) {
		assert_int_equal(inet_pton(row->type == DNS_A ? AF_INET : AF_INET6, row->data, out), 1);
		return row->type == DNS_A ? 4 : 16;
	}
	for (const char *name = row->data; *name != '\0';) {
		size_t len = strcspn(name, ".");

		out[at++] = (uint8_t)len;
		memcpy(out + at, name, len);
		at += len;
		name += len + (name[len] == '.');
	}
	out[at++] = 0;
	return at;
}

static void answer(const struct dns_query *query)
{
	static uint8_t wire[8][300];
	struct span records[8];
	struct dns_answer out = { .status = DNS_NO_NAME, .records = records };

	for (const struct row *row = rows; row->name != NULL; row++) {
		if (strcasecmp(row->name, query->name) != 0 || row->type != query->type)
			continue;
		out.status = row->status;
		if (row->status == DNS_OK) {
			records[out.count] = span_make(wire[out.count], encode(row, wire[out.count]));
			out.count++;
		}
	}
	query->done(query->arg, &out);
}

static void answer_all(void)
{
	while (asked != NULL) {
		struct dns_query *query = asked;

		asked = query->next;
		if (asked == NULL)
			asked_end = &asked;
		if (!query->cancelled)
			answer(query);
		free(query);
	}
}

/* --- the choice --------------------------------------------------------------------------------------------------------- */

#define PTR1  "1.2.0.192.in-addr.arpa"
#define PTR2  "2.2.0.192.in-addr.arpa"
#define PTR3  "3.2.0.192.in-addr.arpa"
#define PTR61 "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
#define PTR62 "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"

static const struct choice {
	const char *addresses;
	struct row rows[10];
	const char *ipv4, *ipv6; /* NULL: the kernel's choice */
} choices[] = {
	{ "", { { NULL } }, NULL, NULL },
	{ "192.0.2.1", { { NULL } }, "192.0.2.1", NULL },
	{ " 192.0.2.1  2001:db8::1 ", { { NULL } }, "192.0.2.1", "2001:db8::1" },
	{ "192.0.2.1 192.0.2.2", { { NULL } }, "192.0.2.1", NULL },
	/* our name, there and back; the case does not count */
	{ "192.0.2.1 192.0.2.2 192.0.2.3",
	        { { PTR1, DNS_PTR, "other.test", DNS_OK }, { "other.test", DNS_A, "192.0.2.1", DNS_OK },
	                { PTR3, DNS_PTR, "mail.here.test", DNS_OK }, { "mail.here.test", DNS_A, "192.0.2.99", DNS_OK },
	                { "mail.here.test", DNS_A, "192.0.2.3", DNS_OK }, { NULL } },
	        "192.0.2.3", NULL },
	/* one of several names is ours */
	{ "192.0.2.1 192.0.2.2",
	        { { PTR2, DNS_PTR, "other.test", DNS_OK }, { PTR2, DNS_PTR, "mail.here.test", DNS_OK },
	                { "mail.here.test", DNS_A, "192.0.2.2", DNS_OK }, { NULL } },
	        "192.0.2.2", NULL },
	/* a name that leads elsewhere is worth nothing, also when it is ours; another that leads back is better */
	{ "192.0.2.1 192.0.2.2 192.0.2.3",
	        { { PTR1, DNS_PTR, "mail.here.test", DNS_OK }, { "mail.here.test", DNS_A, "198.51.100.7", DNS_OK },
	                { PTR2, DNS_PTR, "gone.test", DNS_OK }, { PTR3, DNS_PTR, "other.test", DNS_OK },
	                { "other.test", DNS_A, "192.0.2.3", DNS_OK }, { NULL } },
	        "192.0.2.3", NULL },
	/* each family by itself */
	{ "192.0.2.1 2001:db8::1 192.0.2.2 2001:db8::2",
	        { { PTR2, DNS_PTR, "mail.here.test", DNS_OK }, { "mail.here.test", DNS_A, "192.0.2.2", DNS_OK },
	                { PTR62, DNS_PTR, "mail.here.test", DNS_OK },
	                { "mail.here.test", DNS_AAAA, "2001:db8::2", DNS_OK },
	                { PTR61, DNS_PTR, "mail.here.test", DNS_OK }, { NULL } },
	        "192.0.2.2", "2001:db8::2" },
	/* what is bogus, or not a name, is none */
	{ "192.0.2.1 192.0.2.2", { { PTR2, DNS_PTR, NULL, DNS_BOGUS }, { PTR1, DNS_PTR, "", DNS_OK }, { NULL } },
	        "192.0.2.1", NULL },
};

static uv_loop_t loop;
static struct sources *sources;

static void start(const char *addresses)
{
	struct error err;

	assert_int_equal(uv_loop_init(&loop), 0);
	asked_count = 0;
	if (!sources_new(&loop, NULL, span_of(addresses), HOST, &sources, &err))
		fail_msg("%s: %s", addresses, err.reason);
}

static void stop(void)
{
	sources_stop(sources);
	sources_stop(sources);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	answer_all(); /* nobody listens any more */
	sources_free(&sources);
	assert_null(sources);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void is(sa_family_t family, const char *want, const char *of)
{
	const struct sockaddr *address = sources_for(sources, family);
	char text[INET6_ADDRSTRLEN];

	if (address == NULL || want == NULL) {
		if (address != NULL || want != NULL)
			fail_msg("%s: not %s", of, want == NULL ? "nothing" : want);
		return;
	}
	assert_int_equal(address->sa_family, family);
	(void)inet_ntop(family,
	        family == AF_INET ? (const void *)&((const struct sockaddr_in *)address)->sin_addr
	                          : (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr,
	        text, sizeof(text));
	if (strcmp(text, want) != 0)
		fail_msg("%s: %s, not %s", of, text, want);
}

/* Its timer is the only handle. */
static void fire(uv_handle_t *handle, void *arg)
{
	uv_timer_t *timer = (uv_timer_t *)handle;

	(void)arg;
	assert_int_equal(uv_timer_get_repeat(timer), SOURCE_LOOK_MS);
	timer->timer_cb(timer);
}

static void look_again(void)
{
	uv_walk(&loop, fire, NULL);
}

static void table(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(choices); i++) {
		start(choices[i].addresses);
		rows = choices[i].rows;
		(void)uv_run(&loop, UV_RUN_NOWAIT); /* the first look */
		answer_all();
		is(AF_INET, choices[i].ipv4, choices[i].addresses);
		is(AF_INET6, choices[i].ipv6, choices[i].addresses);
		stop();
	}
}

/* While nothing is known the first is taken. DNS in trouble changes nothing; an answer does. Unanswered questions are not asked again. */
static void later_looks(void **state)
{
	static const struct row good[] = { { PTR2, DNS_PTR, "mail.here.test", DNS_OK },
		{ "mail.here.test", DNS_A, "192.0.2.2", DNS_OK }, { NULL } },
	                        no_reverse[] = { { PTR2, DNS_PTR, NULL, DNS_TEMPORARY }, { NULL } },
	                        no_forward[] = { { PTR2, DNS_PTR, "mail.here.test", DNS_OK },
		                        { "mail.here.test", DNS_A, NULL, DNS_TEMPORARY }, { NULL } },
	                        nothing[] = { { NULL } };
	static const struct {
		const struct row *rows;
		const char *want;
	} looks[] = { { no_reverse, "192.0.2.1" }, { good, "192.0.2.2" }, { no_reverse, "192.0.2.2" },
		{ no_forward, "192.0.2.2" }, { nothing, "192.0.2.1" }, { good, "192.0.2.2" } };

	(void)state;
	start("192.0.2.1 192.0.2.2");
	is(AF_INET, "192.0.2.1", "before the first look");
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(asked_count, 2);
	look_again();
	assert_int_equal(asked_count, 2);
	for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
		rows = looks[i].rows;
		answer_all();
		is(AF_INET, looks[i].want, "a later look");
		look_again();
	}
	stop();
}

static void bad_lists(void **state)
{
	static const char *const lists[] = { "mail.here.test", "192.0.2.1,192.0.2.2", "192.0.2.256", "192.0.2.1 x",
		"[192.0.2.1]",
		"1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 1.1.1.6 1.1.1.7 1.1.1.8 1.1.1.9 1.1.1.10 1.1.1.11 1.1.1.12 1.1.1.13 "
		"1.1.1.14 1.1.1.15 1.1.1.16 1.1.1.17",
		"2001:db8:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0001" };
	struct error err;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		assert_false(sources_new(&loop, NULL, span_of(lists[i]), HOST, &sources, &err));
		assert_int_equal(err.code, ERR_BAD_VALUE);
	}
	assert_int_equal(uv_loop_close(&loop), 0);
	sources_stop(NULL);
}

static int quiet(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(later_looks),
		cmocka_unit_test(bad_lists),
	};

	return cmocka_run_group_tests(tests, quiet, NULL);
}
