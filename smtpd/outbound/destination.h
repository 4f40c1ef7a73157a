/* smtpd/outbound/destination.h — one domain (or "": all mailboxes of this site) while there is work for it: what was taken out of the queue,
 * and its lanes.
 *
 * Takes RELAY_TAKE_MIN messages at first, twice as many each time it kept up, at most RELAY_TAKE_MAX: what waits for a slow server waits
 * in the queue, not in memory. Recipients in memory are in relay.under_way, so that no take finds them again; a row that is
 * written down while a take is under way stays in that set until the take has ended, as the take may have read it before.
 * Thread: the loop's. */
#ifndef SMTPD_OUTBOUND_DESTINATION_H
#define SMTPD_OUTBOUND_DESTINATION_H

#include "smtpd/outbound/lane.h"

struct destination {
	struct destination *next; /* in its bucket */
	struct relay *relay;
	char domain[QUEUE_DOMAIN_MAX + 1];
	struct lane *lanes;
	size_t parcels, recipients;     /* in memory */
	bool more;                      /* there may be more in the queue */
	int64_t take_after_ms, used_ms; /* monotonic */
	size_t take_size;
	/* a take */
	bool taking;
	bool stale; /* what it brings may have been changed since: it is asked for again */
	struct worker_job job;
	struct queue_message **taken;
	char (*sender_domains)[QUEUE_DOMAIN_MAX + 1]; /* beside: of a route "from:...", or "" */
	size_t taken_count, asked, asked_recipients;
	int64_t now_ms;
	struct error error;
	int64_t *gone; /* rows that were written down meanwhile */
	size_t gone_count, gone_capacity;
};

struct destination *destination_new(struct relay *relay, const char *domain);
void destination_free(struct destination **destination); /* nothing is in memory */
bool destination_is_idle(const struct destination *destination);
void destination_wake(struct destination *destination); /* something is due */
void destination_withdraw(
        struct destination *destination);               /* what is not being sent yet is taken again, as it is now */
void destination_take(struct destination *destination); /* if there is more and room for it */
size_t destination_waiting(const struct destination *destination);
/* The row may be taken again. */
void destination_row_gone(struct destination *destination, int64_t recipient_id);

#endif
