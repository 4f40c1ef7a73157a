/* FETCH of what sets \Seen (RFC 9051 §6.4.5): for a slice of messages in one commit, before they go out. */
#include "base/log.h"
#include "imapd/command.h"
#include "imapd/fetch_command.h"
#include "imapd/view.h"

#include <stdlib.h>

/* The new flags and modseqs of what the commit touched; both rise by UID. Returns the modseq of what it changed, 0: nothing. */
static uint64_t take_new_flags(struct fetch_slice *slice, const struct batch_result *result)
{
	uint64_t modseq = 0;
	size_t at = 0;

	for (size_t i = 0; i < result->row_count; i++) {
		const struct flags_row *row = &result->rows[i];

		while (at < slice->count && slice->uids[at] < row->uid)
			at++;
		if (at == slice->count || slice->uids[at] != row->uid)
			continue;
		slice->messages[at].row.flags = row->flags;
		slice->messages[at].row.modseq = row->modseq;
		slice->changed[at] = row->changed;
		if (row->changed)
			modseq = row->modseq;
	}
	return modseq;
}

/* A failure to set it does not hide the message. */
static void on_seen(struct imap_session *s, struct batch *batch, const struct error *failed)
{
	struct fetch *f = s->request->state;
	const struct batch_result *result = failed == NULL ? batch_result(batch) : NULL;
	const struct error *err = failed != NULL ? failed : &result->error;
	uint64_t modseq;

	if (err->code != ERR_NONE) {
		LOG(LOG_WARNING, "imap.not_seen", LOG_NUMBER("session", s->id), LOG_NUMBER("account", s->account_id),
		        LOG_FAILURE(err));
	} else {
		f->slice.changed = calloc(f->slice.count, sizeof(*f->slice.changed));
		modseq = f->slice.changed != NULL ? take_new_flags(&f->slice, result) : 0;
		if (modseq != 0)
			view_own_change(s->view, modseq);
	}
	batch_free(&batch);
	fetch_start_slice(s);
}

bool fetch_set_seen(struct imap_session *s)
{
	static const struct message_flags seen = { .system = FLAG_SEEN };
	struct fetch *f = s->request->state;
	uint32_t *uids = malloc(f->slice.count * sizeof(*uids));
	struct batch *batch = uids != NULL ? batch_new(NULL) : NULL;
	size_t count = 0;
	bool ok;

	for (size_t i = 0; uids != NULL && i < f->slice.count; i++)
		if ((f->slice.messages[i].row.flags & FLAG_SEEN) == 0)
			uids[count++] = f->slice.uids[i];
	ok = count > 0 && batch != NULL && batch_flags(batch, f->mailbox_id, uids, count, FLAGS_ADD, &seen, UINT64_MAX);
	free(uids);
	if (ok)
		session_commit(s, batch, on_seen);
	else if (batch != NULL)
		batch_free(&batch);
	return ok;
}
