/* storage/mailbox_private.h — rows of the tables as the structs of mailbox.h; for storage/ only. */
#ifndef STORAGE_MAILBOX_PRIVATE_H
#define STORAGE_MAILBOX_PRIVATE_H

#include "storage/account.h"
#include "storage/mailbox.h"

#define MAILBOX_NAME_COLUMN 10 /* of MAILBOX_COLUMNS */

/* The row of a statement that begins with ROW_COLUMNS. */
struct message_row row_read(sqlite3_stmt *rows);
/* The row of a statement that begins with MAILBOX_COLUMNS; without `subscribed`. */
void info_read(sqlite3_stmt *rows, struct mailbox_info *out);

/* Inside a read transaction. version: account.keyword_modseq; 0: there are none, and nothing is read. */
bool keywords_read(struct account *account, uint64_t version, struct keyword_list *out, struct error *err);
/* The account's modseq and keyword_modseq. */
bool versions_read(struct account *account, uint64_t *modseq, uint64_t *keywords, struct error *err);

#endif
