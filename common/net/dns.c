#include "net/dns.h"

#include "base/check.h"
#include "base/log.h"
#include "net/dns_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unbound.h>

#define CLASS_IN 1
/* Questions that libunbound still works on and nobody waits for any more. It gives up on dead servers by itself, later than we do. */
#define LEFT_MAX 4000

unsigned dns_query_ms = DNS_QUERY_MS;

TAILQ_HEAD(query_list, dns_query);

/*            dns_ask() ----> LIVE ----answer----> done(), freed
 *               |              |--- time is up -> done()    \
 *               |              |--- dns_cancel() ------------+--> LEFT --answer--> freed
 *               +-> REFUSED ---+- timer ---> done(), freed
 * libunbound holds a pointer to what is LIVE or LEFT, so that memory goes only with its answer, or after ub_ctx_delete(). */
struct dns_query {
	TAILQ_ENTRY(dns_query) link;
	struct query_list *list;
	struct dns *dns;
	dns_done *done; /* NULL: nobody waits */
	void *arg;
	uint64_t due;
	enum dns_status status; /* REFUSED: what done() is told */
	const char *why;
	char name[DNS_NAME_MAX + 1];
};

struct dns {
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned open_handles;
	struct ub_ctx *ctx;
	bool freed;
	struct query_list live, left, refused; /* live: in the order of `due` */
	unsigned live_count, left_count, refused_count;
};

/* --- lists ----------------------------------------------------------------------------------------------------- */

static unsigned *count_of(struct dns *dns, const struct query_list *list)
{
	return list == &dns->live ? &dns->live_count : list == &dns->left ? &dns->left_count : &dns->refused_count;
}

static void put(struct dns_query *query, struct query_list *list)
{
	query->list = list;
	TAILQ_INSERT_TAIL(list, query, link);
	++*count_of(query->dns, list);
}

static void take(struct dns_query *query)
{
	TAILQ_REMOVE(query->list, query, link);
	--*count_of(query->dns, query->list);
	query->list = NULL;
}

static void on_timer(uv_timer_t *timer);

static void arm_timer(struct dns *dns)
{
	struct dns_query *first = TAILQ_FIRST(&dns->live);
	uint64_t now = uv_now(dns->timer.loop);

	if (dns->freed)
		return;
	if (dns->refused_count > 0)
		uv_timer_start(&dns->timer, on_timer, 0, 0);
	else if (first != NULL)
		uv_timer_start(&dns->timer, on_timer, first->due > now ? first->due - now : 0, 0);
	else
		uv_timer_stop(&dns->timer);
}

/* The last that the caller hears of it. */
static void tell(struct dns_query *query, const struct dns_answer *answer)
{
	dns_done *done = query->done;

	query->done = NULL;
	if (done != NULL)
		done(query->arg, answer);
}

/* --- answers --------------------------------------------------------------------------------------------------- */

static const char *rcode_words(int rcode)
{
	static const char *const words[] = {
		[1] = "the DNS server answered FORMERR",
		[2] = "the DNS servers do not answer, or answer SERVFAIL",
		[4] = "the DNS server answered NOTIMP",
		[5] = "the DNS server answered REFUSED",
	};

	if (rcode > 0 && (size_t)rcode < ARRAY_LEN(words) && words[rcode] != NULL)
		return words[rcode];
	return "the DNS server answered with an error";
}

static void temporary(struct dns_answer *answer, const char *why)
{
	answer->status = DNS_TEMPORARY;
	answer->secure = false;
	answer->why = why;
}

static void set_status(struct dns_answer *answer, const struct ub_result *result)
{
	answer->secure = result->secure != 0;
	if (result->bogus) {
		answer->status = DNS_BOGUS;
		answer->secure = false;
		answer->why = result->why_bogus != NULL ? result->why_bogus : "DNSSEC validation failed";
	} else if (result->rcode == 0) {
		answer->status = result->havedata && result->data[0] != NULL ? DNS_OK : DNS_NO_DATA;
	} else if (result->nxdomain) {
		answer->status = DNS_NO_NAME;
	} else {
		temporary(answer, rcode_words(result->rcode));
	}
}

static void check_chain(struct dns_answer *answer, const struct ub_result *result)
{
	size_t cnames;

	if (answer->status != DNS_OK && answer->status != DNS_NO_DATA && answer->status != DNS_NO_NAME)
		return;
	if (result->answer_packet == NULL || result->answer_len < 0 ||
	        !dns_count_cnames(span_make(result->answer_packet, (size_t)result->answer_len), &cnames))
		temporary(answer, "a malformed answer");
	else if (cnames > DNS_CNAMES_MAX)
		temporary(answer, "the chain of CNAMEs is too long");
}

static size_t take_records(const struct ub_result *result, struct span records[DNS_RECORDS_MAX])
{
	size_t count = 0;

	for (; count < DNS_RECORDS_MAX && result->data[count] != NULL; count++)
		records[count] = span_make(result->data[count], (size_t)result->len[count]);
	return count;
}

static void tell_result(struct dns_query *query, const struct ub_result *result)
{
	struct span records[DNS_RECORDS_MAX];
	struct dns_answer answer = { .records = records };

	set_status(&answer, result);
	check_chain(&answer, result);
	if (answer.status == DNS_OK)
		answer.count = take_records(result, records);
	answer.ttl = result->ttl > 0 ? (uint32_t)result->ttl : 0;
	/* An alias may lead to a name that no host has (RFC 2317 does for PTR): there is none better than the one asked for. */
	if (result->canonname == NULL || !dns_clean_name(span_of(result->canonname), answer.canonical))
		memcpy(answer.canonical, query->name, sizeof(answer.canonical));
	if (answer.status == DNS_BOGUS)
		LOG(LOG_WARNING, "dns.bogus", LOG_TEXT("name", query->name), LOG_NUMBER("type", result->qtype),
		        LOG_TEXT("reason", answer.why));
	tell(query, &answer);
}

static void tell_failure(struct dns_query *query, enum dns_status status, const char *why)
{
	struct dns_answer answer = { .status = status, .why = why };

	memcpy(answer.canonical, query->name, sizeof(answer.canonical));
	tell(query, &answer);
}

static void on_answer(void *arg, int failed, struct ub_result *result)
{
	struct dns_query *query = arg;
	struct dns *dns = query->dns;

	take(query);
	if (failed != 0 || result == NULL)
		tell_failure(query, DNS_TEMPORARY, ub_strerror(failed));
	else
		tell_result(query, result);
	ub_resolve_free(result);
	free(query);
	arm_timer(dns);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct dns *dns = container_of(poll, struct dns, poll);
	int failed = status < 0 ? UB_PIPE : ub_process(dns->ctx);

	if (failed == 0 || dns->freed)
		return;
	uv_poll_stop(poll); /* what is under way, and all later: no answer in time */
	LOG(LOG_ERROR, "dns.stopped", LOG_TEXT("reason", ub_strerror(failed)));
}

/* --- time ------------------------------------------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer)
{
	struct dns *dns = container_of(timer, struct dns, timer);
	struct dns_query *query;

	for (unsigned left = dns->refused_count; left > 0 && !TAILQ_EMPTY(&dns->refused) && !dns->freed; left--) {
		query = TAILQ_FIRST(&dns->refused);
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

/* --- asking ---------------------------------------------------------------------------------------------------- */

static void refuse(struct dns_query *query, enum dns_status status, const char *why)
{
	query->status = status;
	query->why = why;
	put(query, &query->dns->refused);
}

struct dns_query *dns_ask(struct dns *dns, const char *name, enum dns_type type, dns_done *done, void *arg)
{
	struct dns_query *query = calloc(1, sizeof(*query));
	int failed;

	CHECK(!dns->freed);
	if (query == NULL)
		return NULL;
	query->dns = dns;
	query->done = done;
	query->arg = arg;
	query->due = uv_now(dns->timer.loop) + dns_query_ms;
	if (!dns_clean_name(span_of(name), query->name)) {
		query->name[0] = '\0';
		refuse(query, DNS_NO_NAME, "not the name of a host");
	} else if (dns->live_count + dns->refused_count >= DNS_QUERIES_MAX || dns->left_count >= LEFT_MAX) {
		refuse(query, DNS_TEMPORARY, "too many questions to the DNS are under way");
	} else {
		failed = ub_resolve_async(dns->ctx, query->name, (int)type, CLASS_IN, query, on_answer, NULL);
		if (failed == 0)
			put(query, &dns->live);
		else
			refuse(query, DNS_TEMPORARY, ub_strerror(failed));
	}
	arm_timer(dns);
	return query;
}

void dns_cancel(struct dns_query **query_ptr)
{
	struct dns_query *query = *query_ptr;

	*query_ptr = NULL;
	if (query == NULL || query->done == NULL) /* none, or done() is being called */
		return;
	query->done = NULL;
	if (query->list == &query->dns->live) {
		take(query);
		put(query, &query->dns->left);
		arm_timer(query->dns);
	} else {
		take(query);
		free(query);
	}
}

/* --- birth and death ------------------------------------------------------------------------------------------- */

static void free_all(struct query_list *list)
{
	struct dns_query *query;

	while ((query = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, query, link);
		free(query);
	}
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct dns *dns = handle->data;

	if (--dns->open_handles > 0)
		return;
	ub_ctx_delete(dns->ctx); /* ends its thread; no answer comes any more */
	free_all(&dns->live);
	free_all(&dns->left);
	free_all(&dns->refused);
	free(dns);
}

static bool open_handles(struct dns *dns, uv_loop_t *loop)
{
	if (uv_poll_init(loop, &dns->poll, ub_fd(dns->ctx)) != 0)
		return false;
	uv_timer_init(loop, &dns->timer);
	dns->poll.data = dns->timer.data = dns;
	dns->open_handles = 2;
	return uv_poll_start(&dns->poll, UV_READABLE, on_poll) == 0;
}

bool dns_new(uv_loop_t *loop, const struct dns_settings *settings, struct dns **out, struct error *err)
{
	struct dns *dns = calloc(1, sizeof(*dns));

	if (dns == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	TAILQ_INIT(&dns->live);
	TAILQ_INIT(&dns->left);
	TAILQ_INIT(&dns->refused);
	dns->ctx = ub_ctx_create();
	if (dns->ctx == NULL) {
		free(dns);
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	if (!dns_setup(dns->ctx, settings, err)) {
		ub_ctx_delete(dns->ctx);
		free(dns);
		return false;
	}
	*out = dns;
	if (open_handles(dns, loop))
		return true;
	*out = NULL;
	error_set(err, ERR_NO_MEMORY, "out of memory");
	dns_free(&dns);
	return false;
}

static void forget(struct query_list *list)
{
	struct dns_query *query;

	TAILQ_FOREACH (query, list, link)
		query->done = NULL;
}

void dns_free(struct dns **dns_ptr)
{
	struct dns *dns = *dns_ptr;

	if (dns == NULL)
		return;
	*dns_ptr = NULL;
	dns->freed = true;
	forget(&dns->live);
	forget(&dns->left);
	forget(&dns->refused);
	if (dns->open_handles == 0) { /* dns_new() failed half way */
		ub_ctx_delete(dns->ctx);
		free(dns);
		return;
	}
	uv_close((uv_handle_t *)&dns->poll, on_handle_closed);
	uv_close((uv_handle_t *)&dns->timer, on_handle_closed);
}
