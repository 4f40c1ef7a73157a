/* posthouse/supervisor.h — keeps the suite's processes running; never parses a byte from the network (design 3).
 *
 *  STARTING --- all slots ready ---> RUNNING --- TERM, INT ---> DRAINING_WORKERS --- all gone ---> DRAINING_AUTHD --- gone ---> end
 *
 * A slot is a place for one process: authd, relayd, or worker n of smtpd, pop3d or imapd. What dies is started again in its slot: at once
 * the first time, after 0.1, 0.2, ... 5 s when it does not live for SLOT_STABLE_MS. Workers go before authd when the site
 * stops, because sessions that are ending may still have to log in.
 * The children do not read the admin's config file but the checked copy in run/active.conf: an edit that has a mistake in it
 * cannot hurt a worker that happens to be restarted.
 * Thread: one, with plain poll(). */
#ifndef POSTHOUSE_SUPERVISOR_H
#define POSTHOUSE_SUPERVISOR_H

#include "base/buffer.h"
#include "config/settings.h"
#include "posthouse/child.h"
#include "posthouse/notify.h"
#include "posthouse/program.h"
#include "posthouse/sockets.h"

#define SLOTS_MAX           (2 + 3 * SETTINGS_WORKERS_MAX)
#define LEAVING_MAX         (4 * SLOTS_MAX) /* old ones that still drain after reloads; then the oldest is killed */
#define SLOT_STABLE_MS      10000
#define SLOT_BACKOFF_MS     100
#define SLOT_BACKOFF_MAX_MS 5000
#define DRAIN_MS            30000 /* for the children to end by themselves; then they are killed */
#define DRAIN_HURRY_MS      1000  /* after a second TERM */
#define SUPERVISOR_PATH_MAX 512

struct daemon_kind {
	const char *name;
	const char *folder;  /* of the build tree; NULL: as its name */
	bool per_worker;     /* one process for each worker; else one in all */
	bool serves_others;  /* authd: gets run/NAME.sock as the listening socket NAME, and goes last */
	bool takes_sendmail; /* gets the socket of the sendmail command */
	const enum settings_port *services;
	size_t service_count;
};

struct slot {
	const struct daemon_kind *kind;
	unsigned worker;
	struct child current;
	struct child next;          /* after a reload: takes over from current when it is ready */
	struct program_stamp stamp; /* of the program that was started last */
	unsigned restarts;
	unsigned quick_ends; /* in a row, without living for SLOT_STABLE_MS */
	int64_t start_at_ms; /* current is to be started then; 0: it runs, or is not wanted */
	int last_status;     /* wait(2) status of the last one that ended by itself; -1: none yet */
};

struct leaving {
	const struct daemon_kind *kind;
	unsigned worker;
	struct child child;
};

enum supervisor_phase { PHASE_STARTING, PHASE_RUNNING, PHASE_DRAINING_WORKERS, PHASE_DRAINING_AUTHD };

struct supervisor {
	enum supervisor_phase phase;
	struct settings *settings;  /* in force */
	struct settings *candidate; /* room for a reload */
	const char *config_path;    /* the admin's file */
	char active_path[SUPERVISOR_PATH_MAX];
	const char *libexec; /* NULL: beside ourselves, else where we were installed to */
	struct sockets sockets;
	struct notify notify;
	int secret_fd;
	int signal_fd;
	int status_fd;
	int auth_fd; /* run/authd.sock: kept open here, so that who asks while authd is replaced waits, and is answered */
	int sendmail_fd; /* shared by the workers of smtpd */
	int64_t started_ms;
	int64_t started_wall_ms;
	int64_t looked_ms; /* the last turn of the loop */
	unsigned stop_signals;
	struct slot slots[SLOTS_MAX];
	size_t slot_count;
	struct leaving leaving[LEAVING_MAX];
	size_t leaving_count;
};

/* Runs until TERM or INT has drained everything. The caller has filled settings, candidate, config_path, active_path,
 * libexec and sockets, dropped privileges, and written the active config. */
bool supervisor_run(struct supervisor *s, struct error *err);

/* ---- slots.c: one place, one process ---- */
extern const struct daemon_kind daemon_kinds[];
extern const size_t daemon_kind_count;

bool slots_want(const struct daemon_kind *kind, const struct settings *settings); /* has it a port that is on? */
void slots_fill(struct supervisor *s); /* a slot for everything the settings want, to be started now */
void slots_start_due(struct supervisor *s, int64_t now);
void slots_replace_all(struct supervisor *s, int64_t now); /* after new settings: new beside old */
void slots_reap(struct supervisor *s);                     /* after SIGCHLD */
void slots_read(struct supervisor *s, int64_t now);        /* what children said */
void slots_watch(struct supervisor *s, int64_t now);
void slots_drain(struct supervisor *s, bool workers, int64_t kill_at_ms); /* workers, or else authd */
bool slots_programs_changed(const struct supervisor *s); /* was one installed anew since it was started? */
bool slots_any_alive(const struct supervisor *s, bool workers);
bool slots_all_ready(const struct supervisor *s);
void slots_send_all(struct supervisor *s, char message);
int64_t slots_deadline(const struct supervisor *s);
void slots_forgive(struct supervisor *s, int64_t now);

/* ---- reload.c ---- */
void supervisor_reload(struct supervisor *s, int64_t now);
bool supervisor_write_active(const struct supervisor *s, const struct settings *settings, struct error *err);

/* ---- report.c: what `posthouse status` is told, as JSON ---- */
void report_answer(const struct supervisor *s, int64_t now);

#endif
