/* smtpd/inbound/received.h — the lines we put in front of a message: Return-Path, Received (RFC 5321 §4.4), and what a
 * submitted message lacks (RFC 6409 §8). Any thread. */
#ifndef SMTPD_INBOUND_RECEIVED_H
#define SMTPD_INBOUND_RECEIVED_H

#include "base/buffer.h"

#define PREFIX_MAX     (8 * KIB)
#define TRACE_ID_MAX   24
#define TRACE_HELO_MAX 255
#define TRACE_TLS_MAX  64

struct trace {
	struct span sender;      /* of MAIL FROM, as sent; empty for "<>" */
	struct span helo;        /* of EHLO or HELO, as sent */
	struct span peer;        /* "192.0.2.1", "2001:db8::1" */
	struct span peer_name;   /* what a proxy has found it to be called, and checked; or empty */
	struct span hostname;    /* ours */
	struct span id;          /* unique; also in the log and in the final reply */
	struct span recipient;   /* as sent, only when there was just one (RFC 5321 §7.2); else empty */
	struct span tls_version; /* empty without TLS */
	struct span tls_cipher;
	bool has_priority; /* MT-PRIORITY was said */
	int priority;      /* what it was found to be */
	bool extended;     /* EHLO was said */
	bool smtputf8;
	bool authenticated;
	bool lmtp;
	bool local; /* by the sendmail command's socket */
	uint32_t uid;
	int64_t unix_seconds;
};

/* RFC 3848 and RFC 6531 §4.3: "ESMTPSA", "UTF8SMTPS", ... */
const char *trace_protocol(const struct trace *trace);

/* Appends Return-Path: final delivery only, and then it is the very top (RFC 5321 §4.4). One in the message itself stays where it is: bytes are
 * stored as they came. False when out is full. */
bool trace_write_return_path(struct buffer *out, struct span sender);
/* Appends Received. Of who logged in neither address nor name of the client is told: where people are is nobody's business
 * (RFC 5321 §7.6 allows it; the log and `posthouse explain` have them). */
bool trace_write_received(struct buffer *out, const struct trace *trace);

/* Appends Date and Message-ID (and From for a program of this machine: its sender) if `header` (the block as received) has none. RFC 6409 §8.2, §8.3. Nothing is taken away: a
 * Bcc field that the client sent stays, for only the client knows to whom which copy goes (RFC 5322 §3.6.3). */
bool trace_add_missing(struct buffer *out, const struct trace *trace, struct span header);

#endif
