/* EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9; RFC 4315 §2.1; RFC 7162 §3.2.7, §3.2.9): one transaction; what is gone is told as any
 * news is, before the tagged line. */
#include "imapd/command.h"
#include "imapd/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void refuse_memory(struct imap_session *s)
{
	struct error err;

	error_set(&err, ERR_NO_MEMORY, "out of memory");
	command_refuse(s, &err);
}

static void on_expunged(struct imap_session *s, struct batch *batch, const struct error *failed)
{
	const struct batch_result *result = failed == NULL ? batch_result(batch) : NULL;
	const struct error *err = failed != NULL ? failed : &result->error;
	char code[48];

	if (err->code != ERR_NONE) {
		command_refuse(s, err);
	} else if (result->removed_count > 0 && (s->enabled & ENABLED_QRESYNC)) {
		snprintf(code, sizeof(code), "HIGHESTMODSEQ %" PRIu64, result->modseq); /* RFC 7162 §3.2.7 */
		command_ok(s, code, "EXPUNGE completed");
	} else {
		command_ok(s, NULL, "EXPUNGE completed");
	}
	batch_free(&batch);
}

/* UID EXPUNGE: of the set, as far as the client knows it. False: out of memory. */
static bool add_set(struct imap_session *s, struct batch *batch, struct sequence_set *set)
{
	struct view_message *messages;
	size_t count, gone, wanted = 0;
	uint32_t *uids;
	bool beyond, ok;

	if (!view_collect(s->view, set, true, &messages, &count, &beyond, &gone))
		return false;
	uids = malloc((count + 1) * sizeof(*uids));
	for (size_t i = 0; uids != NULL && i < count; i++)
		uids[wanted++] = messages[i].row.uid;
	free(messages);
	ok = uids != NULL && batch_expunge_deleted(batch, view_info(s->view)->id, uids, wanted);
	free(uids);
	return ok;
}

void cmd_expunge(struct imap_session *s, struct imap_request *req)
{
	struct sequence_set set;
	struct batch *batch;

	if (req->uid ? !parse_uid_set(&req->parser, &set) : !parse_end(&req->parser)) {
		command_refuse(s, req->parser.err);
		return;
	}
	batch = batch_new(NULL);
	if (batch == NULL || !(req->uid ? add_set(s, batch, &set) : view_expunge_deleted(s->view, batch))) {
		if (batch != NULL)
			batch_free(&batch);
		refuse_memory(s);
		return;
	}
	session_commit(s, batch, on_expunged);
}
