#include "pop3d/maildrop.h"

#include "base/check.h"
#include "storage/batch.h"

#include <stdlib.h>

bool maildrop_account(struct store *store, int64_t account_id, struct account **out, struct error *err)
{
	if (account_open(store, account_id, out, err))
		return true;
	if (err->code == ERR_BUSY)
		err->code = ERR_TEMPORARY;
	return false;
}

/* The snapshot: what is needed of each row, in 16 octets instead of 40. */
static bool take_rows(struct maildrop *maildrop, const struct message_row *rows, size_t count, struct error *err)
{
	if (count > MESSAGES_MAX)
		count = MESSAGES_MAX; /* the oldest ones: when these are gone the rest shows up */
	if (count == 0)
		return true;
	maildrop->messages = malloc(count * sizeof(*maildrop->messages));
	if (maildrop->messages == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < count; i++) {
		maildrop->messages[i] = (struct maildrop_message) {
			.id = rows[i].message_id,
			.uid = rows[i].uid,
			.size = rows[i].size & 0x7fffffff,
		};
		maildrop->size += rows[i].size;
	}
	maildrop->total = maildrop->count = (uint32_t)count;
	return true;
}

static bool read_inbox(struct maildrop *maildrop, struct error *err)
{
	struct account *account = NULL;
	struct mailbox_info inbox;
	struct message_row *rows = NULL;
	size_t count = 0;
	bool ok;

	if (!maildrop_account(maildrop->store, maildrop->account_id, &account, err))
		return false;
	ok = mailbox_find_use(account, USE_INBOX, &inbox, err) && mailbox_rows(account, inbox.id, &rows, &count, err);
	account_release(&account);
	if (!ok)
		return false;
	maildrop->inbox_id = inbox.id;
	maildrop->uid_validity = inbox.uid_validity;
	ok = take_rows(maildrop, rows, count, err);
	free(rows);
	return ok;
}

bool maildrop_open(struct store *store, int64_t account_id, struct maildrop **out, struct error *err)
{
	struct maildrop *maildrop = calloc(1, sizeof(*maildrop));

	*out = NULL;
	if (maildrop == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	maildrop->store = store;
	maildrop->account_id = account_id;
	if (!store_lock_maildrop(store, account_id, &maildrop->lock, err) || !read_inbox(maildrop, err)) {
		maildrop_close(&maildrop); /* RFC 1939 §4: the lock goes before the refusal */
		return false;
	}
	*out = maildrop;
	return true;
}

void maildrop_close(struct maildrop **maildrop)
{
	struct maildrop *m = *maildrop;

	*maildrop = NULL;
	if (m == NULL)
		return;
	if (m->lock != NULL)
		store_unlock_maildrop(&m->lock);
	free(m->messages);
	free(m);
}

static bool commit(struct account *account, struct batch *batch, struct error *err)
{
	if (!account_commit(account, &batch, 1, err))
		return false;
	*err = batch_result(batch)->error;
	return err->code == ERR_NONE;
}

/* Trash, made again if the user removed it. */
static bool find_trash(struct account *account, struct mailbox_info *trash, struct error *err)
{
	struct batch *batch;
	bool ok;

	if (mailbox_find_use(account, USE_TRASH, trash, err))
		return true;
	if (err->code != ERR_NO_SUCH_MAILBOX)
		return false;
	if (mailbox_find(account, SPAN("Trash"), trash, err))
		return true;
	if (err->code != ERR_NO_SUCH_MAILBOX)
		return false;
	batch = batch_new(NULL);
	if (batch == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	ok = batch_mailbox_create(batch, SPAN("Trash"), USE_TRASH) && commit(account, batch, err);
	batch_free(&batch);
	return ok && mailbox_find_use(account, USE_TRASH, trash, err);
}

static bool add_changes(struct batch *batch, struct maildrop *m, const uint32_t *uids, size_t count, int64_t trash_id)
{
	batch_expect_uid_validity(batch, m->inbox_id, m->uid_validity);
	if (trash_id != 0)
		return batch_move(batch, m->inbox_id, uids, count, trash_id);
	return batch_expunge(batch, m->inbox_id, uids, count);
}

static bool remove_uids(
        struct maildrop *m, const uint32_t *uids, size_t count, enum pop3d_delete delete_to, struct error *err)
{
	struct account *account = NULL;
	struct mailbox_info trash = { 0 };
	struct batch *batch = batch_new(NULL);
	bool ok = batch != NULL || error_set(err, ERR_NO_MEMORY, "out of memory");

	ok = ok && maildrop_account(m->store, m->account_id, &account, err) &&
	     (delete_to == DELETE_EXPUNGE || find_trash(account, &trash, err));
	if (ok) {
		ok = add_changes(batch, m, uids, count, trash.id) || error_set(err, ERR_NO_MEMORY, "out of memory");
		ok = ok && commit(account, batch, err);
	}
	if (account != NULL)
		account_release(&account);
	if (batch != NULL)
		batch_free(&batch);
	return ok;
}

bool maildrop_update(struct maildrop *m, enum pop3d_delete delete_to, struct error *err)
{
	size_t marked = m->total - m->count, at = 0;
	uint32_t *uids;
	bool ok;

	if (marked == 0)
		return true;
	uids = malloc(marked * sizeof(*uids));
	if (uids == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	for (uint32_t i = 0; i < m->total; i++) {
		if (m->messages[i].deleted)
			uids[at++] = m->messages[i].uid;
	}
	CHECK(at == marked);
	ok = remove_uids(m, uids, marked, delete_to, err);
	free(uids);
	return ok;
}

struct maildrop_message *maildrop_get(struct maildrop *m, uint32_t number)
{
	return number >= 1 && number <= m->total ? &m->messages[number - 1] : NULL;
}

void maildrop_mark(struct maildrop *m, struct maildrop_message *message)
{
	CHECK(!message->deleted);
	message->deleted = true;
	m->count--;
	m->size -= message->size;
}

void maildrop_unmark_all(struct maildrop *m)
{
	for (uint32_t i = 0; i < m->total; i++) {
		if (m->messages[i].deleted) {
			m->messages[i].deleted = false;
			m->count++;
			m->size += m->messages[i].size;
		}
	}
	CHECK(m->count == m->total);
}

void maildrop_set_size(struct maildrop *m, struct maildrop_message *message, uint32_t size)
{
	CHECK(!message->deleted);
	m->size += size;
	m->size -= message->size;
	message->size = size & 0x7fffffff;
}

static void put_hex(char *out, uint32_t value)
{
	for (int i = 7; i >= 0; i--, value >>= 4)
		out[i] = "0123456789abcdef"[value & 15];
}

void maildrop_uid_text(const struct maildrop *m, const struct maildrop_message *message, char *out)
{
	put_hex(out, m->uid_validity);
	put_hex(out + 8, message->uid);
}
