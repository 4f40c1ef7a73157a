/* smtpd/inbound/accept.h — may this sender, this recipient, this message come in? One list of checks for each, in order.
 *
 * The checks of *_now() touch no disk and run on the event loop; the others read the directory or an account and run on
 * a worker thread. The first check that refuses fills *err with the words for the peer; server/reply_for_error.c turns
 * its code into a reply. */
#ifndef SMTPD_INBOUND_ACCEPT_H
#define SMTPD_INBOUND_ACCEPT_H

#include "smtpd/inbound/envelope.h"
#include "smtpd/settings.h"
#include "storage/events.h"
#include "storage/store.h"

struct accept_context {
	const struct smtpd_settings *settings;
	struct directory *directory;
	struct store *store;
	struct queue *queue;
	struct event_log *events;
};

/* Who sends, where it is a user of ours: what is set for the account. */
struct sender_options {
	bool file_sent;
	int64_t undo_ms;
	struct sending_limits limits;
};

struct sender_request {
	const struct mail_args *args;
	int64_t account_id; /* who logged in; 0 on port 25 */
};

struct recipient_request {
	const struct smtp_path *recipient;
	int64_t account_id;                   /* who logged in; 0 on port 25 */
	const struct sender_options *options; /* of the account */
	bool may_relay;                       /* logged in, in relay_networks, or a program on this machine */
	bool smtputf8;                        /* said by MAIL */
	bool null_sender;
	uint64_t size;                   /* announced by MAIL, or 0 */
	const struct envelope *envelope; /* accepted for this message so far */
};

struct message_request {
	struct span header; /* the block as received */
	int64_t account_id; /* who logged in; 0 on port 25 */
	struct span
	        local_user; /* a program of whom of this machine sends it, where not everything is allowed to him: his address; or empty */
	const struct envelope *envelope;
};

bool accept_sender_now(const struct accept_context *context, const struct sender_request *request, struct error *err);
bool accept_sender(const struct accept_context *context, const struct sender_request *request, struct error *err);
/* True: the priority that was asked for is not granted, and lowered (RFC 6710 §4.1: none above 0 to who is not known). */
bool accept_priority(int64_t account_id, struct mail_args *args);
/* For accounts; blocking. ERR_DISABLED. */
bool accept_sender_options(
        const struct accept_context *context, int64_t account_id, struct sender_options *out, struct error *err);

bool accept_recipient_now(
        const struct accept_context *context, const struct recipient_request *request, struct error *err);
/* Fills *out with where the recipient leads. *limited: refused because the account has sent enough for today;
 * what counts is what queue_add() says later. */
bool accept_recipient(const struct accept_context *context, const struct recipient_request *request,
        struct routing *out, bool *limited, struct error *err);

/* After the end of data, before anything is stored. */
bool accept_message(const struct accept_context *context, const struct message_request *request, struct error *err);

#endif
