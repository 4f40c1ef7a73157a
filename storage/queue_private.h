/* storage/queue_private.h — what the files of the queue share; nobody else includes it. */
#ifndef STORAGE_QUEUE_PRIVATE_H
#define STORAGE_QUEUE_PRIVATE_H

#include "storage/body.h"
#include "storage/id_list.h"
#include "storage/queue.h"
#include "storage/queue_sql.h"

#include <pthread.h>

#define QUEUE_SECRET_LEN     16
#define QUEUE_MESSAGE_ID_MAX 998 /* of the header's Message-ID that is kept */
#define QUEUE_PIECE          500 /* recipients per read of a list */

struct reserve;

/* Two connections: who reads a body for the relay does not wait for the disk of who writes. */
struct queue {
	char data_dir[DATABASE_PATH_MAX];
	char path[DATABASE_PATH_MAX]; /* <data>/queue: body.h */
	pthread_mutex_t write_mutex, read_mutex;
	struct database *writer, *reader;
	struct reserve *reserve;
	uint8_t secret[QUEUE_SECRET_LEN];
	pthread_mutex_t tell_mutex;
	int tell_socket, run_dir; /* -1: not yet */
	void (*progress)(void *arg, uint64_t changed);
	void *progress_arg;
};

/* One write transaction. The lanes it touched and the messages that it took recipients from are put right at its end. */
struct queue_change {
	struct queue *queue;
	struct database *database;
	struct id_list lanes, messages;
	struct body_name *files; /* of messages that go: removed after the commit */
	size_t file_count;
	bool is_hint, is_long; /* private; with database_large_cache() */
	struct {               /* the lane last looked up */
		int64_t id, next_due;
		int priority;
		char domain[QUEUE_DOMAIN_MAX + 1];
		bool known;
	} lane;
};
bool queue_change_begin(struct queue *queue, struct queue_change *change, struct error *err);
bool queue_hint_begin(struct queue *queue, struct queue_change *change, struct error *err); /* not durable */
/* ok: commit, otherwise roll back. Returns whether it is durable. *unknown (may be NULL): database_commit_unknown(). */
bool queue_change_end(struct queue_change *change, bool ok, bool *unknown, struct error *err);

/* The lane of a destination, made at need, due at due_ms at the latest (INT64_MAX: nothing new waits in it). */
bool queue_lane(struct queue_change *change, struct span domain, int priority, int64_t due_ms, int64_t *lane_id,
        struct error *err);
/* Runs an UPDATE or DELETE of one recipient that returns its lane, and notes the lane. *found: there was such a recipient. */
bool queue_touch(struct queue_change *change, enum queue_statement which, const struct value *values, int count,
        bool *found, struct error *err);
/* Puts lanes and messages right; queue_change_end() calls it before the commit. */
bool queue_settle(struct queue_change *change, struct error *err);

/* queue_add.c. Checks the entries and links their large bodies, before the transaction; then inserts them in it. `names` has a place per
 * entry, zeroed by the caller. */
bool queue_prepare(
        struct queue *queue, struct queue_entry **entries, size_t count, struct body_name *names, struct error *err);
bool queue_insert(struct queue_change *change, struct queue_entry **entries, size_t count,
        const struct body_name *names, struct error *err);
void queue_unlink(struct queue *queue, const struct body_name *names, size_t count);

/* Counts an entry's remote recipients for its account. */
bool queue_count_sending(struct queue_change *change, const struct queue_entry *entry, struct error *err);

/* queue_take.c. Fills what a SELECT of QUEUE_RCPT_COLUMNS, or QUEUE_MESSAGE, gives. */
bool queue_fill_rcpt(sqlite3_stmt *rows, struct queue_rcpt *out, struct error *err);
bool queue_fill_message(
        struct database *database, int64_t message_id, struct queue_message *out, bool *found, struct error *err);

bool queue_begin_read(struct queue *queue, struct error *err); /* takes the lock */
void queue_end_read(struct queue *queue);

void queue_tell(struct queue *queue, enum queue_hint hint); /* queue_watch.c */

#endif
