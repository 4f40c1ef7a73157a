/* STATUS (RFC 9051 §6.3.11) and NAMESPACE (§6.3.10). */
#include "imapd/command.h"
#include "imapd/status_text.h"
#include "imapd/view.h"

#include <stdlib.h>

struct status_work {
	struct status_args args;
	struct mailbox_info info;
};

static void run_status(struct imap_session *s)
{
	struct status_work *work = s->request->state;
	struct account *account;

	if (!account_open(s->server->store, s->account_id, &account, &s->job_error))
		return;
	(void)mailbox_find(account, work->args.mailbox, &work->info, &s->job_error);
	account_release(&account);
}

static void status_found(struct imap_session *s)
{
	const struct status_work *work = s->request->state;
	struct buffer line;

	if (s->job_error.code != ERR_NONE) {
		command_refuse(s, &s->job_error);
		return;
	}
	buffer_init(&line, COMMAND_MAX);
	if (work->args.items & STATUS_HIGHESTMODSEQ)
		session_enable_condstore(s); /* RFC 7162 §3.1 */
	if (status_put(&line, session_utf8(s), work->args.mailbox, &work->info, work->args.items,
	            s->server->settings.message_size_max)) {
		session_write(s, buffer_span(&line));
		command_ok(s, NULL, "STATUS completed");
	} else {
		command_no(s, "UNAVAILABLE", "out of memory, try again later");
	}
	buffer_free(&line);
}

/* Also of the selected mailbox: clients ask although they should not, and get what the store knows (RFC 9051 §6.3.11). */
void cmd_status(struct imap_session *s, struct imap_request *req)
{
	struct status_work *work = calloc(1, sizeof(*work));

	if (work == NULL) {
		command_no(s, "UNAVAILABLE", "out of memory, try again later");
		return;
	}
	req->state = work;
	req->free_state = free;
	if (parse_status(&req->parser, &work->args))
		session_work(s, WORKER_READ, run_status, status_found);
	else
		command_refuse(s, &req->error);
}

/* RFC 2342 §5: the personal namespace is all there is. */
void cmd_namespace(struct imap_session *s, struct imap_request *req)
{
	if (!parse_end(&req->parser)) {
		command_refuse(s, &req->error);
		return;
	}
	session_write_text(s, "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
	command_ok(s, NULL, "NAMESPACE completed");
}
