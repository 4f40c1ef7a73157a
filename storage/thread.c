/* Threads as RFC 8621 §3 asks for: messages that share a message id (own, In-Reply-To, References) and the base subject.
 * Remembered as a keyed 64-bit hash of the two, so a reply under another subject starts a thread of its own. */
#include "storage/change.h"

#include "message/summary.h"

#include <sodium.h>
#include <string.h>

#define THREAD_REFS_MAX 20 /* of a long list the first and the latest; a reply names its parent last */

static int64_t thread_hash(const struct change *change, struct span id, struct span base_subject)
{
	unsigned char out[crypto_shorthash_BYTES], subject[crypto_shorthash_KEYBYTES];
	char lower[256];
	size_t len = base_subject.len < sizeof(lower) ? base_subject.len : sizeof(lower);
	int64_t hash;

	for (size_t i = 0; i < len; i++)
		lower[i] = ascii_lower(base_subject.ptr[i]);
	memset(subject, 0, sizeof(subject));
	memcpy(subject, change->account->thread_key, sizeof(subject));
	crypto_shorthash(out, (const unsigned char *)lower, len, subject);
	for (size_t i = 0; i < sizeof(out); i++)
		subject[i] ^= out[i]; /* the key for the id depends on the subject */
	crypto_shorthash(out, (const unsigned char *)id.ptr, id.len, subject);
	memcpy(&hash, out, sizeof(hash));
	return hash;
}

static bool find_thread(struct change *change, int64_t hash, int64_t *thread_id, struct error *err)
{
	sqlite3_stmt *rows;
	enum step step;

	if (!DATABASE_QUERY(change->database, MAIL_THREAD, &rows, err, V_INT(hash)))
		return false;
	step = database_step(change->database, rows, err);
	if (step == STEP_ROW)
		*thread_id = sqlite3_column_int64(rows, 0);
	database_done(rows);
	return step != STEP_FAILED;
}

static bool remember(struct change *change, int64_t hash, int64_t thread_id, struct error *err)
{
	return DATABASE_RUN(change->database, MAIL_THREAD_NEW, err, V_INT(hash), V_INT(thread_id));
}

/* The ids this message refers to: In-Reply-To, the first reference, then the last ones backwards. */
static size_t collect_refs(const struct message_summary *summary, struct span *refs)
{
	struct span list = summary->references, id;
	size_t count = 0, at;

	if (summary->in_reply_to.len > 0)
		refs[count++] = summary->in_reply_to;
	if (list.len > 0 && !span_take_until(&list, '\n', &id)) {
		id = list;
		list = SPAN_EMPTY;
	}
	if (summary->references.len > 0)
		refs[count++] = id;
	while (list.len > 0 && count < THREAD_REFS_MAX) {
		bool more = span_find_last(list, '\n', &at);

		refs[count++] = more ? span_skip(list, at + 1) : list;
		list = more ? span_first(list, at) : SPAN_EMPTY;
	}
	return count;
}

static bool assign_by_refs(
        struct change *change, const struct message_summary *summary, int64_t *thread_id, struct error *err)
{
	struct span refs[THREAD_REFS_MAX];
	size_t count = collect_refs(summary, refs);
	int64_t found = 0;

	for (size_t i = 0; i < count && found == 0; i++) {
		if (!find_thread(change, thread_hash(change, refs[i], summary->base_subject), &found, err))
			return false;
	}
	if (found != 0)
		*thread_id = found;
	/* A parent that has not come yet will find its thread by these. */
	for (size_t i = 0; i < count && i < 2; i++) {
		if (!remember(change, thread_hash(change, refs[i], summary->base_subject), *thread_id, err))
			return false;
	}
	return true;
}

bool thread_assign(struct change *change, const struct message_summary *summary, int64_t message_id, int64_t *thread_id,
        struct error *err)
{
	bool has_refs = summary->in_reply_to.len > 0 || summary->references.len > 0;
	int64_t hash;

	*thread_id = message_id;
	if (has_refs && !assign_by_refs(change, summary, thread_id, err))
		return false;
	if (summary->message_id.len == 0)
		return true;
	hash = thread_hash(change, summary->message_id, summary->base_subject);
	if (!remember(change, hash, *thread_id, err))
		return false;
	if (database_changes(change->database) > 0 || *thread_id != message_id)
		return true;
	return find_thread(change, hash, thread_id, err);
}

bool thread_forget(
        struct change *change, int64_t thread_id, struct span message_id, struct span base_subject, struct error *err)
{
	if (message_id.len == 0)
		return true;
	return DATABASE_RUN(change->database, MAIL_THREAD_DELETE, err,
	        V_INT(thread_hash(change, message_id, base_subject)), V_INT(thread_id));
}
