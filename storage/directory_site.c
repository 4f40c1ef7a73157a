/* What belongs to the site as a whole: which domains are ours, and its secrets. */
#include "storage/directory_private.h"

#include "base/random.h"
#include "base/secret.h"

#include <string.h>

#define SRS_SECRET "srs_secret"

bool directory_has_domain(struct directory *directory, struct span name, struct error *err)
{
	char key[DOMAIN_MAX + 1];
	int64_t id;
	bool ok;

	if (!domain_key(name, key, sizeof(key), err)) {
		if (err->code == ERR_NO_MEMORY)
			return false;
		return error_set(err, ERR_NO_SUCH_DOMAIN, "no such domain here");
	}
	if (!directory_begin_read(directory, err))
		return false;
	ok = directory_domain_id(directory, key, &id, err);
	directory_end_read(directory);
	return ok;
}

static bool read_secret(struct directory *directory, uint8_t *out, bool *found, struct error *err)
{
	sqlite3_stmt *rows;
	struct span value;
	enum step step;
	bool ok = true;

	if (!DATABASE_QUERY(directory->database, DIR_SITE, &rows, err, V_TEXT(SPAN(SRS_SECRET))))
		return false;
	step = database_step(directory->database, rows, err);
	*found = step == STEP_ROW;
	if (*found) {
		value = database_text(rows, 0);
		ok = value.len == DIRECTORY_SECRET_LEN ||
		     error_detail(err, ERR_DAMAGED, "directory.db: the secret has a wrong length");
		if (ok)
			memcpy(out, value.ptr, value.len);
	}
	database_done(rows);
	return ok && step != STEP_FAILED;
}

/* Under the write lock: another process may have been first. */
static bool make_secret(struct directory *directory, uint8_t *out, struct error *err)
{
	bool found;

	if (!read_secret(directory, out, &found, err))
		return false;
	if (found)
		return true;
	random_bytes(out, DIRECTORY_SECRET_LEN);
	return DATABASE_RUN(directory->database, DIR_SITE_NEW, err, V_TEXT(SPAN(SRS_SECRET)),
	        V_BLOB(span_make(out, DIRECTORY_SECRET_LEN)));
}

bool directory_srs_secret(struct directory *directory, uint8_t out[DIRECTORY_SECRET_LEN], struct error *err)
{
	bool ok, found = false;

	if (!directory_begin_read(directory, err))
		return false;
	ok = read_secret(directory, out, &found, err);
	directory_end_read(directory);
	if (!ok || found)
		return ok;
	if (!directory_begin(directory, err))
		return false;
	if (directory_end(directory, make_secret(directory, out, err), err))
		return true;
	secret_wipe(out, DIRECTORY_SECRET_LEN);
	return false;
}
