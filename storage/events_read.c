/* Finding stories: first which (the latest that match), then each whole. */
#include "storage/events_private.h"

#include <stdlib.h>
#include <string.h>

#define STORIES_MAX      10000
#define STORY_EVENTS_MAX 50000 /* of one story that are read: ten thousand recipients, tried several times */
#define TRACE_MAX        64
#define BEGIN_HOURS      24 /* so long at most a transaction had begun before it was received, queued or refused */

struct story {
	char trace[TRACE_MAX + 1];
	int64_t event_id;  /* without a trace an event is a story by itself */
	int64_t last_hour; /* nothing of it is later; INT64_MAX: not known */
};

struct stories {
	struct story *list;
	size_t count, max;
	int64_t *seen;    /* keys of those in the list: open addressing; 0: free */
	size_t seen_size; /* a power of two, never more than half full */
};

static bool stories_init(struct stories *stories, uint64_t limit, struct error *err)
{
	*stories = (struct stories) { .max = limit < STORIES_MAX ? (size_t)limit : STORIES_MAX, .seen_size = 64 };
	while (stories->seen_size < 2 * stories->max)
		stories->seen_size *= 2;
	stories->list = calloc(stories->max + 1, sizeof(*stories->list));
	stories->seen = calloc(stories->seen_size, sizeof(*stories->seen));
	return (stories->list != NULL && stories->seen != NULL) || error_set(err, ERR_NO_MEMORY, "out of memory");
}

static void stories_free(struct stories *stories)
{
	free(stories->list);
	free(stories->seen);
}

static bool is_new(struct stories *stories, int64_t key)
{
	size_t at = (size_t)key & (stories->seen_size - 1);

	while (stories->seen[at] != 0 && stories->seen[at] != key)
		at = (at + 1) & (stories->seen_size - 1);
	if (stories->seen[at] == key)
		return false;
	stories->seen[at] = key;
	return true;
}

/* False: there is no room for more. */
static bool add_story(struct stories *stories, struct span trace, int64_t event_id, int64_t last_hour)
{
	struct story *story = &stories->list[stories->count];
	int64_t key = trace.len > 0 ? event_key(KEY_TRACE, trace) : event_id;

	if (stories->count == stories->max)
		return false;
	if (!is_new(stories, key == 0 ? 1 : key) || !span_copy(trace, story->trace, sizeof(story->trace)))
		return true;
	story->event_id = event_id;
	story->last_hour = last_hour;
	stories->count++;
	return true;
}

/* Which */

static bool add_latest(struct event_log *log, int64_t since_ms, struct stories *stories, struct error *err)
{
	enum step step = STEP_DONE;
	sqlite3_stmt *rows;
	bool room = true;

	if (!DATABASE_QUERY(log->database, EVENT_LATEST, &rows, err, V_INT(since_ms)))
		return false;
	while (room && (step = database_step(log->database, rows, err)) == STEP_ROW)
		room = add_story(stories, database_text(rows, 1), sqlite3_column_int64(rows, 0),
		        sqlite3_column_int64(rows, 2) / EVENT_HOUR_MS);
	database_done(rows);
	return step != STEP_FAILED;
}

static bool add_candidate(struct event_log *log, int64_t event_id, int64_t since_ms, struct stories *stories,
        bool *room, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(log->database, EVENT_TRACE, &rows, err, V_INT(event_id)))
		return false;
	step = database_step(log->database, rows, err);
	if (step == STEP_ROW && sqlite3_column_int64(rows, 1) >= since_ms)
		*room = add_story(stories, database_text(rows, 0), event_id, INT64_MAX);
	database_done(rows);
	return step != STEP_FAILED;
}

static bool hour_before(struct event_log *log, int64_t *hour, bool *found, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(log->database, EVENT_HOUR_BEFORE, &rows, err, V_INT(*hour)))
		return false;
	step = database_step(log->database, rows, err);
	*found = step == STEP_ROW && sqlite3_column_type(rows, 0) != SQLITE_NULL;
	if (*found)
		*hour = sqlite3_column_int64(rows, 0);
	database_done(rows);
	return step == STEP_ROW;
}

/* Runs found() for each event of a key, the latest hour first, until it says that that was enough. */
struct key_walk {
	struct event_log *log;
	int64_t key, first_hour;
	int64_t last_hour; /* 0: the latest that there is */
	bool (*found)(struct key_walk *walk, int64_t event_id, bool *more, struct error *err);
	void *arg;
};

static bool walk_hour(struct key_walk *walk, int64_t hour, bool *more, struct error *err)
{
	enum step step = STEP_DONE;
	sqlite3_stmt *rows;
	bool ok = true;

	if (!DATABASE_QUERY(walk->log->database, EVENT_IDS, &rows, err, V_INT(hour), V_INT(walk->key)))
		return false;
	while (ok && *more && (step = database_step(walk->log->database, rows, err)) == STEP_ROW)
		ok = walk->found(walk, sqlite3_column_int64(rows, 0), more, err);
	database_done(rows);
	return ok && step != STEP_FAILED;
}

static bool walk_key(struct key_walk *walk, struct error *err)
{
	int64_t hour = walk->last_hour > 0 && walk->last_hour < INT64_MAX ? walk->last_hour + 1 : INT64_MAX;
	bool ok, there, more = true;

	do {
		ok = hour_before(walk->log, &hour, &there, err);
		there = ok && there && hour >= walk->first_hour;
		if (there)
			ok = walk_hour(walk, hour, &more, err);
	} while (ok && there && more);
	return ok;
}

struct candidates {
	struct stories *stories;
	int64_t since_ms;
};

static bool found_candidate(struct key_walk *walk, int64_t event_id, bool *more, struct error *err)
{
	const struct candidates *candidates = walk->arg;

	return add_candidate(walk->log, event_id, candidates->since_ms, candidates->stories, more, err);
}

/* By what tells most. What else is asked for is looked at in the whole story. */
static bool find_stories(
        struct event_log *log, const struct event_query *query, struct stories *stories, struct error *err)
{
	struct candidates candidates = { stories, query->since_ms };
	struct key_walk walk = {
		.log = log, .first_hour = query->since_ms / EVENT_HOUR_MS, .found = found_candidate, .arg = &candidates
	};

	if (query->trace.len > 0)
		walk.key = event_key(KEY_TRACE, query->trace);
	else if (query->message_id.len > 0)
		walk.key = event_key(KEY_MESSAGE_ID, query->message_id);
	else if (query->address.len > 0)
		walk.key = event_key(KEY_ADDRESS, query->address);
	else
		return add_latest(log, query->since_ms, stories, err);
	return walk_key(&walk, err);
}

/* One story */

struct story_events {
	struct kept_event **list;
	size_t count, capacity;
};

static bool add_event(struct story_events *events, sqlite3_stmt *rows, struct error *err)
{
	struct span texts[EVENT_TEXTS];
	struct kept_event *event;

	if (events->count == events->capacity) {
		size_t capacity = events->capacity == 0 ? 16 : events->capacity * 2;
		struct kept_event **bigger = realloc(events->list, capacity * sizeof(struct kept_event *));

		if (bigger == NULL)
			return error_set(err, ERR_NO_MEMORY, "out of memory");
		events->list = bigger;
		events->capacity = capacity;
	}
	for (int i = 0; i < EVENT_TEXTS; i++)
		texts[i] = database_text(rows, 3 + i);
	event = kept_event_new(sqlite3_column_int64(rows, 1), (enum event_kind)sqlite3_column_int(rows, 2), texts);
	if (event == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	event->id = sqlite3_column_int64(rows, 0);
	events->list[events->count++] = event;
	return true;
}

static bool get_event(struct event_log *log, int64_t event_id, struct story_events *events, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(log->database, EVENT_GET, &rows, err, V_INT(event_id)))
		return false;
	step = database_step(log->database, rows, err);
	if (step == STEP_ROW)
		ok = add_event(events, rows, err);
	database_done(rows);
	return ok && step != STEP_FAILED;
}

/* What happens while a message comes in; what the relay does with it may be days later. */
static bool tells_of_beginning(enum event_kind kind)
{
	return kind == EVENT_RECEIVED || kind == EVENT_QUEUED || kind == EVENT_REFUSED || kind == EVENT_RECIPIENT;
}

/* Stories are looked for from their end: no need to look through all the days before they began. */
static void raise_first_hour(struct key_walk *walk, int64_t hour)
{
	if (hour > walk->first_hour)
		walk->first_hour = hour;
}

static bool found_event(struct key_walk *walk, int64_t event_id, bool *more, struct error *err)
{
	struct story_events *events = walk->arg;

	*more = events->count < STORY_EVENTS_MAX;
	if (!*more)
		return true;
	if (!get_event(walk->log, event_id, events, err))
		return false;
	if (events->count > 0 && tells_of_beginning(events->list[events->count - 1]->kind))
		raise_first_hour(walk, events->list[events->count - 1]->at_ms / EVENT_HOUR_MS - BEGIN_HOURS);
	return true;
}

static int compare_events(const void *a, const void *b)
{
	const struct kept_event *left = *(struct kept_event *const *)a, *right = *(struct kept_event *const *)b;

	if (left->at_ms != right->at_ms)
		return left->at_ms < right->at_ms ? -1 : 1;
	return (left->id > right->id) - (left->id < right->id);
}

static bool load_story(struct event_log *log, const struct story *story, struct story_events *events, struct error *err)
{
	struct key_walk walk = { .log = log, .last_hour = story->last_hour, .found = found_event, .arg = events };

	if (story->trace[0] == '\0')
		return get_event(log, story->event_id, events, err);
	walk.key = event_key(KEY_TRACE, span_of(story->trace));
	if (!walk_key(&walk, err))
		return false;
	if (events->count > 1)
		qsort(events->list, events->count, sizeof(struct kept_event *), compare_events);
	return true;
}

static void empty_story(struct story_events *events)
{
	for (size_t i = 0; i < events->count; i++)
		free(events->list[i]);
	events->count = 0;
}

static bool any_is(const struct story_events *events, struct span wanted, enum event_text first, enum event_text second)
{
	for (size_t i = 0; i < events->count && wanted.len > 0; i++) {
		if (span_equal_nocase(wanted, events->list[i]->texts[first]) ||
		        span_equal_nocase(wanted, events->list[i]->texts[second]))
			return true;
	}
	return wanted.len == 0;
}

/* Keys are hashes: the texts decide. */
static bool matches(const struct story_events *events, const struct event_query *query)
{
	return any_is(events, query->trace, TEXT_TRACE, TEXT_TRACE) &&
	       any_is(events, query->message_id, TEXT_MESSAGE_ID, TEXT_MESSAGE_ID) &&
	       any_is(events, query->address, TEXT_SENDER, TEXT_RECIPIENT);
}

static bool tell(const struct story_events *events, bool (*each)(void *arg, const struct event *event), void *arg)
{
	for (size_t i = 0; i < events->count; i++) {
		const struct kept_event *kept = events->list[i];
		const struct event event = {
			.at_ms = kept->at_ms,
			.kind = kept->kind,
			.trace = kept->texts[TEXT_TRACE],
			.message_id = kept->texts[TEXT_MESSAGE_ID],
			.sender = kept->texts[TEXT_SENDER],
			.recipient = kept->texts[TEXT_RECIPIENT],
			.text = kept->texts[TEXT_TEXT],
			.detail = kept->texts[TEXT_DETAIL],
		};

		if (!each(arg, &event))
			return false;
	}
	return true;
}

static bool begin_read(struct event_log *log, struct error *err)
{
	pthread_mutex_lock(&log->mutex);
	if (database_begin_read(log->database, err))
		return true;
	pthread_mutex_unlock(&log->mutex);
	return false;
}

static void end_read(struct event_log *log)
{
	database_end_read(log->database);
	pthread_mutex_unlock(&log->mutex);
}

/* Found latest first, told the other way round; nothing is held while each() runs. */
static bool tell_stories(struct event_log *log, const struct event_query *query, const struct stories *stories,
        struct story_events *events, bool (*each)(void *arg, const struct event *event), void *arg, struct error *err)
{
	bool ok = true, go_on = true;

	for (size_t i = stories->count; ok && go_on && i > 0; i--) {
		empty_story(events);
		ok = begin_read(log, err);
		if (!ok)
			break;
		ok = load_story(log, &stories->list[i - 1], events, err);
		end_read(log);
		if (ok && matches(events, query))
			go_on = tell(events, each, arg);
	}
	return ok;
}

bool event_log_read(struct event_log *log, const struct event_query *query,
        bool (*each)(void *arg, const struct event *event), void *arg, struct error *err)
{
	struct story_events events = { .list = NULL };
	struct stories stories;
	bool ok;

	ok = stories_init(&stories, query->limit, err) && begin_read(log, err);
	if (ok) {
		ok = find_stories(log, query, &stories, err);
		end_read(log);
	}
	ok = ok && tell_stories(log, query, &stories, &events, each, arg, err);
	empty_story(&events);
	free(events.list);
	stories_free(&stories);
	return ok;
}
