/* smtpd/inbound/envelope.h — to whom a message goes: what the sender wrote (RCPT), and what that leads to: accounts of ours, each once,
 * and addresses elsewhere, each once.
 *
 * All texts lie in one buffer; struct text_at names a piece of it, so nothing has to be moved when it grows.
 * Owner: the transaction. Thread: the loop's; while a job of the session runs it may be read there. */
#ifndef SMTPD_INBOUND_ENVELOPE_H
#define SMTPD_INBOUND_ENVELOPE_H

#include "base/buffer.h"
#include "smtpd/inbound/routing.h"
#include "smtpd/syntax/params.h"

#define ENVELOPE_TEXT_MAX (16 * MIB)

struct text_at {
	uint32_t at;
	uint32_t len; /* 0: empty */
};

/* One RCPT. */
struct envelope_rcpt {
	struct text_at address; /* as sent */
	struct text_at orcpt;   /* RFC 3461 §4.2 */
	unsigned notify;        /* enum rcpt_notify */
};

/* An account that the message goes to. */
struct delivery_target {
	int64_t account_id;
	uint64_t quota_bytes;    /* 0: no limit */
	uint64_t quota_messages; /* 0: no limit */
	struct text_at folder;   /* the mailbox that a subaddress asks for, where it exists; or empty: INBOX */
	uint32_t rcpt;           /* which RCPT led here */
};

/* An address at another server. */
struct remote_target {
	struct text_at address;
	struct text_at domain; /* what the queue groups by */
	struct text_at alias;  /* the address of ours that is forwarded there; empty: the sender wrote to it himself */
	uint32_t rcpt;
};

/* That a RCPT leads to an account, which may be another's target too. */
struct envelope_link {
	uint32_t rcpt;
	uint32_t target;
};

struct envelope {
	struct buffer texts;
	struct envelope_rcpt *rcpts;
	size_t rcpt_count, rcpt_capacity;
	struct delivery_target *targets;
	size_t target_count, target_capacity;
	struct remote_target *remotes;
	size_t remote_count, remote_capacity;
	bool keeps_links; /* set by who wants to know of each RCPT what became of it: LMTP */
	struct envelope_link *links;
	size_t link_count, link_capacity;
	bool wants_success; /* somebody asked for NOTIFY=SUCCESS */
};

void envelope_init(struct envelope *envelope);
void envelope_free(struct envelope *envelope);

/* A recipient that was accepted, and what it leads to. ERR_NO_MEMORY, ERR_LIMIT: nothing was added. */
bool envelope_add(
        struct envelope *envelope, const struct rcpt_args *rcpt, const struct routing *routing, struct error *err);

size_t envelope_memory(const struct envelope *envelope); /* octets that it takes */

struct span envelope_text(const struct envelope *envelope, struct text_at text);
struct span envelope_address(const struct envelope *envelope, size_t rcpt); /* as sent */
/* The recipients as the log shows them: "a@b,c@d", as many as fit. */
void envelope_names(const struct envelope *envelope, char *out, size_t size);

#endif
