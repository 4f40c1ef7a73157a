/* storage/events_private.h — what the files of the event log share; nobody else includes it. */
#ifndef STORAGE_EVENTS_PRIVATE_H
#define STORAGE_EVENTS_PRIVATE_H

#include "storage/database.h"
#include "storage/events.h"

#include <pthread.h>
#include <stdatomic.h>

#define EVENT_HOUR_MS INT64_C(3600000)

#define EVENT_STATEMENTS(X)                                                                                            \
	X(EVENT_NEW, "INSERT INTO event (at, kind, trace, message_id, sender, recipient, text, detail) "               \
	             "VALUES (?, ?, ?, ?, ?, ?, ?, ?)")                                                                \
	X(EVENT_KEY_NEW, "INSERT INTO event_key VALUES (?, ?, ?) ON CONFLICT DO NOTHING")                              \
	X(EVENT_PRUNE, "DELETE FROM event WHERE event_id IN "                                                          \
	               "(SELECT event_id FROM event WHERE at < ? ORDER BY at LIMIT ?)")                                \
	X(EVENT_KEY_PRUNE, "DELETE FROM event_key WHERE (hour, key, event_id) IN "                                     \
	                   "(SELECT hour, key, event_id FROM event_key WHERE hour < ? ORDER BY hour LIMIT ?)")         \
	X(EVENT_GET, "SELECT event_id, at, kind, trace, message_id, sender, recipient, text, detail "                  \
	             "FROM event WHERE event_id = ?")                                                                  \
	X(EVENT_TRACE, "SELECT trace, at FROM event WHERE event_id = ?")                                               \
	X(EVENT_LATEST, "SELECT event_id, trace, at FROM event WHERE at >= ? ORDER BY at DESC, event_id DESC")         \
	X(EVENT_HOUR_BEFORE, "SELECT max(hour) FROM event_key WHERE hour < ?")                                         \
	X(EVENT_IDS, "SELECT event_id FROM event_key WHERE hour = ? AND key = ? ORDER BY event_id DESC")

enum event_statement {
#define EVENT_STATEMENT_ENUM(name, sql) name,
	EVENT_STATEMENTS(EVENT_STATEMENT_ENUM)
#undef EVENT_STATEMENT_ENUM
	        EVENT_STATEMENT_COUNT
};

extern const struct database_kind events_kind;

enum event_text { TEXT_TRACE, TEXT_MESSAGE_ID, TEXT_SENDER, TEXT_RECIPIENT, TEXT_TEXT, TEXT_DETAIL, EVENT_TEXTS };

/* An event with its texts in one piece of memory. */
struct kept_event {
	struct kept_event *next;
	int64_t id, at_ms;
	enum event_kind kind;
	struct span texts[EVENT_TEXTS]; /* into bytes */
	char bytes[];
};
struct kept_event *kept_event_new(int64_t at_ms, enum event_kind kind, const struct span texts[EVENT_TEXTS]);

enum event_key_type { KEY_TRACE = 't', KEY_MESSAGE_ID = 'm', KEY_ADDRESS = 'a' };
int64_t event_key(enum event_key_type type, struct span text); /* ASCII letters' case does not count */

struct reserve;

struct event_log {
	bool write;
	unsigned keep_days;
	/* what waits */
	pthread_mutex_t list_mutex;
	struct kept_event *first, **last;
	_Atomic size_t waiting;
	uint64_t dropped; /* since it was last said */
	/* the file */
	pthread_mutex_t mutex;
	struct database *database;
	struct reserve *reserve;
	int64_t said_at, pruned_at; /* monotonic */
};

#endif
