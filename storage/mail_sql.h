/* storage/mail_sql.h — every statement on mail.db; the tables are in schema/mail-1.sql. */
#ifndef STORAGE_MAIL_SQL_H
#define STORAGE_MAIL_SQL_H

#include "storage/database.h"

#define MAILBOX_COLUMNS                                                                                                \
	"mailbox_id, uid_validity, uid_next, messages, unseen, deleted, size, deleted_size, modseq, use, name"
#define MEMBERSHIP_COLUMNS "mailbox_id, uid, message_id, size, flags, modseq, created, saved"
#define ROW_COLUMNS        "uid, size, message_id, flags, modseq"
#define MESSAGE_COLUMNS                                                                                                  \
	"message_id, thread_id, internal_date, sent_date, size, header_length, traits, envelope, body, body_structure, " \
	"parts, preview, base_subject, rfc_message_id, in_reply_to, refs"
/* The same, but what is not wanted (parameters 3 to 8) is not read. ?1: the id or the first, ?2: the last. */
#define MESSAGE_WANTED                                                                                                 \
	"message_id, thread_id, internal_date, sent_date, size, header_length, traits, iif(?3, envelope, NULL), "      \
	"iif(?4, body, NULL), iif(?5, body_structure, NULL), iif(?6, parts, NULL), iif(?7, preview, NULL), "           \
	"iif(?8, base_subject, NULL), iif(?8, rfc_message_id, NULL), iif(?8, in_reply_to, NULL), iif(?8, refs, NULL)"
#define CONTENT_WANTED "message_id, class, c.format, length, checksum, head, bytes"

#define MAIL_STATEMENTS(X)                                                                                                                                                                 \
	/* the account */                                                                                                                                                                  \
	X(MAIL_ACCOUNT,                                                                                                                                                                    \
	        "SELECT modseq, id_next, uid_validity_next, usage_bytes, usage_messages, keyword_modseq FROM account")                                                                     \
	X(MAIL_ACCOUNT_SET, "UPDATE account SET modseq = ?, id_next = ?, uid_validity_next = ?, usage_bytes = ?, "                                                                         \
	                    "usage_messages = ?, keyword_modseq = ?")                                                                                                                      \
	X(MAIL_ACCOUNT_NEW, "INSERT INTO account VALUES (1, 0, 1, ?, 0, 0, 0)")                                                                                                            \
	X(MAIL_CONSTANT, "SELECT account_id, thread_key, tombstone_floor, mailbox_floor FROM account_constant")                                                                            \
	X(MAIL_CONSTANT_NEW, "INSERT INTO account_constant VALUES (1, ?, ?, 0, 0)")                                                                                                        \
	X(MAIL_FLOOR_SET, "UPDATE account_constant SET tombstone_floor = max(tombstone_floor, ?)")                                                                                         \
	X(MAIL_MAILBOX_FLOOR_SET, "UPDATE account_constant SET mailbox_floor = max(mailbox_floor, ?)")                                                                                     \
	/* mailboxes */                                                                                                                                                                    \
	X(MAIL_MAILBOX, "SELECT " MAILBOX_COLUMNS " FROM mailbox WHERE mailbox_id = ?")                                                                                                    \
	X(MAIL_MAILBOX_BY_NAME, "SELECT " MAILBOX_COLUMNS " FROM mailbox WHERE name = ?")                                                                                                  \
	X(MAIL_MAILBOX_ANY_CASE,                                                                                                                                                           \
	        "SELECT " MAILBOX_COLUMNS " FROM mailbox WHERE name = ? COLLATE NOCASE ORDER BY name LIMIT 1")                                                                             \
	X(MAIL_MAILBOX_BY_USE, "SELECT " MAILBOX_COLUMNS " FROM mailbox WHERE use = ? AND use <> 0")                                                                                       \
	X(MAIL_MAILBOX_ALL, "SELECT " MAILBOX_COLUMNS ", EXISTS (SELECT 1 FROM subscription s WHERE s.name = m.name) "                                                                     \
	                    "FROM mailbox m ORDER BY name")                                                                                                                                \
	X(MAIL_MAILBOX_COUNT, "SELECT count(*) FROM mailbox")                                                                                                                              \
	X(MAIL_MAILBOX_SET,                                                                                                                                                                \
	        "UPDATE mailbox SET uid_next = ?, messages = ?, unseen = ?, deleted = ?, size = ?, deleted_size = ?, "                                                                     \
	        "modseq = ? WHERE mailbox_id = ?")                                                                                                                                         \
	X(MAIL_MAILBOX_NEW, "INSERT INTO mailbox (" MAILBOX_COLUMNS ") VALUES (?, ?, 1, 0, 0, 0, 0, 0, ?, ?, ?)")                                                                          \
	X(MAIL_MAILBOX_RENAME, "UPDATE mailbox SET name = ? WHERE mailbox_id = ?")                                                                                                         \
	X(MAIL_MAILBOX_BELOW, "SELECT mailbox_id, name FROM mailbox WHERE name > ?1 || '/' AND name < ?1 || '0' "                                                                          \
	                      "ORDER BY name")                                                                                                                                             \
	X(MAIL_MAILBOX_DELETE, "DELETE FROM mailbox WHERE mailbox_id = ?")                                                                                                                 \
	X(MAIL_MAILBOX_TOMBSTONE, "INSERT INTO mailbox_tombstone VALUES (?, ?, ?, ?)")                                                                                                     \
	X(MAIL_SUBSCRIBED, "SELECT 1 FROM subscription WHERE name = ?")                                                                                                                    \
	X(MAIL_SUBSCRIBE, "INSERT OR IGNORE INTO subscription VALUES (?)")                                                                                                                 \
	X(MAIL_UNSUBSCRIBE, "DELETE FROM subscription WHERE name = ?")                                                                                                                     \
	X(MAIL_SUBSCRIPTIONS, "SELECT name FROM subscription ORDER BY name")                                                                                                               \
	X(MAIL_SUBSCRIPTION_COUNT, "SELECT count(*) FROM subscription")                                                                                                                    \
	/* keywords */                                                                                                                                                                     \
	X(MAIL_KEYWORDS, "SELECT number, name FROM keyword ORDER BY number")                                                                                                               \
	X(MAIL_KEYWORD, "SELECT number FROM keyword WHERE name = ?")                                                                                                                       \
	X(MAIL_KEYWORD_NEW, "INSERT INTO keyword VALUES (?, ?)")                                                                                                                           \
	X(MAIL_KEYWORD_DELETE, "DELETE FROM keyword WHERE number = ?")                                                                                                                     \
	X(MAIL_KEYWORDS_USED, "SELECT flags FROM membership WHERE flags >> 6 <> 0")                                                                                                        \
	/* memberships */                                                                                                                                                                  \
	X(MAIL_ROWS, "SELECT " ROW_COLUMNS " FROM membership WHERE mailbox_id = ? ORDER BY uid")                                                                                           \
	X(MAIL_ROWS_RANGE, "SELECT " ROW_COLUMNS " FROM membership WHERE mailbox_id = ? "                                                                                                  \
	                   "AND uid BETWEEN ? AND ? ORDER BY uid LIMIT ?")                                                                                                                 \
	X(MAIL_ROWS_DELETED, "SELECT " ROW_COLUMNS " FROM membership WHERE mailbox_id = ? "                                                                                                \
	                     "AND uid BETWEEN ? AND ? AND flags & 8 ORDER BY uid LIMIT ?")                                                                                                 \
	X(MAIL_ROWS_SAVED,                                                                                                                                                                 \
	        "SELECT uid, saved FROM membership WHERE mailbox_id = ? AND uid BETWEEN ? AND ? ORDER BY uid")                                                                             \
	X(MAIL_ROW_NEW, "INSERT INTO membership (" MEMBERSHIP_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)")                                                                         \
	X(MAIL_ROW_DELETE, "DELETE FROM membership WHERE mailbox_id = ? AND uid = ?")                                                                                                      \
	X(MAIL_FLAGS_SET, "UPDATE membership SET flags = (flags & ?4) | ?5, modseq = ?6 "                                                                                                  \
	                  "WHERE mailbox_id = ?1 AND uid BETWEEN ?2 AND ?3 AND flags <> ((flags & ?4) | ?5)")                                                                              \
	X(MAIL_FLAGS_SET_ONE, "UPDATE membership SET flags = ?3, modseq = ?4 WHERE mailbox_id = ?1 AND uid = ?2")                                                                          \
	X(MAIL_FLAG_CHANGE, "INSERT INTO flag_change VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "                                                                                        \
	                    "SET uid_last = max(uid_last, excluded.uid_last)")                                                                                                             \
	X(MAIL_TOMBSTONE, "INSERT INTO tombstone VALUES (?, ?, ?, ?, ?)")                                                                                                                  \
	X(MAIL_COPIES, "SELECT copies FROM extra_copies WHERE message_id = ?")                                                                                                             \
	X(MAIL_COPIES_SET, "INSERT OR REPLACE INTO extra_copies VALUES (?, ?)")                                                                                                            \
	X(MAIL_COPIES_ONE, "DELETE FROM extra_copies WHERE message_id = ?")                                                                                                                \
	X(MAIL_EXPUNGED, "INSERT INTO expunged VALUES (?, ?)")                                                                                                                             \
	X(MAIL_EXPUNGED_DUE, "SELECT message_id, free_after FROM expunged WHERE free_after <= ? "                                                                                          \
	                     "ORDER BY free_after LIMIT ?")                                                                                                                                \
	X(MAIL_EXPUNGED_DONE, "DELETE FROM expunged WHERE free_after = ? AND message_id = ?")                                                                                              \
	/* messages */                                                                                                                                                                     \
	X(MAIL_MESSAGE_NEW, "INSERT INTO message (" MESSAGE_COLUMNS ") "                                                                                                                   \
	                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")                                                                                                     \
	X(MAIL_MESSAGE, "SELECT " MESSAGE_WANTED " FROM message WHERE message_id = ?1")                                                                                                    \
	X(MAIL_MESSAGES,                                                                                                                                                                   \
	        "SELECT " MESSAGE_WANTED " FROM message WHERE message_id BETWEEN ?1 AND ?2 ORDER BY message_id")                                                                           \
	X(MAIL_MESSAGES_ENVELOPE,                                                                                                                                                          \
	        "SELECT message_id, envelope FROM message WHERE message_id BETWEEN ? AND ? ORDER BY message_id")                                                                           \
	X(MAIL_MESSAGES_BODY,                                                                                                                                                              \
	        "SELECT message_id, body FROM message WHERE message_id BETWEEN ? AND ? ORDER BY message_id")                                                                               \
	X(MAIL_MESSAGES_STRUCTURE,                                                                                                                                                         \
	        "SELECT message_id, body_structure FROM message WHERE message_id BETWEEN ? AND ? ORDER BY message_id")                                                                     \
	X(MAIL_MESSAGES_PREVIEW,                                                                                                                                                           \
	        "SELECT message_id, preview FROM message WHERE message_id BETWEEN ? AND ? ORDER BY message_id")                                                                            \
	X(MAIL_MESSAGE_DELETE, "DELETE FROM message WHERE message_id = ?")                                                                                                                 \
	X(MAIL_MESSAGE_THREAD, "SELECT thread_id, rfc_message_id, base_subject FROM message WHERE message_id = ?")                                                                         \
	X(MAIL_HEADER_LENGTH, "SELECT header_length FROM message WHERE message_id = ?")                                                                                                    \
	X(MAIL_HEADER_NEW, "INSERT INTO header VALUES (?, 0, ?)")                                                                                                                          \
	X(MAIL_HEADER, "SELECT message_id, format, head FROM header WHERE message_id = ?1")                                                                                                \
	X(MAIL_HEADERS,                                                                                                                                                                    \
	        "SELECT message_id, format, head FROM header WHERE message_id BETWEEN ?1 AND ?2 ORDER BY message_id")                                                                      \
	X(MAIL_HEADER_DELETE, "DELETE FROM header WHERE message_id = ?")                                                                                                                   \
	X(MAIL_CONTENT_NEW, "INSERT INTO content VALUES (?, ?, 0, ?, ?, ?, ?, ?)")                                                                                                         \
	X(MAIL_CONTENT,                                                                                                                                                                    \
	        "SELECT class, c.format, length, skip, checksum, file, head, bytes FROM content c JOIN header USING (message_id) WHERE message_id = ?")                                    \
	X(MAIL_CONTENT_ONE,                                                                                                                                                                \
	        "SELECT " CONTENT_WANTED " FROM content c JOIN header USING (message_id) WHERE message_id = ?1")                                                                           \
	X(MAIL_CONTENTS,                                                                                                                                                                   \
	        "SELECT " CONTENT_WANTED                                                                                                                                                   \
	        " FROM content c CROSS JOIN header USING (message_id) WHERE c.message_id BETWEEN ?1 AND ?2 ORDER BY c.message_id")                                                         \
	X(MAIL_CONTENTS_AFTER,                                                                                                                                                             \
	        "SELECT c.message_id, class, length, file, head, bytes, checksum FROM content c LEFT JOIN header USING (message_id) WHERE c.message_id > ? ORDER BY c.message_id LIMIT ?") \
	X(MAIL_CONTENT_FILE, "SELECT file FROM content WHERE message_id = ?")                                                                                                              \
	X(MAIL_CONTENT_DELETE, "DELETE FROM content WHERE message_id = ?")                                                                                                                 \
	X(MAIL_THREAD, "SELECT thread_id FROM thread_ref WHERE hash = ?")                                                                                                                  \
	X(MAIL_THREAD_NEW, "INSERT OR IGNORE INTO thread_ref VALUES (?, ?)")                                                                                                               \
	X(MAIL_THREAD_DELETE, "DELETE FROM thread_ref WHERE hash = ? AND thread_id = ?")                                                                                                   \
	/* operations */                                                                                                                                                                   \
	X(MAIL_OPERATION, "SELECT 1 FROM operation WHERE op_id = ?")                                                                                                                       \
	X(MAIL_OPERATION_NEW, "INSERT OR REPLACE INTO operation VALUES (?, ?)")                                                                                                            \
	X(MAIL_OPERATION_FORGET, "DELETE FROM operation WHERE op_id = ?")                                                                                                                  \
	X(MAIL_OPERATION_TIDY, "DELETE FROM operation WHERE at < ?")                                                                                                                       \
	/* what changed */                                                                                                                                                                 \
	X(MAIL_CHANGED_MAILBOXES, "SELECT " MAILBOX_COLUMNS " FROM mailbox WHERE modseq > ? ORDER BY mailbox_id")                                                                          \
	X(MAIL_GONE_MAILBOXES, "SELECT mailbox_id FROM mailbox_tombstone WHERE modseq > ? ORDER BY modseq")                                                                                \
	X(MAIL_CHANGED_NEW, "SELECT uid, size, message_id, flags, modseq, created FROM membership "                                                                                        \
	                    "WHERE mailbox_id = ? ORDER BY uid DESC")                                                                                                                      \
	X(MAIL_CHANGED_RANGES, "SELECT uid_first, uid_last FROM flag_change WHERE modseq > ? AND mailbox_id = ?")                                                                          \
	X(MAIL_CHANGED_ROWS, "SELECT " ROW_COLUMNS " FROM membership WHERE mailbox_id = ? "                                                                                                \
	                     "AND uid BETWEEN ? AND ? AND modseq > ? AND created <= ?4 ORDER BY uid")                                                                                      \
	X(MAIL_GONE_ROWS, "SELECT uid FROM tombstone WHERE modseq > ? AND mailbox_id = ?")                                                                                                 \
	X(MAIL_OLD_TOMBSTONES, "SELECT max(modseq) FROM (SELECT modseq FROM tombstone WHERE at < ? "                                                                                       \
	                       "ORDER BY modseq LIMIT ?)")                                                                                                                                 \
	X(MAIL_OLD_FLAG_CHANGES, "SELECT max(modseq) FROM (SELECT modseq FROM flag_change WHERE at < ? "                                                                                   \
	                         "ORDER BY modseq LIMIT ?)")                                                                                                                               \
	X(MAIL_OLD_MAILBOXES, "SELECT max(modseq) FROM (SELECT modseq FROM mailbox_tombstone WHERE at < ? "                                                                                \
	                      "ORDER BY modseq LIMIT ?)")                                                                                                                                  \
	X(MAIL_TOMBSTONE_TIDY, "DELETE FROM tombstone WHERE modseq <= ?")                                                                                                                  \
	X(MAIL_FLAG_CHANGE_TIDY, "DELETE FROM flag_change WHERE modseq <= ?")                                                                                                              \
	X(MAIL_MAILBOX_TOMBSTONE_TIDY, "DELETE FROM mailbox_tombstone WHERE modseq <= ?")                                                                                                  \
	X(MAIL_FREE_PAGES, "SELECT freelist_count, page_count FROM pragma_freelist_count, pragma_page_count")                                                                              \
	X(MAIL_GIVE_BACK, "PRAGMA incremental_vacuum(1000)")

enum mail_statement {
#define MAIL_STATEMENT_ENUM(name, sql) name,
	MAIL_STATEMENTS(MAIL_STATEMENT_ENUM)
#undef MAIL_STATEMENT_ENUM
	        MAIL_STATEMENT_COUNT
};

extern const struct database_kind mail_kind;

#endif
