/* storage/check_private.h — what the files of the check share. */
#ifndef STORAGE_CHECK_PRIVATE_H
#define STORAGE_CHECK_PRIVATE_H

#include "storage/body_names.h"
#include "storage/check.h"
#include "storage/database.h"

struct check {
	const struct check_settings *settings;
	int64_t account_id;
	char file[64]; /* below the data directory */
	unsigned findings;
};

/* One thing that must hold: `find` gives a row of text for each violation; `repair` puts all of them right. */
struct rule {
	enum finding_severity severity;
	const char *find;
	const char *repair; /* NULL: cannot be put right from what is there */
};

void check_report(struct check *check, enum finding_severity severity, bool repaired, const char *format, ...)
        PRINTF_LIKE(4, 5);
/* PRAGMA integrity_check and foreign_key_check, then the rules. With repair in one write transaction. */
bool check_rules(
        struct check *check, struct database *database, const struct rule *rules, size_t count, struct error *err);
/* Names the error as a finding when it is about the file; false when it is about us (memory, lock). */
bool check_error_is_finding(struct check *check, const struct error *err);

/* check_bodies.c: every message can be read as recorded; body files without a row. */
bool check_bodies(struct check *check, struct database *database, const char *account_path, struct error *err);

/* Of the files that are `there` in <path>/blobs, those that no row has `named`. */
bool check_rubbish(struct check *check, const char *path, const struct body_names *there, struct body_names *named,
        struct error *err);
/* check_queue.c: queue.db and queue/. */
bool check_queue(const struct check_settings *settings, struct error *err);

extern const struct rule check_account_rules[];
extern const size_t check_account_rule_count;

#endif
