#include "posthouse/supervisor.h"

#include "base/clock.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWERS_PER_TURN 16

static const char *state_name(const struct slot *slot)
{
	static const char *const names[] = { [CHILD_NONE] = "waiting",
		[CHILD_STARTING] = "starting",
		[CHILD_READY] = "ready",
		[CHILD_DRAINING] = "draining" };

	return names[slot->current.state];
}

static json_t *process(const char *name, unsigned worker, const char *state, const struct child *child, int64_t now)
{
	return json_pack("{s:s, s:i, s:s, s:o, s:o}", "name", name, "worker", (int)worker, "state", state, "pid",
	        child->state == CHILD_NONE ? json_null() : json_integer(child->pid), "uptime_ms",
	        child->state == CHILD_NONE ? json_null() : json_integer(now - child->started_ms));
}

static json_t *processes(const struct supervisor *s, int64_t now)
{
	json_t *list = json_array();

	(void)json_array_append_new(
	        list, json_pack("{s:s, s:n, s:s, s:i, s:I, s:n}", "name", "posthouse", "worker", "state", "ready",
	                      "pid", (int)getpid(), "uptime_ms", (json_int_t)(now - s->started_ms), "restarts"));
	for (size_t i = 0; i < s->slot_count; i++) {
		const struct slot *slot = &s->slots[i];
		json_t *p = process(slot->kind->name, slot->worker, state_name(slot), &slot->current, now);
		(void)json_object_set_new(p, "restarts", json_integer(slot->restarts));
		(void)json_array_append_new(list, p);
		if (slot->next.state != CHILD_NONE)
			(void)json_array_append_new(
			        list, process(slot->kind->name, slot->worker, "starting", &slot->next, now));
	}
	for (size_t i = 0; i < s->leaving_count; i++) {
		const struct leaving *l = &s->leaving[i];
		(void)json_array_append_new(list, process(l->kind->name, l->worker, "draining", &l->child, now));
	}
	return list;
}

static json_t *ports(const struct settings *settings)
{
	json_t *object = json_object();

	for (int i = 0; i < PORT_COUNT; i++) {
		uint32_t port = settings->listen.ports[i];
		(void)json_object_set_new(object, settings_port_name((enum settings_port)i),
		        port != 0 ? json_integer(port) : json_null());
	}
	return object;
}

static char *report_text(const struct supervisor *s, int64_t now)
{
	static const char *const phases[] = { "starting", "running", "draining", "draining" };
	json_t *root = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:o, s:o}", "pid", (int)getpid(), "version",
	        POSTHOUSE_VERSION, "state", phases[s->phase], "hostname", s->settings->server.hostname, "data_dir",
	        s->settings->server.data_dir, "config", s->config_path, "started_ms", (json_int_t)s->started_wall_ms,
	        "uptime_ms", (json_int_t)(now - s->started_ms), "ports", ports(s->settings), "processes",
	        processes(s, now));
	char *text = json_dumps(root, JSON_COMPACT);

	json_decref(root);
	return text;
}

/* One answer to each who connects: the whole report, then the end. Who does not read it takes no time of ours: it fits into
 * the socket's buffer. */
void report_answer(const struct supervisor *s, int64_t now)
{
	for (int i = 0; i < ANSWERS_PER_TURN; i++) {
		int fd = accept4(s->status_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		char *text;

		if (fd < 0)
			return;
		text = report_text(s, now);
		if (text != NULL)
			(void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
		free(text);
		(void)close(fd);
	}
}
