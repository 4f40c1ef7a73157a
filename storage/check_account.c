/* What must hold in every mail.db, as SQL that finds the exceptions and, where possible, puts them right. */
#include "storage/check_private.h"

#define COUNTED                                                                                                        \
	"(SELECT m.mailbox_id AS id, count(p.uid) AS n, coalesce(sum(p.flags & 1 = 0), 0) AS u, "                      \
	"coalesce(sum(p.flags >> 3 & 1), 0) AS d, coalesce(sum(p.size), 0) AS s, coalesce(max(p.uid), 0) AS top, "     \
	"coalesce(sum((p.flags >> 3 & 1) * p.size), 0) AS ds, "                                                        \
	"coalesce(max(p.modseq), 0) AS q FROM mailbox m LEFT JOIN membership p USING (mailbox_id) GROUP BY m.mailbox_id)"

#define LIVE                                                                                                           \
	"(SELECT count(*) AS n, coalesce(sum(size), 0) AS s FROM message "                                             \
	"WHERE message_id NOT IN (SELECT message_id FROM expunged))"

#define COPIES "(SELECT message_id, count(*) AS n FROM membership GROUP BY message_id HAVING count(*) > 1)"

#define UNRECORDED                                                                                                     \
	"FROM membership p WHERE modseq > created AND modseq > (SELECT tombstone_floor FROM account_constant) "        \
	"AND NOT EXISTS (SELECT 1 FROM flag_change f WHERE f.modseq = p.modseq AND f.mailbox_id = p.mailbox_id "       \
	"AND p.uid BETWEEN f.uid_first AND f.uid_last)"

#define NAMELESS                                                                                                       \
	"(WITH RECURSIVE bit(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM bit WHERE n < 57), used(f) AS MATERIALIZED "  \
	"(SELECT DISTINCT flags >> 6 FROM membership WHERE flags >> 6 <> 0) SELECT n FROM bit "                        \
	"WHERE n NOT IN (SELECT number FROM keyword) AND EXISTS (SELECT 1 FROM used WHERE f >> n & 1))"

const struct rule check_account_rules[] = {
	{ FINDING_DAMAGE,
	        "SELECT 'the account row is missing' WHERE (SELECT count(*) FROM account) <> 1 "
	        "OR (SELECT count(*) FROM account_constant) <> 1",
	        NULL },
	{ FINDING_DAMAGE, "SELECT 'there is no INBOX' WHERE NOT EXISTS (SELECT 1 FROM mailbox WHERE name = 'INBOX')",
	        NULL },
	/* first what may be freed, so that the counters below see it as it will be */
	{ FINDING_DAMAGE,
	        "SELECT printf('message %d is in a mailbox and marked as expunged', message_id) FROM expunged "
	        "WHERE message_id IN (SELECT message_id FROM membership)",
	        "DELETE FROM expunged WHERE message_id IN (SELECT message_id FROM membership)" },
	{ FINDING_RUBBISH,
	        "SELECT printf('message %d is in no mailbox', message_id) FROM message "
	        "WHERE message_id NOT IN (SELECT message_id FROM membership) "
	        "AND message_id NOT IN (SELECT message_id FROM expunged)",
	        "INSERT INTO expunged SELECT 0, message_id FROM message "
	        "WHERE message_id NOT IN (SELECT message_id FROM membership) "
	        "AND message_id NOT IN (SELECT message_id FROM expunged)" },
	{ FINDING_RUBBISH,
	        "SELECT printf('expunged message %d is not there', message_id) FROM expunged "
	        "WHERE message_id NOT IN (SELECT message_id FROM message)",
	        "DELETE FROM expunged WHERE message_id NOT IN (SELECT message_id FROM message)" },
	{ FINDING_DAMAGE,
	        "SELECT printf('mailbox %d UID %d: its message %d is not there', mailbox_id, uid, message_id) "
	        "FROM membership WHERE message_id NOT IN (SELECT message_id FROM message)",
	        NULL },
	{ FINDING_COUNTER,
	        "SELECT printf('mailbox %d UID %d: size %d, the message has %d', mailbox_id, uid, p.size, m.size) "
	        "FROM membership p JOIN message m USING (message_id) WHERE p.size <> m.size",
	        "UPDATE membership SET size = m.size FROM message m WHERE m.message_id = membership.message_id "
	        "AND m.size <> membership.size" },
	{ FINDING_DAMAGE,
	        "SELECT printf('message %d has no content', message_id) FROM message "
	        "WHERE message_id NOT IN (SELECT message_id FROM content)",
	        NULL },
	{ FINDING_DAMAGE,
	        "SELECT printf('message %d has no header', message_id) FROM message "
	        "WHERE message_id NOT IN (SELECT message_id FROM header)",
	        NULL },
	{ FINDING_DAMAGE,
	        "SELECT printf('message %d: %d octets recorded, %d there', message_id, m.size, "
	        "length(head) + c.length - c.skip) FROM message m JOIN header USING (message_id) JOIN content c USING (message_id) "
	        "WHERE m.size <> length(head) + c.length - c.skip",
	        NULL },
	{ FINDING_COUNTER,
	        "SELECT printf('message %d: %d copies recorded, %d there', message_id, copies, coalesce(n, 1)) "
	        "FROM extra_copies LEFT JOIN " COPIES " USING (message_id) WHERE copies <> coalesce(n, 1)",
	        "DELETE FROM extra_copies WHERE message_id NOT IN (SELECT message_id FROM " COPIES ")" },
	{ FINDING_COUNTER,
	        "SELECT printf('message %d: %d copies, not recorded', c.message_id, n) FROM " COPIES " c "
	        "LEFT JOIN extra_copies e USING (message_id) WHERE e.copies IS NOT n",
	        "INSERT OR REPLACE INTO extra_copies SELECT message_id, n FROM " COPIES },
	{ FINDING_COUNTER,
	        "SELECT printf('mailbox %d: counters %d/%d/%d/%d/%d, counted %d/%d/%d/%d/%d', id, messages, unseen, deleted, "
	        "size, deleted_size, n, u, d, s, ds) FROM mailbox JOIN " COUNTED " ON id = mailbox_id "
	        "WHERE messages <> n OR unseen <> u OR deleted <> d OR size <> s "
	        "OR deleted_size <> ds",
	        "UPDATE mailbox SET messages = n, unseen = u, deleted = d, size = s, deleted_size = ds FROM " COUNTED
	        " WHERE id = mailbox_id" },
	{ FINDING_DAMAGE,
	        "SELECT printf('mailbox %d: UIDNEXT %d, but UID %d is there', id, uid_next, top) "
	        "FROM mailbox JOIN " COUNTED " ON id = mailbox_id WHERE top >= uid_next",
	        "UPDATE mailbox SET uid_next = top + 1 FROM " COUNTED " WHERE id = mailbox_id AND top >= uid_next" },
	{ FINDING_DAMAGE,
	        "SELECT printf('account: modseq %d is below %d of a mailbox', a.modseq, max(m.modseq)) "
	        "FROM account a, mailbox m HAVING max(m.modseq) > a.modseq",
	        "UPDATE account SET modseq = (SELECT max(modseq) FROM mailbox)" },
	{ FINDING_DAMAGE,
	        "SELECT printf('mailbox %d: modseq %d is below %d of a message', id, modseq, q) "
	        "FROM mailbox JOIN " COUNTED " ON id = mailbox_id WHERE q > modseq",
	        "UPDATE mailbox SET modseq = q FROM " COUNTED " WHERE id = mailbox_id AND q > modseq;"
	        "UPDATE account SET modseq = max(modseq, (SELECT max(modseq) FROM mailbox))" },
	{ FINDING_DAMAGE,
	        "SELECT printf('mailbox %d UID %d: created after it changed', mailbox_id, uid) FROM membership "
	        "WHERE created > modseq",
	        "UPDATE membership SET created = modseq WHERE created > modseq" },
	/* the change feed would not find it: told once more is better than never */
	{ FINDING_DAMAGE,
	        "SELECT printf('mailbox %d UID %d: the change of its flags is not recorded', mailbox_id, uid) " UNRECORDED,
	        "INSERT OR REPLACE INTO flag_change SELECT modseq, mailbox_id, uid, uid, strftime('%s') * 1000 " UNRECORDED },
	{ FINDING_DAMAGE,
	        "SELECT printf('mailbox %d UID %d: a flag that does not exist', mailbox_id, uid) FROM membership "
	        "WHERE flags & 32",
	        "UPDATE membership SET flags = flags & ~32 WHERE flags & 32" },
	{ FINDING_DAMAGE, "SELECT printf('keyword %d has no name, but messages have it', n) FROM " NAMELESS,
	        "INSERT INTO keyword SELECT n, 'keyword-without-name-' || n FROM " NAMELESS ";"
	        "UPDATE account SET modseq = modseq + 1, keyword_modseq = modseq + 1" },
	{ FINDING_DAMAGE,
	        "SELECT printf('account: modseq %d is below %d of the keywords', modseq, keyword_modseq) FROM account "
	        "WHERE keyword_modseq > modseq",
	        "UPDATE account SET modseq = keyword_modseq" },
	{ FINDING_DAMAGE,
	        "SELECT 'account: there are keywords, but none was ever given' FROM account WHERE keyword_modseq = 0 "
	        "AND EXISTS (SELECT 1 FROM keyword)",
	        "UPDATE account SET modseq = modseq + 1, keyword_modseq = modseq + 1" },
	{ FINDING_DAMAGE,
	        "SELECT printf('tombstone of mailbox %d UID %d, but the message is there', mailbox_id, uid) FROM tombstone "
	        "JOIN membership USING (mailbox_id, uid)",
	        "DELETE FROM tombstone WHERE EXISTS (SELECT 1 FROM membership p WHERE p.mailbox_id = tombstone.mailbox_id "
	        "AND p.uid = tombstone.uid)" },
	{ FINDING_DAMAGE,
	        "SELECT printf('a tombstone has modseq %d, the account %d', max(t.modseq), a.modseq) FROM tombstone t, account a "
	        "HAVING max(t.modseq) > a.modseq",
	        "UPDATE account SET modseq = max(modseq, (SELECT max(modseq) FROM tombstone))" },
	{ FINDING_DAMAGE,
	        "SELECT printf('UIDVALIDITY %d is used %d times', uid_validity, count(*)) FROM mailbox "
	        "GROUP BY uid_validity HAVING count(*) > 1",
	        NULL },
	{ FINDING_DAMAGE,
	        "SELECT printf('account: the next UIDVALIDITY %d was given before', uid_validity_next) FROM account "
	        "WHERE uid_validity_next <= (SELECT max(uid_validity) FROM mailbox)",
	        "UPDATE account SET uid_validity_next = 1 + (SELECT max(uid_validity) FROM mailbox)" },
	{ FINDING_DAMAGE,
	        "SELECT printf('account: the next id %d was given before', id_next) FROM account "
	        "WHERE id_next <= max((SELECT coalesce(max(message_id), 0) FROM message), "
	        "(SELECT coalesce(max(mailbox_id), 0) FROM mailbox))",
	        "UPDATE account SET id_next = 1 + max((SELECT coalesce(max(message_id), 0) FROM message), "
	        "(SELECT coalesce(max(mailbox_id), 0) FROM mailbox))" },
	{ FINDING_COUNTER,
	        "SELECT printf('account: usage %d octets in %d messages, counted %d in %d', usage_bytes, usage_messages, s, n) "
	        "FROM account, " LIVE " WHERE usage_bytes <> s OR usage_messages <> n",
	        "UPDATE account SET usage_bytes = s, usage_messages = n FROM " LIVE },
};

const size_t check_account_rule_count = sizeof(check_account_rules) / sizeof(check_account_rules[0]);
