/* Writing what waits, in one transaction that is not synced, and pruning what is old. Nobody waits for it and nothing depends on it: what cannot
 * be written is dropped and counted. */
#include "storage/events_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "storage/reserve.h"

#include <stdlib.h>

#define DAY_MS         (24 * EVENT_HOUR_MS)
#define SAY_EVERY      (60 * 1000) /* that events were dropped */
#define PRUNE_EVERY    (60 * 1000)
#define PRUNE_AT_ONCE  1000
#define KEYS_PER_EVENT 4

/* About what an event takes on the disk, with its keys. */
#define EVENT_OCTETS 1024

static struct kept_event *take_all(struct event_log *log, size_t *count)
{
	struct kept_event *first;

	pthread_mutex_lock(&log->list_mutex);
	first = log->first;
	*count = atomic_exchange(&log->waiting, 0);
	log->first = NULL;
	log->last = &log->first;
	pthread_mutex_unlock(&log->list_mutex);
	return first;
}

static void free_all(struct kept_event *event)
{
	while (event != NULL) {
		struct kept_event *next = event->next;

		free(event);
		event = next;
	}
}

static bool add_key(struct event_log *log, const struct kept_event *event, enum event_key_type type, struct span text,
        struct error *err)
{
	return text.len == 0 || DATABASE_RUN(log->database, EVENT_KEY_NEW, err, V_INT(event->at_ms / EVENT_HOUR_MS),
	                                V_INT(event_key(type, text)), V_INT(event->id));
}

static bool write_event(struct event_log *log, struct kept_event *event, struct error *err)
{
	const struct span *t = event->texts;

	if (!DATABASE_RUN(log->database, EVENT_NEW, err, V_INT(event->at_ms), V_INT(event->kind), V_TEXT(t[TEXT_TRACE]),
	            V_TEXT(t[TEXT_MESSAGE_ID]), V_TEXT(t[TEXT_SENDER]), V_TEXT(t[TEXT_RECIPIENT]), V_TEXT(t[TEXT_TEXT]),
	            V_TEXT(t[TEXT_DETAIL])))
		return false;
	event->id = sqlite3_last_insert_rowid(database_handle(log->database));
	return add_key(log, event, KEY_TRACE, t[TEXT_TRACE], err) &&
	       add_key(log, event, KEY_MESSAGE_ID, t[TEXT_MESSAGE_ID], err) &&
	       add_key(log, event, KEY_ADDRESS, t[TEXT_SENDER], err) &&
	       add_key(log, event, KEY_ADDRESS, t[TEXT_RECIPIENT], err);
}

/* One piece. When it was a full one the next flush goes on; `written` makes sure that it goes faster than the log grows. */
static bool prune(struct event_log *log, size_t written, struct error *err)
{
	int64_t now = clock_mono_ms(), before = clock_wall_ms() - (int64_t)log->keep_days * DAY_MS;
	int64_t most = PRUNE_AT_ONCE + 2 * (int64_t)written;
	bool more;

	if (log->keep_days == 0 || (log->pruned_at != 0 && now - log->pruned_at < PRUNE_EVERY))
		return true;
	if (!DATABASE_RUN(log->database, EVENT_PRUNE, err, V_INT(before), V_INT(most)))
		return false;
	more = database_changes(log->database) == most;
	if (!DATABASE_RUN(
	            log->database, EVENT_KEY_PRUNE, err, V_INT(before / EVENT_HOUR_MS), V_INT(KEYS_PER_EVENT * most)))
		return false;
	more = more || database_changes(log->database) == KEYS_PER_EVENT * most;
	log->pruned_at = more ? 0 : now;
	return true;
}

/* What is old goes also when nothing new is written. */
static bool write_all(struct event_log *log, struct kept_event *first, size_t count, struct error *err)
{
	bool plenty = reserve_has_plenty(log->reserve, count * EVENT_OCTETS, err), ok = true;
	struct error failed;

	if (!database_set_durable(log->database, false, &failed) || !database_begin(log->database, &failed)) {
		*err = failed;
		return false;
	}
	for (struct kept_event *event = plenty ? first : NULL; ok && event != NULL; event = event->next)
		ok = write_event(log, event, err);
	if (ok && prune(log, count, &failed))
		return database_commit(log->database, err) && plenty;
	database_rollback(log->database);
	return false;
}

static void say_dropped(struct event_log *log, const struct error *err)
{
	int64_t now = clock_mono_ms();
	uint64_t dropped;

	if (log->said_at != INT64_MIN && now - log->said_at < SAY_EVERY)
		return;
	pthread_mutex_lock(&log->list_mutex);
	dropped = log->dropped;
	log->dropped = 0;
	pthread_mutex_unlock(&log->list_mutex);
	if (dropped == 0)
		return;
	log->said_at = now;
	LOG(LOG_WARNING, "events.dropped", LOG_NUMBER("count", dropped), LOG_FAILURE(err));
}

void events_flush(struct event_log *log)
{
	struct kept_event *first;
	struct error err;
	size_t count;

	if (log == NULL || !log->write)
		return;
	error_clear(&err);
	pthread_mutex_lock(&log->mutex);
	first = take_all(log, &count);
	if (count > 0 && !write_all(log, first, count, &err)) {
		pthread_mutex_lock(&log->list_mutex);
		log->dropped += count;
		pthread_mutex_unlock(&log->list_mutex);
	}
	say_dropped(log, &err);
	pthread_mutex_unlock(&log->mutex);
	free_all(first);
}
