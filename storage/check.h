/* storage/check.h — `posthouse check`: is everything of a site as it must be, and putting right what can be.
 *
 * Runs while the suite runs: each account is looked at in one read snapshot, and anything odd that another process may be in the
 * middle of (a body file younger than CHECK_YOUNG_MS without a row) is left alone. With `repair`: counters are
 * recomputed and rubbish is removed, in ordinary transactions; damage that loses data is only reported.
 * Thread: one at a time; long; never an event loop. */
#ifndef STORAGE_CHECK_H
#define STORAGE_CHECK_H

#include "base/error.h"

#include <stdint.h>

#define CHECK_YOUNG_MS     (3600 * 1000)
#define CHECK_FINDINGS_MAX 1000 /* per file; then one finding says that there are more */

enum finding_severity {
	FINDING_RUBBISH, /* wasted space only */
	FINDING_COUNTER, /* a number that can be computed again was wrong */
	FINDING_DAMAGE,  /* data is missing or unreadable */
};

struct finding {
	enum finding_severity severity;
	int64_t account_id; /* 0: not of an account */
	const char *file;   /* path below the data directory */
	const char *what;
	bool repaired;
};

struct check_settings {
	const char *data_dir;
	bool repair;
	void (*finding)(void *arg, const struct finding *finding);
	void (*progress)(void *arg, int64_t account_id, uint64_t done, uint64_t total); /* NULL: not wanted */
	void *arg;
};

/* directory.db, auth.db, relay.db, events.db, queue.db with queue/, and every account. True: all was looked at (findings or not); false: it
 * could not be done. What this process may not read (auth.db) is passed over. */
bool check_site(const char *data_dir, bool repair, void (*finding)(void *arg, const struct finding *finding), void *arg,
        struct error *err);
bool check_everything(const struct check_settings *settings, struct error *err);
bool check_account(const struct check_settings *settings, int64_t account_id, struct error *err);

#endif
