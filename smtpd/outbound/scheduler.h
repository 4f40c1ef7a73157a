/* smtpd/outbound/scheduler.h — what is due, and who may open a connection next.
 *
 *   hint on run/relay.sock, the next due time, a freed place -> look (queue_due, a job) -> destination_wake -> destination_take (queue_take,
 *   a job) -> lane_add -> lane_pump -> link -> ... -> finisher -> scheduler_parcel_gone
 *
 * A slow or dead destination must not slow the others. So [queue] connections counts those that are at work: the one connection that a
 * destination gets before it has answered a message needs no place (at most RELAY_UNPROVEN_MAX such); those of a destination that takes
 * RELAY_STALL_MS or more for a message, and each one that has made no progress for so long, neither (at most RELAY_STALLED_MAX).
 * Who finds no place stands in one line, and gets one place at a time. Servers that are slow, but not that slow, would hold all places with as
 * many connections as they may have. So one place of RELAY_SPARE_SHARE is only for destinations without a connection, and while such a one
 * stands in the line nobody else gets a second connection, and who has one, or has had its place for RELAY_TURN_MS, gives it up after its
 * message. Thread: the loop's. */
#ifndef SMTPD_OUTBOUND_SCHEDULER_H
#define SMTPD_OUTBOUND_SCHEDULER_H

#include "smtpd/outbound/destination.h"

#define SCHEDULER_BUCKETS 4096

struct scheduler {
	struct relay *relay;
	struct destination *buckets[SCHEDULER_BUCKETS];
	size_t destination_count;
	unsigned forget_next; /* bucket */
	struct link *links;   /* all */
	struct link_counts {
		unsigned unproven, active, stalled, idle, closing;
	} counts;
	struct lane *want_first, **want_end; /* who waits for a place */
	unsigned bare;                       /* of them: that work, have no connection, and found no place */
	unsigned routes;                     /* look-ups under way */
	size_t recipients;                   /* in memory */
	size_t asked;                        /* recipients that takes may still bring */
	bool no_room;                        /* a take was put off for want of memory */
	unsigned local;                      /* parcels on their way into mailboxes */
	/* looking */
	struct worker_job job;
	struct queue_destination *due;
	size_t due_count;
	int64_t now_ms, next_due_ms, looked_ms; /* looked: monotonic */
	struct error error;
	bool in_job, look_again, started;
	uv_timer_t look_timer, kick_timer, sweep_timer;
	uv_poll_t ear;
	int ear_fd;
	/* events to the disk */
	struct worker_job events_job;
	bool events_in_job;
	bool draining, stopped;
	void (*on_empty)(void *arg);
	void *arg;
};

/* ear_fd: of queue_watch(), the scheduler's from here on. */
bool scheduler_new(struct relay *relay, int ear_fd, struct scheduler **out, struct error *err);
void scheduler_start(struct scheduler *scheduler);
/* Begins nothing new, lets what is being sent end, quits the rest; then on_empty(), once. */
void scheduler_drain(struct scheduler *scheduler, void (*on_empty)(void *arg), void *arg);
void scheduler_close_all(struct scheduler *scheduler); /* draining has taken too long */
void scheduler_stop(struct scheduler *scheduler);      /* closes its handles; also of NULL */
void scheduler_free(struct scheduler **scheduler);     /* the loop has ended */

void scheduler_look(struct scheduler *scheduler);                /* soon */
void scheduler_look_in(struct scheduler *scheduler, int64_t ms); /* or before */
void scheduler_kick(struct scheduler *scheduler);                /* a place may be free: soon */

/* --- for destinations, lanes and links --- */
/* How many recipients of it may come into memory now; 0: none, it is looked at again as soon as half of the memory is free. The second half
 * is for those that have little in it: lists to slow servers do not keep the others out. Mailboxes here have a share of their own. */
size_t scheduler_room(struct scheduler *scheduler, const struct destination *destination);
bool scheduler_may_open(const struct scheduler *scheduler, const struct lane *lane);
void scheduler_want(struct scheduler *scheduler, struct lane *lane);
/* Between two messages: another destination needs the place of this connection more. */
bool scheduler_needs_place(const struct scheduler *scheduler, const struct link *link);
void scheduler_unwant(struct scheduler *scheduler, struct lane *lane);
void scheduler_add_link(struct scheduler *scheduler, struct link *link);
void scheduler_remove_link(struct scheduler *scheduler, struct link *link);
unsigned *scheduler_counter(struct scheduler *scheduler, enum link_count which);
/* All that became of it is written down. Frees it. */
void scheduler_parcel_gone(struct scheduler *scheduler, struct parcel *parcel);
/* It stays in the queue as it is: the relay ends, or there is no memory. */
void scheduler_parcel_back(struct scheduler *scheduler, struct parcel *parcel);

#endif
