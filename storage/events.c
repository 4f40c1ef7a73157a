/* The event log in memory: opening it, and what waits to be written. */
#include "storage/events_private.h"

#include "base/clock.h"
#include "base/file.h"
#include "storage/reserve.h"
#include "storage/schema.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const steps[] = { schema_events_1 };

static const char *const statements[EVENT_STATEMENT_COUNT] = {
#define EVENT_STATEMENT_SQL(name, sql) [name] = sql,
	EVENT_STATEMENTS(EVENT_STATEMENT_SQL)
#undef EVENT_STATEMENT_SQL
};

const struct database_kind events_kind = {
	.application_id = 0x50486531,
	.steps = steps,
	.version = (int)ARRAY_LEN(steps),
	.statements = statements,
	.statement_count = EVENT_STATEMENT_COUNT,
};

static const char *const kind_names[] = {
	[EVENT_RECEIVED] = "received",
	[EVENT_REFUSED] = "refused",
	[EVENT_RECIPIENT] = "recipient",
	[EVENT_DELIVERED] = "delivered",
	[EVENT_QUEUED] = "queued",
	[EVENT_ATTEMPT] = "attempt",
	[EVENT_RELAYED] = "relayed",
	[EVENT_DEFERRED] = "deferred",
	[EVENT_FAILED] = "failed",
	[EVENT_REPORT] = "report",
	[EVENT_ADMIN] = "admin",
	[EVENT_LIMIT] = "limit",
};

const char *event_kind_name(enum event_kind kind)
{
	return (size_t)kind < ARRAY_LEN(kind_names) && kind_names[kind] != NULL ? kind_names[kind] : "unknown";
}

bool event_log_open(const char *data_dir, bool write, unsigned keep_days, struct event_log **out, struct error *err)
{
	char path[DATABASE_PATH_MAX];
	struct event_log *log;

	*out = NULL;
	snprintf(path, sizeof(path), "%s/events.db", data_dir);
	if (!file_make_dir(data_dir, 0700, err))
		return false;
	log = calloc(1, sizeof(*log));
	if (log == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	log->write = write;
	log->keep_days = keep_days;
	log->last = &log->first;
	log->said_at = INT64_MIN;
	pthread_mutex_init(&log->list_mutex, NULL);
	pthread_mutex_init(&log->mutex, NULL);
	log->reserve = write ? reserve_new(data_dir) : NULL;
	if (write && log->reserve == NULL) {
		event_log_close(&log);
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	if (!database_open(path, &events_kind, true, &log->database, err)) {
		event_log_close(&log);
		return false;
	}
	*out = log;
	return true;
}

void event_log_close(struct event_log **log)
{
	struct event_log *gone = *log;

	if (gone == NULL)
		return;
	if (gone->database != NULL)
		events_flush(gone);
	database_close(&gone->database);
	reserve_free(&gone->reserve);
	pthread_mutex_destroy(&gone->list_mutex);
	pthread_mutex_destroy(&gone->mutex);
	free(gone);
	*log = NULL;
}

/* Fixed for the file's life: keys are kept. Whoever picks texts whose keys collide gets a story that matches() passes over. */
int64_t event_key(enum event_key_type type, struct span text)
{
	static const unsigned char hash_key[crypto_shorthash_KEYBYTES] = "posthouse event";
	unsigned char name[1 + EVENT_TEXT_MAX], out[crypto_shorthash_BYTES];
	int64_t key;

	text = span_first(text, EVENT_TEXT_MAX);
	name[0] = (unsigned char)type;
	for (size_t i = 0; i < text.len; i++)
		name[1 + i] = (unsigned char)ascii_lower(text.ptr[i]);
	crypto_shorthash(out, name, 1 + text.len, hash_key);
	memcpy(&key, out, sizeof(key));
	return key;
}

struct kept_event *kept_event_new(int64_t at_ms, enum event_kind kind, const struct span texts[EVENT_TEXTS])
{
	struct kept_event *kept;
	size_t size = 0;
	char *to;

	for (size_t i = 0; i < EVENT_TEXTS; i++)
		size += span_first(texts[i], EVENT_TEXT_MAX).len;
	kept = malloc(sizeof(*kept) + size);
	if (kept == NULL)
		return NULL;
	*kept = (struct kept_event) { .at_ms = at_ms, .kind = kind };
	to = kept->bytes;
	for (size_t i = 0; i < EVENT_TEXTS; i++) {
		kept->texts[i] = span_make(to, span_first(texts[i], EVENT_TEXT_MAX).len);
		if (kept->texts[i].len > 0)
			memcpy(to, texts[i].ptr, kept->texts[i].len);
		to += kept->texts[i].len;
	}
	return kept;
}

void event_note(struct event_log *log, const struct event *event)
{
	const struct span texts[EVENT_TEXTS] = {
		[TEXT_TRACE] = event->trace,
		[TEXT_MESSAGE_ID] = event->message_id,
		[TEXT_SENDER] = event->sender,
		[TEXT_RECIPIENT] = event->recipient,
		[TEXT_TEXT] = event->text,
		[TEXT_DETAIL] = event->detail,
	};
	struct kept_event *kept = NULL;

	if (log == NULL || !log->write)
		return;
	if (atomic_load(&log->waiting) < EVENTS_PENDING_MAX)
		kept = kept_event_new(event->at_ms != 0 ? event->at_ms : clock_wall_ms(), event->kind, texts);
	pthread_mutex_lock(&log->list_mutex);
	if (kept == NULL) {
		log->dropped++;
	} else {
		*log->last = kept;
		log->last = &kept->next;
		atomic_fetch_add(&log->waiting, 1);
	}
	pthread_mutex_unlock(&log->list_mutex);
}

bool event_log_wants_flush(const struct event_log *log)
{
	return log != NULL && atomic_load(&log->waiting) > 0;
}
