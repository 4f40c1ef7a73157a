/* How much an account may send: a stolen password is noticed by numbers. */
#include "storage/queue_private.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS          (INT64_C(24) * 3600 * 1000)
#define KNOWN_MAX       20000 /* recipients remembered for one account; beyond, those not written to for longest go */
#define KNOWN_PRUNE     1000  /* at a time */
#define SEEN_AGAIN_DAYS 7     /* `seen` is written anew when it is that old, not with every message */

_Static_assert(QUEUE_SECRET_LEN == crypto_shorthash_KEYBYTES, "SipHash takes the site's secret as its key");

struct sending {
	int64_t day, recipients, new_recipients, known;
};

static int64_t day_of(int64_t ms)
{
	return ms / DAY_MS;
}

/* Case apart in ASCII: for "has written to before" that is near enough, also of local parts. */
static int64_t hash_of(const struct queue *queue, struct span address)
{
	unsigned char text[QUEUE_ADDRESS_MAX], out[crypto_shorthash_BYTES];
	int64_t number;

	address = span_first(address, sizeof(text));
	for (size_t i = 0; i < address.len; i++)
		text[i] = (unsigned char)ascii_lower(address.ptr[i]);
	crypto_shorthash(out, text, address.len, queue->secret);
	memcpy(&number, out, sizeof(number));
	return number;
}

static int compare_hashes(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

static size_t unique(int64_t *hashes, size_t count)
{
	size_t kept = 0;

	if (count > 1)
		qsort(hashes, count, sizeof(*hashes), compare_hashes);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || hashes[i] != hashes[kept - 1])
			hashes[kept++] = hashes[i];
	}
	return kept;
}

/* What was counted on `today`; zeroes when the account has sent nothing yet. */
static bool load_sending(
        struct database *database, int64_t account_id, int64_t today, struct sending *out, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	*out = (struct sending) { .day = today };
	if (!DATABASE_QUERY(database, QUEUE_SENDING, &rows, err, V_INT(account_id)))
		return false;
	step = database_step(database, rows, err);
	if (step == STEP_ROW) {
		out->known = sqlite3_column_int64(rows, 3);
		if (sqlite3_column_int64(rows, 0) == today) {
			out->recipients = sqlite3_column_int64(rows, 1);
			out->new_recipients = sqlite3_column_int64(rows, 2);
		}
	}
	database_done(rows);
	return step != STEP_FAILED;
}

static bool find_known(
        struct database *database, int64_t account_id, int64_t hash, int64_t *seen, bool *known, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(database, QUEUE_KNOWN, &rows, err, V_INT(account_id), V_INT(hash)))
		return false;
	step = database_step(database, rows, err);
	*known = step == STEP_ROW;
	if (*known)
		*seen = sqlite3_column_int64(rows, 0);
	database_done(rows);
	return step != STEP_FAILED;
}

/* Asking */

static bool count_unknown(struct database *database, int64_t account_id, const int64_t *hashes, size_t count,
        uint64_t *unknown, struct error *err)
{
	int64_t seen;
	bool known;

	*unknown = 0;
	for (size_t i = 0; i < count; i++) {
		if (!find_known(database, account_id, hashes[i], &seen, &known, err))
			return false;
		*unknown += known ? 0 : 1;
	}
	return true;
}

struct question {
	int64_t account_id, today;
	const struct sending_limits *limits;
	const int64_t *hashes;
	size_t count;  /* addresses */
	size_t hashed; /* different ones */
};

static bool recipients_allowed(const struct sending_limits *limits, int64_t recipients, struct error *err)
{
	return limits->recipients_a_day == 0 || recipients <= limits->recipients_a_day ||
	       error_set(err, ERR_LIMIT, "this account may send to %u recipients a day; try again tomorrow",
	               limits->recipients_a_day);
}

static bool new_allowed(const struct sending_limits *limits, int64_t new_recipients, struct error *err)
{
	return limits->new_recipients_a_day == 0 || new_recipients <= limits->new_recipients_a_day ||
	       error_set(err, ERR_LIMIT, "this account may send to %u new recipients a day; try again tomorrow",
	               limits->new_recipients_a_day);
}

static bool is_allowed(struct queue *queue, const struct question *ask, struct error *err)
{
	struct sending sent;
	uint64_t unknown;

	if (!load_sending(queue->reader, ask->account_id, ask->today, &sent, err) ||
	        !recipients_allowed(ask->limits, sent.recipients + (int64_t)ask->count, err))
		return false;
	if (ask->limits->new_recipients_a_day == 0)
		return true;
	return count_unknown(queue->reader, ask->account_id, ask->hashes, ask->hashed, &unknown, err) &&
	       (unknown == 0 || new_allowed(ask->limits, sent.new_recipients + (int64_t)unknown, err));
}

bool queue_may_send(struct queue *queue, int64_t account_id, const struct sending_limits *limits,
        const struct span *addresses, size_t count, int64_t now_ms, struct error *err)
{
	struct question ask = { account_id, day_of(now_ms), limits, NULL, count, 0 };
	int64_t *hashes;
	bool ok;

	if (limits->recipients_a_day == 0 && limits->new_recipients_a_day == 0)
		return true;
	hashes = calloc(count + 1, sizeof(*hashes));
	if (hashes == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < count; i++)
		hashes[i] = hash_of(queue, addresses[i]);
	ask.hashes = hashes;
	ask.hashed = unique(hashes, count);
	ok = queue_begin_read(queue, err);
	if (ok) {
		ok = is_allowed(queue, &ask, err);
		queue_end_read(queue);
	}
	free(hashes);
	return ok;
}

/* Counting */

static bool prune_known(struct queue_change *change, int64_t account_id, struct sending *sent, struct error *err)
{
	if (sent->known <= KNOWN_MAX)
		return true;
	if (!DATABASE_RUN(change->database, QUEUE_KNOWN_PRUNE, err, V_INT(account_id), V_INT(KNOWN_PRUNE)))
		return false;
	sent->known -= database_changes(change->database);
	return true;
}

static bool count_one(
        struct queue_change *change, int64_t account_id, int64_t hash, struct sending *sent, struct error *err)
{
	int64_t seen = 0;
	bool known;

	if (!find_known(change->database, account_id, hash, &seen, &known, err))
		return false;
	if (known && sent->day - seen < SEEN_AGAIN_DAYS)
		return true;
	sent->new_recipients += known ? 0 : 1;
	sent->known += known ? 0 : 1;
	return DATABASE_RUN(change->database, QUEUE_KNOWN_PUT, err, V_INT(account_id), V_INT(hash), V_INT(sent->day)) &&
	       prune_known(change, account_id, sent, err);
}

/* In the transaction that adds it: however many sessions and processes send at once, none gets past. */
bool queue_count_sending(struct queue_change *change, const struct queue_entry *entry, struct error *err)
{
	struct sending sent;
	int64_t remote = 0, new_before;
	bool ok = true;

	for (size_t i = 0; i < entry->recipient_count; i++)
		remote += entry->recipients[i].kind == QUEUE_REMOTE ? 1 : 0;
	if (entry->account_id == 0 || remote == 0)
		return true;
	if (!load_sending(change->database, entry->account_id, day_of(entry->created_ms), &sent, err))
		return false;
	new_before = sent.new_recipients;
	for (size_t i = 0; ok && i < entry->recipient_count; i++) {
		if (entry->recipients[i].kind == QUEUE_REMOTE)
			ok = count_one(change, entry->account_id, hash_of(change->queue, entry->recipients[i].address),
			        &sent, err);
	}
	sent.recipients += remote;
	return ok && recipients_allowed(&entry->limits, sent.recipients, err) &&
	       (sent.new_recipients == new_before || new_allowed(&entry->limits, sent.new_recipients, err)) &&
	       DATABASE_RUN(change->database, QUEUE_SENDING_PUT, err, V_INT(entry->account_id), V_INT(sent.day),
	               V_INT(sent.recipients), V_INT(sent.new_recipients), V_INT(sent.known));
}

bool queue_forget_account(struct queue *queue, int64_t account_id, struct error *err)
{
	struct queue_change change;
	bool ok;

	if (!queue_change_begin(queue, &change, err))
		return false;
	ok = DATABASE_RUN(change.database, QUEUE_KNOWN_DELETE, err, V_INT(account_id)) &&
	     DATABASE_RUN(change.database, QUEUE_SENDING_DELETE, err, V_INT(account_id));
	return queue_change_end(&change, ok, NULL, err);
}
