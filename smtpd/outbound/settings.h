/* smtpd/outbound/settings.h — what the admin decides about the way out (from config, by way of main.c), and the limits that nobody needs
 * to decide. Owner: main.c; lives as long as the process. */
#ifndef SMTPD_OUTBOUND_SETTINGS_H
#define SMTPD_OUTBOUND_SETTINGS_H

#include "base/macros.h"
#include "smtpd/outbound/schedule.h"

struct relay_settings {
	const char *hostname; /* EHLO, reports */
	const char *data_dir;
	const char *addresses; /* on which we listen, blank-separated: what must not be taken for another server */
	unsigned own_port;     /* for SMTP; 0: we do not receive */
	unsigned port;         /* of other servers: 25 */
	unsigned sts_port;     /* 443 */
	const char *source_addresses; /* to send from, blank-separated; empty: the kernel's choice */
	bool dane, mta_sts;
	struct schedule schedule;
	unsigned connections;                 /* that are at work at once: see scheduler.h */
	unsigned connections_per_destination; /* at most; the destination's own limit moves below it */
};

/* Connections */
#define RELAY_CONNECT_MS       30000 /* until connected; RFC 5321 §4.5.3.2 leaves it to us */
#define RELAY_UNPROVEN_MAX     500   /* of destinations that have not answered a message yet; they cost little */
#define RELAY_STALLED_MAX      1000  /* of slow destinations */
#define RELAY_STALL_MS         5000
#define RELAY_SPARE_SHARE      2 /* one of so many places is only for destinations without a connection */
#define RELAY_TURN_MS          1000 /* so long the only connection of one keeps its place while others wait that have none */
#define RELAY_IDLE_MS          5000 /* an idle connection is kept so long for the next message */
#define RELAY_IDLE_MAX         100
#define RELAY_LINK_MESSAGES    1000   /* over one connection, then a new one */
#define RELAY_LINK_AGE_MS      600000 /* the same */
#define RELAY_SESSIONS_TRUSTED 10     /* of a server that closes after so many messages, until more are tried */
/* One whose last outcome the disk does not take; servers wait five minutes (RFC 5321 §4.5.3.2.7). */
#define RELAY_WRITING_MS    240000
#define RELAY_ADDRESSES_MAX 12 /* tried in one go, over all hosts (RFC 5321 §5.1: at least two) */
#define RELAY_START_LIMIT   5  /* connections to a destination that works, at first */

/* Memory */
#define RELAY_DESTINATIONS_MAX 10000 /* known at once; idle ones go first */
#define RELAY_LOOK_MAX         2000  /* destinations listed by one look into the queue */
#define RELAY_RECIPIENTS_MAX   4000  /* in memory, of all destinations */
#define RELAY_TAKE_RECIPIENTS  200   /* of all messages of one take; when half of the memory is in use ... */
#define RELAY_TAKE_SCARCE      10    /* ... so few, and only for a destination that has hardly more than that */
#define RELAY_TAKE_MIN         10    /* messages of one destination taken at once: grows while it keeps up */
#define RELAY_TAKE_MAX         100
#define RELAY_ROUTES_AT_ONCE   120 /* look-ups: all their questions together are fewer than DNS_QUERIES_MAX */
#define RELAY_ROUTES_SPARE     30  /* of them: only for destinations that work, whatever DNS is silent for others */

/* Time */
#define RELAY_LOOK_MIN_MS    20      /* between two looks into the queue */
#define RELAY_LOOK_MAX_MS    30000   /* and at least: a clock that was set is noticed then */
#define RELAY_TAKE_AGAIN_MS  100     /* after a take that brought less than was asked for */
#define RELAY_SET_BACK_MS    60000   /* between two tries while the clock stands before what it was */
#define RELAY_ROUTE_KEEP_MS  120000  /* an answer from DNS is used again for so long */
#define RELAY_DOWN_HOLD_MS   5000    /* after a destination went down, until it is tried again whoever asks */
#define RELAY_BACKOFF_MAX_MS 1800000 /* for new messages to a destination that is down */

#endif
