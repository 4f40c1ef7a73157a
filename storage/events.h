/* storage/events.h — events.db: what was decided about each message, for `posthouse explain`; pruned by age.
 *
 * A process collects events in memory and writes them together (events_flush, on a worker thread, each EVENTS_FLUSH_MS or when
 * EVENTS_PENDING_FULL wait). They are not synced: a crash may lose the last second of the story, never mail. When the disk is slow,
 * or so full that the rest is for mail (strangers make events too, as many as they like), events are dropped and counted, and one line in
 * the log says so; nothing ever waits for them.
 *
 * `trace` joins a story: the id of the transaction that took the message in; the queue and every delivery keep it. A report's own trace
 * is told by the event "report" of the trace it is about.
 * Thread: event_note() on the loop; it copies. events_flush() and reading: worker threads (or the command line). */
#ifndef STORAGE_EVENTS_H
#define STORAGE_EVENTS_H

#include "base/error.h"
#include "base/span.h"

#include <stdint.h>

#define EVENTS_FLUSH_MS     500
#define EVENTS_PENDING_FULL 500
#define EVENTS_PENDING_MAX  10000 /* beyond: dropped and counted */
#define EVENT_TEXT_MAX      1024  /* of one text; longer ones are cut */

struct event_log;

/*  kind                  who          what it tells; detail
 *  EVENT_RECEIVED        smtpd        the message came in: peer, helo, TLS, login, size, Message-ID
 *  EVENT_REFUSED         smtpd        the sender, a recipient or the message was refused: the reply
 *  EVENT_RECIPIENT       smtpd        how a recipient was resolved: account, alias, remote, catch-all
 *  EVENT_DELIVERED       smtpd, relay into a mailbox: account, folder, UID
 *  EVENT_QUEUED          smtpd, relay durable in the queue: recipients
 *  EVENT_ATTEMPT         relay        one attempt at one host, after which the next one is tried: address, the other server's reply
 *  EVENT_RELAYED         relay        the other server took it; with it, and with the next two where a server was asked: route, DNSSEC, TLS and its policy
 *  EVENT_DEFERRED        relay        when it is tried again, and why
 *  EVENT_FAILED          relay        given up, and why
 *  EVENT_REPORT          relay        a report was made: its trace
 *  EVENT_ADMIN           command line held, released, dropped, rerouted, retried
 *  EVENT_LIMIT           smtpd        a submission limit was reached */
enum event_kind {
	EVENT_RECEIVED = 1,
	EVENT_REFUSED,
	EVENT_RECIPIENT,
	EVENT_DELIVERED,
	EVENT_QUEUED,
	EVENT_ATTEMPT = 7, /* these numbers are in events.db; 6 is not used */
	EVENT_RELAYED,
	EVENT_DEFERRED,
	EVENT_FAILED,
	EVENT_REPORT,
	EVENT_ADMIN,
	EVENT_LIMIT,
};
const char *event_kind_name(enum event_kind kind); /* "received" */

/* Spans may be empty. None may hold a secret or text of a message (Message-ID apart). */
struct event {
	int64_t at_ms; /* wall clock; 0: now */
	enum event_kind kind;
	struct span trace;
	struct span message_id; /* without < >; with RECEIVED at least */
	struct span sender;     /* envelope */
	struct span recipient;  /* as the sender wrote it */
	struct span text;       /* one line for people: "250 2.0.0 OK from mx1.example.net [192.0.2.1]:25" */
	struct span detail;     /* key=value pairs as in the log, for programs: "tls=TLSv1.3 verified=dane" */
};

/* write: this process adds; else it only reads. Makes the file at need. keep_days: events_flush() prunes now and then, in small pieces. */
bool event_log_open(const char *data_dir, bool write, unsigned keep_days, struct event_log **out, struct error *err);
void event_log_close(struct event_log **log); /* writes what waits */

void event_note(struct event_log *log, const struct event *event); /* log NULL: nothing happens */
bool event_log_wants_flush(const struct event_log *log);           /* loop: is anything waiting? */
void events_flush(struct event_log *log);                          /* a failure is logged, not returned */

struct event_query {
	struct span trace;      /* or empty */
	struct span message_id; /* without < >, or empty */
	struct span address;    /* sender or recipient (ASCII case-insensitive), or empty */
	int64_t since_ms;       /* the event that matches is not older; 0: any */
	uint64_t limit;         /* stories (traces) at most, the latest ones; above 10,000 it is that */
};
/* All events of the stories that match, story by story (that with the latest match last), each in order of time. An event without a trace
 * is a story by itself. each() false: ends; it may use the log. */
bool event_log_read(struct event_log *log, const struct event_query *query,
        bool (*each)(void *arg, const struct event *event), void *arg, struct error *err);

#endif
