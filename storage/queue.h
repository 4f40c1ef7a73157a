/* storage/queue.h — queue.db: mail that has to go on: to other servers, into mailboxes that were full for a moment, later on.
 *
 * A message is one row and one body, however many recipients it has; each recipient goes its own way:
 *
 *                                  queue_finish: delivered, relayed or failed
 *            queue_add            +---------------------------------------------> gone
 *   (none) -----------> WAITING --+
 *                        ^  ^  |   \--- queue_finish: again at next_attempt_ms ---> WAITING
 *                        |  |  +------ queue_hold (admin) ----> HELD
 *                        |  +--------- queue_release --------- HELD
 *                        +- queue_retry: due now, by admin or ETRN
 *
 *  Always: a recipient that is neither WAITING nor HELD does not exist; a message without recipients does not exist; what became of
 *  a recipient and the reports that tell of it (RFC 3464) are one transaction, so a report is made exactly once. That a
 *  delivery is under way is known to the relay alone, in memory: after a crash it is tried again. Into a mailbox that is harmless
 *  (recipient.op_id, see batch.h); at another server it can double a message exactly when its 250 was not read (RFC 1047).
 *
 * Durable: when a call that changes something returns true it would survive a power cut; false: it did not happen, or the disk failed while it was
 * to say so, and nobody knows: the sender tries again, and rather has it twice than not at all.
 * Bodies over STORE_INLINE_BODY_MAX are files in <data>/queue/ (body.h), durable before their row, removed after it.
 * Processes: smtpd and the command line add and change, the relay alone takes (queue_due, queue_take) and finishes.
 * Thread: one handle may be used by several threads (a lock of its own); every call may wait for the disk: worker threads only,
 * but for queue_watch_next(). */
#ifndef STORAGE_QUEUE_H
#define STORAGE_QUEUE_H

#include "base/error.h"
#include "base/span.h"
#include "storage/batch.h"
#include "storage/spool.h"

#include <stdint.h>

#define QUEUE_TRACE_MAX      24  /* a transaction's id, as in Received, in the 250 and in the log */
#define QUEUE_ADDRESS_MAX    320 /* as sent; PATH_MAILBOX_MAX */
#define QUEUE_DOMAIN_MAX     255 /* A-labels, lower case, no dot at the end; or an address literal "[192.0.2.1]" */
#define QUEUE_ENVID_MAX      100 /* RFC 3461 §4.4, still in xtext */
#define QUEUE_ORCPT_MAX      500 /* RFC 3461 §4.2, as sent */
#define QUEUE_FOLDER_MAX     128
#define QUEUE_REPLY_MAX      512 /* of the other server's words that are kept */
#define QUEUE_RECIPIENTS_MAX 10000
#define QUEUE_RELEASE_MAX    40         /* "until;2026-11-21T12:00:00Z" */
#define QUEUE_TAKE_MAX       100        /* recipients of one message handed out at once: RFC 5321 §4.5.3.1.8 */
#define QUEUE_OCTETS_EACH    (16 * KIB) /* of a message whose octets come with it ... */
#define QUEUE_OCTETS_ALL     (4 * MIB)  /* ... and of all such that this process has not freed yet */

struct queue;

/* RFC 3461 §4.1; 0: as if FAILURE (and DELAY where we warn anyway) was said. */
enum queue_notify { NOTIFY_NEVER = 1, NOTIFY_SUCCESS = 2, NOTIFY_FAILURE = 4, NOTIFY_DELAY = 8 };
enum queue_return { RETURN_DEFAULT, RETURN_FULL, RETURN_HEADERS }; /* RFC 3461 §4.3 */

enum queue_flag {
	QUEUE_SMTPUTF8 = 1,   /* RFC 6531: an address or header needs it */
	QUEUE_8BIT = 2,       /* the body has octets over 127; 4 is not used */
	QUEUE_REQUIRETLS = 8, /* RFC 8689 */
	QUEUE_TLS_NO = 16,    /* the header says TLS-Required: No (RFC 8689 §5) */
	QUEUE_REPORT = 32,    /* made by us, sender is <>: never answered */
	QUEUE_BY_RETURN = 64, /* RFC 2852: DELIVERBY mode R (else N) when deliver_by_ms is set */
	QUEUE_BY_TRACE = 128, /* RFC 2852 §4: trace */
};

enum queue_kind {
	QUEUE_REMOTE, /* to another server */
	QUEUE_LOCAL,  /* into account_id's INBOX, or the mailbox `folder` where it exists */
	QUEUE_SENT,   /* the sender's copy, into account_id's Sent, seen */
};

/* One recipient on its way in. Texts must live until the call has returned. */
struct queue_rcpt_new {
	enum queue_kind kind;
	struct span address;      /* as sent; of LOCAL: whom the sender wrote to, for reports */
	struct span domain;       /* REMOTE: of the address, QUEUE_DOMAIN_MAX: what the relay groups by */
	int64_t account_id;       /* LOCAL, SENT */
	struct span folder;       /* LOCAL: subaddress folder, or empty */
	struct span orcpt;        /* RFC 3461 §4.2, or empty */
	unsigned notify;          /* enum queue_notify */
	uint8_t op_id[OP_ID_LEN]; /* LOCAL, SENT; all zero: queue_add makes one of the trace and the account */
};

/* Of what one account submits (stolen passwords). */
struct sending_limits {
	uint32_t recipients_a_day;     /* remote ones; 0: no limit */
	uint32_t new_recipients_a_day; /* to whom this account had never sent; 0: no limit */
};

struct queue_entry {
	struct span trace;      /* QUEUE_TRACE_MAX, unique on this site: names the message everywhere */
	struct span sender;     /* of MAIL FROM (after SRS); empty: <> */
	struct span envid;      /* or empty */
	struct span message_id; /* of the header, without < >, for people who look for it; may be empty */
	enum queue_return ret;
	unsigned flags;               /* enum queue_flag */
	int priority;                 /* RFC 6710: -9..9 */
	int64_t account_id;           /* who submitted it; 0: came from outside, or from us */
	struct sending_limits limits; /* of the account: REMOTE recipients of this entry, and all others of that day */
	int64_t created_ms;           /* when it was received, by the wall clock */
	int64_t not_before_ms;        /* undo time, FUTURERELEASE (RFC 4865); 0: now */
	int64_t expires_ms;           /* the last moment to try */
	int64_t deliver_by_ms;        /* RFC 2852; 0: none */
	struct span future_release;   /* QUEUE_RELEASE_MAX; as asked for, for reports (RFC 4865 §5.1.2); or empty */
	struct span prefix; /* Received and added fields, CRLF lines, no Return-Path; stands before the body */
	struct spool *body;
	const struct queue_rcpt_new *recipients;
	size_t recipient_count;
	bool held;              /* every recipient begins as HELD */
	int64_t message_id_out; /* filled in: the row */
};

bool queue_open(const char *data_dir, struct queue **out, struct error *err); /* makes queue.db and queue/ at need */
void queue_close(struct queue **queue);

/* All entries in one transaction (group commit): all or none; then tells the relay. Large bodies must not have been synced: done here.
 * ERR_LIMIT: QUEUE_RECIPIENTS_MAX, or an account has sent enough today, with the sentence for the client. ERR_EXISTS: the trace is there already. */
bool queue_add(struct queue *queue, struct queue_entry **entries, size_t count, struct error *err);

/* --- the relay's side --- */

/* A destination: all REMOTE recipients of one domain, or all local ones (domain empty). */
struct queue_destination {
	char domain[QUEUE_DOMAIN_MAX + 1];
	int64_t due_ms; /* the earliest next attempt */
	int priority;   /* the highest that is due */
};
/* Destinations with something due at now_ms, those of higher priority first, then the longest due; at most `max`. *next_due_ms: when the
 * next one that is not listed becomes due; INT64_MAX: none. Costs as many row reads as destinations are listed, not messages. */
bool queue_due(struct queue *queue, int64_t now_ms, struct queue_destination *out, size_t max, size_t *count,
        int64_t *next_due_ms, struct error *err);

struct queue_rcpt {
	int64_t id;
	enum queue_kind kind;
	char address[QUEUE_ADDRESS_MAX + 1];
	int64_t account_id;
	char folder[QUEUE_FOLDER_MAX + 1];
	char orcpt[QUEUE_ORCPT_MAX + 1];
	unsigned notify;
	uint8_t op_id[OP_ID_LEN];
	unsigned attempts; /* so far */
	int64_t next_attempt_ms;
	bool warned; /* a delay report was sent, or RFC 2852 notice */
	bool held;
	char reply[QUEUE_REPLY_MAX + 1]; /* of the last attempt, or "" */
};

/* One message with those of its recipients that are due at the destination. Owner: the caller, until queue_message_free(). */
struct queue_message {
	int64_t id;
	char trace[QUEUE_TRACE_MAX + 1];
	char sender[QUEUE_ADDRESS_MAX + 1];
	char envid[QUEUE_ENVID_MAX + 1];
	char future_release[QUEUE_RELEASE_MAX + 1];
	char *message_id; /* may be "" */
	enum queue_return ret;
	unsigned flags;
	int priority;
	int64_t account_id, created_ms, expires_ms, deliver_by_ms;
	uint64_t size; /* prefix and body */
	char *octets; /* both, of a small message that queue_take() gave, while there are few such in memory; else NULL: queue_read() */
	struct queue_rcpt *recipients;
	size_t recipient_count;
};
void queue_message_free(struct queue_message **message); /* also of NULL */

/* Due recipients of a destination, message by message (priority, then the longest due), at most max_messages and QUEUE_TAKE_MAX recipients
 * each, max_recipients together, leaving out recipients for which skip() is true (those under way; NULL: none). An array of pointers into
 * out. */
bool queue_take(struct queue *queue, const char *domain, int64_t now_ms, bool (*skip)(void *arg, int64_t recipient_id),
        void *arg, struct queue_message **out, size_t max_messages, size_t max_recipients, size_t *count,
        struct error *err);

/* Octets of prefix and body together. ERR_NO_SUCH_MESSAGE: gone meanwhile. */
bool queue_read(struct queue *queue, int64_t message_id, uint64_t offset, void *out, size_t size, size_t *got,
        struct error *err);

enum queue_result {
	QUEUE_DONE,  /* delivered, relayed, failed or expired: the recipient goes */
	QUEUE_AGAIN, /* next_attempt_ms, reply; attempts + 1 */
	QUEUE_UNDONE, /* not tried: next_attempt_ms, and reply says what it waits for: the failure of another's attempt */
};
struct queue_outcome {
	int64_t recipient_id;
	enum queue_result result;
	int64_t next_attempt_ms;
	bool warned;       /* a delay report goes out with it */
	struct span reply; /* kept, cut to QUEUE_REPLY_MAX */
};
/* Outcomes and the reports they cause (may be none) in one transaction. Recipients that an admin has dropped meanwhile are passed over; when none is left
 * of those that are QUEUE_DONE, so are the reports: false may have been "not known", and then the same may come again. */
bool queue_finish(struct queue *queue, const struct queue_outcome *outcomes, size_t outcome_count,
        struct queue_entry **reports, size_t report_count, struct error *err);

/* The relay's ear: a datagram socket (run/relay.sock) on which queue_add, queue_retry, queue_release ... say that there is work, and queue_hold,
 * queue_drop and queue_reroute that what was taken and is not being sent yet must be taken again: it may be somebody's mail that the admin has stopped.
 * -1 and *err. queue_watch_next(): one hint taken. Does not block; loop's thread. */
enum queue_hint { QUEUE_HINT_NONE, QUEUE_HINT_WORK, QUEUE_HINT_CHANGED };
int queue_watch(const char *data_dir, struct error *err);
enum queue_hint queue_watch_next(int fd);

/* Bodies in queue/ that no row names (a crash between file and row): removed when older than a day. Once at start. */
bool queue_tidy(struct queue *queue, int64_t now_ms, struct error *err);

/* --- the admin's side --- */

struct queue_filter {
	struct span trace; /* one message with its parts, TRACE-1 and so on: what aliases send on; empty: any */
	struct span
	        sender; /* exactly, or "@domain", or ".domain" (all below it); empty: any. "<>" for the null sender */
	struct span recipient; /* the same */
	int held;              /* -1: any, 0: waiting, 1: held */
	bool tried; /* only those that were, or wait because of others that were: ETRN may not end an undo time */
	int64_t older_than_ms; /* created before; 0: any */
};
struct queue_row {
	struct queue_message *message; /* valid during the call */
	struct queue_rcpt *recipient;
	int64_t next_attempt_ms;
};
/* Recipients, oldest message first, `skip` of them left out, at most `limit`. each() returning false ends it. Read in pieces, so what changes
 * meanwhile may be seen or not; each() may use the queue. row->message has no recipients. */
bool queue_list(struct queue *queue, const struct queue_filter *filter, uint64_t skip, uint64_t limit,
        bool (*each)(void *arg, const struct queue_row *row), void *arg, struct error *err);
struct queue_counts {
	uint64_t messages, recipients, held, due;
};
bool queue_count(struct queue *queue, int64_t now_ms, struct queue_counts *out, struct error *err);
/* Each works on all recipients that the filter finds, in pieces of bounded length; *changed counts recipients, also
 * after an error: pieces before it stay changed. queue_retry counts those that are due already too; it is not durable (a power cut may undo it:
 * then they are tried when they would have been), so that whoever asks by ETRN, as often as he likes, costs no flush. */
bool queue_retry(
        struct queue *queue, const struct queue_filter *filter, int64_t now_ms, uint64_t *changed, struct error *err);
bool queue_hold(struct queue *queue, const struct queue_filter *filter, uint64_t *changed, struct error *err);
bool queue_release(
        struct queue *queue, const struct queue_filter *filter, int64_t now_ms, uint64_t *changed, struct error *err);
bool queue_drop(
        struct queue *queue, const struct queue_filter *filter, uint64_t *changed, struct error *err); /* no report */
/* progress() is called between the pieces of each of them, from this thread; NULL: no longer. */
void queue_show_progress(struct queue *queue, void (*progress)(void *arg, uint64_t changed), void *arg);
/* Another destination for these recipients from now on: their group becomes `domain` (the address stays). */
bool queue_reroute(struct queue *queue, const struct queue_filter *filter, struct span domain, uint64_t *changed,
        struct error *err);

/* --- submission limits (stolen passwords) --- */

/* Would these remote recipients still be allowed? ERR_LIMIT as queue_add(), which decides: others may be faster. Changes nothing. */
bool queue_may_send(struct queue *queue, int64_t account_id, const struct sending_limits *limits,
        const struct span *addresses, size_t count, int64_t now_ms, struct error *err);
/* Counted by queue_add() itself for entries with an account_id (their REMOTE recipients). */

/* What is counted and known of an account that has been removed. Its recipients stay: they end as any delivery that cannot be made. */
bool queue_forget_account(struct queue *queue, int64_t account_id, struct error *err);

#endif
