#include "storage/mail_sql.h"

#include "storage/schema.h"

static const char *const steps[] = { schema_mail_1 };

static const char *const statements[MAIL_STATEMENT_COUNT] = {
#define MAIL_STATEMENT_SQL(name, sql) [name] = sql,
	MAIL_STATEMENTS(MAIL_STATEMENT_SQL)
#undef MAIL_STATEMENT_SQL
};

const struct database_kind mail_kind = {
	.application_id = 0x50486d31,
	.steps = steps,
	.version = (int)ARRAY_LEN(steps),
	.statements = statements,
	.statement_count = MAIL_STATEMENT_COUNT,
};
