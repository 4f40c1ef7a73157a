/* authd/failures.h — how fast an address may guess. One count for all daemons and workers; an account is never locked.
 *
 * Every check is a try, charged before it begins, and given back when it was no guess (the password was right, or nothing was
 * checked). An address (peer.h) has `tries_per_minute` free tries, refilled at that rate; each further one makes the next wait:
 * 1 s, 2 s, 4 s ... up to `longest_delay`, one after the other however many connections it opens. The wait comes before the
 * check, so its length tells nothing of the password. When a password turns out right, those that wait may ask again at once:
 * an office full of clients that all reconnect with good passwords is not kept.
 * Shared addresses (a company, Microsoft's and Google's clouds): a login that was good from an address has a count of its own
 * there, so no neighbour can slow it down; and the more logins were good, up to six times, the more free tries has the address.
 * Thread: the loop's. Times: clock_mono_ms(). Memory: at most FAILURES_ADDRESSES_MAX + FAILURES_PAIRS_MAX entries. */
#ifndef AUTHD_FAILURES_H
#define AUTHD_FAILURES_H

#include "authd/table.h"
#include "base/span.h"

#define FAILURES_ADDRESSES_MAX 16384
#define FAILURES_PAIRS_MAX     16384
#define FAILURES_GOOD_MS       (7 * 24 * 3600 * 1000LL) /* how long a good login counts for its address */
#define FAILURES_SHARE_MAX     6 /* times the free tries: then still at most one guess a second */

struct failures;

struct failures_settings {
	unsigned tries_per_minute;
	int64_t longest_delay_ms;
};

/* How an address stands, for the queue of checks (verify.h). */
enum standing {
	STANDING_GOOD,    /* a login was good from there, and it is not guessing now */
	STANDING_CLEAN,   /* nothing is known */
	STANDING_SUSPECT, /* wrong passwords came from there lately */
};
#define STANDING_COUNT 3

/* One try; what it was charged to. */
struct failures_ticket {
	struct table_key address;
	struct table_key pair;
	bool charged;
	bool to_pair;
};

struct failures *failures_new(const struct failures_settings *settings); /* NULL: out of memory */
void failures_free(struct failures **failures);

/* Fills the ticket; it is charged with nothing yet. */
void failures_prepare(
        struct failures *failures, const struct table_key *address, struct span login, struct failures_ticket *ticket);
/* True: charged, the check may begin. False: not before *wait_ms. */
bool failures_admit(struct failures *failures, struct failures_ticket *ticket, int64_t now_ms, int64_t *wait_ms);
enum standing failures_standing(struct failures *failures, const struct failures_ticket *ticket, int64_t now_ms);
/* How the try ended. The first of them to come gives back or keeps the charge; after that only failures_good() does anything. */
void failures_good(struct failures *failures, struct failures_ticket *ticket, int64_t now_ms);
void failures_wrong(struct failures *failures, struct failures_ticket *ticket, int64_t now_ms);
void failures_not_tried(struct failures *failures, struct failures_ticket *ticket, int64_t now_ms);

#endif
