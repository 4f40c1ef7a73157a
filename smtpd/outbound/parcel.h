/* smtpd/outbound/parcel.h — a message with some of its recipients, taken out of the queue, until it is known what became of each.
 *
 *   taken -> waits in its lane -> on a link -> settled (settle.h) -> finisher (finish.h) -> gone
 *                  ^----- another try at once ----/
 *
 * A message may be in several parcels (RFC 9422 RCPTMAX, RFC 5321 §4.5.3.1.10): they share it. All memory that is needed to write
 * down what became of a recipient is there from the start: a 250 is never forgotten for want of memory.
 * Owner: whoever holds it. Thread: the loop's; parcel_read() on workers. */
#ifndef SMTPD_OUTBOUND_PARCEL_H
#define SMTPD_OUTBOUND_PARCEL_H

#include "message/report.h"
#include "smtpd/outbound/outcome.h"
#include "smtpd/outbound/relay.h"

#define PARCEL_REQUEUES_MAX 3 /* other tries at once: stale connections */
#define PARCEL_DETAIL_MAX   384

struct destination;
struct link;

/* What became of one recipient. */
struct fate {
	struct outcome outcome;
	bool settled;
	enum queue_result result;
	int64_t next_ms;
	bool warned;
	bool report;       /* the sender is told, as `action` */
	bool time_is_over; /* and why: the time that he gave, in notify mode (RFC 2852 §4.1.3) */
	enum report_action action;
};

/* Which server it was, for events and reports. */
struct peer {
	char host[DNS_NAME_MAX + 1]; /* or "" */
	char address[CONN_ADDRESS_TEXT];
	char detail[PARCEL_DETAIL_MAX]; /* key=value: TLS, policy, route */
	bool dsn;                       /* it tells of success itself (RFC 3461 §5.2.1) */
	bool deliver_by;                /* and keeps an eye on the time (RFC 2852) */
};

struct letter; /* the shared message */
struct parcel {
	struct parcel *next;
	struct relay *relay;
	struct letter *letter;
	struct destination *destination; /* whose row count it is in */
	struct queue_message part;       /* texts shared; recipients: its own window */
	struct fate *fates;              /* beside part.recipients */
	struct peer peer;
	struct spool *converted;          /* the octets for a server that cannot take the original; NULL: as they are */
	bool eight_bit, binary, smtputf8; /* of the octets as they are sent */
	unsigned requeues;
	struct link *link;  /* which sends nothing before this is written down (link.h: WRITING), or NULL */
	int64_t started_ms; /* monotonic: of the attempt */
};

/* Takes the message over in any case. NULL: out of memory. */
struct parcel *parcel_new(struct relay *relay, struct queue_message *message);
void parcel_free(struct parcel **parcel); /* also of NULL */
/* The recipients from `keep` on become a parcel of their own. NULL: out of memory, nothing has changed. */
struct parcel *parcel_split(struct parcel *parcel, size_t keep);
/* Those for which apart() is true, moved to the end of the window; how many are not. Order is kept otherwise. */
size_t parcel_sort(struct parcel *parcel, bool (*apart)(const struct fate *fate));
/* The octets to be sent, for client_message. */
bool parcel_read(void *parcel, uint64_t offset, void *out, size_t size, size_t *got, struct error *err);
uint64_t parcel_size(const struct parcel *parcel);
void parcel_forget_conversion(struct parcel *parcel);

struct parcel_list {
	struct parcel *first, **end; /* first NULL: empty */
	size_t count;
};
void parcel_list_add(struct parcel_list *list, struct parcel *parcel);
void parcel_list_add_first(struct parcel_list *list, struct parcel *parcel);
struct parcel *parcel_list_take(struct parcel_list *list); /* NULL: empty */

#endif
