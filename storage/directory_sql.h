/* storage/directory_sql.h — every statement on directory.db; the tables are in schema/directory-1.sql and directory-2.sql. */
#ifndef STORAGE_DIRECTORY_SQL_H
#define STORAGE_DIRECTORY_SQL_H

#include "storage/database.h"

#define ACCOUNT_INFO_COLUMNS                                                                                           \
	"a.account_id, l.local, d.name, a.name, a.quota_bytes, a.quota_messages, a.disabled, a.created, "              \
	"a.file_sent, a.detail_folders, a.undo_seconds, a.recipients_a_day, a.new_recipients_a_day "                   \
	"FROM account a JOIN address l ON l.account_id = a.account_id AND l.login = 1 "                                \
	"JOIN domain d ON d.domain_id = l.domain_id "

#define DIRECTORY_STATEMENTS(X)                                                                                        \
	X(DIR_DOMAIN, "SELECT domain_id FROM domain WHERE name = ?")                                                   \
	X(DIR_FIRST_DOMAIN, "SELECT domain_id, name FROM domain ORDER BY domain_id LIMIT 1")                           \
	X(DIR_DOMAIN_NEW, "INSERT INTO domain (name, created) VALUES (?, ?)")                                          \
	X(DIR_DOMAIN_DELETE, "DELETE FROM domain WHERE domain_id = ?")                                                 \
	X(DIR_DOMAIN_ACCOUNTS, "SELECT count(*) FROM address WHERE domain_id = ?")                                     \
	X(DIR_DOMAIN_ALIASES_DELETE, "DELETE FROM alias WHERE domain_id = ?")                                          \
	X(DIR_DOMAINS, "SELECT d.name, (SELECT count(*) FROM address WHERE domain_id = d.domain_id AND login = 1), "   \
	               "(SELECT count(*) FROM alias WHERE domain_id = d.domain_id) FROM domain d ORDER BY d.name")     \
	X(DIR_ADDRESS, "SELECT a.account_id, a.quota_bytes, a.quota_messages, a.detail_folders FROM address l "        \
	               "JOIN account a ON a.account_id = l.account_id WHERE l.domain_id = ? AND l.local = ?")          \
	X(DIR_OLDEST, "SELECT a.account_id, a.quota_bytes, a.quota_messages, a.detail_folders FROM address l "         \
	              "JOIN account a ON a.account_id = l.account_id WHERE l.domain_id = ? "                           \
	              "ORDER BY a.account_id LIMIT 1")                                                                 \
	X(DIR_ADDRESS_NEW, "INSERT INTO address (domain_id, local, account_id, login) VALUES (?, ?, ?, ?)")            \
	X(DIR_ADDRESSES_DELETE, "DELETE FROM address WHERE account_id = ?")                                            \
	X(DIR_ACCOUNT, "SELECT " ACCOUNT_INFO_COLUMNS "WHERE a.account_id = ?")                                        \
	X(DIR_ACCOUNT_BY_ADDRESS, "SELECT " ACCOUNT_INFO_COLUMNS "WHERE a.account_id = "                               \
	                          "(SELECT account_id FROM address WHERE domain_id = ? AND local = ?)")                \
	X(DIR_ACCOUNTS, "SELECT " ACCOUNT_INFO_COLUMNS "ORDER BY d.name, l.local")                                     \
	X(DIR_ACCOUNTS_OF, "SELECT " ACCOUNT_INFO_COLUMNS "WHERE l.domain_id = ? ORDER BY l.local")                    \
	X(DIR_ACCOUNT_IDS, "SELECT account_id FROM account")                                                           \
	X(DIR_ACCOUNT_NEW, "INSERT INTO account (name, quota_bytes, quota_messages, disabled, created) "               \
	                   "VALUES (?, ?, ?, 0, ?) RETURNING account_id")                                              \
	X(DIR_ACCOUNT_DELETE, "DELETE FROM account WHERE account_id = ?")                                              \
	X(DIR_ACCOUNT_DISABLE, "UPDATE account SET disabled = ? WHERE account_id = ?")                                 \
	X(DIR_ACCOUNT_QUOTA, "UPDATE account SET quota_bytes = ?, quota_messages = ? WHERE account_id = ?")            \
	X(DIR_ACCOUNT_OPTIONS, "UPDATE account SET file_sent = ?, detail_folders = ?, undo_seconds = ?, "              \
	                       "recipients_a_day = ?, new_recipients_a_day = ? WHERE account_id = ?")                  \
	X(DIR_ALIAS, "SELECT target_local, target_domain, elsewhere FROM alias WHERE domain_id = ? AND local = ?")     \
	X(DIR_ALIAS_NEW, "INSERT INTO alias (domain_id, local, target_domain, target_local, elsewhere) "               \
	                 "VALUES (?, ?, ?, ?, ?)")                                                                     \
	X(DIR_SITE, "SELECT value FROM site WHERE name = ?")                                                           \
	X(DIR_SITE_NEW, "INSERT INTO site (name, value) VALUES (?, ?)")                                                \
	X(DIR_ALIAS_DELETE, "DELETE FROM alias WHERE domain_id = ? AND local = ? AND target_domain = ? "               \
	                    "AND target_local = ?")                                                                    \
	X(DIR_ALIAS_DELETE_ALL, "DELETE FROM alias WHERE domain_id = ? AND local = ?")                                 \
	X(DIR_ALIASES, "SELECT a.local, d.name, a.target_local, a.target_domain FROM alias a "                         \
	               "JOIN domain d ON d.domain_id = a.domain_id ORDER BY d.name, a.local")                          \
	X(DIR_ALIASES_OF, "SELECT a.local, d.name, a.target_local, a.target_domain FROM alias a "                      \
	                  "JOIN domain d ON d.domain_id = a.domain_id WHERE a.domain_id = ? ORDER BY a.local")

enum directory_statement {
#define DIRECTORY_STATEMENT_ENUM(name, sql) name,
	DIRECTORY_STATEMENTS(DIRECTORY_STATEMENT_ENUM)
#undef DIRECTORY_STATEMENT_ENUM
	        DIRECTORY_STATEMENT_COUNT
};

extern const struct database_kind directory_kind;
extern const struct database_kind auth_kind; /* of auth.db; its statements are in credentials.c */

#endif
