/* Entries on their way in: checked, their large bodies linked, then message, body and recipients inserted. */
#include "storage/queue_private.h"
#include "storage/reserve.h"
#include "storage/spool_private.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static bool fits(struct span text, size_t max, struct error *err)
{
	size_t at;

	if (text.len > max)
		return error_set(err, ERR_TOO_LONG, "a field of the envelope is too long");
	return !span_find(text, '\0', &at) || error_set(err, ERR_BAD_VALUE, "a field of the envelope has a NUL");
}

static bool rcpt_fits(const struct queue_rcpt_new *rcpt, struct error *err)
{
	if (!fits(rcpt->address, QUEUE_ADDRESS_MAX, err) || !fits(rcpt->folder, QUEUE_FOLDER_MAX, err) ||
	        !fits(rcpt->orcpt, QUEUE_ORCPT_MAX, err) || !fits(rcpt->domain, QUEUE_DOMAIN_MAX, err))
		return false;
	return rcpt->kind != QUEUE_REMOTE || rcpt->domain.len > 0 ||
	       error_set(err, ERR_BAD_ADDRESS, "a recipient has no domain");
}

static bool entry_fits(const struct queue_entry *entry, struct error *err)
{
	bool ok = fits(entry->trace, QUEUE_TRACE_MAX, err) && fits(entry->sender, QUEUE_ADDRESS_MAX, err) &&
	          fits(entry->envid, QUEUE_ENVID_MAX, err);

	if (!ok)
		return false;
	if (entry->trace.len == 0 || entry->recipient_count == 0 || entry->priority < -9 || entry->priority > 9)
		return error_set(err, ERR_BAD_VALUE, "the envelope is not complete");
	if (entry->recipient_count > QUEUE_RECIPIENTS_MAX)
		return error_set(err, ERR_LIMIT, "too many recipients");
	for (size_t i = 0; ok && i < entry->recipient_count; i++)
		ok = rcpt_fits(&entry->recipients[i], err);
	return ok;
}

/* Durable before the transaction: a row never names a file that might be gone after a power cut. */
static bool link_bodies(
        struct queue *queue, struct queue_entry **entries, size_t count, struct body_name *names, struct error *err)
{
	struct body_shelf shelf = { .digits = "" };
	struct body_name name;
	bool any = false;

	body_shelf_choose(&shelf);
	for (size_t i = 0; i < count; i++) {
		if (!spool_is_file(entries[i]->body))
			continue;
		if (!body_link(queue->path, &shelf, entries[i]->body, &name, err))
			return false;
		names[i] = name;
		any = true;
	}
	return !any || body_shelf_sync(queue->path, &shelf, err);
}

bool queue_prepare(
        struct queue *queue, struct queue_entry **entries, size_t count, struct body_name *names, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		if (!entry_fits(entries[i], err))
			return false;
	}
	return link_bodies(queue, entries, count, names, err);
}

void queue_unlink(struct queue *queue, const struct body_name *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (names[i].text[0] != '\0')
			body_remove(queue->path, names[i].text);
	}
}

/* A name for people: cut rather than refused. */
static struct span clean_id(struct span id)
{
	size_t at;

	id = span_first(id, QUEUE_MESSAGE_ID_MAX);
	return span_find(id, '\0', &at) ? span_first(id, at) : id;
}

static bool insert_message(struct queue_change *change, struct queue_entry *entry, struct error *err)
{
	if (!DATABASE_RUN(change->database, QUEUE_MESSAGE_NEW, err, V_TEXT(entry->trace), V_TEXT(entry->sender),
	            V_TEXT(entry->envid), V_TEXT(clean_id(entry->message_id)), V_INT(entry->ret), V_INT(entry->flags),
	            V_INT(entry->priority), V_INT(entry->account_id), V_INT(entry->created_ms),
	            V_INT(entry->expires_ms), V_INT(entry->deliver_by_ms),
	            V_INT(entry->prefix.len + spool_size(entry->body)), V_TEXT(entry->future_release)))
		return false;
	if (database_changes(change->database) == 0)
		return error_set(err, ERR_EXISTS, "the message is in the queue already");
	entry->message_id_out = sqlite3_last_insert_rowid(database_handle(change->database));
	return true;
}

static bool insert_body(
        struct queue_change *change, const struct queue_entry *entry, const struct body_name *name, struct error *err)
{
	bool is_file = spool_is_file(entry->body);

	return DATABASE_RUN(change->database, QUEUE_BODY_NEW, err, V_INT(entry->message_id_out), V_BLOB(entry->prefix),
	        is_file ? V_NULL : V_BLOB(spool_memory(entry->body)), is_file ? V_TEXT(span_of(name->text)) : V_NULL,
	        V_INT(spool_size(entry->body)));
}

/* One per trace, account and kind: the same message into the same mailbox is one delivery, however often it is tried. */
static void make_op_id(const struct queue_entry *entry, const struct queue_rcpt_new *rcpt, uint8_t out[OP_ID_LEN])
{
	const uint8_t kind = (uint8_t)rcpt->kind;
	crypto_generichash_state state;

	(void)crypto_generichash_init(&state, NULL, 0, OP_ID_LEN);
	(void)crypto_generichash_update(&state, &kind, sizeof(kind));
	(void)crypto_generichash_update(&state, (const unsigned char *)&rcpt->account_id, sizeof(rcpt->account_id));
	(void)crypto_generichash_update(&state, (const unsigned char *)entry->trace.ptr, entry->trace.len);
	(void)crypto_generichash_final(&state, out, OP_ID_LEN);
}

_Static_assert(OP_ID_LEN >= crypto_generichash_BYTES_MIN, "an operation id is a short BLAKE2b hash");

static bool insert_rcpt(struct queue_change *change, const struct queue_entry *entry, size_t number, struct error *err)
{
	static const uint8_t none[OP_ID_LEN];
	const struct queue_rcpt_new *rcpt = &entry->recipients[number];
	int64_t due = entry->not_before_ms > 0 ? entry->not_before_ms : entry->created_ms, lane;
	uint8_t op_id[OP_ID_LEN];

	memcpy(op_id, rcpt->op_id, sizeof(op_id));
	if (rcpt->kind != QUEUE_REMOTE && memcmp(op_id, none, sizeof(none)) == 0)
		make_op_id(entry, rcpt, op_id);
	return queue_lane(change, rcpt->kind == QUEUE_REMOTE ? rcpt->domain : SPAN_EMPTY, entry->priority,
	               entry->held ? INT64_MAX : due, &lane, err) &&
	       DATABASE_RUN(change->database, QUEUE_RCPT_NEW, err,
	               V_INT(entry->message_id_out << QUEUE_NUMBER_BITS | (int64_t)number), V_INT(lane),
	               V_INT(entry->held), V_INT(due), V_INT(rcpt->kind), V_TEXT(rcpt->address),
	               V_INT(rcpt->account_id), V_TEXT(rcpt->folder), V_TEXT(rcpt->orcpt), V_INT(rcpt->notify),
	               V_BLOB(span_make(op_id, sizeof(op_id))));
}

bool queue_insert(struct queue_change *change, struct queue_entry **entries, size_t count,
        const struct body_name *names, struct error *err)
{
	bool ok = true;

	for (size_t i = 0; ok && i < count; i++) {
		ok = insert_message(change, entries[i], err) && insert_body(change, entries[i], &names[i], err);
		for (size_t n = 0; ok && n < entries[i]->recipient_count; n++)
			ok = insert_rcpt(change, entries[i], n, err);
		ok = ok && queue_count_sending(change, entries[i], err);
	}
	return ok;
}

static bool has_room(struct queue *queue, struct queue_entry **entries, size_t count, struct error *err)
{
	uint64_t octets = 0;

	for (size_t i = 0; i < count; i++)
		octets += entries[i]->prefix.len + spool_size(entries[i]->body);
	return reserve_allows(queue->reserve, octets, err);
}

bool queue_add(struct queue *queue, struct queue_entry **entries, size_t count, struct error *err)
{
	struct body_name *names = calloc(count + 1, sizeof(*names));
	struct queue_change change;
	bool ok, unknown = false;

	if (names == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	ok = has_room(queue, entries, count, err) && queue_prepare(queue, entries, count, names, err) &&
	     queue_change_begin(queue, &change, err);
	if (ok)
		ok = queue_change_end(&change, queue_insert(&change, entries, count, names, err), &unknown, err);
	if (!ok && !unknown)
		queue_unlink(queue, names, count);
	free(names);
	if (ok)
		queue_tell(queue, QUEUE_HINT_WORK);
	return ok;
}
