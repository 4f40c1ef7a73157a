#include "smtpd/server/commands.h"

#include "base/check.h"
#include "base/clock.h"
#include "smtpd/inbound/story.h"

#include <stdlib.h>

/* One look-up. There during a RCPT only; and its result, as large as all that a session before login may have (promises.md), only while a
 * worker or the loop has it in hand, not while it waits. */
struct rcpt_job {
	struct rcpt_args args;
	char text[PATH_MAILBOX_MAX + 1]; /* what args.recipient's spans point into */
	char orcpt[QUEUE_ORCPT_MAX + 1]; /* what args.orcpt points into */
	struct routing *routing;         /* the result, or NULL */
	bool may_relay;                  /* asked on the loop: the conn may be gone when the worker runs */
	bool limited;
	bool has_version; /* of the directory, from before the look-up */
	uint64_t version;
};

static void drop_routing(struct rcpt_job *rcpt)
{
	free(rcpt->routing);
	rcpt->routing = NULL;
}

void rcpt_job_free(struct rcpt_job **rcpt)
{
	if (*rcpt != NULL)
		drop_routing(*rcpt);
	free(*rcpt);
	*rcpt = NULL;
}

static bool make_routing(struct rcpt_job *rcpt, struct error *err)
{
	rcpt->routing = malloc(sizeof(*rcpt->routing));
	if (rcpt->routing == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
	rcpt->routing->remote[0] = '\0';
	rcpt->routing->returned = false;
	return true;
}

static struct recipient_request request_of(const struct smtp_session *s)
{
	const struct transaction *transaction = s->transaction;

	return (struct recipient_request) {
		.recipient = &s->rcpt->args.recipient,
		.account_id = s->account_id,
		.options = &transaction->options,
		.may_relay = s->rcpt->may_relay,
		.smtputf8 = transaction->mail.smtputf8,
		.null_sender = transaction->mail.sender.mailbox.len == 0,
		.size = transaction->mail.has_size ? transaction->mail.size : 0,
		.envelope = &transaction->envelope,
	};
}

/* --- refusing, and slowing down who tries out names ------------------------------------------------------------ */

static void refuse_recipient(struct smtp_session *s, const struct error *err)
{
	enum smtp_stage stage = s->rcpt->limited ? STAGE_LIMIT : STAGE_RECIPIENT;

	session_tell_refused(s, stage, err, s->rcpt->args.recipient.mailbox);
	rcpt_job_free(&s->rcpt);
	if (err->code == ERR_NO_SUCH_ADDRESS &&
	        session_lose_patience(s, &s->unknown_recipients, HARVEST_MAX, "too many unknown recipients"))
		return;
	session_refuse(s, stage, err);
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
	drop_routing(s->rcpt);
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

	if (make_routing(s->rcpt, &s->job_error) &&
	        accept_recipient(&s->server->accept, &request, s->rcpt->routing, &s->rcpt->limited, &s->job_error))
		error_clear(&s->job_error); /* of a look that found nothing on the way */
}

/* Before login memory is scarce, and on port 25 nobody ever logs in (promises.md, "pre-auth memory"). */
static bool has_room(const struct smtp_session *s, struct error *err)
{
	return s->envelope <= ENVELOPE_SMALL || s->server->envelopes <= ENVELOPES_MAX ||
	       error_set(
	               err, ERR_NO_SPACE, "too many recipients at once on this server, send these and try again later");
}

static void add_recipient(struct smtp_session *s)
{
	struct transaction *transaction = s->transaction;
	struct rcpt_job *rcpt = s->rcpt;

	if (s->job_error.code == ERR_NONE && has_room(s, &s->job_error) &&
	        envelope_add(&transaction->envelope, &rcpt->args, rcpt->routing, &s->job_error))
		session_count_envelope(s);
	if (s->job_error.code != ERR_NONE) {
		refuse_slowly(s);
		return;
	}
	story_recipient(s->server->accept.events, span_of(transaction->id), &rcpt->args.recipient, rcpt->routing);
	rcpt_job_free(&s->rcpt);
	s->state = HAS_RCPT;
	session_reply(s, 250, "2.1.5", "recipient OK");
}

static void remember(struct smtp_session *s)
{
	const struct rcpt_job *rcpt = s->rcpt;
	const struct smtp_path *recipient = &rcpt->args.recipient;

	if (rcpt->routing->remote[0] != '\0')
		recipient_cache_add_elsewhere(
		        &s->server->recipients, rcpt->version, recipient->domain, clock_mono_ms());
	else
		recipient_cache_add(&s->server->recipients, rcpt->version, recipient->mailbox, clock_mono_ms(),
		        &rcpt->routing->resolution);
}

static void looked_up(struct smtp_session *s)
{
	struct rcpt_job *rcpt = s->rcpt;

	/* What an SRS address leads to depends on the sender. */
	if (s->job_error.code == ERR_NONE && rcpt->has_version && !rcpt->routing->returned)
		remember(s);
	add_recipient(s);
}

/* Mail in a row to the same people, or to the same domain: what was found a moment ago is still true (inbound/recipient_cache.h). A login's
 * recipients elsewhere are looked at each time: there are limits for them. */
static bool is_remembered(struct smtp_session *s)
{
	const struct recipient_cache *cache = &s->server->recipients;
	const struct directory *directory = s->server->accept.directory;
	const struct smtp_path *recipient = &s->rcpt->args.recipient;
	int64_t now_ms = clock_mono_ms();

	if (recipient_cache_find(cache, directory, recipient->mailbox, now_ms, &s->rcpt->routing->resolution))
		return true;
	return s->rcpt->may_relay && s->account_id == 0 &&
	       recipient_cache_is_elsewhere(cache, directory, recipient->domain, now_ms) &&
	       routing_elsewhere(recipient, s->rcpt->routing, &s->job_error);
}

static void find_recipient(struct smtp_session *s)
{
	struct rcpt_job *rcpt = s->rcpt;

	error_clear(&s->job_error);
	if (!make_routing(rcpt, &s->job_error) || is_remembered(s)) {
		add_recipient(s);
		return;
	}
	drop_routing(rcpt);
	error_clear(&s->job_error);
	rcpt->has_version = directory_version(s->server->accept.directory, &rcpt->version);
	session_work(s, WORKER_READ, look_up, looked_up);
}

/* The line is gone when the worker looks at it: the text moves along. */
static void keep_recipient(struct rcpt_job *rcpt, const struct rcpt_args *args)
{
	const struct smtp_path *recipient = &args->recipient;
	size_t domain_at = recipient->mailbox.len - recipient->domain.len;

	rcpt->args = *args;
	(void)span_copy(recipient->mailbox, rcpt->text, sizeof(rcpt->text)); /* fits: the grammar */
	rcpt->args.recipient.mailbox = span_of(rcpt->text);
	rcpt->args.recipient.domain = span_skip(rcpt->args.recipient.mailbox, domain_at);
	(void)span_copy(args->orcpt, rcpt->orcpt, sizeof(rcpt->orcpt)); /* the same */
	rcpt->args.orcpt = span_of(rcpt->orcpt);
}

/* RFC 5321 §4.1.1.3. */
void cmd_rcpt(struct smtp_session *s, struct span args)
{
	struct recipient_request request;
	const struct smtp_offers offers = extensions_offers(s);
	struct rcpt_args rcpt;
	struct error err;

	if (!parse_rcpt(args, &offers, &rcpt, &err)) {
		session_bad_argument(s, STAGE_RECIPIENT, &err);
		return;
	}
	CHECK(s->rcpt == NULL);
	s->rcpt = malloc(sizeof(*s->rcpt));
	if (s->rcpt == NULL) {
		session_reply(s, 451, "4.3.0", "out of memory, try again later");
		return;
	}
	s->rcpt->routing = NULL;
	s->rcpt->may_relay = session_may_relay(s);
	s->rcpt->limited = false;
	keep_recipient(s->rcpt, &rcpt);
	request = request_of(s);
	if (accept_recipient_now(&s->server->accept, &request, &err))
		find_recipient(s);
	else
		refuse_recipient(s, &err);
}
