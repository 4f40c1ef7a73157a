/* imapd/settings.h — what main.c hands down from the configuration, and the limits that are not settings. */
#ifndef IMAPD_SETTINGS_H
#define IMAPD_SETTINGS_H

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

#define COMMAND_BEFORE_LOGIN_MAX                                                                                       \
	(8 * KIB) /* octets of one command, literals included (promises: 16 KiB a session before login) */
#define COMMAND_MAX            (256 * KIB)     /* after login, without the messages of APPEND */
#define LITERAL_COUNT_MAX      1000            /* in one command */
#define FETCH_CHUNK            (256 * KIB)     /* rendered by one job */
#define SWALLOW_MAX            (128 * MIB)     /* octets of a refused message that are read and dropped */
#define COMMAND_TIMEOUT_MS     (2 * 60 * 1000) /* silence in the middle of a command, after login */
#define COMMAND_MIN_RATE       100             /* octets per second while a command or message comes (net/conn.h) */
#define STALL_TIMEOUT_MS       (5 * 60 * 1000) /* a client that takes nothing of what it asked for */
#define READ_SIZE_BEFORE_LOGIN (4 * KIB)
#define READ_SIZE              (64 * KIB)
#define LOGIN_FAILURES_MAX     3    /* then BYE: guessing costs a connection, and authd counts by address anyway */
#define DRAIN_IDLE_MS          1000 /* while draining, a session that is silent for so long between commands is closed */
#define IDLE_TIMEOUT_MIN_MS    (30 * 60 * 1000) /* RFC 9051 §5.4: at least 30 minutes */

struct imapd_settings {
	const char *hostname; /* lives as long as the process */
	const char *version;
	bool plaintext_auth_on_loopback;
	bool channel_binding;      /* offer SCRAM-SHA-256-PLUS */
	uint64_t message_size_max; /* APPENDLIMIT (RFC 7889) */
	unsigned idle_timeout_ms;  /* silence after login; not below IDLE_TIMEOUT_MIN_MS */
	unsigned login_timeout_ms;
	unsigned tls_timeout_ms;
	unsigned bad_commands;
	uint64_t index_memory; /* bytes of mailbox indexes kept for the next SELECT */
};

#endif
