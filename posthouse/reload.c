/* posthouse/reload.c — SIGHUP: the config file again. Checked first; a file with a mistake changes nothing. */
#include "posthouse/supervisor.h"

#include "base/file.h"
#include "base/log.h"
#include "posthouse/site_check.h"

#include <stdio.h>
#include <string.h>

#define ACTIVE_MAX (128 * KIB)

bool supervisor_write_active(const struct supervisor *s, const struct settings *settings, struct error *err)
{
	struct buffer text;
	bool ok;

	buffer_init(&text, ACTIVE_MAX);
	(void)buffer_append_text(
	        &text, "# The settings in force, written by `posthouse serve`. Edit the config file instead.\n");
	ok = settings_print(settings, &text) ? file_replace(s->active_path, buffer_span(&text), 0600, err)
	                                     : error_set(err, ERR_NO_MEMORY, "out of memory");
	buffer_free(&text);
	return ok;
}

static void report(void *arg, const struct settings_problem *problem)
{
	LOG(LOG_ERROR, "reload.problem", LOG_TEXT("file", problem->path), LOG_NUMBER("line", problem->line),
	        LOG_TEXT("problem", problem->text));
}

/* What a running site cannot change: its files are open, its root rights are gone. */
static bool changeable(const struct settings *old, const struct settings *new, struct error *err)
{
	if (strcmp(old->server.data_dir, new->server.data_dir) != 0)
		return error_set(err, ERR_UNSUPPORTED, "data_dir changes only with a restart");
	if (strcmp(old->server.user, new->server.user) != 0)
		return error_set(err, ERR_UNSUPPORTED, "user changes only with a restart");
	return true;
}

static bool take_over(struct supervisor *s, int64_t now, struct error *err)
{
	struct settings *old = s->settings;
	struct sockets sockets;

	if (!changeable(s->settings, s->candidate, err) || !site_check_tls(s->candidate, err) ||
	        !supervisor_write_active(s, s->candidate, err))
		return false;
	if (!sockets_open(s->candidate, &s->sockets, &sockets, err)) {
		struct error ignored; /* the first failure is the one to tell */
		(void)supervisor_write_active(s, s->settings, &ignored);
		return false;
	}
	s->settings = s->candidate;
	s->candidate = old;
	sockets_close(&s->sockets); /* those that are not listened on any more */
	s->sockets = sockets;
	log_set_level(s->settings->server.log_level);
	slots_replace_all(s, now);
	return true;
}

void supervisor_reload(struct supervisor *s, int64_t now)
{
	struct error err;

	if (s->phase >= PHASE_DRAINING_WORKERS)
		return;
	notify_reloading(&s->notify);
	if (!settings_load_reporting(s->config_path, s->candidate, report, NULL, &err)) {
		LOG(LOG_ERROR, "reload.refused", LOG_TEXT("effect", "the old settings stay"), LOG_FAILURE(&err));
	} else if (memcmp(s->candidate, s->settings, sizeof(*s->settings)) == 0 && !slots_programs_changed(s)) {
		slots_send_all(s, 'r'); /* nothing new; certificates may be */
		LOG(LOG_INFO, "reload.done", LOG_TEXT("settings", "unchanged"));
	} else if (!take_over(s, now, &err)) {
		LOG(LOG_ERROR, "reload.refused", LOG_TEXT("effect", "the old settings stay"), LOG_FAILURE(&err));
	} else {
		LOG(LOG_INFO, "reload.done", LOG_TEXT("settings", "taken over"));
	}
	notify_ready(&s->notify);
}
