/* storage/relay_sql.h — every statement on relay.db; the tables are in schema/relay-1.sql. */
#ifndef STORAGE_RELAY_SQL_H
#define STORAGE_RELAY_SQL_H

#include "storage/database.h"

#define ROUTE_COLUMNS "match, kind, host, port, implicit_tls, tls, user, password "

#define RELAY_STATEMENTS(X)                                                                                            \
	X(RELAY_ROUTE, "SELECT " ROUTE_COLUMNS "FROM route WHERE match = ?")                                           \
	X(RELAY_ROUTES, "SELECT " ROUTE_COLUMNS "FROM route ORDER BY match LIMIT ?")                                   \
	X(RELAY_ROUTE_COUNT, "SELECT count(*) FROM route WHERE match <> ?")                                            \
	X(RELAY_ROUTE_PUT,                                                                                             \
	        "INSERT INTO route VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (match) DO UPDATE SET "         \
	        "kind = ?2, host = ?3, port = ?4, implicit_tls = ?5, tls = ?6, user = ?7, password = ?8")              \
	X(RELAY_ROUTE_DELETE, "DELETE FROM route WHERE match = ?")                                                     \
	X(RELAY_POLICY, "SELECT domain, id, fetched, expires, policy FROM sts_policy WHERE domain = ?")                \
	X(RELAY_POLICY_PUT, "INSERT INTO sts_policy VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (domain) DO UPDATE SET "   \
	                    "id = ?2, fetched = ?3, expires = ?4, policy = ?5")                                        \
	X(RELAY_POLICY_COUNT, "SELECT count(*) FROM sts_policy")                                                       \
	X(RELAY_POLICY_PRUNE, "DELETE FROM sts_policy WHERE domain IN (SELECT domain FROM sts_policy "                 \
	                      "ORDER BY expires LIMIT ?)")                                                             \
	X(RELAY_POLICIES_EXPIRING, "SELECT domain FROM sts_policy WHERE expires < ? ORDER BY expires LIMIT ?")

enum relay_statement {
#define RELAY_STATEMENT_ENUM(name, sql) name,
	RELAY_STATEMENTS(RELAY_STATEMENT_ENUM)
#undef RELAY_STATEMENT_ENUM
	        RELAY_STATEMENT_COUNT
};

extern const struct database_kind relay_kind;

#endif
