/* smtpd/outbound/link.h — one connection to a server of a destination, from the first try at its hosts to QUIT.
 *
 *                                                                    +-------- link_written --------+
 *                                                                    v                              |
 *   link_open -> CONNECTING (host after host, address after  ---> BUSY -- a recipient was taken --> WRITING (until that is durable)
 *                     |      address: link_open.c)                 | ^
 *                     |                                            v |  link_reuse
 *                     |                                           IDLE (kept RELAY_IDLE_MS, for whoever has a route to the same server)
 *                     |                                            |
 *                     +--- no host was ready: lane_link_failed     +----> CLOSING (QUIT; from BUSY too) -> gone
 *
 * WRITING: the server has said 250, and nothing goes to it, not even QUIT, before the outcome is written down. So a relay that is killed
 * can double a message only when nothing followed its 250. It keeps its place in the lane. When the disk takes
 * nothing for RELAY_WRITING_MS the connection is closed without a word; when the server closes it, that is all right too.
 *
 * BUSY -> CONNECTING, link_move_on: everybody was put off; the parcel is carried to the next host.
 * A link belongs to a lane while CONNECTING, BUSY and WRITING. A link never outlives its client's on_closed(). Thread: the loop's. */
#ifndef SMTPD_OUTBOUND_LINK_H
#define SMTPD_OUTBOUND_LINK_H

#include "smtpd/outbound/parcel.h"

#define LINK_KEY_MAX 1024

/* Which place of the scheduler it takes. */
enum link_count { COUNT_NONE, COUNT_UNPROVEN, COUNT_ACTIVE, COUNT_STALLED, COUNT_IDLE, COUNT_CLOSING };

enum link_state { LINK_CONNECTING, LINK_BUSY, LINK_WRITING, LINK_IDLE, LINK_CLOSING };

/* A route that lanes and links share. */
struct held_route {
	unsigned refs;
	struct route_result *result;
};
struct held_route *held_route_new(const struct route_result *result); /* copies; NULL: out of memory */
void held_route_release(struct held_route **held);                    /* also of NULL */

struct lane;
struct link {
	struct relay *relay;
	struct lane *lane;            /* NULL: IDLE, CLOSING */
	struct link *next, *previous; /* in the scheduler's list of all */
	enum link_state state;
	enum link_count counted;
	bool stalled;        /* BUSY, without progress for RELAY_STALL_MS */
	int64_t progress_ms; /* monotonic */
	int64_t opened_ms;
	int64_t placed_ms; /* BUSY since then, message after message */
	unsigned messages;
	/* where it is going, or is */
	struct held_route *route;
	size_t host, address; /* in the route; the next to try */
	unsigned tries;
	bool plain; /* this address again, without STARTTLS: opportunistic TLS did not work there */
	const struct route_host *to;
	char address_text[CONN_ADDRESS_TEXT];
	char key[LINK_KEY_MAX]; /* who may use it too */
	struct dial *dial;
	struct client *client;
	char detail[PARCEL_DETAIL_MAX];
	bool refused;     /* READY, and not good enough: REQUIRETLS */
	bool has_outcome; /* of the hosts so far */
	struct outcome outcome;
	/* what it is sending */
	struct parcel *parcel;
	struct parcel *writing;        /* WRITING: the finisher's, which has it; its `link` is this one */
	struct parcel *carried;        /* CONNECTING: what the host before this one put off */
	struct client_message message; /* lives until on_sent() */
	struct worker_job job;         /* a conversion */
	struct client_offer offer;     /* the job's: the client may be gone while it runs */
	bool in_job, ended;            /* ended: it is */
	struct error job_error;
};

/* For the lane, CONNECTING. False: out of memory. */
bool link_open(struct lane *lane, struct held_route *route);
void link_next_address(struct link *link); /* the one it tried is no good: link->outcome */
void link_note(struct link *link, const struct outcome *outcome);
void link_count(struct link *link, enum link_count which);
enum link_count link_place(const struct link *link); /* the one that is due to it as its lane is now */
void link_feed(struct link *link);                   /* READY: the next parcel of its lane; none: IDLE */
void link_sent(struct link *link, const struct client_reply *replies, size_t count, bool lost);
void link_hold(struct link *link, struct parcel *parcel); /* BUSY -> WRITING; the finisher gets the parcel next */
void link_written(struct link *link);                     /* its outcome is durable: WRITING -> BUSY, and on */
void link_closed(struct link *link);
void link_idle(struct link *link);
void link_send(struct link *link, struct parcel *parcel);    /* READY: this one first, then link_feed() */
bool link_move_on(struct link *link, struct parcel *parcel); /* to the next host with it; false: there is none */
void link_detach(struct link *link);                         /* from its lane */
/* An idle one for a lane with this route; NULL: none. */
struct link *link_reuse(struct scheduler *scheduler, struct lane *lane, struct held_route *route);
void link_check(const struct link *link);
void link_quit(struct link *link);  /* polite when it is IDLE; not while WRITING */
void link_abort(struct link *link); /* what it was sending has an unknown end */
void link_free(struct link *link);  /* its client and its dial are gone */
bool link_with_auth(const struct link *link);
bool link_must_tls(const struct link *link);
bool link_refuses(const struct link *link, const struct lane *lane); /* READY: the lane's messages may not go there */
void link_describe(struct link *link);                               /* what is told of it in events: detail */
void link_make_key(const struct route_result *route, const struct route_host *host, const struct sockaddr *address,
        const char *domain, char out[LINK_KEY_MAX]);

#endif
