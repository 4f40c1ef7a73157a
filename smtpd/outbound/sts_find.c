#include "smtpd/outbound/sts_find.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_MAX 1024

struct sts_finder {
	struct sts_finder_parts parts;
	struct {
		char domain[DNS_NAME_MAX + 1];
		int64_t until_ms; /* monotonic */
	} failures[STS_FAILURES_MAX];
	size_t failure_next;
	struct sts_find *finds; /* all */
	uv_timer_t timer;
	bool stopping;
	/* the refresh */
	struct worker_job job;
	bool refreshing;
	char (*domains)[ROUTE_HOST_MAX + 1];
	size_t domain_count, domain_at;
};

struct sts_find {
	struct sts_finder *finder;
	struct sts_find *next, *previous;
	sts_found *done; /* NULL: nobody waits any more */
	void *arg;
	bool refresh; /* fetch although the copy is good */
	char domain[DNS_NAME_MAX + 1];
	struct worker_job job;
	bool in_job;
	struct sts_policy_row row; /* the copy; or the new one to be kept */
	bool found;
	struct error error;
	char id[STS_ID_MAX + 1]; /* of the TXT record */
	struct dns_query *query;
	struct sts_fetch *fetch;
	struct sts_policy *policy; /* that holds; NULL: none */
};

/* --- the end ----------------------------------------------------------------------------------------------------- */

static void refresh_next(struct sts_finder *finder);

static void find_free(struct sts_find *find)
{
	struct sts_finder *finder = find->finder;

	dns_cancel(&find->query);
	sts_fetch_cancel(&find->fetch);
	if (find->previous != NULL)
		find->previous->next = find->next;
	else
		finder->finds = find->next;
	if (find->next != NULL)
		find->next->previous = find->previous;
	free(find->row.policy);
	free(find->policy);
	free(find);
}

static void find_end(struct sts_find *find)
{
	struct sts_finder *finder = find->finder;
	bool refresh = find->refresh;

	if (find->done != NULL)
		find->done(find->arg, find->policy);
	find_free(find);
	if (refresh && !finder->stopping)
		refresh_next(finder);
}

const struct sts_policy *sts_known(const struct sts_find *find)
{
	return find->policy;
}

void sts_cancel(struct sts_find **find)
{
	struct sts_find *it = *find;

	*find = NULL;
	if (it == NULL)
		return;
	it->done = NULL;
	if (!it->in_job && it->fetch == NULL)
		find_free(it);
}

/* --- fetches that failed ----------------------------------------------------------------------------------------- */

static bool failed_lately(const struct sts_finder *finder, const char *domain)
{
	int64_t now = clock_mono_ms();

	for (size_t i = 0; i < STS_FAILURES_MAX; i++)
		if (finder->failures[i].until_ms > now && strcmp(finder->failures[i].domain, domain) == 0)
			return true;
	return false;
}

static void remember_failure(struct sts_finder *finder, const char *domain)
{
	size_t at = finder->failure_next++ % STS_FAILURES_MAX;

	(void)snprintf(finder->failures[at].domain, sizeof(finder->failures[at].domain), "%s", domain);
	finder->failures[at].until_ms = clock_mono_ms() + STS_RETRY_MS;
}

/* --- fetching and keeping ---------------------------------------------------------------------------------------- */

static void run_keep(struct worker_job *job)
{
	struct sts_find *find = container_of(job, struct sts_find, job);

	if (!relay_store_put_policy(find->finder->parts.store, &find->row, &find->error))
		LOG(LOG_WARNING, "relay.sts_not_kept", LOG_TEXT("domain", find->domain), LOG_FAILURE(&find->error));
}

static void on_kept(struct worker_job *job)
{
	struct sts_find *find = container_of(job, struct sts_find, job);

	find->in_job = false;
	find_end(find);
}

static bool take_text(struct sts_find *find, struct span text, struct error *err)
{
	struct sts_policy *policy = calloc(1, sizeof(*policy));
	char *copy = malloc(text.len + 1);

	if (policy == NULL || copy == NULL || !sts_parse_policy(text, policy, err)) {
		if (policy == NULL || copy == NULL)
			(void)error_set(err, ERR_NO_MEMORY, "out of memory");
		free(policy);
		free(copy);
		return false;
	}
	memcpy(copy, text.ptr, text.len);
	free(find->policy);
	free(find->row.policy);
	find->policy = policy;
	find->row.policy = copy;
	find->row.policy_len = text.len;
	find->row.fetched_ms = clock_wall_ms();
	find->row.expires_ms = find->row.fetched_ms + 1000 * (int64_t)policy->max_age;
	(void)snprintf(find->row.domain, sizeof(find->row.domain), "%s", find->domain);
	(void)snprintf(find->row.id, sizeof(find->row.id), "%s", find->id);
	return true;
}

static void on_fetched(void *arg, bool ok, struct span text, const struct error *why)
{
	struct sts_find *find = arg;
	struct error err;

	find->fetch = NULL;
	error_clear(&err);
	if (!ok)
		err = *why;
	if (!ok || !take_text(find, text, &err)) {
		remember_failure(find->finder, find->domain);
		LOG(LOG_WARNING, "relay.sts_fetch", LOG_TEXT("domain", find->domain), LOG_FAILURE(&err));
		find_end(find); /* with the copy, when there is one */
		return;
	}
	find->job = (struct worker_job) { .run = run_keep, .done = on_kept, .lane = WORKER_WRITE };
	find->in_job = true;
	worker_submit(find->finder->parts.pool, &find->job);
}

static void fetch(struct sts_find *find)
{
	if (!failed_lately(find->finder, find->domain))
		find->fetch = sts_fetch_start(find->finder->parts.fetcher, find->domain, on_fetched, find);
	if (find->fetch == NULL)
		find_end(find);
}

/* --- the record and the copy ------------------------------------------------------------------------------------- */

static bool read_records(const struct dns_answer *answer, char *id, size_t id_size)
{
	char(*texts)[RECORD_MAX] = calloc(DNS_RECORDS_MAX, sizeof(*texts));
	struct span records[DNS_RECORDS_MAX];
	size_t count = 0;
	bool ok;

	if (texts == NULL)
		return false;
	for (size_t i = 0; i < answer->count && count < DNS_RECORDS_MAX; i++)
		if (dns_read_txt(answer->records[i], texts[count], RECORD_MAX)) {
			records[count] = span_of(texts[count]);
			count++;
		}
	ok = sts_parse_records(records, count, id, id_size);
	free(texts);
	return ok;
}

static void on_record(void *arg, const struct dns_answer *answer)
{
	struct sts_find *find = arg;

	find->query = NULL;
	if (answer->status != DNS_OK || !read_records(answer, find->id, sizeof(find->id))) {
		find_end(find);
		return;
	}
	if (find->policy != NULL && strcmp(find->id, find->row.id) == 0 && !find->refresh)
		find_end(find);
	else
		fetch(find);
}

static void run_copy(struct worker_job *job)
{
	struct sts_find *find = container_of(job, struct sts_find, job);

	if (!relay_store_find_policy(
	            find->finder->parts.store, span_of(find->domain), &find->row, &find->found, &find->error))
		LOG(LOG_WARNING, "relay.sts_copy", LOG_TEXT("domain", find->domain), LOG_FAILURE(&find->error));
}

/* The copy holds until it expires. */
static void take_copy(struct sts_find *find)
{
	struct sts_policy *policy;
	struct error err;

	if (!find->found || clock_wall_ms() >= find->row.expires_ms)
		return;
	policy = calloc(1, sizeof(*policy));
	if (policy != NULL && sts_parse_policy(span_make(find->row.policy, find->row.policy_len), policy, &err))
		find->policy = policy;
	else
		free(policy);
}

static void on_copy(struct worker_job *job)
{
	struct sts_find *find = container_of(job, struct sts_find, job);
	char name[DNS_NAME_MAX + 1];

	find->in_job = false;
	if (find->finder->stopping || (find->done == NULL && !find->refresh)) {
		find_free(find);
		return;
	}
	take_copy(find);
	if (snprintf(name, sizeof(name), "_mta-sts.%s", find->domain) < (int)sizeof(name))
		find->query = dns_ask(find->finder->parts.dns, name, DNS_TXT, on_record, find);
	if (find->query == NULL)
		find_end(find);
}

static struct sts_find *find_start(
        struct sts_finder *finder, const char *domain, bool refresh, sts_found *done, void *arg)
{
	struct sts_find *find = calloc(1, sizeof(*find));

	if (find == NULL)
		return NULL;
	*find = (struct sts_find) {
		.finder = finder, .refresh = refresh, .done = done, .arg = arg, .next = finder->finds
	};
	(void)snprintf(find->domain, sizeof(find->domain), "%s", domain);
	if (finder->finds != NULL)
		finder->finds->previous = find;
	finder->finds = find;
	find->job = (struct worker_job) { .run = run_copy, .done = on_copy, .lane = WORKER_READ };
	find->in_job = true;
	worker_submit(finder->parts.pool, &find->job);
	return find;
}

struct sts_find *sts_find(struct sts_finder *finder, const char *domain, sts_found *done, void *arg)
{
	return find_start(finder, domain, false, done, arg);
}

/* --- the refresh ------------------------------------------------------------------------------------------------- */

static void refresh_next(struct sts_finder *finder)
{
	while (finder->domain_at < finder->domain_count)
		if (find_start(finder, finder->domains[finder->domain_at++], true, NULL, NULL) != NULL)
			return;
	free(finder->domains);
	finder->domains = NULL;
	finder->refreshing = false;
}

static void run_expiring(struct worker_job *job)
{
	struct sts_finder *finder = container_of(job, struct sts_finder, job);
	struct error err;

	finder->domain_count = 0;
	if (!relay_store_policies_expiring(finder->parts.store, clock_wall_ms() + STS_REFRESH_AHEAD, finder->domains,
	            STS_REFRESH_COUNT, &finder->domain_count, &err))
		LOG(LOG_WARNING, "relay.sts_refresh", LOG_FAILURE(&err));
}

static void on_expiring(struct worker_job *job)
{
	struct sts_finder *finder = container_of(job, struct sts_finder, job);

	if (finder->stopping) {
		finder->domain_count = 0;
		finder->domain_at = 0;
	}
	refresh_next(finder);
}

static void on_refresh_time(uv_timer_t *timer)
{
	struct sts_finder *finder = container_of(timer, struct sts_finder, timer);

	if (finder->refreshing)
		return;
	finder->domains = calloc(STS_REFRESH_COUNT, sizeof(*finder->domains));
	if (finder->domains == NULL)
		return;
	finder->refreshing = true;
	finder->domain_at = 0;
	finder->job = (struct worker_job) { .run = run_expiring, .done = on_expiring, .lane = WORKER_READ };
	worker_submit(finder->parts.pool, &finder->job);
}

/* --- the finder -------------------------------------------------------------------------------------------------- */

bool sts_finder_new(const struct sts_finder_parts *parts, struct sts_finder **out, struct error *err)
{
	struct sts_finder *finder = calloc(1, sizeof(*finder));

	if (finder == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	finder->parts = *parts;
	if (uv_timer_init(parts->loop, &finder->timer) != 0) {
		free(finder);
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	(void)uv_timer_start(&finder->timer, on_refresh_time, 0, STS_REFRESH_MS);
	*out = finder;
	return true;
}

void sts_finder_stop(struct sts_finder *finder)
{
	if (finder == NULL || finder->stopping)
		return;
	finder->stopping = true;
	finder->domain_count = 0;
	uv_close((uv_handle_t *)&finder->timer, NULL);
	for (struct sts_find *find = finder->finds, *next; find != NULL; find = next) {
		next = find->next;
		find->done = NULL;
		find->refresh = false;
		if (!find->in_job)
			find_free(find);
	}
}

void sts_finder_free(struct sts_finder **finder)
{
	if (*finder == NULL)
		return;
	free((*finder)->domains);
	free(*finder);
	*finder = NULL;
}
