#include "storage/messages.h"

#include "storage/account.h"
#include "storage/checksum.h"
#include "storage/content.h"
#include "storage/walk_vfs.h"

#define WALK_GAP                                                                                                       \
	4 /* ids of no interest that are read over rather than looked up around; see tests/bench/storage_read.c */
#define WALK_MIN        4 /* ids in a row that are worth a walk */
#define WANT_OF_MESSAGE (WANT_HEADER - 1)
#define WANT_OF_CONTENT (WANT_HEADER | WANT_BYTES)

enum message_column {
	MESSAGE_ID,
	MESSAGE_THREAD,
	MESSAGE_INTERNAL_DATE,
	MESSAGE_SENT_DATE,
	MESSAGE_SIZE,
	MESSAGE_HEADER_LENGTH,
	MESSAGE_TRAITS,
	MESSAGE_ENVELOPE,
	MESSAGE_BODY,
	MESSAGE_STRUCTURE,
	MESSAGE_PARTS,
	MESSAGE_PREVIEW,
	MESSAGE_SUBJECT,
	MESSAGE_RFC_ID,
	MESSAGE_IN_REPLY_TO,
	MESSAGE_REFS
};

enum content_column {
	CONTENT_ID,
	CONTENT_CLASS,
	CONTENT_FORMAT,
	CONTENT_LENGTH,
	CONTENT_CHECKSUM,
	CONTENT_HEAD,
	CONTENT_BYTES
};

enum header_column { HEADER_ID, HEADER_FORMAT, HEADER_HEAD };

/* A want that is asked for alone by whole mailboxes has a statement that looks at nothing else. */
static const struct single {
	unsigned want;
	enum mail_statement range;
} singles[] = {
	{ WANT_ENVELOPE, MAIL_MESSAGES_ENVELOPE },
	{ WANT_BODY, MAIL_MESSAGES_BODY },
	{ WANT_BODY_STRUCTURE, MAIL_MESSAGES_STRUCTURE },
	{ WANT_PREVIEW, MAIL_MESSAGES_PREVIEW },
};

/* One table, stepped beside the ids. */
struct cursor {
	sqlite3_stmt *rows; /* NULL: this table is not wanted */
	bool there;         /* rows stands on a row, of message `id` */
	int64_t id;
};

struct reading {
	struct account *account;
	unsigned wants;
	bool single;                    /* message.rows is of one of singles[] */
	struct cursor message, content; /* content: of `header`, when the bytes are not wanted */
	struct stored_message out;
};

static bool step_cursor(struct reading *r, struct cursor *cursor, struct error *err)
{
	enum step step = database_step(r->account->database, cursor->rows, err);

	cursor->there = step == STEP_ROW;
	if (cursor->there)
		cursor->id = sqlite3_column_int64(cursor->rows, 0);
	return step != STEP_FAILED;
}

static struct value wanted(const struct reading *r, enum message_want want)
{
	return V_INT((r->wants & want) != 0);
}

static bool query_message(struct reading *r, int64_t first, int64_t last, struct error *err)
{
	struct database *database = r->account->database;

	r->single = false;
	for (size_t i = 0; i < ARRAY_LEN(singles) && first < last; i++) {
		if (singles[i].want != (r->wants & WANT_OF_MESSAGE))
			continue;
		r->single = true;
		return DATABASE_QUERY(database, singles[i].range, &r->message.rows, err, V_INT(first), V_INT(last)) &&
		       step_cursor(r, &r->message, err);
	}
	return DATABASE_QUERY(database, first == last ? MAIL_MESSAGE : MAIL_MESSAGES, &r->message.rows, err,
	               V_INT(first), V_INT(last), wanted(r, WANT_ENVELOPE), wanted(r, WANT_BODY),
	               wanted(r, WANT_BODY_STRUCTURE), wanted(r, WANT_PARTS), wanted(r, WANT_PREVIEW),
	               wanted(r, WANT_THREADING)) &&
	       step_cursor(r, &r->message, err);
}

static bool query_content(struct reading *r, int64_t first, int64_t last, struct error *err)
{
	bool bytes = (r->wants & WANT_BYTES) != 0, ok;
	struct database *database = r->account->database;

	if (first == last)
		ok = DATABASE_QUERY(
		        database, bytes ? MAIL_CONTENT_ONE : MAIL_HEADER, &r->content.rows, err, V_INT(first));
	else
		ok = DATABASE_QUERY(database, bytes ? MAIL_CONTENTS : MAIL_HEADERS, &r->content.rows, err, V_INT(first),
		        V_INT(last));
	return ok && step_cursor(r, &r->content, err);
}

static void close_cursor(struct cursor *cursor)
{
	database_done(cursor->rows);
	cursor->rows = NULL;
	cursor->there = false;
}

static void take_single(struct reading *r)
{
	struct span value = database_text(r->message.rows, 1);

	switch (r->wants & WANT_OF_MESSAGE) {
	case WANT_ENVELOPE: r->out.envelope = value; break;
	case WANT_BODY: r->out.body = value; break;
	case WANT_BODY_STRUCTURE: r->out.body_structure = value; break;
	default: r->out.preview = value; break;
	}
}

static void take_message(struct reading *r)
{
	struct stored_message *out = &r->out;
	sqlite3_stmt *rows = r->message.rows;
	int64_t traits = sqlite3_column_int64(rows, MESSAGE_TRAITS);

	out->thread_id = sqlite3_column_int64(rows, MESSAGE_THREAD);
	out->internal_date_ms = sqlite3_column_int64(rows, MESSAGE_INTERNAL_DATE);
	out->sent_date = sqlite3_column_int64(rows, MESSAGE_SENT_DATE);
	out->has_sent_date = sqlite3_column_type(rows, MESSAGE_SENT_DATE) != SQLITE_NULL;
	out->subject_is_reply = (traits & TRAIT_REPLY) != 0;
	out->has_attachment = (traits & TRAIT_ATTACHMENT) != 0;
	out->size = (uint32_t)sqlite3_column_int64(rows, MESSAGE_SIZE);
	out->header_length = (uint32_t)sqlite3_column_int64(rows, MESSAGE_HEADER_LENGTH);
	out->envelope = database_text(rows, MESSAGE_ENVELOPE);
	out->body = database_text(rows, MESSAGE_BODY);
	out->body_structure = database_text(rows, MESSAGE_STRUCTURE);
	out->parts = database_text(rows, MESSAGE_PARTS);
	out->preview = database_text(rows, MESSAGE_PREVIEW);
	if ((r->wants & WANT_THREADING) == 0)
		return;
	out->base_subject = database_text(rows, MESSAGE_SUBJECT);
	out->rfc_message_id = database_text(rows, MESSAGE_RFC_ID);
	out->in_reply_to = database_text(rows, MESSAGE_IN_REPLY_TO);
	out->references = database_text(rows, MESSAGE_REFS);
}

static bool is_as_written(const struct reading *r, struct span head, struct span bytes)
{
	sqlite3_stmt *rows = r->content.rows;

	if ((uint64_t)sqlite3_column_int64(rows, CONTENT_LENGTH) != bytes.len)
		return false;
	return sqlite3_column_type(rows, CONTENT_CHECKSUM) == SQLITE_NULL ||
	       sqlite3_column_int64(rows, CONTENT_CHECKSUM) == content_checksum(head, bytes);
}

static void take_header(struct reading *r, bool there)
{
	struct stored_message *out = &r->out;

	out->damaged = !there || sqlite3_column_int64(r->content.rows, HEADER_FORMAT) != 0;
	if (out->damaged)
		return;
	out->header = database_text(r->content.rows, HEADER_HEAD);
	out->header_is_whole = out->header.len < CONTENT_HEAD_MAX;
}

static void take_content(struct reading *r, bool there)
{
	struct stored_message *out = &r->out;
	sqlite3_stmt *rows = r->content.rows;
	struct span head, bytes;

	out->damaged = !there || sqlite3_column_int64(rows, CONTENT_FORMAT) != 0;
	if (out->damaged)
		return;
	head = database_text(rows, CONTENT_HEAD);
	out->in_file = sqlite3_column_int64(rows, CONTENT_CLASS) == CONTENT_FILE;
	if (!out->in_file) {
		bytes = database_text(rows, CONTENT_BYTES);
		out->damaged = !is_as_written(r, head, bytes);
		if (out->damaged)
			return;
		out->rest = bytes;
	}
	out->header = head;
	out->header_is_whole = head.len < CONTENT_HEAD_MAX;
}

/* Both cursors go forward to the id, or to what is behind it. */
static bool advance(struct reading *r, struct cursor *cursor, int64_t id, struct error *err)
{
	while (cursor->rows != NULL && cursor->there && cursor->id < id) {
		if (!step_cursor(r, cursor, err))
			return false;
	}
	return true;
}

/* False: neither table has it. Else r->out is filled. */
static bool take(struct reading *r, int64_t id)
{
	bool has_message = r->message.there && r->message.id == id;
	bool has_content = r->content.there && r->content.id == id;

	if (r->message.rows != NULL ? !has_message : !has_content)
		return false;
	r->out = (struct stored_message) { .message_id = id };
	if (r->single)
		take_single(r);
	else if (r->message.rows != NULL)
		take_message(r);
	if (r->content.rows != NULL && (r->wants & WANT_BYTES) != 0)
		take_content(r, has_content);
	else if (r->content.rows != NULL)
		take_header(r, has_content);
	return true;
}

/* From `id` on, up to `last`; the same for both: a lookup. */
static bool open_cursors(struct reading *r, int64_t id, int64_t last, struct error *err)
{
	close_cursor(&r->message);
	close_cursor(&r->content);
	if ((r->wants & WANT_OF_MESSAGE) != 0 && !query_message(r, id, last, err))
		return false;
	return (r->wants & WANT_OF_CONTENT) == 0 || query_content(r, id, last, err);
}

/* How many ids from here on one walk along the table is good for; 1: a lookup. */
static size_t walk_length(const int64_t *ids, size_t count)
{
	size_t n = 1;

	while (n < count && ids[n] > ids[n - 1] && ids[n] - ids[n - 1] <= WALK_GAP)
		n++;
	return n < WALK_MIN ? 1 : n;
}

static bool read_each(struct reading *r, const int64_t *ids, size_t count,
        bool (*each)(void *arg, size_t i, const struct stored_message *message), void *arg, struct error *err)
{
	size_t walk_end = 0;

	for (size_t i = 0; i < count; i++) {
		if (i == walk_end) {
			walk_end = i + walk_length(ids + i, count - i);
			if (!open_cursors(r, ids[i], ids[walk_end - 1], err))
				return false;
		}
		if (!advance(r, &r->message, ids[i], err) || !advance(r, &r->content, ids[i], err))
			return false;
		if (take(r, ids[i]) && !each(arg, i, &r->out))
			return true;
	}
	return true;
}

bool messages_read(struct account *account, const int64_t *ids, size_t count, unsigned wants,
        bool (*each)(void *arg, size_t i, const struct stored_message *message), void *arg, struct error *err)
{
	struct reading r = { .account = account, .wants = wants == 0 ? WANT_META : wants };
	bool ok;

	if (!database_begin_read(account->database, err))
		return false;
	if (count >= WALK_MIN)
		walk_begin(database_handle(account->database));
	ok = read_each(&r, ids, count, each, arg, err);
	close_cursor(&r.message);
	close_cursor(&r.content);
	if (count >= WALK_MIN)
		walk_end(database_handle(account->database));
	database_end_read(account->database);
	return ok;
}
