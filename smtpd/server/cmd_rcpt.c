#include "smtpd/server/commands.h"

#include "base/clock.h"

#include <stdlib.h>

/* Memory for one look-up; several KiB, so it is made at the first RCPT and kept until the session ends. */
struct rcpt_job {
	struct smtp_path recipient;
	char text[PATH_MAILBOX_MAX + 1]; /* what recipient's spans point into */
	struct resolution resolution;
	bool has_version; /* of the directory, from before the look-up */
	uint64_t version;
};

void rcpt_job_free(struct rcpt_job **rcpt)
{
	free(*rcpt);
	*rcpt = NULL;
}

static struct recipient_request request_of(const struct smtp_session *s)
{
	const struct transaction *transaction = s->transaction;

	return (struct recipient_request) {
		.recipient = &s->rcpt->recipient,
		.account_id = s->account_id,
		.smtputf8 = transaction->mail.smtputf8,
		.size = transaction->mail.has_size ? transaction->mail.size : 0,
		.recipients_so_far = transaction->recipients,
	};
}

/* --- refusing, and slowing down who tries out names ------------------------------------------------------------ */

static void refuse_recipient(struct smtp_session *s, const struct error *err)
{
	if (err->code == ERR_NO_SUCH_ADDRESS &&
	        session_lose_patience(s, &s->unknown_recipients, HARVEST_MAX, "too many unknown recipients"))
		return;
	session_refuse(s, STAGE_RECIPIENT, err);
}

static void on_delay_over(uv_timer_t *timer)
{
	struct smtp_session *s = container_of(timer, struct smtp_session, timer);

	if (!session_woken(s))
		return;
	refuse_recipient(s, &s->job_error);
	session_go_on(s);
}

/* promises.md, "user enumeration": after some unknown names each further answer takes its time. */
static void refuse_slowly(struct smtp_session *s)
{
	if (s->job_error.code != ERR_NO_SUCH_ADDRESS || s->unknown_recipients < HARVEST_FREE) {
		refuse_recipient(s, &s->job_error);
		return;
	}
	session_wait(s, WAIT_DELAY);
	session_set_timer(s, HARVEST_DELAY_MS, on_delay_over);
}

/* --- the look-up ------------------------------------------------------------------------------------------------ */

static void look_up(struct smtp_session *s)
{
	struct recipient_request request = request_of(s);

	(void)accept_recipient(&s->server->accept, &request, &s->rcpt->resolution, &s->job_error);
}

static void add_recipient(struct smtp_session *s)
{
	struct rcpt_job *rcpt = s->rcpt;

	if (s->job_error.code == ERR_NONE)
		(void)transaction_add(s->transaction, rcpt->recipient.mailbox, &rcpt->resolution, &s->job_error);
	if (s->job_error.code != ERR_NONE) {
		refuse_slowly(s);
		return;
	}
	s->state = HAS_RCPT;
	session_reply(s, 250, "2.1.5", "recipient OK");
}

static void looked_up(struct smtp_session *s)
{
	struct rcpt_job *rcpt = s->rcpt;

	if (s->job_error.code == ERR_NONE && rcpt->has_version)
		recipient_cache_add(&s->server->recipients, rcpt->version, rcpt->recipient.mailbox, clock_mono_ms(),
		        &rcpt->resolution);
	add_recipient(s);
}

/* Mail in a row to the same people: what was found a moment ago is still true (inbound/recipient_cache.h). */
static void find_recipient(struct smtp_session *s)
{
	struct rcpt_job *rcpt = s->rcpt;

	error_clear(&s->job_error);
	if (recipient_cache_find(&s->server->recipients, s->server->accept.directory, rcpt->recipient.mailbox,
	            clock_mono_ms(), &rcpt->resolution)) {
		add_recipient(s);
		return;
	}
	rcpt->has_version = directory_version(s->server->accept.directory, &rcpt->version);
	session_work(s, WORKER_READ, look_up, looked_up);
}

/* The line is gone when the worker looks at it: the text moves along. */
static void keep_recipient(struct rcpt_job *rcpt, const struct smtp_path *recipient)
{
	size_t domain_at = recipient->mailbox.len - recipient->domain.len;

	rcpt->recipient = *recipient;
	(void)span_copy(recipient->mailbox, rcpt->text, sizeof(rcpt->text)); /* fits: the grammar */
	rcpt->recipient.mailbox = span_of(rcpt->text);
	rcpt->recipient.domain = span_skip(rcpt->recipient.mailbox, domain_at);
}

/* RFC 5321 §4.1.1.3. */
void cmd_rcpt(struct smtp_session *s, struct span args)
{
	struct recipient_request request;
	struct rcpt_args rcpt;
	struct error err;

	if (!parse_rcpt(args, &rcpt, &err)) {
		session_bad_argument(s, STAGE_RECIPIENT, &err);
		return;
	}
	if (s->rcpt == NULL)
		s->rcpt = malloc(sizeof(*s->rcpt));
	if (s->rcpt == NULL) {
		session_reply(s, 451, "4.3.0", "out of memory, try again later");
		return;
	}
	keep_recipient(s->rcpt, &rcpt.recipient);
	request = request_of(s);
	if (accept_recipient_now(&s->server->accept, &request, &err))
		find_recipient(s);
	else
		session_refuse(s, STAGE_RECIPIENT, &err);
}
