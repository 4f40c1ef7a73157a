/* SELECT, EXAMINE (RFC 9051 §6.3.2, §6.3.3; parameters: RFC 7162 §3.1.8, §3.2.5), CLOSE and UNSELECT (§6.4.1, §6.4.2).
 *
 *   find the name -> view_open -> [QRESYNC: read what vanished] -> tell all -> [QRESYNC: FETCH of what changed] -> OK
 *
 * What vanished is read after the index: a message that goes between the two is in both or comes later as news, never in neither. */
#include "imapd/command.h"
#include "imapd/index.h"
#include "imapd/list_names.h"
#include "imapd/response.h"
#include "imapd/resync.h"
#include "imapd/view.h"
#include "storage/mailbox_name.h"

#include <inttypes.h>
#include <stdlib.h>

#define LINE_MAX_OCTETS (10 * MAILBOX_NAME_MAX) /* LIST with two names, quoted or in modified UTF-7 */
#define RESYNC_ROOM     (FLAG_KEYWORD_COUNT * (KEYWORD_LEN_MAX + 1) + 256) /* for the longest FETCH of flags */

struct selection {
	struct select_args args;
	bool read_only;
	struct mailbox_info info;
	struct mailbox_name name; /* as it is stored */
	bool has_children;
	struct resync resync;
};

static void free_selection(void *state)
{
	struct selection *sel = state;

	resync_free(&sel->resync);
	free(sel);
}

static void refuse_memory(struct imap_session *s)
{
	struct error err;

	error_set(&err, ERR_NO_MEMORY, "out of memory");
	command_refuse(s, &err);
}

/* --- what is told ------------------------------------------------------------------------------------------------ */

/* RFC 9051 §6.3.2 has it, RFC 3501 does not: only for who asked for the former. */
static void tell_list(struct imap_session *s, const struct selection *sel)
{
	const char *use = special_use_attribute(sel->info.use);
	struct buffer out;

	buffer_init(&out, LINE_MAX_OCTETS);
	buffer_printf(&out, "* LIST (%s%s%s%s) \"/\" ", sel->has_children ? "\\HasChildren" : "\\HasNoChildren",
	        sel->info.subscribed ? " \\Subscribed" : "", use != NULL ? " " : "", use != NULL ? use : "");
	mailbox_name_encode(&out, session_utf8(s), mailbox_name_span(&sel->name));
	if (!span_equal(sel->args.mailbox, mailbox_name_span(&sel->name))) { /* RFC 9051 §6.3.9.7 */
		buffer_append_text(&out, " (\"OLDNAME\" (");
		mailbox_name_encode(&out, session_utf8(s), sel->args.mailbox);
		buffer_append_text(&out, "))");
	}
	if (buffer_append_text(&out, "\r\n") && !out.failed)
		session_write(s, buffer_span(&out));
	buffer_free(&out);
}

static void tell_state(struct imap_session *s, const struct selection *sel)
{
	const struct mailbox_info *info = view_info(s->view);
	bool rev1 = !(s->enabled & ENABLED_REV2);
	uint32_t unseen;

	view_write_flag_lists(s->view);
	session_printf(s, "* %" PRIu32 " EXISTS\r\n", view_count(s->view));
	if (rev1)
		session_write_text(s, "* 0 RECENT\r\n"); /* RFC 3501 §6.3.1; nothing is ever \Recent here */
	if (rev1 && index_first_unseen(s->view->index, &unseen))
		session_printf(s, "* OK [UNSEEN %" PRIu32 "] the first one not seen\r\n", unseen + 1);
	session_printf(s, "* OK [UIDVALIDITY %" PRIu32 "] UIDs stay\r\n", info->uid_validity);
	session_printf(s, "* OK [UIDNEXT %" PRIu32 "] the next UID\r\n", info->uid_next);
	/* not the index's: it may be further than the view since QRESYNC has read what vanished */
	session_printf(s, "* OK [HIGHESTMODSEQ %" PRIu64 "] the latest change\r\n", view_highest_modseq(s->view));
	session_printf(s, "* OK [MAILBOXID (F%" PRId64 ")] its id\r\n", info->id); /* RFC 8474 §4.2 */
	if (!rev1)
		tell_list(s, sel);
}

static void end_selected(struct imap_session *s)
{
	const struct selection *sel = s->request->state;

	command_ok(s, sel->read_only ? "READ-ONLY" : "READ-WRITE",
	        sel->read_only ? "EXAMINE completed" : "SELECT completed");
}

/* --- QRESYNC ----------------------------------------------------------------------------------------------------- */

/* As much as there is room for, then the rest. */
static void tell_changes(struct imap_session *s)
{
	struct selection *sel = s->request->state;
	struct buffer out;
	bool ok, all;

	buffer_init(&out, FETCH_CHUNK + RESYNC_ROOM);
	ok = resync_put_changes(&sel->resync, s->view, FETCH_CHUNK, &out, &all);
	if (ok)
		session_write(s, buffer_span(&out));
	buffer_free(&out);
	if (!ok)
		refuse_memory(s);
	else if (all)
		end_selected(s);
	else
		session_wait_for_room(s, tell_changes);
}

static bool tell_vanished(struct imap_session *s, struct selection *sel)
{
	struct buffer out;
	bool ok;

	buffer_init(&out, VANISHED_TEXT_MAX);
	ok = resync_put_vanished(&sel->resync, s->view, &s->request->arena, &out);
	if (ok)
		session_write(s, buffer_span(&out));
	buffer_free(&out);
	return ok;
}

static void run_vanished(struct imap_session *s)
{
	struct selection *sel = s->request->state;
	struct account *account;

	if (!account_open(s->server->store, s->account_id, &account, &s->job_error))
		return;
	vanished_read(&sel->resync.vanished, account, sel->info.id, sel->args.modseq, &s->job_error);
	account_release(&account);
}

static void on_vanished(struct imap_session *s)
{
	struct selection *sel = s->request->state;

	if (s->job_error.code != ERR_NONE) {
		session_unselect(s);
		command_refuse(s, &s->job_error);
		return;
	}
	tell_state(s, sel);
	if (!tell_vanished(s, sel))
		refuse_memory(s);
	else
		tell_changes(s);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

static void on_opened(struct imap_session *s, struct view *view, const struct error *err)
{
	struct selection *sel = s->request->state;
	const struct select_args *args = &sel->args;

	if (err != NULL) {
		command_refuse(s, err);
		return;
	}
	session_select(s, view);
	/* RFC 7162 §3.2.5: another UIDVALIDITY, and the rest means nothing */
	if (args->has_qresync && args->uid_validity == view_info(view)->uid_validity) {
		session_work(s, WORKER_READ, run_vanished, on_vanished);
		return;
	}
	tell_state(s, sel);
	end_selected(s);
}

struct search_children {
	struct span parent;
	bool found;
};

static void look_for_children(void *arg, struct span name, const struct mailbox_info *info)
{
	struct search_children *search = arg;

	(void)info;
	search->found = search->found || (name.len > search->parent.len && name.ptr[search->parent.len] == '/' &&
	                                         span_starts(name, search->parent));
}

static void note_subscription(void *arg, struct span name)
{
	struct selection *sel = arg;

	sel->info.subscribed = sel->info.subscribed || span_equal(name, mailbox_name_span(&sel->name));
}

/* What LIST says of it. */
static bool read_attributes(struct account *account, struct selection *sel, struct error *err)
{
	struct search_children search = { .parent = mailbox_name_span(&sel->name) };

	if (!mailbox_list(account, look_for_children, &search, err))
		return false;
	sel->has_children = search.found;
	return sel->info.subscribed || subscription_list(account, note_subscription, sel, err);
}

static void run_find(struct imap_session *s)
{
	struct selection *sel = s->request->state;
	struct error *err = &s->job_error;
	struct account *account;

	if (!mailbox_name_parse(sel->args.mailbox, &sel->name, err)) {
		error_set(err, ERR_NO_SUCH_MAILBOX, "no such mailbox"); /* nor can there be one */
		return;
	}
	if (!account_open(s->server->store, s->account_id, &account, err))
		return;
	if (mailbox_find(account, mailbox_name_span(&sel->name), &sel->info, err) && (s->enabled & ENABLED_REV2))
		(void)read_attributes(account, sel, err);
	account_release(&account);
}

static void on_found(struct imap_session *s)
{
	struct selection *sel = s->request->state;

	if (s->job_error.code != ERR_NONE)
		command_refuse(s, &s->job_error);
	else
		view_open(s, sel->info.id, sel->read_only, on_opened);
}

static void open_mailbox(struct imap_session *s, struct imap_request *req, bool read_only)
{
	struct selection *sel = calloc(1, sizeof(*sel));

	if (sel == NULL) {
		refuse_memory(s);
		return;
	}
	req->state = sel;
	req->free_state = free_selection;
	sel->read_only = read_only;
	sel->resync.args = &sel->args;
	if (!parse_select(&req->parser, &sel->args)) {
		command_refuse(s, req->parser.err);
		return;
	}
	if (sel->args.has_qresync && !(s->enabled & ENABLED_QRESYNC)) { /* RFC 7162 §3.2.5 */
		command_bad(s, "QRESYNC needs ENABLE QRESYNC");
		return;
	}
	if (s->state == SELECTED) {
		session_unselect(s);
		session_write_text(s, "* OK [CLOSED] the mailbox before is closed\r\n"); /* RFC 7162 §3.2.11 */
	}
	if (sel->args.condstore)
		session_enable_condstore(s);
	session_work(s, WORKER_READ, run_find, on_found);
}

void cmd_select(struct imap_session *s, struct imap_request *req)
{
	open_mailbox(s, req, false);
}

void cmd_examine(struct imap_session *s, struct imap_request *req)
{
	open_mailbox(s, req, true);
}

/* --- closing ----------------------------------------------------------------------------------------------------- */

/* Once it is known what to remove CLOSE is not refused (RFC 9051 §6.4.1 has no NO): what could not be removed stays, and the client is told. */
static void on_closed(struct imap_session *s, struct batch *batch, const struct error *failed)
{
	const struct error *err = failed != NULL ? failed : &batch_result(batch)->error;

	session_unselect(s);
	if (err->code != ERR_NONE && err->code != ERR_NO_SUCH_MAILBOX)
		session_printf(s, "* NO messages are not expunged: %s\r\n", error_meaning(err->code));
	batch_free(&batch);
	command_ok(s, NULL, "CLOSE completed");
}

static void close_refreshed(struct imap_session *s, const struct error *failed)
{
	struct batch *batch;

	if (s->ended)
		return;
	if (failed != NULL) {
		command_refuse_stale(s, failed);
		return;
	}
	batch = batch_new(NULL);
	if (batch == NULL || !view_expunge_deleted(s->view, batch)) {
		if (batch != NULL)
			batch_free(&batch);
		refuse_memory(s);
		return;
	}
	session_commit(s, batch, on_closed);
}

void cmd_close(struct imap_session *s, struct imap_request *req)
{
	if (!parse_end(&req->parser)) {
		command_refuse(s, req->parser.err);
		return;
	}
	if (s->view->read_only) {
		session_unselect(s);
		command_ok(s, NULL, "CLOSE completed");
		return;
	}
	view_refresh(s->view, close_refreshed);
}

void cmd_unselect(struct imap_session *s, struct imap_request *req)
{
	if (!parse_end(&req->parser)) {
		command_refuse(s, req->parser.err);
		return;
	}
	session_unselect(s);
	command_ok(s, NULL, "UNSELECT completed");
}
