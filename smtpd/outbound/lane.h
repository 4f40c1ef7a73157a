/* smtpd/outbound/lane.h — one way to a destination: its route, what waits for it, its connections, and whether it works.
 *
 * A destination (a domain; one row group of the queue) has one lane, or more where messages need routes of their own: REQUIRETLS,
 * TLS-Required: No, a route of the admin for the sender's domain.
 *
 *             first parcel           route is known, link_open       a message was answered
 *    UNKNOWN --------------> ROUTING ------------------> UNPROVEN -----------------> WORKS
 *                               \                            |  no host was ready      | all links are gone, none can be opened
 *                                \---- no route -----------> DOWN <-------------------+
 *    DOWN -> UNPROVEN: retry_at has come, or a recipient is due that was not due when it failed
 *
 * While it is DOWN, what was due at the failure shares its fate without a try of its own (10,000 messages cost one connection), what is new waits
 * until retry_at. Limits: one link until it WORKS, then RELAY_START_LIMIT, one more after as many successes as there are links, half
 * after a 421, a timeout or a lost connection; at most connections_per_destination.
 *
 * Some servers take so many messages a connection and close it when the next one comes. That costs the message nothing, and is learned: sessions
 * end after as many, as if the server had said MAILMAX (RFC 9422). After RELAY_SESSIONS_TRUSTED of such sessions twice as many are tried: it may
 * have been a restart. Nothing loops: a message goes back for nothing only when its session has dealt with another one before. Thread: the loop's. */
#ifndef SMTPD_OUTBOUND_LANE_H
#define SMTPD_OUTBOUND_LANE_H

#include "smtpd/outbound/link.h"

#define LANE_STRIKES_MAX 5

struct lane {
	struct lane *next;      /* of its destination */
	struct lane *want_next; /* in the scheduler's line of those that want a place */
	bool wants, bare;       /* it stands in the line; it works, has no connection, and found no place */
	struct destination *destination;
	unsigned flags;                           /* enum route_flag */
	char sender_domain[QUEUE_DOMAIN_MAX + 1]; /* or "": any */
	struct parcel_list waiting;
	struct route_query *query;
	struct held_route *route;
	int64_t route_until_ms; /* monotonic */
	unsigned connecting, busy;
	bool works; /* a message was answered */
	bool slow;  /* the last answer took RELAY_STALL_MS or more */
	unsigned limit, successes;
	unsigned session_max;  /* messages that a session takes, as learned; 0: as many as we like */
	unsigned session_ends; /* sessions that ended there since it was learned */
	unsigned strikes;      /* messages that a session did not take, one after the other */
	/* when it is down */
	bool down;
	struct outcome failure;
	struct peer failed_peer;
	int64_t failed_at_ms; /* as the queue counts: relay_clock_due() */
	int64_t retry_at_ms;  /* monotonic: for what is new */
	int64_t hold_ms;      /* monotonic: for all: what becomes due one after the other is one try */
	unsigned failures;    /* one after the other */
};

struct lane *lane_new(struct destination *destination, const struct queue_message *message, const char *sender_domain);
void lane_free(struct lane **lane); /* no link, nothing waits */
bool lane_is_idle(const struct lane *lane);
bool lane_fits(const struct lane *lane, const struct queue_message *message, const char *sender_domain);
void lane_add(struct lane *lane, struct parcel *parcel);    /* takes it */
void lane_pump(struct lane *lane);                          /* opens links, feeds idle ones */
struct parcel *lane_take(struct lane *lane);                /* NULL: nothing waits */
void lane_return(struct lane *lane, struct parcel *parcel); /* another try at once, before the others */
void lane_link_ready(struct lane *lane);
void lane_answered(struct lane *lane, int64_t took_ms);      /* a message, whatever the answer */
void lane_link_failed(struct lane *lane, struct link *link); /* no host was ready */
void lane_effect(struct lane *lane, enum outcome_effect effect);
/* The session took nothing of it. True: too often now, the lane is down and the parcel has gone with it. */
bool lane_strike(struct lane *lane, struct parcel *parcel, const struct outcome *outcome);
void lane_closed_after(struct lane *lane, unsigned messages); /* a session, by the server, when the next one came */
bool lane_session_is_full(const struct lane *lane, unsigned messages);
void lane_session_done(struct lane *lane); /* one that was full */
void lane_drop_waiting(struct lane *lane); /* the relay ends, or they were changed: they stay in the queue */
unsigned lane_flags(const struct queue_message *message);

#endif
