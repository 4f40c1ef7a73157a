/* common/message/report.h — delivery status notifications: multipart/report (RFC 6522) of a text for people, message/delivery-status
 * (RFC 3464; message/global-delivery-status where RFC 6533 asks for it) and the message or its header.
 *
 * Any thread. Nothing is looked up. Texts come from peers: what is not printable is replaced, lines are cut at 998 octets. */
#ifndef MESSAGE_REPORT_H
#define MESSAGE_REPORT_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdint.h>

#define REPORT_TEXT_MAX   (4 * 1024 * 1024) /* all but the returned message */
#define REPORT_HEADER_MAX (64 * 1024)       /* of the original's header, where only headers are returned */

enum report_action {
	REPORT_FAILED,
	REPORT_DELAYED,
	REPORT_DELIVERED,
	REPORT_RELAYED,
	REPORT_EXPANDED
}; /* RFC 3464 §2.3.3 */

struct report_recipient {
	enum report_action action;
	struct span address;        /* Final-Recipient: as we used it */
	struct span orcpt;          /* RFC 3461 §4.2 as sent ("rfc822;a+2Bb@example.net"), or empty */
	struct span status;         /* "5.1.1": RFC 3463 */
	struct span remote_host;    /* Remote-MTA, or empty */
	struct span remote_address; /* "192.0.2.1", for people; or empty */
	struct span diagnostic;     /* the other server's reply, "550 5.1.1 no such user", LF between lines; or empty */
	struct span reason;         /* ours, where there was no reply: "the domain does not exist"; or empty */
	int64_t last_attempt;       /* unix seconds; 0: none */
	int64_t will_retry_until;   /* unix seconds, DELAYED only */
};

struct report {
	struct span hostname;       /* Reporting-MTA, and From: mailer-daemon@ it */
	struct span to;             /* the sender it goes to; never empty (RFC 3464 §2: none for <>) */
	struct span message_id;     /* of the report, without < > */
	struct span envid;          /* as sent, xtext decoded here; or empty */
	struct span trace;          /* our id of the message, told to people; or empty */
	int64_t arrival;            /* unix seconds */
	int64_t deliver_by;         /* unix seconds (RFC 2852 §5); 0: the sender gave no time */
	struct span future_release; /* RFC 4865 §5.1.2: "for;60"; or empty */
	int64_t now;                /* unix seconds: Date */
	const struct report_recipient *recipients;
	size_t recipient_count;
	bool utf8;      /* the message was SMTPUTF8: RFC 6533 forms */
	bool eight_bit; /* full: the message has octets over 127 */
	bool full;      /* the whole message is returned (RFC 3461 §4.3): the caller sends it between head and tail */
	struct span
	        original_header; /* its header block, also where full; returned where !full, cut to REPORT_HEADER_MAX at a field */
	struct span subject; /* of the original, raw field value, for people; may be empty */
};

/* head: header (From, To, Date, Message-ID, Subject, MIME, Auto-Submitted: auto-replied as RFC 3834 §5 and RFC 3464 ask, In-Reply-To where known)
 * and the parts up to where the original goes; then, if full, the caller appends its octets; then tail. CRLF lines. The boundary cannot
 * occur in the original: it has 128 random bits. False: ERR_NO_MEMORY, ERR_TOO_LARGE. */
bool report_write(const struct report *report, struct buffer *head, struct buffer *tail, struct error *err);

#endif
