/* imapd/settings.h — what main.c hands down from the configuration, and the limits that are not settings. */
#ifndef IMAPD_SETTINGS_H
#define IMAPD_SETTINGS_H

#include "base/macros.h"

#include <stdbool.h>
#include <stdint.h>

#define COMMAND_BEFORE_LOGIN_MAX (8 * KIB)   /* octets of one command, literals included (promises: 16 KiB a session before login) */
#define COMMAND_MAX              (256 * KIB) /* after login, without the messages of APPEND */
#define LITERAL_COUNT_MAX        1000        /* in one command */
#define FETCH_CHUNK              (256 * KIB) /* rendered by one job */
#define IDLE_TIMEOUT_MIN_MS      (30 * 60 * 1000) /* RFC 9051 §5.4: at least 30 minutes */

struct imapd_settings {
	const char *hostname; /* lives as long as the process */
	const char *version;
	bool plaintext_auth_on_loopback;
	uint64_t message_size_max; /* APPENDLIMIT (RFC 7889) */
	unsigned idle_timeout_ms;  /* silence after login; not below IDLE_TIMEOUT_MIN_MS */
	unsigned login_timeout_ms;
	unsigned tls_timeout_ms;
	unsigned bad_commands;
	unsigned index_memory; /* MiB of mailbox indexes kept for the next SELECT */
};

#endif
