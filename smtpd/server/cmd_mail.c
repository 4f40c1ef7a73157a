#include "smtpd/server/commands.h"

static struct sender_request request_of(const struct smtp_session *s)
{
	return (struct sender_request) { .args = &s->transaction->mail, .account_id = s->account_id };
}

static void refuse_sender(struct smtp_session *s, const struct error *err)
{
	session_tell_refused(s, STAGE_SENDER, err, SPAN_EMPTY);
	session_refuse(s, STAGE_SENDER, err);
	session_end_message(s); /* RFC 5321 §4.1.4: the state stays as it was before MAIL */
}

/* RFC 6710 §4.1: a priority that is not taken over is said, with X.3.6 and the new one first. */
static void accept_mail(struct smtp_session *s)
{
	if (s->transaction->lowered)
		session_reply(s, 250, "2.3.6", "%d is the priority of your message: more is for who logs in",
		        s->transaction->mail.priority);
	else
		session_reply(s, 250, "2.1.0", "sender OK");
}

static void check_sender(struct smtp_session *s)
{
	const struct accept_context *accept = &s->server->accept;
	struct sender_request request = request_of(s);

	if (accept_sender(accept, &request, &s->job_error) &&
	        accept_sender_options(accept, s->account_id, &s->transaction->options, &s->job_error))
		error_clear(&s->job_error); /* of a look that found nothing on the way */
}

static void sender_checked(struct smtp_session *s)
{
	if (s->job_error.code != ERR_NONE)
		refuse_sender(s, &s->job_error);
	else
		accept_mail(s);
}

/* RFC 5321 §4.1.1.2. Whether the sender belongs to the login stands in the directory: only then a worker is asked. */
void cmd_mail(struct smtp_session *s, struct span args)
{
	struct sender_request request;
	struct transaction *transaction;
	struct smtp_offers offers;
	struct mail_args mail;
	struct error err;

	if (s->server->draining) {
		session_leave_if_draining(s);
		return;
	}
	offers = extensions_offers(s);
	if (!parse_mail(args, &offers, &mail, &err)) {
		session_bad_argument(s, STAGE_SENDER, &err);
		return;
	}
	local_user_sender(s, &mail.sender);
	transaction = transaction_new(&mail);
	if (transaction == NULL) {
		session_reply(s, 451, "4.3.0", "out of memory, try again later");
		return;
	}
	transaction->envelope.keeps_links = s->port == PORT_DELIVER;
	transaction->lowered = accept_priority(s->account_id, &transaction->mail);
	session_begin(s, transaction);
	request = request_of(s);
	if (!accept_sender_now(&s->server->accept, &request, &err))
		refuse_sender(s, &err);
	else if (s->account_id != 0)
		session_work(s, WORKER_READ, check_sender, sender_checked);
	else
		accept_mail(s);
}
