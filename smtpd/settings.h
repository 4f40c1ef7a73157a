/* smtpd/settings.h — what the admin decides (from config, by way of main.c) and the limits that nobody needs to decide.
 *
 * Owner: main.c; lives as long as the process. */
#ifndef SMTPD_SETTINGS_H
#define SMTPD_SETTINGS_H

#include "base/macros.h"
#include "base/span.h"

#include <stdbool.h>
#include <stdint.h>

struct smtpd_settings {
	const char *hostname;            /* in the greeting, Received and Message-ID */
	uint64_t max_message_size;       /* octets; announced by SIZE (RFC 1870) */
	unsigned max_recipients;         /* of one message; at least 100 (RFC 5321 §4.5.3.1.8) */
	bool plaintext_auth_on_loopback; /* offer AUTH without TLS to 127.0.0.0/8 and ::1 */
	bool channel_binding;            /* offer SCRAM-SHA-256-PLUS */
	unsigned max_hops;               /* Received fields; more is a mail loop (RFC 5321 §6.3) */
	unsigned idle_timeout_ms;        /* RFC 5321 §4.5.3.2.7: at least 5 minutes */
	unsigned tls_timeout_ms;         /* to finish a handshake */
	unsigned login_timeout_ms;       /* a submission session that has not logged in by then ends */
	unsigned bad_commands;           /* then goodbye */
	struct span relay_networks;      /* who may send to anywhere without a login; list for net/network.h */
	struct span xclient_networks;    /* who may say XCLIENT */
	struct span proxy_networks;      /* whose connections begin with a PROXY header */
	struct span etrn_domains;        /* lower case, blank-separated: whose queue ETRN starts */
	bool expn;                       /* for who has logged in */
	uint32_t recipients_a_day;       /* of one account, elsewhere; 0: no limit. Its own setting goes first */
	uint32_t new_recipients_a_day;
	int64_t undo_ms;    /* what users send waits so long; the account's own setting goes first */
	int64_t give_up_ms; /* queue_entry.expires_ms is so long after the arrival */
	unsigned keep_days; /* of events */
};

/* Lines */
#define COMMAND_LINE_MAX 2048 /* RFC 5321 §4.5.3.1.4 asks for 512, extensions add to it; with CRLF */

/* Time */
#define DATA_MIN_RATE    100  /* octets per second (net/conn.h): slowloris in DATA */
#define HARVEST_DELAY_MS 1000 /* before each refusal once HARVEST_FREE recipients were unknown */

#define LIMIT_CHECKED_AT_RCPT                                                                                          \
	100 /* recipients elsewhere of one message that are held against the limits of a day together */

/* Patience: per session. The reply after the last one is 421. The first two, and bad_commands above, begin anew with each
 * accepted message. */
#define IDLE_COMMANDS_MAX 100  /* NOOP, RSET, VRFY, HELP, EHLO and other commands that bring no mail */
#define REFUSALS_MAX      1000 /* of senders, recipients and messages */
#define AUTH_FAILURES_MAX 5
#define HARVEST_FREE      20
#define HARVEST_MAX       100

/* A message */
#define RCPTS_MAX           10000       /* recipients that the sender writes; [smtp] max_recipients may ask for fewer */
#define ACCOUNTS_MAX        4096        /* accounts that one message may reach, over all its recipients */
#define LINKS_MAX           (100 * KIB) /* from RCPTs to accounts: LMTP */
#define ENVELOPES_MAX       (64 * MIB)  /* recipients of all sessions together; beyond it */
#define ENVELOPE_SMALL      (16 * KIB)  /* only who has no more than that may add to his */
#define REMOTES_MAX         5000        /* addresses elsewhere, the same; together below QUEUE_RECIPIENTS_MAX */
#define COMMAND_READ_SIZE   (4 * KIB)   /* before login one session costs at most 16 KiB */
#define DATA_READ_SIZE      (64 * KIB)
#define WIDE_READERS_MAX    64 /* sessions of a process that read so much at once; the others COMMAND_READ_SIZE */
#define SPOOLS_MAX          (8 * MIB)  /* octets of messages that all sessions of a process have in memory; beyond it */
#define SPOOL_SMALL         (8 * KIB)  /* only messages up to that stay there, the others go to the disk at once */
#define DATA_CHUNK_MAX      (64 * KIB) /* handed to the disk at once */
#define DATA_DISCARD_FACTOR 4          /* a message over the limit is read to this many times the limit, then cut off */

#endif
