/* smtpd/outbound/sts_fetch.h — MTA-STS policies over HTTPS (RFC 8461 §3.3): https://mta-sts.DOMAIN/.well-known/mta-sts.txt.
 *
 * libcurl's multi interface on the loop. No redirect is followed, nothing is cached, the certificate must be good for the host's name, the answer
 * 200 and text/plain, at most STS_POLICY_MAX octets, within STS_FETCH_MS. The host's address is asked from our own net/dns, so
 * forwarders and DNSSEC hold here too. Thread: the loop's. */
#ifndef SMTPD_OUTBOUND_STS_FETCH_H
#define SMTPD_OUTBOUND_STS_FETCH_H

#include "net/dial.h"
#include "net/dns.h"
#include "net/worker.h"
#include "storage/relay_store.h"

#define STS_FETCH_MS       60000 /* RFC 8461 §3.3 */
#define STS_FETCHES_MAX    50    /* at once; more: ERR_LIMIT */
#define STS_FETCH_HOST_MAX (DNS_NAME_MAX + 1)
#define STS_ADDRESSES_MAX  4

struct sts_fetcher;
struct sts_fetch;

struct sts_fetcher_parts {
	uv_loop_t *loop;
	struct dns *dns;
	struct worker_pool *pool; /* libcurl is loaded there, at the first fetch (sts_curl.h) */
	struct tls_client *tls;   /* whose authorities count; outlives the fetcher */
	unsigned port;
};
bool sts_fetcher_new(const struct sts_fetcher_parts *parts, struct sts_fetcher **out, struct error *err);
void sts_fetcher_stop(struct sts_fetcher *fetcher);  /* no fetch is under way any more; closes its handles */
void sts_fetcher_free(struct sts_fetcher **fetcher); /* the loop has ended */

/* text is valid during the call; err when it did not come. Never from inside sts_fetch_start(). */
typedef void sts_fetch_done(void *arg, bool ok, struct span text, const struct error *err);
struct sts_fetch *sts_fetch_start(struct sts_fetcher *fetcher, const char *domain, sts_fetch_done *done, void *arg);
void sts_fetch_cancel(struct sts_fetch **fetch); /* done() will not come; also of NULL */

#endif
