/* GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208 §4.1). One quota root, "": the account. Its limits are the administrator's, in the
 * directory, so QUOTASET is not announced and SETQUOTA is refused. Without limits there is no quota root: an empty list
 * (RFC 9208 §4.2.1 has it, §7 has not) is a syntax error to Thunderbird, which then takes the rest of the answer for
 * that of its next command, gives the connection up, and hears of no new mail. */
#include "imapd/command.h"
#include "imapd/response.h"
#include "storage/directory.h"
#include "storage/mailbox.h"

#include <inttypes.h>
#include <stdlib.h>

#define QUOTA_LINE_MAX (16 * KIB) /* a mailbox name, escaped */

struct quota_work {
	struct span mailbox; /* of GETQUOTAROOT; else ptr NULL */
	struct account_info limits;
	struct account_usage usage;
};

static void run_quota(struct imap_session *s)
{
	struct quota_work *work = s->request->state;
	struct account *account;

	if (!directory_account(s->server->directory, s->account_id, &work->limits, &s->job_error) ||
	        !account_open(s->server->store, s->account_id, &account, &s->job_error))
		return;
	(void)account_usage(account, &work->usage, &s->job_error);
	account_release(&account);
}

/* RFC 9208 §5.1: units of 1024 octets. */
static uint64_t in_kib(uint64_t octets)
{
	return octets / KIB + (octets % KIB != 0);
}

static bool has_limits(const struct quota_work *work)
{
	return work->limits.quota_bytes > 0 || work->limits.quota_messages > 0;
}

/* RFC 9208 §4.2.1: what is not limited is not named. */
static void put_quota(struct buffer *out, const struct quota_work *work)
{
	const char *blank = "";

	(void)buffer_append_text(out, "* QUOTA \"\" (");
	if (work->limits.quota_bytes > 0) {
		(void)buffer_printf(out, "STORAGE %" PRIu64 " %" PRIu64, in_kib(work->usage.bytes),
		        in_kib(work->limits.quota_bytes));
		blank = " ";
	}
	if (work->limits.quota_messages > 0)
		(void)buffer_printf(out, "%sMESSAGE %" PRIu64 " %" PRIu64, blank, work->usage.messages,
		        work->limits.quota_messages);
	(void)buffer_append_text(out, ")\r\n");
}

static void quota_found(struct imap_session *s)
{
	const struct quota_work *work = s->request->state;
	struct buffer out;

	if (s->job_error.code != ERR_NONE) {
		command_refuse(s, &s->job_error);
		return;
	}
	buffer_init(&out, QUOTA_LINE_MAX);
	if (work->mailbox.ptr != NULL) { /* the mailbox need not exist (RFC 9208 §4.1.2) */
		(void)buffer_append_text(&out, "* QUOTAROOT ");
		(void)mailbox_name_encode(&out, session_utf8(s), work->mailbox);
		(void)buffer_append_text(&out, has_limits(work) ? " \"\"\r\n" : "\r\n");
	}
	if (has_limits(work))
		put_quota(&out, work);
	if (out.failed) {
		command_no(s, "UNAVAILABLE", "out of memory, try again later");
	} else if (work->mailbox.ptr == NULL && !has_limits(work)) {
		command_no(s, "NONEXISTENT", "no such quota root"); /* RFC 5530 §3 */
	} else {
		session_write(s, buffer_span(&out));
		command_ok(s, NULL, "done");
	}
	buffer_free(&out);
}

static void start(struct imap_session *s, struct imap_request *req, struct span mailbox)
{
	struct quota_work *work = calloc(1, sizeof(*work));

	if (work == NULL) {
		command_no(s, "UNAVAILABLE", "out of memory, try again later");
		return;
	}
	work->mailbox = mailbox;
	req->state = work;
	req->free_state = free;
	session_work(s, WORKER_READ, run_quota, quota_found);
}

void cmd_getquota(struct imap_session *s, struct imap_request *req)
{
	struct quota_args args;

	if (!parse_quota_root(&req->parser, &args))
		command_refuse(s, &req->error);
	else if (args.root.len > 0)
		command_no(s, "NONEXISTENT", "no such quota root"); /* RFC 5530 §3 */
	else
		start(s, req, SPAN_EMPTY);
}

void cmd_getquotaroot(struct imap_session *s, struct imap_request *req)
{
	struct span mailbox;

	if (parse_one_mailbox(&req->parser, &mailbox))
		start(s, req, mailbox);
	else
		command_refuse(s, &req->error);
}

void cmd_setquota(struct imap_session *s, struct imap_request *req)
{
	(void)req;
	command_no(s, "NOPERM", "only the administrator sets quotas");
}
