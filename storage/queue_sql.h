/* storage/queue_sql.h — every statement on queue.db; the tables are in schema/queue-*.sql. */
#ifndef STORAGE_QUEUE_SQL_H
#define STORAGE_QUEUE_SQL_H

#include "storage/database.h"

#define QUEUE_NUMBER_BITS 14 /* recipient_id = message_id << 14 | number; as in queue-1.sql and in QUEUE_OF below */
#define QUEUE_NUMBER_MASK ((INT64_C(1) << QUEUE_NUMBER_BITS) - 1)
#define QUEUE_OF(id)      "recipient_id BETWEEN " id " << 14 AND " id " << 14 | 16383 "

#define QUEUE_RCPT_COLUMNS                                                                                             \
	"recipient_id, kind, address, account_id, folder, orcpt, notify, op_id, attempts, next_attempt, warned, held, reply "

/* ?1 after this recipient, ?2 up to this one, ?3 held or -1, ?4 attempts at least, or it waits for another's; ?5 ?6 ?7 how, address, its domain;
 * (".one.test": those below it); ?8 is the message looked at, ?9 ?10 how, sender, ?11 created before or 0; ?12 ?13 limit and offset.
 * how: 0 any, 1 exactly, 2 ends with. The message is not read when nothing is asked of it. */
#define QUEUE_FIND_SQL                                                                                                 \
	"SELECT recipient_id FROM recipient WHERE recipient_id > ?1 AND recipient_id <= ?2 "                           \
	"AND (?3 < 0 OR held = ?3) AND (attempts >= ?4 OR reply <> '') "                                               \
	"AND CASE ?5 WHEN 0 THEN 1 WHEN 1 THEN address = ?6 COLLATE NOCASE "                                           \
	"ELSE substr(address, -length(?6)) = ?6 COLLATE NOCASE OR "                                                    \
	"lane_id IN (SELECT lane_id FROM lane WHERE domain = ?7 "                                                      \
	"OR (substr(?7, 1, 1) = '.' AND substr(domain, -length(?7)) = ?7)) END "                                       \
	"AND CASE ?8 WHEN 0 THEN 1 ELSE EXISTS (SELECT 1 FROM message WHERE message_id = recipient_id >> 14 "          \
	"AND CASE ?9 WHEN 0 THEN 1 WHEN 1 THEN sender = ?10 COLLATE NOCASE "                                           \
	"ELSE substr(sender, -length(?10)) = ?10 COLLATE NOCASE END AND (?11 = 0 OR created < ?11) "                   \
	"AND (?14 = '' OR trace = ?14 OR (trace > ?14 || '-' AND trace < ?14 || '.'))) END "                           \
	"ORDER BY recipient_id LIMIT ?12 OFFSET ?13"

/* Nothing is looked at that is not counted: pages are counted whole, or neighbours in recipient_due. */
#define QUEUE_COUNT_SQL                                                                                                \
	"SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM recipient), "                                    \
	"(SELECT sum((SELECT count(*) FROM recipient r WHERE r.lane_id = lane.lane_id AND r.held = 1)) FROM lane), "   \
	"(SELECT sum((SELECT count(*) FROM recipient r WHERE r.lane_id = lane.lane_id AND r.held = 0 "                 \
	"AND r.next_attempt <= ?1)) FROM lane WHERE next_due <= ?1)"

#define QUEUE_STATEMENTS(X)                                                                                            \
	X(QUEUE_SECRET, "SELECT secret FROM site")                                                                     \
	X(QUEUE_SECRET_NEW, "INSERT INTO site (one, secret) VALUES (1, ?) ON CONFLICT DO NOTHING")                     \
	X(QUEUE_MESSAGE_NEW,                                                                                           \
	        "INSERT INTO message (trace, sender, envid, header_id, ret, flags, priority, account_id, created, "    \
	        "expires, deliver_by, size, future_release) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "           \
	        "ON CONFLICT (trace) DO NOTHING")                                                                      \
	X(QUEUE_MESSAGE, "SELECT trace, sender, envid, header_id, ret, flags, priority, account_id, created, "         \
	                 "expires, deliver_by, size, future_release FROM message WHERE message_id = ?")                \
	X(QUEUE_MESSAGES_OF_TRACE, "SELECT min(message_id), max(message_id) FROM message WHERE trace = ?1 "            \
	                           "OR (trace > ?1 || '-' AND trace < ?1 || '.')")                                     \
	X(QUEUE_MESSAGE_SIZE, "SELECT size FROM message WHERE message_id = ?")                                         \
	X(QUEUE_MESSAGE_PRIORITY, "SELECT priority FROM message WHERE message_id = ?")                                 \
	X(QUEUE_MESSAGE_DELETE, "DELETE FROM message WHERE message_id = ?")                                            \
	X(QUEUE_BODY_NEW, "INSERT INTO body (message_id, prefix, bytes, file, length) VALUES (?, ?, ?, ?, ?)")         \
	X(QUEUE_BODY, "SELECT prefix, bytes, file, length FROM body WHERE message_id = ?")                             \
	X(QUEUE_BODY_DELETE, "DELETE FROM body WHERE message_id = ? RETURNING file")                                   \
	X(QUEUE_FILES, "SELECT message_id, file, length FROM body WHERE file IS NOT NULL AND message_id > ? "          \
	               "ORDER BY message_id LIMIT ?")                                                                  \
	X(QUEUE_LANE, "SELECT lane_id, next_due FROM lane WHERE domain = ? AND priority = ?")                          \
	X(QUEUE_LANE_NEW, "INSERT INTO lane (domain, priority, next_due) VALUES (?, ?, ?)")                            \
	X(QUEUE_LANE_DUE_AT, "UPDATE lane SET next_due = ?2 WHERE lane_id = ?1 AND next_due IS NOT ?2")                \
	X(QUEUE_LANE_FIRST, "SELECT next_attempt FROM recipient WHERE lane_id = ? AND held = 0 "                       \
	                    "ORDER BY next_attempt LIMIT 1")                                                           \
	X(QUEUE_LANE_ANY, "SELECT 1 FROM recipient WHERE lane_id = ? LIMIT 1")                                         \
	X(QUEUE_LANE_DELETE, "DELETE FROM lane WHERE lane_id = ?")                                                     \
	X(QUEUE_LANE_PRIORITY, "SELECT max(priority) FROM lane WHERE priority < ? AND next_due IS NOT NULL")           \
	X(QUEUE_LANES_DUE, "SELECT domain, next_due FROM lane WHERE priority = ? AND next_due <= ? "                   \
	                   "ORDER BY next_due LIMIT ?")                                                                \
	X(QUEUE_LANES_LATER,                                                                                           \
	        "SELECT next_due FROM lane WHERE priority = ? AND next_due > ? ORDER BY next_due LIMIT 1")             \
	X(QUEUE_LANES_OF, "SELECT lane_id FROM lane WHERE domain = ? AND next_due <= ? ORDER BY priority DESC")        \
	X(QUEUE_RCPT_NEW, "INSERT INTO recipient (recipient_id, lane_id, held, next_attempt, kind, address, "          \
	                  "account_id, folder, orcpt, notify, op_id, attempts, warned, reply) "                        \
	                  "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '')")                                        \
	X(QUEUE_RCPT, "SELECT " QUEUE_RCPT_COLUMNS "FROM recipient WHERE recipient_id = ?")                            \
	X(QUEUE_RCPTS_DUE, "SELECT " QUEUE_RCPT_COLUMNS "FROM recipient WHERE lane_id = ? AND held = 0 "               \
	                   "AND next_attempt <= ? ORDER BY next_attempt, recipient_id")                                \
	X(QUEUE_RCPT_ANY, "SELECT 1 FROM recipient WHERE " QUEUE_OF("?1") "LIMIT 1")                                   \
	X(QUEUE_RCPT_DONE, "DELETE FROM recipient WHERE recipient_id = ? RETURNING lane_id")                           \
	X(QUEUE_RCPT_AGAIN, "UPDATE recipient SET attempts = attempts + 1, next_attempt = ?2, "                        \
	                    "warned = max(warned, ?3), reply = ?4 WHERE recipient_id = ?1 RETURNING lane_id")          \
	X(QUEUE_RCPT_UNDONE, "UPDATE recipient SET next_attempt = ?2, warned = max(warned, ?3), reply = ?4 "           \
	                     "WHERE recipient_id = ?1 RETURNING lane_id")                                              \
	X(QUEUE_RCPT_RETRY, "UPDATE recipient SET next_attempt = ?2 "                                                  \
	                    "WHERE recipient_id = ?1 AND held = 0 AND next_attempt > ?2 RETURNING lane_id")            \
	X(QUEUE_RCPT_WAITS, "SELECT 1 FROM recipient WHERE recipient_id = ? AND held = 0")                             \
	X(QUEUE_RCPT_HOLD, "UPDATE recipient SET held = 1 WHERE recipient_id = ?1 AND held = 0 RETURNING lane_id")     \
	X(QUEUE_RCPT_RELEASE, "UPDATE recipient SET held = 0, next_attempt = min(next_attempt, ?2) "                   \
	                      "WHERE recipient_id = ?1 AND held = 1 RETURNING lane_id")                                \
	X(QUEUE_RCPT_LANE, "SELECT lane_id FROM recipient WHERE recipient_id = ? AND kind = 0")                        \
	X(QUEUE_RCPT_MOVE, "UPDATE recipient SET lane_id = ?2 WHERE recipient_id = ?1 "                                \
	                   "RETURNING lane_id")                                                                        \
	X(QUEUE_FIND, QUEUE_FIND_SQL)                                                                                  \
	X(QUEUE_COUNT, QUEUE_COUNT_SQL)                                                                                \
	X(QUEUE_SENDING, "SELECT day, recipients, new_recipients, known FROM sending WHERE account_id = ?")            \
	X(QUEUE_SENDING_PUT, "INSERT INTO sending VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (account_id) DO UPDATE "     \
	                     "SET day = ?2, recipients = ?3, new_recipients = ?4, known = ?5")                         \
	X(QUEUE_KNOWN, "SELECT seen FROM known_recipient WHERE account_id = ? AND address = ?")                        \
	X(QUEUE_KNOWN_PUT, "INSERT INTO known_recipient VALUES (?1, ?2, ?3) ON CONFLICT (account_id, address) "        \
	                   "DO UPDATE SET seen = ?3")                                                                  \
	X(QUEUE_KNOWN_PRUNE, "DELETE FROM known_recipient WHERE account_id = ?1 AND address IN (SELECT address "       \
	                     "FROM known_recipient WHERE account_id = ?1 ORDER BY seen LIMIT ?2)")                     \
	X(QUEUE_SENDING_DELETE, "DELETE FROM sending WHERE account_id = ?")                                            \
	X(QUEUE_KNOWN_DELETE, "DELETE FROM known_recipient WHERE account_id = ?")                                      \
	X(QUEUE_FREE_PAGES, "PRAGMA freelist_count")                                                                   \
	X(QUEUE_GIVE_BACK, "PRAGMA incremental_vacuum(1000)")

enum queue_statement {
#define QUEUE_STATEMENT_ENUM(name, sql) name,
	QUEUE_STATEMENTS(QUEUE_STATEMENT_ENUM)
#undef QUEUE_STATEMENT_ENUM
	        QUEUE_STATEMENT_COUNT
};

extern const struct database_kind queue_kind;

#endif
