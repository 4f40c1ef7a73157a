/* common/net/limiter.h — how many connections an address may hold before login, and who goes when all places are taken.
 *
 * An address is an IPv4 address or an IPv6 /64. Sessions before login count against `per_address`; all sessions against
 * `total`. Addresses in `exempt` networks (default: loopback, our own machine) and Unix sockets are not limited per address. When
 * `total` is reached the oldest session before login of the address that holds the most goes first (promises.md, "slot
 * exhaustion"); one that is sheltered for a while is passed over. Thread: the loop's. Time: O(log n) or better per operation. */
#ifndef NET_LIMITER_H
#define NET_LIMITER_H

#include "base/error.h"
#include "base/span.h"

#include <sys/socket.h>

struct limiter;
struct limiter_slot; /* one admitted session */

struct limiter_settings {
	unsigned per_address; /* before login; 0: no limit */
	unsigned total;       /* before and after login */
	struct span exempt;   /* networks: "127.0.0.0/8 ::1/128", blank-separated */
};

bool limiter_new(const struct limiter_settings *settings, struct limiter **out, struct error *err);
void limiter_free(struct limiter **limiter);
/* Admits: *slot for limiter_remove(), and *evict is the owner of the session to be closed for it, or NULL; that one counts no
 * more from here on, its slot is still to be removed.
 * Refuses with ERR_LIMIT (per address), or ERR_BUSY when all places are taken and nobody may be evicted. */
bool limiter_add(struct limiter *limiter, const struct sockaddr *peer, void *owner, struct limiter_slot **slot,
        void **evict, struct error *err);
void limiter_logged_in(struct limiter *limiter, struct limiter_slot *slot);
/* Still counted, not evicted: between the two its session does what it must be able to tell the peer. Both do nothing for who is
 * logged in or has been chosen already. After it the session counts as its address's youngest. */
void limiter_shelter(struct limiter *limiter, struct limiter_slot *slot);
void limiter_unshelter(struct limiter *limiter, struct limiter_slot *slot);
/* The session is another address's than was thought (a proxy told). ERR_LIMIT: that address has too many; the slot stays as it was. */
bool limiter_move(struct limiter *limiter, struct limiter_slot *slot, const struct sockaddr *peer, struct error *err);
void limiter_remove(struct limiter *limiter, struct limiter_slot **slot);
unsigned limiter_count(const struct limiter *limiter);

#endif
