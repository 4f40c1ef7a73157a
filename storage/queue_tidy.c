/* What a crash, or a day with a very long queue, has left. */
#include "storage/body_names.h"
#include "storage/queue_private.h"

#include "base/log.h"

#include <stdlib.h>

#define TIDY_YOUNG_MS  (INT64_C(24) * 3600 * 1000)
#define FILES_AT_ONCE  1000
#define FREE_PAGES_MAX 10000 /* that stay in the file, for the next time */

/* One read of at most FILES_AT_ONCE rows after *last. */
static bool read_some(struct queue *queue, struct body_names *named, int64_t *last, unsigned *count, struct error *err)
{
	char name[BODY_NAME_LEN + 1];
	sqlite3_stmt *rows;
	enum step step = STEP_FAILED;
	bool ok = true;

	*count = 0;
	if (!queue_begin_read(queue, err))
		return false;
	ok = DATABASE_QUERY(queue->reader, QUEUE_FILES, &rows, err, V_INT(*last), V_INT(FILES_AT_ONCE));
	while (ok && (step = database_step(queue->reader, rows, err)) == STEP_ROW) {
		*last = sqlite3_column_int64(rows, 0);
		(*count)++;
		if (span_copy(database_text(rows, 1), name, sizeof(name)))
			ok = body_names_add(named, name, err);
	}
	database_done(rows);
	queue_end_read(queue);
	return ok && step == STEP_DONE;
}

/* The files were read before the rows, so none is taken for rubbish whose row came meanwhile; and they are a day old. */
static bool remove_rubbish(struct queue *queue, const struct body_names *there, struct error *err)
{
	struct body_names named = { .name = NULL };
	unsigned count, removed = 0;
	int64_t last = 0;
	bool ok;

	do {
		ok = read_some(queue, &named, &last, &count, err);
	} while (ok && count == FILES_AT_ONCE);
	body_names_sort(&named);
	for (size_t i = 0; ok && i < there->count; i++) {
		if (!body_names_has(&named, &there->name[i])) {
			body_remove(queue->path, there->name[i].text);
			removed++;
		}
	}
	body_names_free(&named);
	if (removed > 0)
		LOG(LOG_INFO, "queue.tidied", LOG_NUMBER("files", removed));
	return ok;
}

static bool free_pages(struct queue *queue, int64_t *pages, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!queue_begin_read(queue, err))
		return false;
	step = database_query(queue->reader, QUEUE_FREE_PAGES, NULL, 0, &rows, err)
	               ? database_step(queue->reader, rows, err)
	               : STEP_FAILED;
	*pages = step == STEP_ROW ? sqlite3_column_int64(rows, 0) : 0;
	database_done(rows);
	queue_end_read(queue);
	return step == STEP_ROW;
}

static bool give_back_some(struct queue *queue, struct error *err)
{
	struct queue_change change;
	sqlite3_stmt *rows;
	enum step step;
	bool ok;

	if (!queue_change_begin(queue, &change, err))
		return false;
	ok = database_query(change.database, QUEUE_GIVE_BACK, NULL, 0, &rows, err);
	if (ok) {
		while ((step = database_step(change.database, rows, err)) == STEP_ROW)
			;
		database_done(rows);
		ok = step == STEP_DONE;
	}
	return queue_change_end(&change, ok, NULL, err);
}

/* Only pieces: who wants to write waits for one of them at most. */
static bool give_back(struct queue *queue, struct error *err)
{
	int64_t pages, before = INT64_MAX;

	if (!free_pages(queue, &pages, err))
		return false;
	while (pages > FREE_PAGES_MAX && pages < before) {
		before = pages;
		if (!give_back_some(queue, err) || !free_pages(queue, &pages, err))
			return false;
	}
	return true;
}

bool queue_tidy(struct queue *queue, int64_t now_ms, struct error *err)
{
	struct body_names there = { .name = NULL };
	bool ok;

	ok = body_names_read(queue->path, now_ms - TIDY_YOUNG_MS, &there, err) &&
	     (there.count == 0 || remove_rubbish(queue, &there, err)) && give_back(queue, err);
	body_names_free(&there);
	return ok;
}
