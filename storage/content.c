/* Reading the octets of a message: head, then the blob, as one. */
#include "storage/content.h"

#include "storage/account.h"
#include "storage/body.h"
#include "storage/checksum.h"
#include "storage/mailbox.h"

#include "base/file.h"

#include <unistd.h>

enum column {
	COLUMN_CLASS,
	COLUMN_FORMAT,
	COLUMN_LENGTH,
	COLUMN_SKIP,
	COLUMN_CHECKSUM,
	COLUMN_FILE,
	COLUMN_HEAD,
	COLUMN_BYTES
};

static bool damaged(struct account *account, int64_t message_id, const char *what, struct error *err)
{
	return error_detail(err, ERR_DAMAGED, "%.180s: message %lld: %s", account->path, (long long)message_id, what);
}

static bool append_piece(struct buffer *out, struct span piece, struct error *err)
{
	return buffer_append_span(out, piece) || error_set(err, ERR_NO_MEMORY, "out of memory");
}

/* Takes what lies in `from` of the octets [*offset, *offset + *size) and moves both on. */
static bool take_from(struct span from, uint64_t *offset, size_t *size, struct buffer *out, struct error *err)
{
	struct span piece;

	if (*offset >= from.len) {
		*offset -= from.len;
		return true;
	}
	piece = span_first(span_skip(from, (size_t)*offset), *size);
	*offset = 0;
	*size -= piece.len;
	return append_piece(out, piece, err);
}

static bool take_from_file(struct account *account, sqlite3_stmt *rows, uint64_t offset, size_t size,
        struct buffer *out, struct error *err)
{
	uint64_t length = (uint64_t)sqlite3_column_int64(rows, COLUMN_LENGTH);
	uint64_t at = offset + (uint64_t)sqlite3_column_int64(rows, COLUMN_SKIP);
	bool ok;
	int fd;

	if (at >= length || size == 0)
		return true;
	if (size > length - at)
		size = (size_t)(length - at);
	fd = body_open(account->path, database_text(rows, COLUMN_FILE), length, err);
	if (fd < 0)
		return false;
	ok = buffer_reserve(out, size) || error_set(err, ERR_NO_MEMORY, "out of memory");
	ok = ok && file_pread_all(fd, out->data + out->len, size, (off_t)at, err);
	close(fd);
	if (ok)
		out->len += size;
	if (out->data != NULL)
		out->data[out->len] = '\0';
	return ok;
}

static bool read_content(struct account *account, int64_t message_id, sqlite3_stmt *rows, uint64_t offset, size_t size,
        struct buffer *out, struct error *err)
{
	struct span head = database_text(rows, COLUMN_HEAD), bytes = database_text(rows, COLUMN_BYTES);

	if (sqlite3_column_int64(rows, COLUMN_FORMAT) != 0)
		return error_detail(err, ERR_UNSUPPORTED, "%.180s: message %lld has an unknown format", account->path,
		        (long long)message_id);
	if (sqlite3_column_int64(rows, COLUMN_CLASS) == CONTENT_FILE)
		return take_from(head, &offset, &size, out, err) &&
		       take_from_file(account, rows, offset, size, out, err);
	if ((uint64_t)sqlite3_column_int64(rows, COLUMN_LENGTH) != bytes.len)
		return damaged(account, message_id, "body is not as long as recorded", err);
	if (sqlite3_column_type(rows, COLUMN_CHECKSUM) != SQLITE_NULL &&
	        sqlite3_column_int64(rows, COLUMN_CHECKSUM) != content_checksum(head, bytes))
		return damaged(account, message_id, "body does not match its checksum", err);
	return take_from(head, &offset, &size, out, err) && take_from(bytes, &offset, &size, out, err);
}

bool message_read(struct account *account, int64_t message_id, uint64_t offset, size_t size, struct buffer *out,
        struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = false;

	if (!DATABASE_QUERY(account->database, MAIL_CONTENT, &rows, err, V_INT(message_id)))
		return false;
	step = database_step(account->database, rows, err);
	if (step == STEP_ROW)
		ok = read_content(account, message_id, rows, offset, size, out, err);
	else if (step == STEP_DONE)
		error_set(err, ERR_NO_SUCH_MESSAGE, "no such message");
	database_done(rows);
	return ok;
}

bool message_header_length(struct account *account, int64_t message_id, uint32_t *length, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(account->database, MAIL_HEADER_LENGTH, &rows, err, V_INT(message_id)))
		return false;
	step = database_step(account->database, rows, err);
	if (step == STEP_ROW)
		*length = (uint32_t)sqlite3_column_int64(rows, 0);
	database_done(rows);
	if (step == STEP_DONE)
		error_set(err, ERR_NO_SUCH_MESSAGE, "no such message");
	return step == STEP_ROW;
}
