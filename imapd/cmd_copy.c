/* COPY, MOVE and their UID forms (RFC 9051 §6.4.7, §6.4.8, §6.4.9; RFC 6851; COPYUID: RFC 4315 §3): one transaction, so a message is
 * never in both mailboxes or in none. */
#include "imapd/command.h"
#include "imapd/view.h"
#include "storage/mailbox_name.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define COPYUID_MAX (32 * MIB) /* 1,000,000 messages with gaps everywhere */

struct copy {
	struct copy_args args;
	bool move;
	uint32_t *uids;
	size_t count;
	struct mailbox_info target;
};

static void free_copy(void *state)
{
	struct copy *copy = state;

	free(copy->uids);
	free(copy);
}

static void refuse_memory(struct imap_session *s)
{
	struct error err;

	error_set(&err, ERR_NO_MEMORY, "out of memory");
	command_refuse(s, &err);
}

/* RFC 9051 §6.4.7: the client may try again after CREATE. */
static void refuse(struct imap_session *s, const struct error *err, bool no_target)
{
	if (no_target)
		command_no(s, "TRYCREATE", "no such mailbox");
	else
		command_refuse(s, err);
}

/* COPYUID 38505 304,319:320 3956:3958: both in the order of the copies. False: out of memory, or too long. */
static bool put_copyuid(struct buffer *out, const struct batch_result *result)
{
	return buffer_printf(out, "COPYUID %" PRIu32 " ", result->uid_validity) &&
	       sequence_set_write(out, result->source_uids, result->uid_count) && buffer_append_char(out, ' ') &&
	       sequence_set_write(out, result->uids, result->uid_count);
}

static void end_copied(struct imap_session *s, const struct batch_result *result)
{
	struct buffer code;

	buffer_init(&code, COPYUID_MAX);
	if (result->uid_count == 0 || !put_copyuid(&code, result))
		command_ok(s, NULL, result->uid_count == 0 ? "nothing to copy" : "COPY completed");
	else
		command_ok_long(s, &code, "COPY completed");
	buffer_free(&code);
}

/* RFC 6851 §4.3: the client learns where a message is before it learns that it is gone from here. */
static void end_moved(struct imap_session *s, const struct batch_result *result)
{
	struct buffer line;
	char code[48];

	buffer_init(&line, COPYUID_MAX);
	if (result->uid_count > 0 && buffer_append_text(&line, "* OK [") && put_copyuid(&line, result) &&
	        buffer_append_text(&line, "] moved\r\n"))
		session_write(s, buffer_span(&line));
	buffer_free(&line);
	if (result->uid_count > 0 && (s->enabled & ENABLED_QRESYNC)) {
		snprintf(code, sizeof(code), "HIGHESTMODSEQ %" PRIu64, result->modseq); /* RFC 6851 §4.4 */
		command_ok(s, code, "MOVE completed");
	} else {
		command_ok(s, NULL, result->uid_count == 0 ? "nothing to move" : "MOVE completed");
	}
}

static void on_committed(struct imap_session *s, struct batch *batch, const struct error *failed)
{
	const struct copy *copy = s->request->state;
	const struct batch_result *result = failed == NULL ? batch_result(batch) : NULL;
	const struct error *err = failed != NULL ? failed : &result->error;

	if (err->code != ERR_NONE)
		refuse(s, err, result != NULL && result->no_target);
	else if (copy->move)
		end_moved(s, result);
	else
		end_copied(s, result);
	batch_free(&batch);
}

static void run_find(struct imap_session *s)
{
	struct copy *copy = s->request->state;
	struct error *err = &s->job_error;
	struct mailbox_name name;
	struct account *account;

	if (!mailbox_name_parse(copy->args.mailbox, &name, err) ||
	        !account_open(s->server->store, s->account_id, &account, err))
		return;
	(void)mailbox_find(account, mailbox_name_span(&name), &copy->target, err);
	account_release(&account);
}

static void on_found(struct imap_session *s)
{
	const struct copy *copy = s->request->state;
	int64_t from = view_info(s->view)->id;
	struct batch *batch;

	if (s->job_error.code != ERR_NONE) {
		refuse(s, &s->job_error, s->job_error.code == ERR_NO_SUCH_MAILBOX);
		return;
	}
	batch = batch_new(NULL);
	if (batch == NULL || !(copy->move ? batch_move(batch, from, copy->uids, copy->count, copy->target.id)
	                                  : batch_copy(batch, from, copy->uids, copy->count, copy->target.id))) {
		if (batch != NULL)
			batch_free(&batch);
		refuse_memory(s);
		return;
	}
	session_commit(s, batch, on_committed);
}

/* False: the command has ended. */
static bool collect(struct imap_session *s, const struct imap_request *req, struct copy *copy)
{
	struct view_message *messages;
	bool beyond;
	size_t gone;

	if (!view_collect(s->view, &copy->args.set, req->uid, &messages, &copy->count, &beyond, &gone)) {
		refuse_memory(s);
		return false;
	}
	copy->uids = malloc((copy->count + 1) * sizeof(*copy->uids));
	for (size_t i = 0; copy->uids != NULL && i < copy->count; i++)
		copy->uids[i] = messages[i].row.uid;
	free(messages);
	if (copy->uids == NULL)
		refuse_memory(s);
	else if (beyond)
		command_bad(s, "there is no message of that number");
	else if (gone > 0 && !req->uid) /* RFC 9051 §6.4.7: all or nothing */
		command_no(s, "EXPUNGEISSUED", "some of the messages are no longer there");
	else
		return true;
	return false;
}

static void start(struct imap_session *s, struct imap_request *req, bool move)
{
	struct copy *copy = calloc(1, sizeof(*copy));

	if (copy == NULL) {
		refuse_memory(s);
		return;
	}
	req->state = copy;
	req->free_state = free_copy;
	copy->move = move;
	if (!parse_copy(&req->parser, &copy->args))
		command_refuse(s, req->parser.err);
	else if (collect(s, req, copy))
		session_work(s, WORKER_READ, run_find, on_found);
}

void cmd_copy(struct imap_session *s, struct imap_request *req)
{
	start(s, req, false);
}

void cmd_move(struct imap_session *s, struct imap_request *req)
{
	start(s, req, true);
}
