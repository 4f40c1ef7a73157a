/* posthouse/site.h — the site that a command works on: its settings and, at need, its open files.
 *
 * Started by root, a command becomes the service user before it touches the data directory, so that every file there is the
 * service user's. Works while the server runs and while it is stopped: the files have locks of their own.
 * Thread: one. Every call may wait for the disk. */
#ifndef POSTHOUSE_SITE_H
#define POSTHOUSE_SITE_H

#include "config/settings.h"
#include "posthouse/cli.h"
#include "storage/credentials.h"
#include "storage/directory.h"
#include "storage/queue.h"
#include "storage/relay_store.h"
#include "storage/store.h"

#define SITE_PATH_MAX 512

enum site_need { SITE_DIRECTORY = 1, SITE_CREDENTIALS = 2, SITE_STORE = 4, SITE_QUEUE = 8, SITE_RELAY = 16 };

struct site {
	struct settings settings;
	struct directory *directory;
	struct credentials *credentials;
	struct store *store;
	struct queue *queue;
	struct relay_store *relay;
};

/* Reads the config file; prints every mistake in it. */
enum exit_code site_load(const struct cli *cli, struct settings *settings);
/* site_load(), then the service user, then the files asked for (SITE_... bits). Prints what is wrong. */
enum exit_code site_open(const struct cli *cli, unsigned needs, struct site *site);
void site_close(struct site *site);

/* Makes data_dir and data_dir/run, mode 0700, owned by the service user when we are root. ERR_BAD_VALUE: no such user. */
bool site_prepare(const struct settings *settings, struct error *err);
/* "run/posthouse.sock" -> the full path. */
void site_path(const struct settings *settings, const char *name, char *out, size_t size);

/* The account of an address, or ERR_NO_SUCH_ACCOUNT. */
bool site_account(struct site *site, const char *address, struct account_info *out, struct error *err);

#endif
