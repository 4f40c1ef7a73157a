/* COPY, MOVE and EXPUNGE on sets of UIDs: row by row, in pieces. */
#include "storage/change.h"
#include "storage/uid_walk.h"

typedef bool row_work(
        struct change *change, const struct operation *operation, const struct message_row *row, struct error *err);

static bool work_on_walk(struct change *change, const struct operation *operation, struct uid_walk *walk,
        row_work *work, struct error *err)
{
	do {
		if (!uid_walk_next(change->database, walk, err))
			return false;
		for (size_t i = 0; i < walk->count; i++) {
			if (!work(change, operation, &walk->rows[i], err))
				return false;
		}
	} while (walk->count > 0);
	return true;
}

/* Rows that the work itself adds to the mailbox are from uid_next on, and not worked on. */
static bool work_on_set(struct change *change, const struct operation *operation, row_work *work, struct error *err)
{
	struct mailbox_state *mailbox, *target;
	struct uid_walk walk;

	if (!change_mailbox(change, operation->mailbox_id, &mailbox, err))
		return false;
	if (operation->only_deleted && mailbox->deleted == 0)
		return true;
	uid_walk_begin(&walk, mailbox->id, operation->uids, operation->count, mailbox->uid_next);
	walk.all = operation->all;
	walk.only_deleted = operation->only_deleted;
	if (operation->to != 0 && !change_target(change, operation->to, &target, err))
		return false;
	return work_on_walk(change, operation, &walk, work, err);
}

static bool add_row(struct change *change, int64_t to, const struct message_row *row, struct error *err)
{
	struct mailbox_state *mailbox;
	uint32_t uid;

	if (!change_mailbox(change, to, &mailbox, err))
		return false;
	if (mailbox->uid_next == UINT32_MAX)
		return error_set(err, ERR_LIMIT, "no more UIDs in this mailbox");
	uid = mailbox->uid_next++;
	change_touch(change, mailbox);
	change_count(mailbox, row->size, row->flags, true);
	return DATABASE_RUN(change->database, MAIL_ROW_NEW, err, V_INT(to), V_INT(uid), V_INT(row->message_id),
	               V_INT(row->size), V_INT(row->flags), V_INT(change_modseq(change)), V_INT(change->now / 1000)) &&
	       batch_add_uid(change->batch, uid, row->uid, err);
}

static bool take_row(struct change *change, int64_t from, const struct message_row *row, struct error *err)
{
	struct mailbox_state *mailbox;

	if (!change_mailbox(change, from, &mailbox, err))
		return false;
	change_touch(change, mailbox);
	change_count(mailbox, row->size, row->flags, false);
	return DATABASE_RUN(change->database, MAIL_ROW_DELETE, err, V_INT(from), V_INT(row->uid)) &&
	       DATABASE_RUN(change->database, MAIL_TOMBSTONE, err, V_INT(change_modseq(change)), V_INT(from),
	               V_INT(row->uid), V_INT(row->message_id), V_INT(change->now));
}

static bool copy_row(
        struct change *change, const struct operation *operation, const struct message_row *row, struct error *err)
{
	return add_row(change, operation->to, row, err) && message_hold(change, row->message_id, err);
}

static bool move_row(
        struct change *change, const struct operation *operation, const struct message_row *row, struct error *err)
{
	return add_row(change, operation->to, row, err) && take_row(change, operation->mailbox_id, row, err);
}

static bool drop_row(
        struct change *change, const struct operation *operation, const struct message_row *row, struct error *err)
{
	return take_row(change, operation->mailbox_id, row, err) &&
	       message_drop(change, row->message_id, row->size, err);
}

static bool expunge_row(
        struct change *change, const struct operation *operation, const struct message_row *row, struct error *err)
{
	return drop_row(change, operation, row, err) && batch_add_removed(change->batch, row->uid, err);
}

bool apply_copy(struct change *change, const struct operation *operation, struct error *err)
{
	return work_on_set(change, operation, copy_row, err);
}

bool apply_move(struct change *change, const struct operation *operation, struct error *err)
{
	return work_on_set(change, operation, move_row, err);
}

bool apply_expunge(struct change *change, const struct operation *operation, struct error *err)
{
	return work_on_set(change, operation, expunge_row, err);
}

bool apply_expunge_all(struct change *change, int64_t mailbox_id, struct error *err)
{
	struct operation all = { .type = OP_EXPUNGE, .mailbox_id = mailbox_id, .all = true };

	return work_on_set(change, &all, drop_row, err);
}

bool apply_move_all(struct change *change, int64_t from, int64_t to, struct error *err)
{
	struct operation all = { .type = OP_MOVE, .mailbox_id = from, .to = to, .all = true };

	return work_on_set(change, &all, move_row, err);
}
