/* posthouse/cmd_import.c — `posthouse user import FILE`: lines of address,name,password-or-hash,quota.
 * A wrong line is named and left out; the import may be run again, users that are there already are left as they are. */
#include "posthouse/cli.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/secret.h"
#include "config/value.h"
#include "posthouse/csv.h"
#include "posthouse/user.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX        (64 * MIB)
#define QUOTA_MAX       (1ull << 50)
#define PROGRESS_MS     500   /* on a terminal */
#define PROGRESS_LOG_MS 10000 /* elsewhere */

static struct site site;

struct import {
	const char *file;
	unsigned added, there, wrong;
	size_t total; /* bytes */
	int64_t started_ms, shown_ms;
	bool tty;
};

static void progress(struct import *import, size_t left, bool last)
{
	int64_t now = clock_mono_ms();

	if (!last && now - import->shown_ms < (import->tty ? PROGRESS_MS : PROGRESS_LOG_MS))
		return;
	if (last && !import->tty)
		return;
	import->shown_ms = now;
	(void)fprintf(stderr, "%s%3d %%  %u added, %u there already, %u wrong, %lld s%s", import->tty ? "\r" : "",
	        (int)(100 * (import->total - left) / (import->total > 0 ? import->total : 1)), import->added,
	        import->there, import->wrong, (long long)((now - import->started_ms) / 1000),
	        import->tty && !last ? "\033[K" : "\n");
}

static void wrong_line(struct import *import, unsigned line, struct span address, const struct error *err)
{
	import->wrong++;
	(void)fprintf(stderr, "%sposthouse: %s:%u: %.*s%s%s%s%s%s\n", import->tty ? "\r\033[K" : "", import->file, line,
	        SPAN_FMT(address), address.len > 0 ? ": " : "",
	        err->reason[0] != '\0' ? err->reason : error_meaning(err->code), err->detail[0] != '\0' ? " (" : "",
	        err->detail, err->detail[0] != '\0' ? ")" : "");
}

static bool import_record(const struct csv_record *record, struct error *err)
{
	struct new_user user = { .hash_allowed = true, .quota_bytes = site.settings.store.default_quota };
	struct span quota;

	if (record->count < 3 || record->count > 4)
		return error_set(err, ERR_SYNTAX, "expected address,name,password,quota");
	user.address = span_trim(record->fields[0]);
	user.name = span_trim(record->fields[1]);
	user.password = record->fields[2];
	quota = record->count > 3 ? span_trim(record->fields[3]) : SPAN_EMPTY;
	if (quota.len > 0 && !value_size(quota, QUOTA_MAX, &user.quota_bytes))
		return error_set(err, ERR_SYNTAX, "quota: expected a size like 2G");
	return user_create(&site, &user, err);
}

/* "address,name,password,quota" as the first line is a heading. */
static bool is_heading(const struct csv_record *record)
{
	return record->line == 1 && record->count > 0 &&
	       span_equal_nocase(span_trim(record->fields[0]), SPAN("address"));
}

static void import_all(struct import *import, struct span rest)
{
	struct csv_record record;
	struct error err;

	csv_init(&record);
	for (;; progress(import, rest.len, false)) {
		if (!csv_take(&rest, &record, &err)) {
			if (err.code == ERR_NONE)
				break;
			wrong_line(import, record.line, SPAN_EMPTY, &err);
		} else if (is_heading(&record)) {
			continue;
		} else if (import_record(&record, &err)) {
			import->added++;
		} else if (err.code == ERR_EXISTS) {
			import->there++;
		} else {
			wrong_line(import, record.line, span_trim(record.fields[0]), &err);
		}
	}
	progress(import, 0, true);
	csv_free(&record);
}

static bool read_all(const char *name, struct buffer *out, struct error *err)
{
	return file_read_path(strcmp(name, "-") == 0 ? "/dev/stdin" : name, out, err);
}

enum exit_code cmd_user_import(struct cli *cli)
{
	struct import import = {
		.file = cli->words[0], .tty = isatty(STDERR_FILENO) == 1, .started_ms = clock_mono_ms()
	};
	struct buffer text;
	struct error err;
	enum exit_code code;

	buffer_init(&text, FILE_MAX);
	if (!read_all(cli->words[0], &text, &err)) { /* before the service user, who may not read it */
		secret_buffer_free(&text);
		return cli_error(cli->words[0], &err);
	}
	code = site_open(cli, SITE_DIRECTORY | SITE_CREDENTIALS | SITE_STORE, &site);
	if (code == CLI_OK) {
		import.total = text.len;
		import.shown_ms = import.started_ms;
		import_all(&import, buffer_span(&text));
		site_close(&site);
		(void)printf(
		        "%u users added, %u there already, %u lines wrong\n", import.added, import.there, import.wrong);
		code = import.wrong > 0 ? CLI_FAILED : CLI_OK;
	}
	secret_buffer_free(&text);
	return code;
}
