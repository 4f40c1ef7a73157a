#include "net/dns.h"

#include "base/check.h"
#include "base/log.h"
#include "net/dns_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unbound.h>

#define CLASS_IN 1
#define TYPE_NS  2
/* Questions that libunbound still works on and nobody waits for any more. It gives up on dead servers by itself, later than we do. */
#define LEFT_MAX 4000
/* As long as answers are taken without DNSSEC: how often it is tried again. */
#define PROBE_AGAIN_MS (10 * 60 * 1000)

unsigned dns_query_ms = DNS_QUERY_MS;

TAILQ_HEAD(query_list, dns_query);

/*  dns_ask() -+-> LIVE ---- answer ------> done(), freed
 *             |    ^ |----- time is up --> done(), LEFT ---- answer --> freed
 *             |    | |----- dns_cancel() ----------> LEFT
 *             |    | +----- bogus, and nothing has validated yet --> HELD ----- the probe tells of it
 *             |    +---- the server does not know DNSSEC ---------------------------+--- it does
 *             +-> REFUSED ---- timer ---> done(), freed                                   |
 *                    ^--------------------------------------------------------------------+
 * libunbound holds a pointer to what is LIVE or LEFT: that memory goes only with its answer, or after ub_ctx_delete(). */
struct dns_query {
	TAILQ_ENTRY(dns_query) link;
	struct query_list *list;
	struct dns *dns;
	dns_done *done; /* NULL: nobody waits */
	void *arg;
	uint64_t due;
	enum dns_status status; /* REFUSED: what done() is told */
	const char *why;
	int type;
	char name[DNS_NAME_MAX + 1];
};

/* Many resolvers (routers, cloud networks) hand out no signatures: to a validator every answer of theirs is forged, and no mail would
 * ever leave. So, unless a trust anchor is configured, the root is asked for along with the first question: once an answer of it
 * validates, DNSSEC stands for good. If it does not, answers are taken as they come, none is secure, the log says so, and it is tried
 * again now and then. */
enum dnssec { DNSSEC_STANDS, DNSSEC_UNPROVEN, DNSSEC_WITHOUT };

struct source {
	uv_poll_t poll;
	struct ub_ctx *ctx;
};

struct dns {
	struct source validating, plain; /* plain: ctx only when DNSSEC is not insisted on */
	uv_timer_t timer;
	unsigned open_handles;
	bool freed;
	enum dnssec dnssec;
	struct dns_query *probe; /* under way */
	uint64_t probed_at;
	struct query_list live, left, refused, held; /* live: in the order of `due` */
	unsigned live_count, left_count;
};

/* --- lists ----------------------------------------------------------------------------------------------------- */

static void count(struct dns_query *query, int change)
{
	struct dns *dns = query->dns;

	if (query->list == &dns->left)
		dns->left_count += (unsigned)change;
	else
		dns->live_count += (unsigned)change;
}

static void put(struct dns_query *query, struct query_list *list)
{
	query->list = list;
	TAILQ_INSERT_TAIL(list, query, link);
	count(query, 1);
}

static void take(struct dns_query *query)
{
	count(query, -1);
	TAILQ_REMOVE(query->list, query, link);
	query->list = NULL;
}

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct dns *dns)
{
	struct dns_query *first = TAILQ_FIRST(&dns->live);
	uint64_t now = uv_now(dns->timer.loop);

	if (dns->freed)
		return;
	if (!TAILQ_EMPTY(&dns->refused))
		uv_timer_start(&dns->timer, on_timer, 0, 0);
	else if (first != NULL)
		uv_timer_start(&dns->timer, on_timer, first->due > now ? first->due - now : 0, 0);
	else
		uv_timer_stop(&dns->timer);
}

/* --- telling --------------------------------------------------------------------------------------------------- */

/* The last that the caller hears of it. */
static void tell(struct dns_query *query, const struct dns_answer *answer)
{
	dns_done *done = query->done;

	query->done = NULL;
	if (done != NULL)
		done(query->arg, answer);
}

static void tell_failure(struct dns_query *query, enum dns_status status, const char *why)
{
	struct dns_answer answer = { .status = status, .why = why };

	(void)span_copy(span_of(query->name), answer.canonical, sizeof(answer.canonical));
	tell(query, &answer);
}

static void tell_result(struct dns_query *query, const struct ub_result *result)
{
	struct span records[DNS_RECORDS_MAX];
	struct dns_answer answer;

	dns_answer_from(&answer, result, query->name, records);
	tell(query, &answer);
}

/* From the next turn of the loop. */
static void refuse(struct dns_query *query, enum dns_status status, const char *why)
{
	query->status = status;
	query->why = why;
	put(query, &query->dns->refused);
}

static void on_timer(uv_timer_t *timer)
{
	struct dns *dns = container_of(timer, struct dns, timer);
	struct dns_query *last = TAILQ_LAST(&dns->refused, query_list), *query;

	while (!dns->freed && last != NULL && (query = TAILQ_FIRST(&dns->refused)) != NULL) {
		last = query == last ? NULL : last;
		take(query);
		tell_failure(query, query->status, query->why);
		free(query);
	}
	while (!dns->freed && (query = TAILQ_FIRST(&dns->live)) != NULL && query->due <= uv_now(timer->loop)) {
		take(query);
		put(query, &dns->left);
		tell_failure(query, DNS_TEMPORARY, "no answer from the DNS in time");
	}
	arm_timer(dns);
}

/* --- asking, and whether the servers know DNSSEC --------------------------------------------------------------- */

static void on_answer(void *arg, int failed, struct ub_result *result);

static void submit(struct dns_query *query, struct source *source, const char *name)
{
	int failed = ub_resolve_async(source->ctx, name, query->type, CLASS_IN, query, on_answer, NULL);

	query->due = uv_now(query->dns->timer.loop) + dns_query_ms;
	if (failed == 0)
		put(query, &query->dns->live);
	else
		refuse(query, DNS_TEMPORARY, ub_strerror(failed));
}

static struct dns_query *query_new(struct dns *dns, int type, dns_done *done, void *arg)
{
	struct dns_query *query = calloc(1, sizeof(*query));

	if (query == NULL)
		return NULL;
	query->dns = dns;
	query->type = type;
	query->done = done;
	query->arg = arg;
	return query;
}

static void log_bogus(const struct dns_query *query, const char *why)
{
	if (query->dns->dnssec == DNSSEC_STANDS)
		LOG(LOG_WARNING, "dns.bogus", LOG_TEXT("name", query->name), LOG_NUMBER("type", query->type),
		        LOG_TEXT("reason", why == NULL ? "" : why));
}

static void release_held(struct dns *dns)
{
	static const char why[] = "DNSSEC validation failed";
	struct dns_query *query;

	while ((query = TAILQ_FIRST(&dns->held)) != NULL) {
		take(query);
		if (dns->dnssec == DNSSEC_WITHOUT) {
			submit(query, &dns->plain, query->name);
		} else {
			log_bogus(query, why);
			refuse(query, DNS_BOGUS, why);
		}
	}
}

static void on_probe(void *arg, const struct dns_answer *answer)
{
	struct dns *dns = arg;

	dns->probe = NULL;
	dns->probed_at = uv_now(dns->timer.loop);
	if (answer->secure) {
		if (dns->dnssec == DNSSEC_WITHOUT)
			LOG(LOG_INFO, "dns.dnssec_again", LOG_TEXT("reason", "the DNS servers now answer with DNSSEC"));
		dns->dnssec = DNSSEC_STANDS;
	} else if (dns->dnssec == DNSSEC_UNPROVEN && (answer->status == DNS_BOGUS || !TAILQ_EMPTY(&dns->held))) {
		/* The servers are there: they answer, with what cannot be validated. */
		dns->dnssec = DNSSEC_WITHOUT;
		LOG(LOG_WARNING, "dns.without_dnssec", LOG_TEXT("reason", answer->why == NULL ? "" : answer->why),
		        LOG_TEXT("effect",
		                "no answer is secure, so there is no DANE; use a resolver that knows DNSSEC"));
	}
	release_held(dns);
}

static void probe(struct dns *dns)
{
	dns->probe = query_new(dns, TYPE_NS, on_probe, dns);
	if (dns->probe != NULL)
		submit(dns->probe, &dns->validating, ".");
}

static bool should_probe(const struct dns *dns)
{
	if (dns->probe != NULL || dns->dnssec == DNSSEC_STANDS)
		return false;
	return dns->dnssec == DNSSEC_UNPROVEN || uv_now(dns->timer.loop) - dns->probed_at >= PROBE_AGAIN_MS;
}

/* Whether it is forged, or all that these servers say seems to be, is still to be seen. */
static bool hold(struct dns_query *query)
{
	struct dns *dns = query->dns;

	if (dns->dnssec != DNSSEC_UNPROVEN || query->done == NULL || query == dns->probe)
		return false;
	if (dns->probe == NULL)
		probe(dns);
	if (dns->probe == NULL)
		return false;
	put(query, &dns->held);
	return true;
}

static void on_answer(void *arg, int failed, struct ub_result *result)
{
	struct dns_query *query = arg;
	struct dns *dns = query->dns;
	bool bogus = failed == 0 && result != NULL && result->bogus;

	take(query);
	if (!bogus || !hold(query)) {
		if (bogus)
			log_bogus(query, result->why_bogus);
		if (failed != 0 || result == NULL)
			tell_failure(query, DNS_TEMPORARY, ub_strerror(failed));
		else
			tell_result(query, result);
		free(query);
	}
	ub_resolve_free(result);
	arm_timer(dns);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct source *source = container_of(poll, struct source, poll);
	int failed = status < 0 ? UB_PIPE : ub_process(source->ctx);

	if (failed == 0 || uv_is_closing((uv_handle_t *)poll))
		return;
	uv_poll_stop(poll); /* what is under way, and all later: no answer in time */
	LOG(LOG_ERROR, "dns.stopped", LOG_TEXT("reason", ub_strerror(failed)));
}

struct dns_query *dns_ask(struct dns *dns, const char *name, enum dns_type type, dns_done *done, void *arg)
{
	struct dns_query *query = query_new(dns, (int)type, done, arg);

	CHECK(!dns->freed);
	if (query == NULL)
		return NULL;
	if (!dns_clean_name(span_of(name), query->name)) {
		query->name[0] = '\0';
		refuse(query, DNS_NO_NAME, "not the name of a host");
	} else if (dns->live_count >= DNS_QUERIES_MAX || dns->left_count >= LEFT_MAX) {
		refuse(query, DNS_TEMPORARY, "too many questions to the DNS are under way");
	} else {
		if (should_probe(dns))
			probe(dns);
		submit(query, dns->dnssec == DNSSEC_WITHOUT ? &dns->plain : &dns->validating, query->name);
	}
	arm_timer(dns);
	return query;
}

void dns_cancel(struct dns_query **query_ptr)
{
	struct dns_query *query = *query_ptr;
	bool live;

	*query_ptr = NULL;
	if (query == NULL || query->done == NULL) /* none, or done() is being called */
		return;
	query->done = NULL;
	live = query->list == &query->dns->live;
	take(query);
	if (!live) {
		free(query);
		return;
	}
	put(query, &query->dns->left);
	arm_timer(query->dns);
}

/* --- birth and death ------------------------------------------------------------------------------------------- */

static void release(struct dns *dns)
{
	struct query_list *lists[] = { &dns->live, &dns->left, &dns->refused, &dns->held };
	struct dns_query *query;

	if (dns->validating.ctx != NULL)
		ub_ctx_delete(dns->validating.ctx); /* ends its thread; no answer comes any more */
	if (dns->plain.ctx != NULL)
		ub_ctx_delete(dns->plain.ctx);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		while ((query = TAILQ_FIRST(lists[i])) != NULL) {
			TAILQ_REMOVE(lists[i], query, link);
			free(query);
		}
	free(dns);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct dns *dns = handle->data;

	if (--dns->open_handles == 0)
		release(dns);
}

static bool setup(struct dns *dns, const struct dns_settings *settings, struct error *err)
{
	bool optional = false;

	dns->validating.ctx = dns_setup(settings, true, &optional, err);
	if (dns->validating.ctx == NULL)
		return false;
	if (!optional)
		return true;
	dns->dnssec = DNSSEC_UNPROVEN;
	dns->plain.ctx = dns_setup(settings, false, &optional, err);
	return dns->plain.ctx != NULL;
}

static bool watch(struct dns *dns, struct source *source, uv_loop_t *loop)
{
	if (source->ctx == NULL)
		return true;
	if (uv_poll_init(loop, &source->poll, ub_fd(source->ctx)) != 0)
		return false;
	source->poll.data = dns;
	dns->open_handles++;
	return uv_poll_start(&source->poll, UV_READABLE, on_poll) == 0;
}

bool dns_new(uv_loop_t *loop, const struct dns_settings *settings, struct dns **out, struct error *err)
{
	struct dns *dns = calloc(1, sizeof(*dns));

	if (dns == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	TAILQ_INIT(&dns->live);
	TAILQ_INIT(&dns->left);
	TAILQ_INIT(&dns->refused);
	TAILQ_INIT(&dns->held);
	uv_timer_init(loop, &dns->timer);
	dns->timer.data = dns;
	dns->open_handles = 1;
	if (!setup(dns, settings, err)) {
		dns_free(&dns);
		return false;
	}
	if (!watch(dns, &dns->validating, loop) || !watch(dns, &dns->plain, loop)) {
		dns_free(&dns);
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	*out = dns;
	return true;
}

static void close_source(struct source *source)
{
	if (source->poll.data != NULL)
		uv_close((uv_handle_t *)&source->poll, on_handle_closed);
}

void dns_free(struct dns **dns_ptr)
{
	struct dns *dns = *dns_ptr;
	struct dns_query *query;

	if (dns == NULL)
		return;
	*dns_ptr = NULL;
	dns->freed = true;
	TAILQ_FOREACH (query, &dns->live, link)
		query->done = NULL; /* libunbound may be telling of them in this turn */
	TAILQ_FOREACH (query, &dns->held, link)
		query->done = NULL;
	TAILQ_FOREACH (query, &dns->refused, link)
		query->done = NULL;
	close_source(&dns->validating);
	close_source(&dns->plain);
	uv_close((uv_handle_t *)&dns->timer, on_handle_closed);
}
