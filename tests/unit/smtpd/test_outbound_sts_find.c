/* Which MTA-STS policy holds (RFC 8461 §3, §5.1): record, copy and web, in every combination, by a clock moved by hand. Faked: DNS, the fetcher,
 * relay.db (one table in memory), the worker pool. */
#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "smtpd/outbound/sts_find.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW      INT64_C(1800000000000)
#define DAY      (24 * 3600000LL)
#define OLD      "version: STSv1\r\nmode: enforce\r\nmx: old.test\r\nmax_age: 864000\r\n"
#define NEW      "version: STSv1\r\nmode: testing\r\nmx: new.test\r\nmax_age: 864000\r\n"
#define KEPT_MAX 10

/* --- the fakes ---------------------------------------------------------------------------------------------------------- */

static const char *record; /* of the TXT record; NULL: none */
static enum dns_status dns_status;
static const char *web; /* what the fetch brings; NULL: it fails */
static bool disk_fails, web_hangs;
static unsigned fetches;

struct dns_query {
	dns_done *done;
	void *arg;
};
static struct dns_query *asked;

struct dns_query *dns_ask(struct dns *dns, const char *name, enum dns_type type, dns_done *done, void *arg)
{
	(void)dns;
	assert_int_equal(type, DNS_TXT);
	assert_true(strncmp(name, "_mta-sts.", 9) == 0);
	assert_null(asked);
	asked = calloc(1, sizeof(*asked));
	assert_non_null(asked);
	*asked = (struct dns_query) { done, arg };
	return asked;
}

void dns_cancel(struct dns_query **query)
{
	if (*query != NULL) {
		assert_ptr_equal(*query, asked);
		free(asked);
		asked = NULL;
	}
	*query = NULL;
}

static void answer_dns(void)
{
	static char wire[300];
	struct span records[1];
	struct dns_answer answer = { .status = dns_status, .records = records };
	struct dns_query query;

	if (asked == NULL)
		return;
	query = *asked;
	free(asked);
	asked = NULL;
	if (record != NULL && dns_status == DNS_OK) {
		wire[0] = (char)strlen(record);
		(void)snprintf(wire + 1, sizeof(wire) - 1, "%s", record);
		records[answer.count++] = span_make(wire, 1 + strlen(record));
	}
	query.done(query.arg, &answer);
}

struct sts_fetch {
	sts_fetch_done *done;
	void *arg;
};
static struct sts_fetch *fetching;

struct sts_fetch *sts_fetch_start(struct sts_fetcher *fetcher, const char *domain, sts_fetch_done *done, void *arg)
{
	(void)fetcher;
	(void)domain;
	assert_null(fetching);
	fetches++;
	fetching = calloc(1, sizeof(*fetching));
	assert_non_null(fetching);
	*fetching = (struct sts_fetch) { done, arg };
	return fetching;
}

void sts_fetch_cancel(struct sts_fetch **fetch)
{
	if (*fetch != NULL) {
		assert_ptr_equal(*fetch, fetching);
		free(fetching);
		fetching = NULL;
	}
	*fetch = NULL;
}

static void end_fetch(void)
{
	struct sts_fetch fetch;
	struct error err;

	if (fetching == NULL || web_hangs)
		return;
	fetch = *fetching;
	free(fetching);
	fetching = NULL;
	(void)error_set(&err, ERR_CLOSED, "no web server");
	fetch.done(fetch.arg, web != NULL, web != NULL ? span_of(web) : SPAN_EMPTY, &err);
}

static struct kept {
	char domain[64], id[STS_ID_MAX + 1];
	const char *policy;
	int64_t fetched_ms, expires_ms;
} kept[KEPT_MAX];
static size_t kept_count;

static struct kept *find_kept(struct span domain)
{
	for (size_t i = 0; i < kept_count; i++)
		if (span_equal(span_of(kept[i].domain), domain))
			return &kept[i];
	return NULL;
}

static void keep(const char *domain, const char *id, const char *policy, int64_t expires_ms)
{
	struct kept *it = find_kept(span_of(domain));

	if (it == NULL)
		it = &kept[kept_count++];
	assert_true(kept_count <= KEPT_MAX);
	*it = (struct kept) { .policy = policy, .fetched_ms = clock_wall_ms(), .expires_ms = expires_ms };
	(void)snprintf(it->domain, sizeof(it->domain), "%s", domain);
	(void)snprintf(it->id, sizeof(it->id), "%s", id);
}

bool relay_store_find_policy(
        struct relay_store *store, struct span domain, struct sts_policy_row *out, bool *found, struct error *err)
{
	const struct kept *it = find_kept(domain);

	(void)store;
	*found = false;
	if (disk_fails)
		return error_set(err, ERR_IO, "the disk");
	*found = it != NULL;
	if (it == NULL)
		return true;
	(void)snprintf(out->domain, sizeof(out->domain), "%s", it->domain);
	(void)snprintf(out->id, sizeof(out->id), "%s", it->id);
	out->fetched_ms = it->fetched_ms;
	out->expires_ms = it->expires_ms;
	out->policy = strdup(it->policy);
	out->policy_len = strlen(it->policy);
	return true;
}

bool relay_store_put_policy(struct relay_store *store, const struct sts_policy_row *row, struct error *err)
{
	(void)store;
	if (disk_fails)
		return error_set(err, ERR_IO, "the disk");
	assert_true(span_equal(span_make(row->policy, row->policy_len), span_of(web)));
	assert_int_equal(row->fetched_ms, clock_wall_ms());
	keep(row->domain, row->id, web, row->expires_ms);
	return true;
}

bool relay_store_policies_expiring(struct relay_store *store, int64_t before_ms, char (*domains)[ROUTE_HOST_MAX + 1],
        size_t max, size_t *count, struct error *err)
{
	(void)store;
	(void)err;
	*count = 0;
	for (size_t i = 0; i < kept_count && *count < max; i++)
		if (kept[i].expires_ms < before_ms)
			(void)snprintf(domains[(*count)++], sizeof(*domains), "%.60s", kept[i].domain);
	return true;
}

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

	if (it == NULL)
		return;
	job = NULL;
	it->run(it);
	it->done(it);
}

static void run_all(void)
{
	for (int i = 0; i < 100; i++) {
		run_job();
		answer_dns();
		end_fetch();
	}
}

/* --- a finder ------------------------------------------------------------------------------------------------------------ */

static uv_loop_t loop;
static struct sts_finder *finder;
static int64_t wall_ms, mono_ms;

static void pass(int64_t ms)
{
	wall_ms += ms;
	mono_ms += ms;
	clock_set_for_test(mono_ms, wall_ms);
}

static int setup(void **state)
{
	struct sts_finder_parts parts = { .loop = &loop };
	struct error err;

	(void)state;
	log_set_level(LOG_ERROR);
	wall_ms = NOW;
	mono_ms = 1000;
	pass(0);
	record = web = NULL;
	dns_status = DNS_OK;
	disk_fails = web_hangs = false;
	fetches = 0;
	kept_count = 0;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_true(sts_finder_new(&parts, &finder, &err));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sts_finder_stop(finder);
	sts_finder_stop(finder);
	run_job();
	assert_null(asked);
	assert_null(fetching);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	sts_finder_free(&finder);
	assert_int_equal(uv_loop_close(&loop), 0);
	clock_set_for_test(-1, -1);
	return 0;
}

static const char *found; /* the MX of the policy, "none", or NULL: nothing was said yet */
static char found_mx[STS_MX_NAME_MAX + 1];

static void on_found(void *arg, const struct sts_policy *policy)
{
	assert_ptr_equal(arg, &found);
	assert_null(found);
	(void)snprintf(found_mx, sizeof(found_mx), "%s", policy == NULL ? "none" : policy->mx[0]);
	found = found_mx;
}

static const char *find(const char *domain)
{
	found = NULL;
	assert_non_null(sts_find(finder, domain, on_found, &found));
	assert_null(found); /* never from inside */
	run_all();
	assert_non_null(found);
	return found;
}

/* --- the tests ------------------------------------------------------------------------------------------------------------ */

static void table(void **state)
{
	static const struct {
		const char *id, *policy; /* the copy; NULL: none */
		int64_t left_ms;         /* until it expires */
		const char *record;
		enum dns_status status;
		const char *web;
		const char *want;
		unsigned fetches;
	} rows[] = {
		{ NULL, NULL, 0, NULL, DNS_NO_NAME, NEW, "none", 0 }, /* no record: the web is not asked */
		{ NULL, NULL, 0, "v=STSv1; id=2;", DNS_OK, NEW, "new.test", 1 },
		{ NULL, NULL, 0, "v=STSv1; id=2;", DNS_OK, NULL, "none", 1 },
		{ NULL, NULL, 0, "v=STSv1; id=2;", DNS_OK, "no policy at all", "none", 1 },
		{ NULL, NULL, 0, "v=STSv2; id=2;", DNS_OK, NEW, "none", 0 },
		{ "1", OLD, DAY, "v=STSv1; id=1;", DNS_OK, NEW, "old.test", 0 }, /* the same: not fetched */
		{ "1", OLD, DAY, "v=STSv1; id=2;", DNS_OK, NEW, "new.test", 1 },
		{ "1", OLD, DAY, "v=STSv1; id=2;", DNS_OK, NULL, "old.test", 1 }, /* §3.3: until it expires */
		{ "1", OLD, DAY, "v=STSv1; id=2;", DNS_OK, "<html>", "old.test", 1 },
		{ "1", OLD, DAY, NULL, DNS_NO_NAME, NEW, "old.test", 0 }, /* whoever forges DNS takes none away */
		{ "1", OLD, DAY, NULL, DNS_TEMPORARY, NEW, "old.test", 0 },
		{ "1", OLD, DAY, "v=spf1", DNS_OK, NEW, "old.test", 0 },
		{ "1", OLD, 0, NULL, DNS_NO_NAME, NEW, "none", 0 }, /* expired */
		{ "1", OLD, 0, "v=STSv1; id=1;", DNS_OK, NEW, "new.test", 1 },
		{ "1", OLD, 0, "v=STSv1; id=1;", DNS_OK, NULL, "none", 1 },
		{ "1", "rubbish", DAY, "v=STSv1; id=1;", DNS_OK, NEW, "new.test", 1 }, /* a damaged copy */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (i > 0) {
			teardown(state);
			(void)setup(state);
		}
		if (rows[i].id != NULL)
			keep("a.test", rows[i].id, rows[i].policy, wall_ms + rows[i].left_ms);
		record = rows[i].record;
		dns_status = rows[i].status;
		web = rows[i].web;
		if (strcmp(find("a.test"), rows[i].want) != 0 || fetches != rows[i].fetches)
			fail_msg("row %zu: %s after %u fetches", i, found, fetches);
	}
}

/* What was fetched is kept, with its id, and used until then; a web server in trouble is left alone for a while, others are not. */
static void kept_and_left_alone(void **state)
{
	(void)state;
	record = "v=STSv1; id=2;";
	assert_string_equal(find("a.test"), "none");
	assert_string_equal(find("a.test"), "none");
	assert_int_equal(fetches, 1);
	web = NEW;
	assert_string_equal(find("b.test"), "new.test");
	assert_int_equal(fetches, 2);
	pass(STS_RETRY_MS + 1);
	assert_string_equal(find("a.test"), "new.test");
	assert_string_equal(find_kept(SPAN("a.test"))->id, "2");
	assert_int_equal(find_kept(SPAN("a.test"))->expires_ms, wall_ms + 10 * DAY);
	web = NULL;
	assert_string_equal(find("a.test"), "new.test");
	assert_int_equal(fetches, 3);
}

/* A disk that fails costs the copy, not the policy. */
static void without_a_disk(void **state)
{
	(void)state;
	record = "v=STSv1; id=2;";
	web = NEW;
	disk_fails = true;
	assert_string_equal(find("a.test"), "new.test");
	assert_string_equal(find("a.test"), "new.test");
	assert_int_equal(fetches, 2);
}

/* Who has waited long enough takes what is known and goes; what is being fetched is kept for the next. */
static void cancelled(void **state)
{
	struct sts_find *it;

	(void)state;
	keep("a.test", "1", OLD, wall_ms + DAY);
	record = "v=STSv1; id=2;";
	web = NEW;
	web_hangs = true;
	found = NULL;
	it = sts_find(finder, "a.test", on_found, &found);
	assert_null(sts_known(it));
	run_all();
	assert_non_null(fetching);
	assert_string_equal(sts_known(it)->mx[0], "old.test");
	sts_cancel(&it);
	assert_null(it);
	web_hangs = false;
	run_all();
	assert_null(found);
	assert_string_equal(find_kept(SPAN("a.test"))->id, "2");
	it = sts_find(finder, "b.test", on_found, &found); /* in its job */
	sts_cancel(&it);
	run_all();
	it = sts_find(finder, "b.test", on_found, &found); /* asks the DNS */
	run_job();
	sts_cancel(&it);
	run_all();
	assert_null(found);
	sts_cancel(&it);
}

/* Copies that expire soon are fetched anew, one after the other, with or without a new id; what fails stays until it expires. */
static void refreshed(void **state)
{
	(void)state;
	keep("soon.test", "2", OLD, wall_ms + STS_REFRESH_AHEAD - 1);
	keep("later.test", "2", OLD, wall_ms + STS_REFRESH_AHEAD + 1000);
	keep("too.test", "1", OLD, wall_ms + 1000);
	record = "v=STSv1; id=2;";
	web = NEW;
	(void)uv_run(&loop, UV_RUN_NOWAIT); /* its timer: at once, and each STS_REFRESH_MS */
	run_all();
	assert_int_equal(fetches, 2);
	assert_ptr_equal(find_kept(SPAN("soon.test"))->policy, web);
	assert_ptr_equal(find_kept(SPAN("too.test"))->policy, web);
	assert_ptr_not_equal(find_kept(SPAN("later.test"))->policy, web);
	assert_int_equal(find_kept(SPAN("soon.test"))->expires_ms, wall_ms + 10 * DAY);
}

/* The end may come at any point. */
static void stopped(void **state)
{
	(void)state;
	record = "v=STSv1; id=2;";
	web = NEW;
	for (int steps = 0; steps < 6; steps++) {
		if (steps > 0) {
			teardown(state);
			(void)setup(state);
			record = "v=STSv1; id=2;";
			web = NEW;
		}
		keep("soon.test", "1", OLD, wall_ms + 1000);
		if (steps % 2 == 0)
			(void)uv_run(&loop, UV_RUN_NOWAIT);
		else
			assert_non_null(sts_find(finder, "a.test", on_found, &found));
		web_hangs = true;
		found = NULL;
		for (int i = 0; i < steps; i++) {
			run_job();
			if (i % 2 == 1)
				answer_dns();
		}
		sts_finder_stop(finder);
		run_all();
		assert_null(found);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(table, setup, teardown),
		cmocka_unit_test_setup_teardown(kept_and_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(refreshed, setup, teardown),
		cmocka_unit_test_setup_teardown(stopped, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
