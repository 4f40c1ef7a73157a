#include "smtpd/outbound/sts_fetch.h"

#include "base/buffer.h"
#include "base/log.h"
#include "net/tls_client.h"
#include "smtpd/outbound/sts_curl.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_MAX     (STS_FETCH_HOST_MAX + 64)
#define RESOLVE_MAX (STS_FETCH_HOST_MAX + STS_ADDRESSES_MAX * (INET6_ADDRSTRLEN + 3) + 16)
#define CONTENT     "text/plain"

struct sts_fetcher {
	struct sts_fetcher_parts parts;
	X509_STORE *authorities;
	uv_timer_t timer;
	bool stopped;
	struct sts_fetch *fetches; /* under way */
	unsigned count;            /* of them */
	struct sts_curl curl;
	CURLM *multi; /* NULL: libcurl is not loaded */
	struct worker_job job;
	bool in_job;
	struct error job_error;
};

struct sts_fetch {
	struct sts_fetcher *fetcher;
	struct sts_fetch *next;
	sts_fetch_done *done;
	void *arg;
	char host[STS_FETCH_HOST_MAX]; /* "mta-sts.example.net" */
	struct dns_query *queries[2];
	unsigned waiting; /* answers of DNS */
	char addresses[STS_ADDRESSES_MAX][INET6_ADDRSTRLEN + 3];
	size_t address_count;
	bool parked; /* until libcurl is loaded */
	CURL *easy;
	struct curl_slist *resolve;
	struct buffer body;
	char why[CURL_ERROR_SIZE];
	uv_timer_t later; /* for an error at the start */
};

/* One socket of libcurl in the loop. */
struct watched {
	uv_poll_t poll;
	struct sts_fetcher *fetcher;
	curl_socket_t fd;
};

/* --- the end of a fetch ------------------------------------------------------------------------------------------ */

static void on_later_closed(uv_handle_t *handle)
{
	free(container_of((uv_timer_t *)handle, struct sts_fetch, later));
}

static void fetch_free(struct sts_fetch *fetch)
{
	struct sts_fetcher *fetcher = fetch->fetcher;
	struct sts_fetch **at = &fetcher->fetches;

	while (*at != fetch)
		at = &(*at)->next;
	*at = fetch->next;
	fetcher->count--;
	dns_cancel(&fetch->queries[0]);
	dns_cancel(&fetch->queries[1]);
	if (fetch->easy != NULL) {
		(void)fetcher->curl.multi_remove_handle(fetcher->multi, fetch->easy);
		fetcher->curl.easy_cleanup(fetch->easy);
	}
	if (fetch->resolve != NULL)
		fetcher->curl.slist_free_all(fetch->resolve);
	buffer_free(&fetch->body);
	uv_close((uv_handle_t *)&fetch->later, on_later_closed);
}

static void fetch_end(struct sts_fetch *fetch, bool ok, const struct error *err)
{
	sts_fetch_done *done = fetch->done;

	done(fetch->arg, ok, buffer_span(&fetch->body), err);
	fetch_free(fetch);
}

static void fetch_fail(struct sts_fetch *fetch, enum error_code code, const char *why)
{
	struct error err;

	(void)error_set(&err, code, "%.100s", why);
	fetch_end(fetch, false, &err);
}

static void on_later(uv_timer_t *timer)
{
	fetch_fail(container_of(timer, struct sts_fetch, later), ERR_LIMIT, "too many policies are fetched at once");
}

void sts_fetch_cancel(struct sts_fetch **fetch)
{
	if (*fetch != NULL)
		fetch_free(*fetch);
	*fetch = NULL;
}

/* --- what libcurl wants ------------------------------------------------------------------------------------------ */

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct sts_fetch *fetch = arg;

	return buffer_append(&fetch->body, bytes, size * count) ? size * count : 0;
}

static CURLcode on_ssl_context(CURL *easy, void *context, void *arg)
{
	struct sts_fetcher *fetcher = arg;

	(void)easy;
	return SSL_CTX_set1_verify_cert_store(context, fetcher->authorities) == 1 ? CURLE_OK : CURLE_SSL_CERTPROBLEM;
}

/* RFC 8461 §3.2: media type text/plain, parameters allowed. */
static bool is_plain_text(const char *type)
{
	struct span in = span_of(type);

	return span_take_word(&in, CONTENT) && (in.len == 0 || in.ptr[0] == ';' || in.ptr[0] == ' ');
}

static void judge(struct sts_fetch *fetch, CURLcode code)
{
	const struct sts_curl *curl = &fetch->fetcher->curl;
	long status = 0;
	char *type = NULL, text[160];

	(void)curl->easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)curl->easy_getinfo(fetch->easy, CURLINFO_CONTENT_TYPE, &type);
	if (code != CURLE_OK) {
		(void)snprintf(
		        text, sizeof(text), "%.90s", fetch->why[0] != '\0' ? fetch->why : curl->easy_strerror(code));
		fetch_fail(fetch, code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_CLOSED, text);
	} else if (status != 200) {
		(void)snprintf(text, sizeof(text), "HTTP status %ld", status);
		fetch_fail(fetch, ERR_UNSUPPORTED, text);
	} else if (type == NULL || !is_plain_text(type)) {
		fetch_fail(fetch, ERR_UNSUPPORTED, "not text/plain");
	} else {
		fetch_end(fetch, true, NULL);
	}
}

static void take_finished(struct sts_fetcher *fetcher)
{
	CURLMsg *message;
	int left;

	while ((message = fetcher->curl.multi_info_read(fetcher->multi, &left)) != NULL) {
		struct sts_fetch *fetch = NULL;
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)fetcher->curl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&fetch);
		judge(fetch, code);
	}
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
	struct watched *watched = container_of(poll, struct watched, poll);
	struct sts_fetcher *fetcher = watched->fetcher;
	int flags = 0, running;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	(void)fetcher->curl.multi_socket_action(fetcher->multi, watched->fd, flags, &running);
	take_finished(fetcher);
}

static void on_watched_closed(uv_handle_t *handle)
{
	free(container_of((uv_poll_t *)handle, struct watched, poll));
}

static struct watched *watch(struct sts_fetcher *fetcher, curl_socket_t fd)
{
	struct watched *watched = calloc(1, sizeof(*watched));

	if (watched == NULL)
		return NULL;
	*watched = (struct watched) { .fetcher = fetcher, .fd = fd };
	if (uv_poll_init_socket(fetcher->parts.loop, &watched->poll, fd) != 0) {
		free(watched);
		return NULL;
	}
	(void)fetcher->curl.multi_assign(fetcher->multi, fd, watched);
	return watched;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct watched *watched = socket_arg;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watched != NULL)
			uv_close((uv_handle_t *)&watched->poll, on_watched_closed);
		return 0;
	}
	if (watched == NULL)
		watched = watch(arg, fd);
	if (watched == NULL)
		return -1;
	if (what & CURL_POLL_IN)
		events |= UV_READABLE;
	if (what & CURL_POLL_OUT)
		events |= UV_WRITABLE;
	return uv_poll_start(&watched->poll, events, on_ready) == 0 ? 0 : -1;
}

static void on_timer(uv_timer_t *timer)
{
	struct sts_fetcher *fetcher = container_of(timer, struct sts_fetcher, timer);
	int running;

	(void)fetcher->curl.multi_socket_action(fetcher->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	take_finished(fetcher);
}

static int on_timeout(CURLM *multi, long ms, void *arg)
{
	struct sts_fetcher *fetcher = arg;

	(void)multi;
	if (ms < 0)
		return uv_timer_stop(&fetcher->timer);
	return uv_timer_start(&fetcher->timer, on_timer, (uint64_t)ms, 0);
}

/* --- asking ------------------------------------------------------------------------------------------------------ */

static bool set_options(struct sts_fetch *fetch, const char *url)
{
	__typeof__(curl_easy_setopt) *set = fetch->fetcher->curl.easy_setopt;
	CURL *easy = fetch->easy;
	int failed = 0;

	failed |= set(easy, CURLOPT_URL, url);
	failed |= set(easy, CURLOPT_PROTOCOLS_STR, "https");
	failed |= set(easy, CURLOPT_FOLLOWLOCATION, 0L); /* RFC 8461 §3.3 */
	failed |= set(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	failed |= set(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	failed |= set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
	failed |= set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
	failed |= set(easy, CURLOPT_CAINFO, NULL);
	failed |= set(easy, CURLOPT_CAPATH, NULL);
	failed |= set(easy, CURLOPT_SSL_CTX_FUNCTION, on_ssl_context);
	failed |= set(easy, CURLOPT_SSL_CTX_DATA, fetch->fetcher);
	failed |= set(easy, CURLOPT_RESOLVE, fetch->resolve);
	failed |= set(easy, CURLOPT_PROXY, ""); /* nor one of the environment */
	failed |= set(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	failed |= set(easy, CURLOPT_NOSIGNAL, 1L);
	failed |= set(easy, CURLOPT_TIMEOUT_MS, (long)STS_FETCH_MS);
	failed |= set(easy, CURLOPT_MAXFILESIZE, (long)STS_POLICY_MAX);
	failed |= set(easy, CURLOPT_FORBID_REUSE, 1L);
	failed |= set(easy, CURLOPT_FRESH_CONNECT, 1L);
	failed |= set(easy, CURLOPT_WRITEFUNCTION, on_body);
	failed |= set(easy, CURLOPT_WRITEDATA, fetch);
	failed |= set(easy, CURLOPT_ERRORBUFFER, fetch->why);
	failed |= set(easy, CURLOPT_PRIVATE, fetch);
	return failed == 0;
}

static bool give_addresses(struct sts_fetch *fetch)
{
	char text[RESOLVE_MAX];
	int at = snprintf(text, sizeof(text), "%s:%u:", fetch->host, fetch->fetcher->parts.port);

	for (size_t i = 0; i < fetch->address_count; i++)
		at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%s", i == 0 ? "" : ",", fetch->addresses[i]);
	fetch->resolve = fetch->fetcher->curl.slist_append(NULL, text);
	return fetch->resolve != NULL;
}

static void load_curl(struct sts_fetcher *fetcher);

static void ask_https(struct sts_fetch *fetch)
{
	struct sts_fetcher *fetcher = fetch->fetcher;
	char url[URL_MAX];

	if (fetch->address_count == 0) {
		fetch_fail(fetch, ERR_CLOSED, "the policy's host has no address");
		return;
	}
	if (fetcher->multi == NULL) {
		fetch->parked = true;
		load_curl(fetcher);
		return;
	}
	(void)snprintf(
	        url, sizeof(url), "https://%s:%u/.well-known/mta-sts.txt", fetch->host, fetch->fetcher->parts.port);
	fetch->easy = fetcher->curl.easy_init();
	if (fetch->easy == NULL || !give_addresses(fetch) || !set_options(fetch, url) ||
	        fetcher->curl.multi_add_handle(fetcher->multi, fetch->easy) != CURLM_OK)
		fetch_fail(fetch, ERR_NO_MEMORY, "the request could not be made");
}

static void take_address(struct sts_fetch *fetch, struct span rdata)
{
	struct sockaddr_storage address;
	char text[INET6_ADDRSTRLEN];

	if (fetch->address_count == STS_ADDRESSES_MAX || !dns_read_address(rdata, 0, &address))
		return;
	if (address.ss_family == AF_INET) {
		(void)inet_ntop(AF_INET, &((struct sockaddr_in *)&address)->sin_addr, text, sizeof(text));
		(void)snprintf(fetch->addresses[fetch->address_count++], sizeof(fetch->addresses[0]), "%s", text);
	} else {
		(void)inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&address)->sin6_addr, text, sizeof(text));
		(void)snprintf(fetch->addresses[fetch->address_count++], sizeof(fetch->addresses[0]), "[%s]", text);
	}
}

static void take_answer(struct sts_fetch *fetch, const struct dns_answer *answer)
{
	for (size_t i = 0; answer->status == DNS_OK && i < answer->count; i++)
		take_address(fetch, answer->records[i]);
	if (--fetch->waiting == 0)
		ask_https(fetch);
}

static void on_ipv4(void *arg, const struct dns_answer *answer)
{
	struct sts_fetch *fetch = arg;

	fetch->queries[0] = NULL;
	take_answer(fetch, answer);
}

static void on_ipv6(void *arg, const struct dns_answer *answer)
{
	struct sts_fetch *fetch = arg;

	fetch->queries[1] = NULL;
	take_answer(fetch, answer);
}

static void ask_dns(struct sts_fetch *fetch)
{
	struct dns *dns = fetch->fetcher->parts.dns;

	fetch->queries[0] = dns_ask(dns, fetch->host, DNS_A, on_ipv4, fetch);
	fetch->queries[1] = dns_ask(dns, fetch->host, DNS_AAAA, on_ipv6, fetch);
	fetch->waiting = (fetch->queries[0] != NULL) + (fetch->queries[1] != NULL);
}

struct sts_fetch *sts_fetch_start(struct sts_fetcher *fetcher, const char *domain, sts_fetch_done *done, void *arg)
{
	struct sts_fetch *fetch = calloc(1, sizeof(*fetch));

	if (fetch == NULL)
		return NULL;
	fetch->fetcher = fetcher;
	fetch->done = done;
	fetch->arg = arg;
	buffer_init(&fetch->body, STS_POLICY_MAX);
	if (uv_timer_init(fetcher->parts.loop, &fetch->later) != 0) {
		free(fetch);
		return NULL;
	}
	fetch->next = fetcher->fetches;
	fetcher->fetches = fetch;
	fetcher->count++;
	if (snprintf(fetch->host, sizeof(fetch->host), "mta-sts.%s", domain) < (int)sizeof(fetch->host) &&
	        fetcher->count <= STS_FETCHES_MAX)
		ask_dns(fetch);
	if (fetch->waiting == 0)
		(void)uv_timer_start(&fetch->later, on_later, 0, 0);
	return fetch;
}

/* --- libcurl, at the first need ----------------------------------------------------------------------------------- */

static void run_load(struct worker_job *job)
{
	struct sts_fetcher *fetcher = container_of(job, struct sts_fetcher, job);

	error_clear(&fetcher->job_error);
	(void)sts_curl_load(&fetcher->curl, &fetcher->job_error);
}

static bool make_multi(struct sts_fetcher *fetcher)
{
	const struct sts_curl *curl = &fetcher->curl;

	fetcher->multi = curl->multi_init();
	if (fetcher->multi == NULL)
		return error_set(&fetcher->job_error, ERR_NO_MEMORY, "out of memory");
	(void)curl->multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void)curl->multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher);
	(void)curl->multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	(void)curl->multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher);
	return true;
}

static struct sts_fetch *take_parked(struct sts_fetcher *fetcher)
{
	for (struct sts_fetch *fetch = fetcher->fetches; fetch != NULL; fetch = fetch->next)
		if (fetch->parked) {
			fetch->parked = false;
			return fetch;
		}
	return NULL;
}

static void on_loaded(struct worker_job *job)
{
	struct sts_fetcher *fetcher = container_of(job, struct sts_fetcher, job);
	struct sts_fetch *fetch;
	bool ok;

	fetcher->in_job = false;
	if (fetcher->stopped)
		return;
	ok = fetcher->job_error.code == ERR_NONE && make_multi(fetcher);
	if (!ok)
		LOG(LOG_ERROR, "relay.no_https", LOG_FAILURE(&fetcher->job_error));
	while ((fetch = take_parked(fetcher)) != NULL) {
		if (ok)
			ask_https(fetch);
		else
			fetch_fail(fetch, ERR_UNSUPPORTED, "libcurl could not be loaded");
	}
}

static void load_curl(struct sts_fetcher *fetcher)
{
	if (fetcher->in_job)
		return;
	fetcher->in_job = true;
	fetcher->job = (struct worker_job) { .run = run_load, .done = on_loaded, .lane = WORKER_READ };
	worker_submit(fetcher->parts.pool, &fetcher->job);
}

/* --- the fetcher ------------------------------------------------------------------------------------------------- */

bool sts_fetcher_new(const struct sts_fetcher_parts *parts, struct sts_fetcher **out, struct error *err)
{
	struct sts_fetcher *fetcher = calloc(1, sizeof(*fetcher));

	if (fetcher == NULL || uv_timer_init(parts->loop, &fetcher->timer) != 0) {
		free(fetcher);
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	fetcher->parts = *parts;
	fetcher->authorities = tls_client_authorities(parts->tls);
	*out = fetcher;
	return true;
}

void sts_fetcher_stop(struct sts_fetcher *fetcher)
{
	if (fetcher == NULL || fetcher->stopped)
		return;
	uv_close((uv_handle_t *)&fetcher->timer, NULL);
	fetcher->stopped = true;
}

void sts_fetcher_free(struct sts_fetcher **fetcher)
{
	struct sts_fetcher *it = *fetcher;

	if (it == NULL)
		return;
	if (it->multi != NULL)
		(void)it->curl.multi_cleanup(it->multi);
	if (it->curl.global_cleanup != NULL)
		it->curl.global_cleanup();
	free(it);
	*fetcher = NULL;
}
