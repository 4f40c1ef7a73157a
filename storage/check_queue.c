/* The rules of queue.db, and that each body file is there and belongs to a message. */
#include "storage/check_private.h"

#include "base/clock.h"
#include "storage/queue_sql.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#define FILES_AT_ONCE 1000

#define NO_RECIPIENT                                                                                                   \
	"NOT EXISTS (SELECT 1 FROM recipient WHERE recipient_id "                                                      \
	"BETWEEN m.message_id << 14 AND m.message_id << 14 | 16383)"
#define LANE_DUE    "(SELECT min(next_attempt) FROM recipient r WHERE r.lane_id = lane.lane_id AND r.held = 0)"
#define KNOWN_COUNT "(SELECT count(*) FROM known_recipient k WHERE k.account_id = sending.account_id)"

static const struct rule queue_rules[] = {
	{ FINDING_DAMAGE,
	        "SELECT printf('recipient %d belongs to no message', recipient_id) FROM recipient "
	        "WHERE recipient_id >> 14 NOT IN (SELECT message_id FROM message)",
	        "DELETE FROM recipient WHERE recipient_id >> 14 NOT IN (SELECT message_id FROM message)" },
	{ FINDING_RUBBISH, "SELECT printf('message %s has no recipients', trace) FROM message m WHERE " NO_RECIPIENT,
	        "DELETE FROM body WHERE message_id IN (SELECT message_id FROM message m WHERE " NO_RECIPIENT ");"
	        "DELETE FROM message AS m WHERE " NO_RECIPIENT },
	{ FINDING_DAMAGE,
	        "SELECT printf('message %s has no body', trace) FROM message "
	        "WHERE message_id NOT IN (SELECT message_id FROM body)",
	        NULL },
	{ FINDING_DAMAGE,
	        "SELECT printf('message %s: body has not the recorded length', trace) FROM message JOIN body "
	        "USING (message_id) WHERE size <> length(prefix) + length OR (bytes IS NULL) = (file IS NULL) "
	        "OR length(bytes) <> length",
	        NULL },
	{ FINDING_RUBBISH,
	        "SELECT printf('destination \"%s\" has no recipients', domain) FROM lane "
	        "WHERE lane_id NOT IN (SELECT lane_id FROM recipient)",
	        "DELETE FROM lane WHERE lane_id NOT IN (SELECT lane_id FROM recipient)" },
	{ FINDING_COUNTER,
	        "SELECT printf('destination \"%s\": due at %d, its recipients at %d', domain, next_due, " LANE_DUE
	        ") FROM lane WHERE next_due IS NOT " LANE_DUE,
	        "UPDATE lane SET next_due = " LANE_DUE " WHERE next_due IS NOT " LANE_DUE },
	{ FINDING_COUNTER,
	        "SELECT printf('account %d: %d known recipients, counted %d', account_id, " KNOWN_COUNT ", known) "
	        "FROM sending WHERE known <> " KNOWN_COUNT,
	        "UPDATE sending SET known = " KNOWN_COUNT " WHERE known <> " KNOWN_COUNT },
};

struct files {
	struct check *check;
	struct database *database;
	const char *path; /* <data>/queue */
	struct body_names named;
	struct {
		int64_t ids[FILES_AT_ONCE];
		unsigned count;
	} doubts;
};

static bool look_at_some(struct files *files, int64_t *last, unsigned *count, struct error *err)
{
	char name[BODY_NAME_LEN + 1];
	struct error problem;
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	*count = 0;
	files->doubts.count = 0;
	if (!DATABASE_QUERY(files->database, QUEUE_FILES, &rows, err, V_INT(*last), V_INT(FILES_AT_ONCE)))
		return false;
	while (ok && (step = database_step(files->database, rows, err)) == STEP_ROW) {
		struct span file = database_text(rows, 1);
		int fd = body_open(files->path, file, (uint64_t)sqlite3_column_int64(rows, 2), &problem);

		*last = sqlite3_column_int64(rows, 0);
		(*count)++;
		if (fd < 0)
			files->doubts.ids[files->doubts.count++] = *last;
		else
			close(fd);
		ok = !span_copy(file, name, sizeof(name)) || body_names_add(&files->named, name, err);
	}
	database_done(rows);
	return ok && step == STEP_DONE;
}

/* The message may have gone since the read began: then its row has too. */
static bool look_again(struct files *files, int64_t id, struct error *err)
{
	struct error problem;
	sqlite3_stmt *rows;
	enum step step;
	int fd;

	if (!DATABASE_QUERY(files->database, QUEUE_BODY, &rows, err, V_INT(id)))
		return false;
	step = database_step(files->database, rows, err);
	if (step == STEP_ROW) {
		fd = body_open(files->path, database_text(rows, 2), (uint64_t)sqlite3_column_int64(rows, 3), &problem);
		if (fd < 0)
			check_report(
			        files->check, FINDING_DAMAGE, false, "message %" PRId64 ": %s", id, problem.detail);
		else
			close(fd);
	}
	database_done(rows);
	return step != STEP_FAILED;
}

static bool look_at_all(struct files *files, struct error *err)
{
	int64_t last = 0;
	unsigned count;

	do {
		if (!look_at_some(files, &last, &count, err))
			return false;
		for (unsigned i = 0; i < files->doubts.count; i++) {
			if (!look_again(files, files->doubts.ids[i], err))
				return false;
		}
	} while (count == FILES_AT_ONCE);
	return true;
}

static bool check_files(struct check *check, struct database *database, struct error *err)
{
	struct body_names there = { .name = NULL };
	struct files files = { .check = check, .database = database };
	char path[DATABASE_PATH_MAX];
	bool ok;

	snprintf(path, sizeof(path), "%s/queue", check->settings->data_dir);
	files.path = path;
	ok = body_names_read(path, clock_wall_ms() - CHECK_YOUNG_MS, &there, err) && look_at_all(&files, err) &&
	     check_rubbish(check, path, &there, &files.named, err);
	body_names_free(&there);
	body_names_free(&files.named);
	return ok;
}

bool check_queue(const struct check_settings *settings, struct error *err)
{
	struct check check = { .settings = settings, .file = "queue.db" };
	char path[DATABASE_PATH_MAX];
	struct database *database;
	bool ok;

	snprintf(path, sizeof(path), "%s/queue.db", settings->data_dir);
	if (access(path, R_OK | W_OK) != 0 && (errno == ENOENT || errno == EACCES))
		return true; /* not made yet, or not ours to read */
	if (!database_open(path, &queue_kind, false, &database, err))
		return check_error_is_finding(&check, err);
	ok = (check_rules(&check, database, queue_rules, ARRAY_LEN(queue_rules), err) &&
	             check_files(&check, database, err)) ||
	     check_error_is_finding(&check, err);
	database_close(&database);
	return ok;
}
