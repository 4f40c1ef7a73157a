/* Every message can be read as it was recorded, and every body file belongs to one. In small reads, so that a large account
 * does not keep the WAL from being emptied. */
#include "storage/check_private.h"

#include "base/clock.h"
#include "storage/body_names.h"
#include "storage/checksum.h"
#include "storage/content.h"
#include "storage/mail_sql.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTENTS_AT_ONCE 100
#define SETTLE_MS        1000 /* a commit that frees a body removes the file a moment later */

/* A body file that was not there may be one that was expunged since our read began: look again in a new one. */
static bool look_again(
        struct check *check, struct database *database, const char *account_path, int64_t id, struct error *err)
{
	struct error problem;
	sqlite3_stmt *rows;
	enum step step;
	int fd;

	if (!DATABASE_QUERY(database, MAIL_CONTENT, &rows, err, V_INT(id)))
		return false;
	step = database_step(database, rows, err);
	if (step == STEP_ROW) {
		fd = body_open(account_path, database_text(rows, 5), (uint64_t)sqlite3_column_int64(rows, 2), &problem);
		if (fd < 0)
			check_report(check, FINDING_DAMAGE, false, "message %" PRId64 ": %s", id, problem.detail);
		else
			close(fd);
	}
	database_done(rows);
	return step != STEP_FAILED;
}

struct doubts {
	int64_t ids[CONTENTS_AT_ONCE];
	unsigned count;
};

static bool check_body_file(sqlite3_stmt *rows, const char *account_path, struct body_names *named,
        struct doubts *doubts, struct error *err)
{
	struct span file = database_text(rows, 3);
	char name[BODY_NAME_LEN + 1];
	struct error problem;
	int fd = body_open(account_path, file, (uint64_t)sqlite3_column_int64(rows, 2), &problem);

	if (fd < 0)
		doubts->ids[doubts->count++] = sqlite3_column_int64(rows, 0);
	else
		close(fd);
	return !span_copy(file, name, sizeof(name)) || body_names_add(named, name, err);
}

static void check_body_row(struct check *check, sqlite3_stmt *rows)
{
	struct span head = database_text(rows, 4), bytes = database_text(rows, 5);
	int64_t id = sqlite3_column_int64(rows, 0);

	if (bytes.len != (uint64_t)sqlite3_column_int64(rows, 2))
		check_report(check, FINDING_DAMAGE, false, "message %" PRId64 ": body has not the recorded length", id);
	else if (sqlite3_column_type(rows, 6) != SQLITE_NULL &&
	         sqlite3_column_int64(rows, 6) != content_checksum(head, bytes))
		check_report(check, FINDING_DAMAGE, false, "message %" PRId64 ": body does not match its checksum", id);
}

/* One read of at most CONTENTS_AT_ONCE messages after *last. */
static bool check_some(struct check *check, struct database *database, const char *account_path,
        struct body_names *named, int64_t *last, unsigned *count, struct error *err)
{
	struct doubts doubts = { .count = 0 };
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	*count = 0;
	if (!DATABASE_QUERY(database, MAIL_CONTENTS_AFTER, &rows, err, V_INT(*last), V_INT(CONTENTS_AT_ONCE)))
		return false;
	while (ok && (step = database_step(database, rows, err)) == STEP_ROW) {
		*last = sqlite3_column_int64(rows, 0);
		(*count)++;
		if (sqlite3_column_int64(rows, 1) == CONTENT_FILE)
			ok = check_body_file(rows, account_path, named, &doubts, err);
		else
			check_body_row(check, rows);
	}
	database_done(rows);
	ok = ok && step == STEP_DONE;
	for (unsigned i = 0; ok && i < doubts.count; i++)
		ok = look_again(check, database, account_path, doubts.ids[i], err);
	return ok;
}

static bool check_contents(struct check *check, struct database *database, const char *account_path,
        struct body_names *named, struct error *err)
{
	int64_t last = 0;
	unsigned count;

	do {
		if (!check_some(check, database, account_path, named, &last, &count, err))
			return false;
	} while (count == CONTENTS_AT_ONCE);
	return true;
}

static void report_rubbish(struct check *check, const char *account_path, const struct body_names *rubbish)
{
	char path[DATABASE_PATH_MAX + 64];

	if (rubbish->count > 0)
		usleep(SETTLE_MS * 1000);
	for (size_t i = 0; i < rubbish->count; i++) {
		const char *name = rubbish->name[i].text;

		snprintf(path, sizeof(path), "%s/blobs/%.2s/%s", account_path, name, name);
		if (access(path, F_OK) != 0)
			continue;
		if (check->settings->repair)
			body_remove(account_path, name);
		check_report(
		        check, FINDING_RUBBISH, check->settings->repair, "body file %s belongs to no message", name);
	}
}

bool check_rubbish(struct check *check, const char *account_path, const struct body_names *there,
        struct body_names *named, struct error *err)
{
	struct body_names rubbish = { .name = NULL };
	bool ok = true;

	body_names_sort(named);
	for (size_t i = 0; ok && i < there->count; i++) {
		if (!body_names_has(named, &there->name[i]))
			ok = body_names_add(&rubbish, there->name[i].text, err);
	}
	if (ok)
		report_rubbish(check, account_path, &rubbish);
	body_names_free(&rubbish);
	return ok;
}

bool check_bodies(struct check *check, struct database *database, const char *account_path, struct error *err)
{
	struct body_names there = { .name = NULL }, named = { .name = NULL };
	bool ok;

	/* before the rows, so that a file whose row came meanwhile is not missed */
	ok = body_names_read(account_path, clock_wall_ms() - CHECK_YOUNG_MS, &there, err) &&
	     check_contents(check, database, account_path, &named, err) &&
	     check_rubbish(check, account_path, &there, &named, err);
	body_names_free(&there);
	body_names_free(&named);
	return ok;
}
