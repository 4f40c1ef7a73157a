/* smtpd/outbound/sts_find.h — the MTA-STS policy that holds for a domain now (RFC 8461 §3, §5): TXT record, our durable copy, the web.
 *
 *   copy in relay.db? -> TXT at _mta-sts.<domain> -> the same id, not expired: the copy
 *                                                \-> another id, none yet, expired: fetch -> good: keep it, it holds
 *                                                                                       \-> bad: the copy until it expires
 * No TXT (or no answer): the copy until it expires, so that who can forge DNS cannot take a policy away.
 * A fetch that failed is not tried again for STS_RETRY_MS. Copies are refreshed before they expire, each STS_REFRESH_MS.
 * Thread: the loop's; relay.db on workers. */
#ifndef SMTPD_OUTBOUND_STS_FIND_H
#define SMTPD_OUTBOUND_STS_FIND_H

#include "net/worker.h"
#include "smtpd/outbound/sts_fetch.h"
#include "smtpd/outbound/tls_policy.h"

#define STS_RETRY_MS      300000           /* RFC 8461 §3.3 */
#define STS_FAILURES_MAX  256              /* remembered */
#define STS_REFRESH_MS    3600000          /* how often we look for what expires ... */
#define STS_REFRESH_AHEAD (24 * 3600000LL) /* ... so soon */
#define STS_REFRESH_COUNT 100              /* each time */

struct sts_finder;
struct sts_find;
struct sts_finder_parts {
	uv_loop_t *loop;
	struct worker_pool *pool;
	struct dns *dns;
	struct relay_store *store;
	struct sts_fetcher *fetcher;
};

bool sts_finder_new(const struct sts_finder_parts *parts, struct sts_finder **out, struct error *err);
void sts_finder_stop(struct sts_finder *finder);  /* also of NULL */
void sts_finder_free(struct sts_finder **finder); /* the loop has ended */

typedef void sts_found(void *arg, const struct sts_policy *policy); /* NULL: none; valid during the call */
struct sts_find *sts_find(struct sts_finder *finder, const char *domain, sts_found *done, void *arg);
/* What holds if nothing better is known by now; NULL: none. Valid until done() or sts_cancel(). */
const struct sts_policy *sts_known(const struct sts_find *find);
void sts_cancel(struct sts_find *
                *find); /* done() will not come; what is being fetched is kept for the next time. Also of NULL */

#endif
