/* posthouse/csv.h — one record of a CSV file (RFC 4180 §2: quotes, "" inside them, CRLF or LF). Any thread. */
#ifndef POSTHOUSE_CSV_H
#define POSTHOUSE_CSV_H

#include "base/buffer.h"
#include "base/error.h"

#define CSV_FIELDS_MAX 16
#define CSV_RECORD_MAX (8 * KIB)

struct csv_record {
	struct buffer text; /* the fields, unquoted, one after the other; csv_init() and csv_free() by the caller */
	struct span fields[CSV_FIELDS_MAX];
	size_t count;
	unsigned line; /* that it began in, from 1 */
	unsigned next_line;
};

void csv_init(struct csv_record *record);
void csv_free(struct csv_record *record); /* wipes it: there may be passwords in it */
/* Takes the next record off *in; empty lines are skipped. False with err->code ERR_NONE: the end. False with ERR_SYNTAX or
 * ERR_TOO_LONG: a bad record, which has been taken off, so that the caller may go on after it. */
bool csv_take(struct span *in, struct csv_record *record, struct error *err);

#endif
