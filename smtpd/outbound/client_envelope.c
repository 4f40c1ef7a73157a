/* smtpd/outbound/client_envelope.c — MAIL, RCPT and DATA, one by one or in one go (RFC 2920), and what is answered. */
#include "smtpd/outbound/client_internal.h"

#include "base/buffer.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "message/xtext.h"

#include <stdlib.h>
#include <string.h>

#define PARAMETERS_MAX (2 * KIB)

/* ---- commands ---- */

static void put_deliver_by(const struct client *client, struct buffer *out)
{
	const struct queue_message *message = client->message->message;
	int64_t seconds = (message->deliver_by_ms - clock_wall_ms()) / 1000;
	bool returns = message->flags & QUEUE_BY_RETURN;

	/* RFC 2852 §4.1.4: by-time may be negative for N; for R the caller does not come here late */
	if (returns && seconds < 1)
		seconds = 1;
	(void)buffer_printf(out, " BY=%lld;%s%s", (long long)seconds, returns ? "R" : "N",
	        message->flags & QUEUE_BY_TRACE ? "T" : "");
}

static void put_dsn(const struct queue_message *message, struct buffer *out)
{
	if (message->ret != RETURN_DEFAULT)
		(void)buffer_printf(out, " RET=%s", message->ret == RETURN_FULL ? "FULL" : "HDRS");
	if (message->envid[0] != '\0')
		(void)buffer_printf(out, " ENVID=%s", message->envid);
}

static void send_mail(struct client *client)
{
	const struct client_message *sent = client->message;
	const struct queue_message *message = sent->message;
	const struct client_offer *offer = &client->offer;
	struct buffer extra;

	buffer_init(&extra, PARAMETERS_MAX);
	if (offer->has_size)
		(void)buffer_printf(&extra, " SIZE=%llu", (unsigned long long)sent->size);
	if (sent->binary && offer->binarymime)
		(void)buffer_append_text(&extra, " BODY=BINARYMIME");
	else if (sent->eight_bit && offer->eight_bit_mime)
		(void)buffer_append_text(&extra, " BODY=8BITMIME");
	if (sent->smtputf8 && offer->smtputf8)
		(void)buffer_append_text(&extra, " SMTPUTF8");
	if (offer->dsn)
		put_dsn(message, &extra);
	if ((message->flags & QUEUE_REQUIRETLS) && offer->requiretls)
		(void)buffer_append_text(&extra, " REQUIRETLS");
	if (message->deliver_by_ms != 0 && offer->deliver_by)
		put_deliver_by(client, &extra);
	if (client->settings.user != NULL) /* RFC 4954 §5: who wrote it is nothing that we vouch for */
		(void)buffer_append_text(&extra, " AUTH=<>");
	if (offer->mt_priority) /* RFC 6710 §4.2: also 0 */
		(void)buffer_printf(&extra, " MT-PRIORITY=%d", message->priority);
	client_printf(client, "MAIL FROM:<%s>%s", message->sender, buffer_text(&extra));
	buffer_free(&extra);
}

static void put_notify(unsigned notify, struct buffer *out)
{
	static const struct {
		enum queue_notify bit;
		const char *word;
	} words[] = {
		{ NOTIFY_NEVER, "NEVER" },
		{ NOTIFY_SUCCESS, "SUCCESS" },
		{ NOTIFY_FAILURE, "FAILURE" },
		{ NOTIFY_DELAY, "DELAY" },
	};
	const char *between = " NOTIFY=";

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if ((notify & words[i].bit) == 0)
			continue;
		(void)buffer_printf(out, "%s%s", between, words[i].word);
		between = ",";
	}
}

/* RFC 6533 §3: UTF-8 only where the transaction is one of SMTPUTF8. What would be too long otherwise is left out: it is a help for reports. */
static void put_orcpt(const struct client *client, const char *orcpt, struct buffer *out)
{
	bool utf8 = client->message->smtputf8 && client->offer.smtputf8;
	struct buffer ascii;

	if (orcpt[0] == '\0')
		return;
	if (utf8 || utf8_is_ascii(span_of(orcpt))) {
		(void)buffer_printf(out, " ORCPT=%s", orcpt);
		return;
	}
	buffer_init(&ascii, QUEUE_ORCPT_MAX);
	if (xtext_to_ascii(span_of(orcpt), &ascii))
		(void)buffer_printf(out, " ORCPT=%.*s", SPAN_FMT(buffer_span(&ascii)));
	buffer_free(&ascii);
}

/* RFC 2852 §4.1.4.2: a server that does not keep the time shall tell at least of delay. */
static unsigned notify_of(const struct client *client, const struct queue_rcpt *recipient)
{
	const struct queue_message *message = client->message->message;

	if (message->deliver_by_ms == 0 || client->offer.deliver_by || (recipient->notify & NOTIFY_NEVER))
		return recipient->notify;
	return recipient->notify == 0 ? NOTIFY_FAILURE | NOTIFY_DELAY : recipient->notify | NOTIFY_DELAY;
}

static void send_rcpt(struct client *client, const struct queue_rcpt *recipient)
{
	struct buffer extra;

	buffer_init(&extra, PARAMETERS_MAX);
	if (client->offer.dsn) {
		put_notify(notify_of(client, recipient), &extra);
		put_orcpt(client, recipient->orcpt, &extra);
	}
	client_printf(client, "RCPT TO:<%s>%s", recipient->address, buffer_text(&extra));
	buffer_free(&extra);
}

static void send_next(struct client *client)
{
	const struct queue_message *message = client->message->message;
	size_t which = client->envelope.sent++;

	if (which == 0)
		send_mail(client);
	else if (which <= message->recipient_count)
		send_rcpt(client, &message->recipients[which - 1]);
	else
		client_printf(client, "DATA");
}

static void send_some(struct client *client)
{
	struct envelope *envelope = &client->envelope;

	while (envelope->sent < envelope->total && (client->offer.pipelining || envelope->sent == envelope->answered))
		send_next(client);
	client_wait(client,
	        envelope->answered > client->message->message->recipient_count ? CLIENT_DATA_MS : CLIENT_COMMAND_MS);
}

void envelope_begin(struct client *client)
{
	size_t recipients = client->message->message->recipient_count;

	memset(&client->envelope, 0, sizeof(client->envelope));
	client->envelope.replies = calloc(recipients, sizeof(struct client_reply));
	if (client->envelope.replies == NULL || !body_begin(client)) {
		client_fail(client, "out of memory");
		return;
	}
	client->envelope.total = 1 + recipients + (client->body.chunked ? 0 : 1);
	send_some(client);
}

/* ---- the end ---- */

static bool is_success(const struct client_reply *reply)
{
	return reply->code / 100 == 2;
}

/* What is neither success nor refusal answers nothing: told in our words, to be tried again. */
static struct client_reply final_reply(const struct client_reply *reply, const char *command)
{
	struct client_reply wrong;

	if (is_success(reply) || reply->code >= 400)
		return *reply;
	reply_local(&wrong, "the other server answered %s with: %.400s", command, reply->text);
	return wrong;
}

static bool is_answered(const struct client_reply *reply)
{
	return reply->code != 0;
}

/* Recipients that are still hoping get this reply. Those before `ending` have LMTP's last word: a success there is no hope, it is mail in a
 * mailbox, which would come a second time. */
static void answer_rest(struct client *client, const struct client_reply *reply)
{
	for (size_t i = client->envelope.ending; i < client->message->message->recipient_count; i++) {
		struct client_reply *place = &client->envelope.replies[i];
		if (!is_answered(place) || is_success(place))
			*place = *reply;
	}
}

void envelope_end(struct client *client, bool lost)
{
	size_t count = client->message->message->recipient_count;
	struct client_reply *replies = client->envelope.replies;

	if (client->state == CLIENT_OVER && replies != NULL && !client->envelope.complete)
		answer_rest(client, &client->why);
	body_free(client);
	client->envelope.replies = NULL;
	client->message = NULL;
	if (client->state != CLIENT_OVER)
		client_ready(client);
	client->events->on_sent(client->arg, replies, replies == NULL ? 0 : count, lost);
	free(replies);
}

/* Every recipient has its final answer, and the server still has half a transaction. */
static void reset(struct client *client)
{
	client->envelope.complete = true;
	if (client->body.reading) { /* its memory is in use: the answer can wait for that */
		client->envelope.reset_later = true;
		return;
	}
	client->state = CLIENT_RSETTING;
	client_printf(client, "RSET");
	client_wait(client, CLIENT_COMMAND_MS);
}

void envelope_job_done(struct client *client)
{
	if (client->envelope.reset_later)
		reset(client);
}

/* ---- answers to the envelope ---- */

static void data_answered(struct client *client, const struct client_reply *reply)
{
	struct client_reply wrong;

	if (reply->code == 354) {
		body_go(client); /* also for nobody: then the empty message is what ends it (RFC 2920 §3.1) */
		return;
	}
	reply_local(&wrong, "the other server answered DATA with: %.400s", reply->text);
	answer_rest(client, reply->code < 400 ? &wrong : reply); /* a success of DATA is none of the message */
	reset(client);
}

static void all_answered(struct client *client)
{
	if (client->envelope.accepted > 0)
		body_go(client); /* BDAT */
	else
		reset(client);
}

static void rcpt_answered(struct client *client, size_t which, const struct client_reply *reply)
{
	client->envelope.replies[which] = *reply;
	if (is_success(reply))
		client->envelope.accepted++;
	else if (reply->code < 400)
		reply_local(
		        &client->envelope.replies[which], "the other server answered RCPT with: %.400s", reply->text);
}

static void mail_answered(struct client *client, const struct client_reply *reply)
{
	struct client_reply refusal = final_reply(reply, "MAIL");

	if (is_success(reply))
		return;
	client->envelope.mail_refused = true;
	answer_rest(client, &refusal);
}

/* Without pipelining what would be in vain is not asked. */
static bool is_hopeless(const struct client *client)
{
	const struct envelope *envelope = &client->envelope;

	if (envelope->sent > envelope->answered)
		return false;
	return envelope->mail_refused ||
	       (envelope->answered == 1 + client->message->message->recipient_count && envelope->accepted == 0);
}

void envelope_reply(struct client *client, const struct client_reply *reply)
{
	struct envelope *envelope = &client->envelope;
	size_t which = envelope->answered, recipients = client->message->message->recipient_count;

	if (envelope->complete || which >= envelope->sent || reply->code == 421) { /* what was not asked, or goodbye */
		client_refused(client);
		return;
	}
	envelope->answered++;
	if (which == 0)
		mail_answered(client, reply);
	else if (which <= recipients && !envelope->mail_refused)
		rcpt_answered(client, which - 1, reply);
	if (which == 1 + recipients)
		data_answered(client, reply);
	else if (is_hopeless(client))
		reset(client);
	else if (envelope->answered == envelope->total)
		all_answered(client);
	else
		send_some(client);
}

/* ---- answers to the message ---- */

static bool next_accepted(struct client *client)
{
	struct envelope *envelope = &client->envelope;

	while (envelope->ending < client->message->message->recipient_count &&
	        !is_success(&envelope->replies[envelope->ending]))
		envelope->ending++;
	return envelope->ending < client->message->message->recipient_count;
}

/* RFC 2033 §4.2: LMTP answers for each recipient that it had accepted, in order. */
static void lmtp_reply(struct client *client, const struct client_reply *reply)
{
	if (next_accepted(client))
		client->envelope.replies[client->envelope.ending++] = final_reply(reply, "the message");
	if (next_accepted(client)) {
		client_wait(client, CLIENT_END_MS);
		return;
	}
	client->envelope.complete = true;
	envelope_end(client, false);
}

void ending_reply(struct client *client, const struct client_reply *reply)
{
	struct client_reply final;

	if (client->envelope.accepted == 0) { /* the empty message that ended a pipelined DATA */
		reset(client);
		return;
	}
	if (client->settings.lmtp) {
		lmtp_reply(client, reply);
		return;
	}
	final = final_reply(reply, "the message");
	answer_rest(client, &final);
	client->envelope.complete = true;
	if (reply->code == 421)
		client_refused(client); /* it has answered, and goes */
	else
		envelope_end(client, false);
}
