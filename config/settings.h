/* config/settings.h — what the one INI file says, as plain values; everything about a key stands in one table row.
 *
 * settings_load() starts from the table's defaults, reads the file and checks every value; nothing outside its limits
 * ever reaches a program. Each program's main.c loads them once, before threads and the loop, and hands plain structs down.
 * The struct owns all its text (no pointers), may be copied, needs no free. It is large (about 40 KiB): static, not stack.
 * Units: sizes in bytes, times in milliseconds unless the member's name says days. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/log.h"

#include <stdint.h>

#define SETTINGS_FILE_DEFAULT     "/etc/posthouse/posthouse.conf"
#define SETTINGS_TEXT_MAX         256 /* one name or path, its NUL included */
#define SETTINGS_DATA_DIR_MAX     80  /* names of sockets below it must fit into 107 bytes (unix(7)) */
#define SETTINGS_ADDRESSES_MAX    16
#define SETTINGS_SOCKET_MAX       100 /* a socket's path */
#define SETTINGS_DURATIONS_MAX    16
#define SETTINGS_LIST_MAX         4096 /* a whole list as text, its NUL included */
#define SETTINGS_CERTIFICATES_MAX 32
#define SETTINGS_WORKERS_MAX      16
#define SETTINGS_PROBLEMS_MAX     100 /* in one file; then reading stops */

enum settings_port {
	PORT_SMTP,
	PORT_SUBMISSION,
	PORT_SUBMISSIONS,
	PORT_POP3,
	PORT_POP3S,
	PORT_IMAP,
	PORT_IMAPS,
	PORT_LMTP,
	PORT_COUNT
};

enum settings_pop3_delete { POP3_DELETE_EXPUNGE, POP3_DELETE_TRASH };

struct settings_durations {
	uint64_t ms[SETTINGS_DURATIONS_MAX];
	uint32_t count; /* at least 1 */
};

struct settings {
	struct {
		char hostname[SETTINGS_TEXT_MAX]; /* fully qualified, lower case; never empty after settings_load() */
		char data_dir[SETTINGS_TEXT_MAX];
		char user[SETTINGS_TEXT_MAX];
		enum log_level log_level;
		uint32_t workers; /* of each daemon; 1..SETTINGS_WORKERS_MAX after settings_load(), never 0 */
	} server;
	struct {
		char addresses[SETTINGS_LIST_MAX];       /* literal IPv4 and IPv6 addresses, blank-separated */
		uint32_t ports[PORT_COUNT];              /* by enum settings_port; 0: off */
		char sendmail_socket[SETTINGS_TEXT_MAX]; /* never empty after settings_load() */
	} listen;
	struct {
		struct {
			char certificate[SETTINGS_TEXT_MAX];
			char key[SETTINGS_TEXT_MAX];
		} pairs[SETTINGS_CERTIFICATES_MAX];   /* the first is the default one */
		size_t pair_count;                    /* 0: no TLS at all */
		char certificates[SETTINGS_LIST_MAX]; /* the two lists as written */
		char keys[SETTINGS_LIST_MAX];
	} tls;
	struct {
		uint64_t max_message_size;
		uint32_t max_recipients;
		uint32_t max_hops;     /* Received fields; more is a mail loop */
		uint64_t idle_timeout; /* ms without a byte from the client */
		char relay_networks[SETTINGS_LIST_MAX];
		char xclient_networks[SETTINGS_LIST_MAX];
		char proxy_networks[SETTINGS_LIST_MAX];
		char etrn_domains[SETTINGS_LIST_MAX]; /* lower case */
		bool expn;
	} smtp;
	struct {
		uint32_t recipients_a_day, new_recipients_a_day; /* 0: no limit */
		uint64_t undo;                                   /* ms */
	} submission;
	struct {
		struct settings_durations retry;
		uint64_t warn_after, give_up_after; /* ms */
		uint32_t connections, connections_per_destination;
	} queue;
	struct {
		uint32_t port, sts_port;
		char source_addresses[SETTINGS_LIST_MAX]; /* may be empty */
		bool dane, mta_sts;
		char ca_file[SETTINGS_TEXT_MAX]; /* or "" */
	} relay;
	struct {
		char forward[SETTINGS_LIST_MAX]; /* "192.0.2.1 2001:db8::1@5353", or "" */
		char trust_anchor[SETTINGS_TEXT_MAX];
	} dns;
	struct {
		uint32_t keep_days;
	} explain;
	struct {
		bool plaintext_on_loopback; /* passwords over clear connections from this machine */
		bool channel_binding;       /* SCRAM-SHA-256-PLUS */
		uint64_t remember_logins;   /* ms that a good login stays cheap; 0: never remembered */
		uint32_t checks_at_once;    /* password hashes computed at the same time */
		uint32_t tries_per_minute;  /* of one address, before its answers are delayed */
		uint64_t longest_delay;     /* ms */
	} auth;
	struct {
		enum settings_pop3_delete delete_to;
		uint64_t idle_timeout;
	} pop3;
	struct {
		uint64_t idle_timeout; /* ms without a byte, after login */
		uint64_t
		        index_memory; /* bytes, in each worker, for the lists of mailboxes that nobody has open just now */
	} imap;
	struct {
		uint32_t keep_expunged_days;
		uint32_t accounts_open; /* account files kept open by one process */
		uint64_t default_quota; /* bytes, for `posthouse user add` without --quota; 0: none */
	} store;
	struct {
		uint32_t connections_per_address;           /* before login */
		uint32_t connections;                       /* of one worker, in all */
		char unlimited_networks[SETTINGS_LIST_MAX]; /* "127.0.0.0/8 ::1/128" */
		uint64_t tls_timeout;                       /* ms to finish a TLS handshake */
		uint64_t login_timeout;                     /* ms to log in */
		uint32_t bad_commands;                      /* then goodbye */
	} limits;
};

/* One thing that is wrong in the file; line 0: the file as a whole. The text has no file name or line in it. */
struct settings_problem {
	const char *path;
	unsigned line;
	const char *text; /* `unknown key "hostnam" in [server]; did you mean "hostname"?` */
};

/* True: *out is complete and checked. False: ERR_BAD_VALUE (or ERR_IO: cannot be read), and err->detail begins with
 * "FILE:LINE: " and says what to do. Blocks on the file. */
bool settings_load(const char *path, struct settings *out, struct error *err);
/* The same, and reports every problem, not only the first. */
bool settings_load_reporting(const char *path, struct settings *out,
        void (*report)(void *arg, const struct settings_problem *problem), void *arg, struct error *err);
void settings_defaults(struct settings *out); /* as if the file were empty; hostname and workers still unresolved */

/* "smtp", "submission", ...: also the name of the listening socket in LISTEN_FDNAMES. */
const char *settings_port_name(enum settings_port port);

/* The next item of a blank- or comma-separated list (members named as lists above); false at its end. */
bool settings_take_item(struct span *list, struct span *item);

/* From the table; each appends to out and returns false only when out is full. */
bool settings_print_example(struct buffer *out);                          /* posthouse.conf.example */
bool settings_print_manual(struct buffer *out);                           /* posthouse.conf(5), roff */
bool settings_print(const struct settings *settings, struct buffer *out); /* the values in force, as a file */

#endif
