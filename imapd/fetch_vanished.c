#include "imapd/fetch_vanished.h"

#include "imapd/fetch_put.h"

struct writer {
	struct buffer *out;
	uint32_t first, last; /* the range not yet written; first 0: none */
	bool begun;
};

static void flush(struct writer *w)
{
	if (w->first == 0)
		return;
	if (w->begun)
		buffer_append_char(w->out, ',');
	else
		buffer_append_text(w->out, "* VANISHED (EARLIER) "); /* RFC 7162 §3.2.10.1 */
	w->begun = true;
	fetch_put_number(w->out, w->first);
	if (w->last > w->first) {
		buffer_append_char(w->out, ':');
		fetch_put_number(w->out, w->last);
	}
	w->first = 0;
}

static void put_range(struct writer *w, uint32_t first, uint32_t last)
{
	if (w->first == 0 || first > w->last + 1) {
		flush(w);
		w->first = first;
	}
	w->last = last;
}

bool vanished_read(
        struct vanished *vanished, struct account *account, int64_t mailbox_id, uint64_t since, struct error *err)
{
	struct error too_old;

	error_clear(&too_old);
	if (account_changes(account, since, mailbox_id, &vanished->changes, &too_old))
		return true;
	vanished->too_old = too_old.code == ERR_CONFLICT;
	if (vanished->too_old)
		return mailbox_snapshot(account, mailbox_id, &vanished->snapshot, err);
	*err = too_old;
	return false;
}

void vanished_free(struct vanished *vanished)
{
	account_changes_free(&vanished->changes);
	mailbox_snapshot_free(&vanished->snapshot);
	*vanished = (struct vanished) { 0 };
}

static void write_changes(struct writer *w, const struct view *view, const struct sequence_set *set,
        const struct mailbox_changes *changes)
{
	uint32_t sequence;

	for (size_t i = 0; i < changes->vanished_count; i++) {
		uint32_t uid = changes->vanished[i];

		if (sequence_set_contains(set, uid) && !view_sequence(view, uid, &sequence))
			put_range(w, uid, uid);
	}
}

/* The UIDs that are there, or that the client has a number for, rising; 0 behind the last. */
struct present {
	const struct view *view;
	uint32_t sequence;
	const struct message_row *row, *rows_end;
};

static uint32_t next_present(struct present *p)
{
	uint32_t known = p->sequence <= view_count(p->view) ? view_uid(p->view, p->sequence) : UINT32_MAX;
	uint32_t stored = p->row < p->rows_end ? p->row->uid : UINT32_MAX;
	uint32_t least = known < stored ? known : stored;

	if (least == UINT32_MAX)
		return 0;
	p->sequence += known == least;
	p->row += stored == least;
	return least;
}

static void write_gaps(struct writer *w, const struct view *view, const struct sequence_set *set,
        const struct mailbox_snapshot *snapshot)
{
	struct present present = { view, 1, snapshot->rows, snapshot->rows + snapshot->count };
	uint32_t uid = next_present(&present), end = snapshot->info.uid_next;

	for (size_t i = 0; i < set->count && set->ranges[i].first < end; i++) {
		uint64_t next = set->ranges[i].first, last = set->ranges[i].last < end ? set->ranges[i].last : end - 1;

		for (; uid != 0 && uid <= last; uid = next_present(&present)) {
			if (uid > next)
				put_range(w, (uint32_t)next, uid - 1);
			if (uid >= next)
				next = (uint64_t)uid + 1;
		}
		if (next <= last)
			put_range(w, (uint32_t)next, (uint32_t)last);
	}
}

bool vanished_write(
        const struct vanished *vanished, const struct view *view, const struct sequence_set *set, struct buffer *out)
{
	struct writer w = { .out = out };

	if (vanished->too_old)
		write_gaps(&w, view, set, &vanished->snapshot);
	else if (vanished->changes.count > 0 && !vanished->changes.mailboxes[0].deleted)
		write_changes(&w, view, set, &vanished->changes.mailboxes[0]);
	flush(&w);
	if (w.begun)
		buffer_append_text(out, "\r\n");
	return !out->failed;
}
