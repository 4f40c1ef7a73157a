#include "posthouse/site.h"

#include "base/file.h"
#include "base/privileges.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void site_path(const struct settings *settings, const char *name, char *out, size_t size)
{
	(void)snprintf(out, size, "%s/%s", settings->server.data_dir, name);
}

static void print_problem(void *arg, const struct settings_problem *problem)
{
	if (problem->line > 0)
		(void)fprintf(stderr, "posthouse: %s:%u: %s\n", problem->path, problem->line, problem->text);
	else
		(void)fprintf(stderr, "posthouse: %s: %s\n", problem->path, problem->text);
}

enum exit_code site_load(const struct cli *cli, struct settings *settings)
{
	struct error err;
	const char *path = cli_config_path(cli);

	if (settings_load_reporting(path, settings, print_problem, NULL, &err))
		return CLI_OK;
	if (err.code != ERR_BAD_VALUE)
		(void)fprintf(stderr,
		        "posthouse: config file %s cannot be read (%s); name another with --config, or make one: posthouse "
		        "config example > %s\n",
		        path, err.detail, path);
	return CLI_CONFIG;
}

/* ---- directories ---- */

static bool make_owned_dir(const char *path, const struct passwd *owner, struct error *err)
{
	bool is_new = mkdir(path, 0700) == 0;

	if (!is_new && errno == EACCES)
		return error_set(err, ERR_DENIED, "the data directory cannot be made by this user");
	if (!is_new && errno != EEXIST)
		return error_errno(err, errno, path);
	/* Only what we made ourselves: a directory of somebody else's is never taken over. */
	if (is_new && owner != NULL && chown(path, owner->pw_uid, owner->pw_gid) != 0)
		return error_errno(err, errno, path);
	return true;
}

bool site_prepare(const struct settings *settings, struct error *err)
{
	char run[SITE_PATH_MAX];
	const struct passwd *owner = NULL;

	if (geteuid() == 0) {
		owner = getpwnam(settings->server.user);
		if (owner == NULL)
			return error_set(err, ERR_BAD_VALUE,
			        "the service user %.40s does not exist; make it: useradd --system %.40s",
			        settings->server.user, settings->server.user);
	}
	site_path(settings, "run", run, sizeof(run));
	return make_owned_dir(settings->server.data_dir, owner, err) && make_owned_dir(run, owner, err);
}

/* ---- opening ---- */

static bool may_use(const char *dir, struct error *err)
{
	struct stat found;

	if (access(dir, R_OK | W_OK | X_OK) == 0 && stat(dir, &found) == 0 && found.st_uid == geteuid())
		return true;
	(void)error_set(err, ERR_DENIED, "the data directory does not belong to this user");
	(void)snprintf(err->detail, sizeof(err->detail), "%s", dir);
	return false;
}

static bool open_files(unsigned needs, struct site *site, struct error *err)
{
	const struct settings *s = &site->settings;
	struct store_settings store = { .data_dir = s->server.data_dir,
		.accounts_max = s->store.accounts_open,
		.keep_expunged_days = s->store.keep_expunged_days };

	if ((needs & SITE_DIRECTORY) && !directory_open(s->server.data_dir, &site->directory, err))
		return false;
	if ((needs & SITE_CREDENTIALS) && !credentials_open(s->server.data_dir, &site->credentials, err))
		return false;
	if ((needs & SITE_QUEUE) && !queue_open(s->server.data_dir, &site->queue, err))
		return false;
	if ((needs & SITE_RELAY) && !relay_store_open(s->server.data_dir, &site->relay, err))
		return false;
	return !(needs & SITE_STORE) || store_open(&store, &site->store, err);
}

enum exit_code site_open(const struct cli *cli, unsigned needs, struct site *site)
{
	struct error err;
	enum exit_code code;

	site->directory = NULL;
	site->credentials = NULL;
	site->store = NULL;
	site->queue = NULL;
	site->relay = NULL;
	code = site_load(cli, &site->settings);
	if (code != CLI_OK)
		return code;
	(void)umask(0077);
	if (!site_prepare(&site->settings, &err) || !privileges_drop(site->settings.server.user, &err) ||
	        !may_use(site->settings.server.data_dir, &err) || !open_files(needs, site, &err)) {
		site_close(site);
		return cli_error(site->settings.server.data_dir, &err);
	}
	return CLI_OK;
}

void site_close(struct site *site)
{
	if (site->queue != NULL)
		queue_close(&site->queue);
	if (site->relay != NULL)
		relay_store_close(&site->relay);
	if (site->store != NULL)
		store_close(&site->store);
	if (site->credentials != NULL)
		credentials_close(&site->credentials);
	if (site->directory != NULL)
		directory_close(&site->directory);
}

bool site_account(struct site *site, const char *address, struct account_info *out, struct error *err)
{
	return directory_find_account(site->directory, span_of(address), out, err);
}
