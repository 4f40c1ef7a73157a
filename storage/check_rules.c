#include "storage/check_private.h"

#include <stdlib.h>
#include <string.h>

static bool each_row(struct check *check, struct database *database, const char *sql, enum finding_severity severity,
        bool repaired, unsigned *count, struct error *err)
{
	sqlite3_stmt *rows = NULL;
	enum step step = STEP_FAILED;
	int code = sqlite3_prepare_v2(database_handle(database), sql, -1, &rows, NULL);

	*count = 0;
	if (code != SQLITE_OK)
		return database_failed(database, code, err);
	while ((step = database_step(database, rows, err)) == STEP_ROW) {
		struct span text = database_text(rows, 0);

		if (span_equal(text, SPAN("ok")))
			continue;
		check_report(check, severity, repaired, "%.*s", SPAN_FMT(text));
		(*count)++;
	}
	sqlite3_finalize(rows);
	return step == STEP_DONE;
}

static bool check_file_itself(struct check *check, struct database *database, unsigned *count, struct error *err)
{
	unsigned more;

	if (!each_row(check, database, "PRAGMA integrity_check(100)", FINDING_DAMAGE, false, count, err) ||
	        !each_row(check, database,
	                "SELECT printf('%s row %d names a row of %s that is not there', \"table\", rowid, parent) "
	                "FROM pragma_foreign_key_check LIMIT 100",
	                FINDING_DAMAGE, false, &more, err))
		return false;
	*count += more;
	return true;
}

static bool run_repair(struct database *database, const char *sql, struct error *err)
{
	int code = sqlite3_exec(database_handle(database), sql, NULL, NULL, NULL); /* constant SQL */

	return code == SQLITE_OK ? true : database_failed(database, code, err);
}

/* With repair the findings are said to be repaired before the commit; when that fails, its error follows as a finding. */
static bool run_rules(struct check *check, struct database *database, const struct rule *rules, size_t count,
        bool repair, struct error *err)
{
	unsigned found;

	for (size_t i = 0; i < count; i++) {
		bool repaired = repair && rules[i].repair != NULL;

		if (!each_row(check, database, rules[i].find, rules[i].severity, repaired, &found, err))
			return false;
		if (found > 0 && repaired && !run_repair(database, rules[i].repair, err))
			return false;
	}
	return true;
}

static bool look(
        struct check *check, struct database *database, const struct rule *rules, size_t count, struct error *err)
{
	unsigned damaged;
	bool ok;

	if (!database_begin_read(database, err))
		return false;
	ok = check_file_itself(check, database, &damaged, err) && run_rules(check, database, rules, count, false, err);
	database_end_read(database);
	return ok;
}

bool check_rules(
        struct check *check, struct database *database, const struct rule *rules, size_t count, struct error *err)
{
	unsigned damaged;

	if (!check->settings->repair)
		return look(check, database, rules, count, err);
	if (!database_begin(database, err))
		return false;
	if (check_file_itself(check, database, &damaged, err) &&
	        run_rules(check, database, rules, count, damaged == 0, err)) /* nothing is written to a torn file */
		return database_commit(database, err);
	database_rollback(database);
	return false;
}
