/* Keywords of an account: 58 numbers, given to names inside the transaction that needs them. */
#include "storage/change.h"
#include "storage/mailbox_private.h"

#include <stdlib.h>
#include <string.h>

#define ALL_NUMBERS ((UINT64_C(1) << FLAG_KEYWORD_COUNT) - 1)

static bool find_keyword(struct change *change, struct span name, int64_t *number, bool *found, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(change->database, MAIL_KEYWORD, &rows, err, V_TEXT(name)))
		return false;
	step = database_step(change->database, rows, err);
	*found = step == STEP_ROW;
	*number = *found ? sqlite3_column_int64(rows, 0) : 0;
	database_done(rows);
	return step != STEP_FAILED;
}

/* Bit n: number n has a name. */
static bool read_given(struct change *change, uint64_t *given, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	*given = 0;
	if (!database_query(change->database, MAIL_KEYWORDS, NULL, 0, &rows, err))
		return false;
	while ((step = database_step(change->database, rows, err)) == STEP_ROW)
		*given |= UINT64_C(1) << (sqlite3_column_int64(rows, 0) % FLAG_KEYWORD_COUNT);
	database_done(rows);
	return step == STEP_DONE;
}

/* Bit n: a message has number n. Reads every membership, or as many as it takes to see all numbers. */
static bool read_used(struct change *change, uint64_t *used, struct error *err)
{
	enum step step = STEP_DONE;
	sqlite3_stmt *rows;

	*used = 0;
	if (!database_query(change->database, MAIL_KEYWORDS_USED, NULL, 0, &rows, err))
		return false;
	while (*used != ALL_NUMBERS && (step = database_step(change->database, rows, err)) == STEP_ROW)
		*used |= (uint64_t)sqlite3_column_int64(rows, 0) >> FLAG_KEYWORD_FIRST;
	database_done(rows);
	return step != STEP_FAILED;
}

/* The account is as it was committed, so its modseq says which state that is. */
static bool is_untouched(const struct change *change)
{
	return change->modseq == 0 && !change->state.dirty;
}

/* All that no message has lose their names, so that this is done once for many. `held`: just found, and about to be used. Who asks again, while nothing
 * has happened, for what was refused does not make us read every membership again. */
static bool take_unused(struct change *change, uint64_t held, uint64_t *given, struct error *err)
{
	struct account *account = change->account;
	uint64_t modseq = change->state.row.modseq, used;

	if (is_untouched(change) && account->all_used_at == modseq) {
		*given = ALL_NUMBERS;
		return true;
	}
	if (!read_used(change, &used, err))
		return false;
	if (is_untouched(change) && used == ALL_NUMBERS)
		account->all_used_at = modseq;
	for (unsigned n = 0; n < FLAG_KEYWORD_COUNT; n++) {
		if (((used | held) >> n & 1) == 0 &&
		        !DATABASE_RUN(change->database, MAIL_KEYWORD_DELETE, err, V_INT(n)))
			return false;
	}
	*given = used | held;
	return true;
}

static bool give_number(struct change *change, struct span name, uint64_t held, int64_t *number, struct error *err)
{
	uint64_t given;

	if (name.len == 0)
		return error_set(err, ERR_BAD_VALUE, "empty keyword");
	if (name.len > KEYWORD_LEN_MAX)
		return error_set(err, ERR_TOO_LONG, "keyword longer than %d octets", KEYWORD_LEN_MAX);
	if (!read_given(change, &given, err) || (given == ALL_NUMBERS && !take_unused(change, held, &given, err)))
		return false;
	if (given == ALL_NUMBERS)
		return error_set(err, ERR_LIMIT, "more than %d keywords in use", FLAG_KEYWORD_COUNT);
	*number = __builtin_ctzll(~given);
	change->state.row.keyword_modseq = change_modseq(change);
	return DATABASE_RUN(change->database, MAIL_KEYWORD_NEW, err, V_INT(*number), V_TEXT(name));
}

bool keyword_bits(
        struct change *change, const struct message_flags *flags, bool make, uint64_t *bits, struct error *err)
{
	uint64_t numbers = 0;

	for (size_t i = 0; i < flags->keyword_count; i++) {
		int64_t number;
		bool found;

		if (!find_keyword(change, flags->keywords[i], &number, &found, err) ||
		        (!found && make && !give_number(change, flags->keywords[i], numbers, &number, err)))
			return false;
		if (found || make)
			numbers |= UINT64_C(1) << number;
	}
	*bits = flags->system | numbers << FLAG_KEYWORD_FIRST;
	return true;
}

/* The texts lie behind each other in one allocation. */
static bool add_name(struct keyword_list *list, int64_t number, struct span name, struct error *err)
{
	char *text = list->memory;

	if (number < 0 || number >= FLAG_KEYWORD_COUNT || name.len > KEYWORD_LEN_MAX)
		return error_detail(err, ERR_DAMAGED, "keyword %lld of %zu octets", (long long)number, name.len);
	text += (size_t)number * KEYWORD_LEN_MAX;
	if (name.len > 0)
		memcpy(text, name.ptr, name.len);
	list->names[number] = span_make(text, name.len);
	return true;
}

bool keywords_read(struct account *account, uint64_t version, struct keyword_list *out, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;
	bool ok = true;

	*out = (struct keyword_list) { .version = version };
	if (version == 0)
		return true;
	out->memory = malloc((size_t)FLAG_KEYWORD_COUNT * KEYWORD_LEN_MAX);
	if (out->memory == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	ok = database_query(account->database, MAIL_KEYWORDS, NULL, 0, &rows, err);
	step = STEP_FAILED;
	while (ok && (step = database_step(account->database, rows, err)) == STEP_ROW)
		ok = add_name(out, sqlite3_column_int64(rows, 0), database_text(rows, 1), err);
	database_done(rows);
	if (ok && step == STEP_DONE)
		return true;
	keyword_list_free(out);
	return false;
}

void keyword_list_free(struct keyword_list *list)
{
	free(list->memory);
	*list = (struct keyword_list) { 0 };
}
