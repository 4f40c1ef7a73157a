/* Walking over a site: which files there are, and the check of each. The rules of an account: check_account.c. */
#include "storage/check.h"

#include "base/clock.h"
#include "base/file.h"
#include "storage/account_files.h"
#include "storage/check_private.h"
#include "storage/id_list.h"
#include "storage/directory_sql.h"
#include "storage/events_private.h"
#include "storage/mail_sql.h"
#include "storage/relay_sql.h"
#include "storage/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct rule directory_rules[] = {
	{ FINDING_DAMAGE,
	        "SELECT printf('account %d has no login address', account_id) FROM account a WHERE "
	        "(SELECT count(*) FROM address WHERE account_id = a.account_id AND login = 1) <> 1",
	        NULL },
};

void check_report(struct check *check, enum finding_severity severity, bool repaired, const char *format, ...)
{
	struct finding finding = { severity, check->account_id, check->file, NULL, repaired };
	char what[512];
	va_list args;

	if (check->findings > CHECK_FINDINGS_MAX)
		return;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	finding.what = check->findings++ == CHECK_FINDINGS_MAX ? "and more" : what;
	check->settings->finding(check->settings->arg, &finding);
}

bool check_error_is_finding(struct check *check, const struct error *err)
{
	switch (err->code) {
	case ERR_DAMAGED:
	case ERR_IO:
	case ERR_UNSUPPORTED:
	case ERR_INTERNAL: check_report(check, FINDING_DAMAGE, false, "%s: %s", err->reason, err->detail); return true;
	default: return false;
	}
}

static bool check_file(const struct check_settings *settings, const char *name, const struct database_kind *kind,
        const struct rule *rules, size_t count, struct error *err)
{
	struct check check = { .settings = settings };
	char path[DATABASE_PATH_MAX];
	struct database *database;
	bool ok;

	snprintf(check.file, sizeof(check.file), "%s", name);
	snprintf(path, sizeof(path), "%s/%s", settings->data_dir, name);
	if (access(path, R_OK | W_OK) != 0 && (errno == ENOENT || errno == EACCES))
		return true; /* not made yet, or not ours to read (auth.db) */
	if (!database_open(path, kind, false, &database, err))
		return check_error_is_finding(&check, err);
	ok = check_rules(&check, database, rules, count, err) || check_error_is_finding(&check, err);
	database_close(&database);
	return ok;
}

static bool check_open_account(struct check *check, const char *path, struct database *database, struct error *err)
{
	if (!check_rules(check, database, check_account_rules, check_account_rule_count, err))
		return false;
	return check_bodies(check, database, path, err);
}

bool check_account(const struct check_settings *settings, int64_t account_id, struct error *err)
{
	struct check check = { .settings = settings, .account_id = account_id };
	char path[DATABASE_PATH_MAX], file[DATABASE_PATH_MAX + 16];
	struct database *database;
	bool ok;

	snprintf(check.file, sizeof(check.file), "accounts/%" PRId64 "/mail.db", account_id);
	snprintf(path, sizeof(path), "%s/accounts/%" PRId64, settings->data_dir, account_id);
	snprintf(file, sizeof(file), "%s/mail.db", path);
	if (access(path, F_OK) != 0)
		return error_detail(err, ERR_NO_SUCH_ACCOUNT, "%.200s is not there", path);
	if (access(file, F_OK) != 0) {
		check_report(&check, FINDING_DAMAGE, false, "the file is missing");
		return true;
	}
	if (!database_open(file, &mail_kind, false, &database, err))
		return check_error_is_finding(&check, err);
	ok = check_open_account(&check, path, database, err) || check_error_is_finding(&check, err);
	database_close(&database);
	return ok;
}

static bool is_old(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       clock_wall_ms() - (int64_t)st.st_ctim.tv_sec * 1000 > CHECK_YOUNG_MS;
}

/* ".new-…" and ".gone-…": an account that was being made or removed when the process was killed. */
static void check_leftover(const struct check_settings *settings, int dir, const char *name)
{
	struct check check = { .settings = settings };
	char path[DATABASE_PATH_MAX];

	if ((strncmp(name, ".new-", 5) != 0 && strncmp(name, ".gone-", 6) != 0) || !is_old(dir, name))
		return;
	snprintf(check.file, sizeof(check.file), "accounts/%.40s", name);
	if (settings->repair) {
		snprintf(path, sizeof(path), "%s/accounts/%s", settings->data_dir, name);
		remove_tree(path);
	}
	check_report(&check, FINDING_RUBBISH, settings->repair, "left over from making or removing an account");
}

static bool list_accounts(const struct check_settings *settings, struct id_list *list, struct error *err)
{
	char path[DATABASE_PATH_MAX];
	struct dirent *entry;
	uint64_t id;
	bool ok = true;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/accounts", settings->data_dir);
	dir = opendir(path);
	if (dir == NULL)
		return errno == ENOENT || error_errno(err, errno, path);
	while (ok && (entry = readdir(dir)) != NULL) {
		if (span_number(span_of(entry->d_name), INT64_MAX, &id))
			ok = id_list_add(list, (int64_t)id, err);
		else
			check_leftover(settings, dirfd(dir), entry->d_name);
	}
	closedir(dir);
	id_list_unique(list);
	return ok;
}

static bool read_directory_ids(const struct check_settings *settings, struct id_list *list, struct error *err)
{
	struct database *database;
	char path[DATABASE_PATH_MAX];
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	snprintf(path, sizeof(path), "%s/directory.db", settings->data_dir);
	if (access(path, F_OK) != 0)
		return true;
	if (!database_open(path, &directory_kind, false, &database, err))
		return false;
	if (database_query(database, DIR_ACCOUNT_IDS, NULL, 0, &rows, err)) {
		while (ok && (step = database_step(database, rows, err)) == STEP_ROW)
			ok = id_list_add(list, sqlite3_column_int64(rows, 0), err);
		database_done(rows);
		ok = ok && step == STEP_DONE;
	} else {
		ok = false;
	}
	database_close(&database);
	return ok;
}

/* An account of the directory without files, or files without an account. Neither is put right here: one needs
 * `posthouse user add`, the other may be somebody's mail. */
static void compare_lists(
        const struct check_settings *settings, const struct id_list *known, const struct id_list *there)
{
	struct check check = { .settings = settings };

	for (size_t i = 0; i < known->count; i++) {
		check.account_id = known->ids[i];
		snprintf(check.file, sizeof(check.file), "accounts/%" PRId64, known->ids[i]);
		if (!id_list_has(there, known->ids[i]))
			check_report(&check, FINDING_DAMAGE, false, "the account has no files");
	}
	for (size_t i = 0; known->count > 0 && i < there->count; i++) {
		check.account_id = there->ids[i];
		snprintf(check.file, sizeof(check.file), "accounts/%" PRId64, there->ids[i]);
		if (!id_list_has(known, there->ids[i]))
			check_report(
			        &check, FINDING_RUBBISH, false, "files of an account that the directory does not know");
	}
}

static bool check_accounts(const struct check_settings *settings, const struct id_list *there, struct error *err)
{
	for (size_t i = 0; i < there->count; i++) {
		if (settings->progress != NULL)
			settings->progress(settings->arg, there->ids[i], i, there->count);
		if (!check_account(settings, there->ids[i], err) && err->code != ERR_NO_SUCH_ACCOUNT)
			return false;
	}
	return true;
}

bool check_everything(const struct check_settings *settings, struct error *err)
{
	struct id_list known = { 0 }, there = { 0 };
	struct error unreadable;
	bool ok;

	ok = check_file(settings, "directory.db", &directory_kind, directory_rules, ARRAY_LEN(directory_rules), err) &&
	     check_file(settings, "auth.db", &auth_kind, NULL, 0, err) &&
	     check_file(settings, "relay.db", &relay_kind, NULL, 0, err) &&
	     check_file(settings, "events.db", &events_kind, NULL, 0, err) && check_queue(settings, err) &&
	     list_accounts(settings, &there, err);
	if (ok && read_directory_ids(settings, &known, &unreadable)) {
		id_list_unique(&known);
		compare_lists(settings, &known, &there);
	}
	ok = ok && check_accounts(settings, &there, err);
	free(known.ids);
	free(there.ids);
	return ok;
}

bool check_site(const char *data_dir, bool repair, void (*finding)(void *arg, const struct finding *finding), void *arg,
        struct error *err)
{
	const struct check_settings settings = {
		.data_dir = data_dir, .repair = repair, .finding = finding, .arg = arg
	};

	return check_everything(&settings, err);
}
