#include "posthouse/supervisor.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const enum settings_port smtpd_services[] = { PORT_SMTP, PORT_SUBMISSION, PORT_SUBMISSIONS, PORT_LMTP };
static const enum settings_port pop3d_services[] = { PORT_POP3, PORT_POP3S };
static const enum settings_port imapd_services[] = { PORT_IMAP, PORT_IMAPS };

/* A new daemon: one row. authd first: the others ask it. */
const struct daemon_kind daemon_kinds[] = {
	{ .name = "authd", .serves_others = true },
	{ .name = "relayd", .folder = "smtpd" },
	{ .name = "smtpd",
	        .per_worker = true,
	        .takes_sendmail = true,
	        .services = smtpd_services,
	        .service_count = ARRAY_LEN(smtpd_services) },
	{ .name = "pop3d", .per_worker = true, .services = pop3d_services, .service_count = ARRAY_LEN(pop3d_services) },
	{ .name = "imapd", .per_worker = true, .services = imapd_services, .service_count = ARRAY_LEN(imapd_services) },
};
const size_t daemon_kind_count = ARRAY_LEN(daemon_kinds);

/* ---- starting ---- */

static void add_fd(struct child_spec *spec, int fd, const char *name)
{
	CHECK(spec->fd_count < CHILD_FDS_MAX); /* 3 services, SETTINGS_ADDRESSES_MAX addresses, sendmail, a secret */
	spec->fds[spec->fd_count].fd = fd;
	spec->fds[spec->fd_count++].name = name;
}

static void add_sockets(const struct supervisor *s, const struct slot *slot, struct child_spec *spec)
{
	for (size_t i = 0; i < s->sockets.count; i++) {
		const struct socket_entry *e = &s->sockets.entries[i];
		if (e->worker != slot->worker && e->worker != SOCKETS_ALL)
			continue;
		for (size_t k = 0; k < slot->kind->service_count; k++) {
			if (slot->kind->services[k] == e->service)
				add_fd(spec, e->fd, settings_port_name(e->service));
		}
	}
}

static bool start(struct supervisor *s, struct slot *slot, struct child *child)
{
	char path[PROGRAM_PATH_MAX];
	struct child_spec spec = {
		.program = path, .name = slot->kind->name, .config = s->active_path, .worker = slot->worker
	};
	struct error err;

	add_sockets(s, slot, &spec);
	if (slot->kind->serves_others)
		add_fd(&spec, s->auth_fd, slot->kind->name);
	if (slot->kind->takes_sendmail)
		add_fd(&spec, s->sendmail_fd, "sendmail");
	add_fd(&spec, s->secret_fd, "secret");
	if (!program_find(s->libexec, slot->kind->name, slot->kind->folder, path, sizeof(path))) {
		LOG(LOG_ERROR, "serve.no_program", LOG_TEXT("name", slot->kind->name), LOG_TEXT("path", path));
		return false;
	}
	if (!child_start(child, &spec, &err)) {
		LOG(LOG_ERROR, "serve.start_failed", LOG_TEXT("name", slot->kind->name), LOG_FAILURE(&err));
		return false;
	}
	slot->stamp = program_look(path);
	LOG(LOG_INFO, "serve.started", LOG_TEXT("name", slot->kind->name), LOG_NUMBER("worker", slot->worker),
	        LOG_NUMBER("pid", child->pid));
	return true;
}

/* 0, 100, 200, 400, ... 5000 ms: at once the first time, slower while it keeps ending quickly. */
static int64_t backoff(unsigned quick_ends)
{
	int64_t delay = SLOT_BACKOFF_MS;

	if (quick_ends <= 1)
		return 0;
	for (unsigned i = 2; i < quick_ends && delay < SLOT_BACKOFF_MAX_MS; i++)
		delay *= 2;
	return delay < SLOT_BACKOFF_MAX_MS ? delay : SLOT_BACKOFF_MAX_MS;
}

static void schedule(struct slot *slot, int64_t now)
{
	slot->quick_ends++;
	slot->start_at_ms = now + backoff(slot->quick_ends);
}

void slots_start_due(struct supervisor *s, int64_t now)
{
	for (size_t i = 0; i < s->slot_count; i++) {
		struct slot *slot = &s->slots[i];
		if (slot->start_at_ms == 0 || now < slot->start_at_ms || slot->current.state != CHILD_NONE)
			continue;
		slot->start_at_ms = 0;
		if (!start(s, slot, &slot->current))
			schedule(slot, now + SLOT_BACKOFF_MS); /* no process, no memory: not in a tight loop */
	}
}

bool slots_want(const struct daemon_kind *kind, const struct settings *settings)
{
	for (size_t i = 0; i < kind->service_count; i++) {
		if (settings->listen.ports[kind->services[i]] != 0)
			return true;
	}
	return kind->service_count == 0;
}

bool slots_programs_changed(const struct supervisor *s)
{
	char path[PROGRAM_PATH_MAX];

	for (size_t i = 0; i < s->slot_count; i++) {
		struct program_stamp now;
		if (!program_find(s->libexec, s->slots[i].kind->name, s->slots[i].kind->folder, path, sizeof(path)))
			continue;
		now = program_look(path);
		if (!program_same(&now, &s->slots[i].stamp))
			return true;
	}
	return false;
}

static struct slot *slot_find(struct supervisor *s, const struct daemon_kind *kind, unsigned worker)
{
	for (size_t i = 0; i < s->slot_count; i++) {
		if (s->slots[i].kind == kind && s->slots[i].worker == worker)
			return &s->slots[i];
	}
	return NULL;
}

void slots_fill(struct supervisor *s)
{
	int64_t now = clock_mono_ms();

	for (size_t k = 0; k < daemon_kind_count; k++) {
		const struct daemon_kind *kind = &daemon_kinds[k];
		unsigned count = !slots_want(kind, s->settings) ? 0
		                 : kind->per_worker             ? s->settings->server.workers
		                                                : 1;
		for (unsigned worker = 0; worker < count; worker++) {
			struct slot *slot = slot_find(s, kind, worker);
			if (slot != NULL)
				continue;
			CHECK(s->slot_count < SLOTS_MAX);
			slot = &s->slots[s->slot_count++];
			*slot = (struct slot) { .kind = kind, .worker = worker, .start_at_ms = now, .last_status = -1 };
			child_init(&slot->current);
			child_init(&slot->next);
		}
	}
}

/* ---- leaving: drained, not to be replaced ---- */

static void remove_leaving(struct supervisor *s, size_t at)
{
	s->leaving[at] = s->leaving[--s->leaving_count];
}

/* Moves the process out of its slot; the slot's child is NONE afterwards. */
static void send_away(struct supervisor *s, const struct slot *slot, struct child *child, int64_t now)
{
	struct leaving *place;

	if (child->state == CHILD_NONE)
		return;
	if (s->leaving_count == LEAVING_MAX) { /* dozens of reloads within DRAIN_MS */
		child_kill(&s->leaving[0].child);
		(void)waitpid(s->leaving[0].child.pid, NULL, 0);
		child_reaped(&s->leaving[0].child);
		remove_leaving(s, 0);
	}
	place = &s->leaving[s->leaving_count++];
	*place = (struct leaving) { .kind = slot->kind, .worker = slot->worker, .child = *child };
	child_init(child);
	child_drain(&place->child, now + DRAIN_MS);
}

static bool still_wanted(const struct supervisor *s, const struct slot *slot)
{
	return slots_want(slot->kind, s->settings) &&
	       (!slot->kind->per_worker || slot->worker < s->settings->server.workers);
}

void slots_replace_all(struct supervisor *s, int64_t now)
{
	for (size_t i = s->slot_count; i-- > 0;) {
		struct slot *slot = &s->slots[i];
		send_away(s, slot, &slot->next, now);
		if (!still_wanted(s, slot)) {
			send_away(s, slot, &slot->current, now);
			*slot = s->slots[--s->slot_count];
			continue;
		}
		slot->quick_ends = 0;
		if (slot->current.state == CHILD_NONE)
			slot->start_at_ms = now;
		else
			(void)start(s, slot, &slot->next);
	}
	slots_fill(s);
}

/* ---- endings ---- */

static const char *describe(int status, char *out, size_t size)
{
	if (WIFSIGNALED(status))
		(void)snprintf(out, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		(void)snprintf(out, size, "exit status %d", WEXITSTATUS(status));
	return out;
}

static void log_end(
        enum log_level level, const char *event, const struct daemon_kind *kind, unsigned worker, pid_t pid, int status)
{
	char text[64];

	LOG(level, event, LOG_TEXT("name", kind->name), LOG_NUMBER("worker", worker), LOG_NUMBER("pid", pid),
	        LOG_TEXT("by", describe(status, text, sizeof(text))));
}

static void current_ended(struct supervisor *s, struct slot *slot, int status, int64_t now)
{
	bool expected = s->phase >= PHASE_DRAINING_WORKERS && slot->current.state == CHILD_DRAINING;

	log_end(expected ? LOG_INFO : LOG_WARNING, expected ? "serve.ended" : "serve.died", slot->kind, slot->worker,
	        slot->current.pid, status);
	slot->last_status = status;
	if (now - slot->current.started_ms >= SLOT_STABLE_MS)
		slot->quick_ends = 0;
	child_reaped(&slot->current);
	if (slot->next.state != CHILD_NONE) { /* its replacement is on the way already */
		slot->current = slot->next;
		child_init(&slot->next);
		slot->restarts++;
		return;
	}
	/* While workers drain, authd is still needed. */
	if (s->phase < PHASE_DRAINING_WORKERS || (s->phase == PHASE_DRAINING_WORKERS && slot->kind->serves_others)) {
		slot->restarts++;
		schedule(slot, now);
	}
}

static bool ended(struct supervisor *s, pid_t pid, int status, int64_t now)
{
	for (size_t i = 0; i < s->slot_count; i++) {
		struct slot *slot = &s->slots[i];
		if (slot->current.state != CHILD_NONE && slot->current.pid == pid) {
			current_ended(s, slot, status, now);
			return true;
		}
		if (slot->next.state != CHILD_NONE && slot->next.pid == pid) {
			/* The old one goes on; if it ends, it is started again with the new settings. */
			log_end(LOG_ERROR, "reload.worker_failed", slot->kind, slot->worker, pid, status);
			child_reaped(&slot->next);
			return true;
		}
	}
	for (size_t i = 0; i < s->leaving_count; i++) {
		if (s->leaving[i].child.pid == pid) {
			log_end(LOG_INFO, "serve.ended", s->leaving[i].kind, s->leaving[i].worker, pid, status);
			child_reaped(&s->leaving[i].child);
			remove_leaving(s, i);
			return true;
		}
	}
	return false;
}

void slots_reap(struct supervisor *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		(void)ended(s, pid, status, clock_mono_ms());
}

/* ---- all of them ---- */

void slots_read(struct supervisor *s, int64_t now)
{
	for (size_t i = 0; i < s->slot_count; i++) {
		struct slot *slot = &s->slots[i];
		(void)child_read(&slot->current, now);
		if (child_read(&slot->next, now)) {
			send_away(s, slot, &slot->current, now);
			slot->current = slot->next;
			child_init(&slot->next);
		}
	}
	for (size_t i = 0; i < s->leaving_count; i++)
		(void)child_read(&s->leaving[i].child, now);
}

static void watch(const struct daemon_kind *kind, unsigned worker, struct child *child, int64_t now)
{
	const char *why;

	if (child_watch(child, now, &why))
		LOG(LOG_ERROR, "serve.killed", LOG_TEXT("name", kind->name), LOG_NUMBER("worker", worker),
		        LOG_NUMBER("pid", child->pid), LOG_TEXT("why", why));
}

void slots_watch(struct supervisor *s, int64_t now)
{
	for (size_t i = 0; i < s->slot_count; i++) {
		watch(s->slots[i].kind, s->slots[i].worker, &s->slots[i].current, now);
		watch(s->slots[i].kind, s->slots[i].worker, &s->slots[i].next, now);
	}
	for (size_t i = 0; i < s->leaving_count; i++)
		watch(s->leaving[i].kind, s->leaving[i].worker, &s->leaving[i].child, now);
}

void slots_drain(struct supervisor *s, bool workers, int64_t kill_at_ms)
{
	for (size_t i = 0; i < s->slot_count; i++) {
		struct slot *slot = &s->slots[i];
		if (slot->kind->serves_others == workers)
			continue;
		slot->start_at_ms = 0;
		child_drain(&slot->current, kill_at_ms);
		child_drain(&slot->next, kill_at_ms);
	}
	for (size_t i = 0; i < s->leaving_count; i++) {
		if (s->leaving[i].kind->serves_others != workers)
			child_drain(&s->leaving[i].child, kill_at_ms);
	}
}

bool slots_any_alive(const struct supervisor *s, bool workers)
{
	for (size_t i = 0; i < s->slot_count; i++) {
		if (s->slots[i].kind->serves_others != workers &&
		        (s->slots[i].current.state != CHILD_NONE || s->slots[i].next.state != CHILD_NONE))
			return true;
	}
	for (size_t i = 0; i < s->leaving_count; i++) {
		if (s->leaving[i].kind->serves_others != workers)
			return true;
	}
	return false;
}

bool slots_all_ready(const struct supervisor *s)
{
	for (size_t i = 0; i < s->slot_count; i++) {
		if (s->slots[i].current.state != CHILD_READY || s->slots[i].next.state != CHILD_NONE)
			return false;
	}
	return true;
}

void slots_send_all(struct supervisor *s, char message)
{
	for (size_t i = 0; i < s->slot_count; i++)
		child_send(&s->slots[i].current, message);
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t slots_deadline(const struct supervisor *s)
{
	int64_t next = INT64_MAX;

	for (size_t i = 0; i < s->slot_count; i++) {
		const struct slot *slot = &s->slots[i];
		if (slot->start_at_ms != 0)
			next = earlier(next, slot->start_at_ms);
		next = earlier(next, earlier(child_deadline(&slot->current), child_deadline(&slot->next)));
	}
	for (size_t i = 0; i < s->leaving_count; i++)
		next = earlier(next, child_deadline(&s->leaving[i].child));
	return next;
}

void slots_forgive(struct supervisor *s, int64_t now)
{
	for (size_t i = 0; i < s->slot_count; i++) {
		child_forgive(&s->slots[i].current, now);
		child_forgive(&s->slots[i].next, now);
	}
}
