#include "smtpd/inbound/letters.h"

#include "base/check.h"
#include "base/utf8.h"
#include "message/srs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)RCPT_NOTIFY_NEVER == (int)NOTIFY_NEVER && (int)RCPT_NOTIFY_SUCCESS == (int)NOTIFY_SUCCESS &&
                       (int)RCPT_NOTIFY_FAILURE == (int)NOTIFY_FAILURE && (int)RCPT_NOTIFY_DELAY == (int)NOTIFY_DELAY,
        "what was parsed is what is queued");
_Static_assert((int)RET_FULL == (int)RETURN_FULL && (int)RET_HDRS == (int)RETURN_HEADERS, "the same");
_Static_assert(ACCOUNTS_MAX + REMOTES_MAX + 1 <= QUEUE_RECIPIENTS_MAX, "every entry fits");
_Static_assert(TRACE_ID_MAX <= QUEUE_TRACE_MAX, "the id of a transaction is a trace");

static bool no_memory(struct error *err)
{
	return error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
}

void letters_free(struct letters *letters)
{
	for (size_t i = 0; i < letters->count; i++)
		buffer_free(&letters->items[i].prefix);
	free(letters->items);
	free(letters->recipients);
	*letters = (struct letters) { .count = 0 };
}

/* --- which there are ----------------------------------------------------------------------------------------------- */

/* The letter of an alias, made at need; NULL: no memory. Letter 0 is always that of the sender himself, perhaps without recipients. */
static struct letter *letter_of(struct letters *letters, struct span alias)
{
	struct letter *more;

	for (size_t i = 0; i < letters->count; i++)
		if (span_equal(letters->items[i].alias, alias))
			return &letters->items[i];
	more = realloc(letters->items, (letters->count + 1) * sizeof(*more));
	if (more == NULL)
		return NULL;
	letters->items = more;
	more = &more[letters->count++];
	*more = (struct letter) { .alias = alias };
	buffer_init(&more->prefix, PREFIX_MAX + ADDRESS_TEXT_MAX + 32);
	return more;
}

static size_t count_local(const struct envelope *envelope, const struct letters_wanted *wanted)
{
	size_t count = 0;

	for (size_t i = 0; i < envelope->target_count; i++)
		count += wanted->targets == NULL || wanted->targets[i];
	return count + wanted->sent;
}

/* How many recipients each will have, and so where they begin. */
static bool count_recipients(
        const struct envelope *envelope, const struct letters_wanted *wanted, struct letters *out, struct error *err)
{
	struct letter *letter = letter_of(out, SPAN_EMPTY);

	if (letter == NULL)
		return no_memory(err);
	letter->entry.recipient_count = count_local(envelope, wanted);
	for (size_t i = 0; wanted->remotes && i < envelope->remote_count; i++) {
		letter = letter_of(out, envelope_text(envelope, envelope->remotes[i].alias));
		if (letter == NULL)
			return no_memory(err);
		letter->entry.recipient_count++;
	}
	for (size_t i = 0; i < out->count; i++) {
		out->items[i].first = out->recipient_count;
		out->recipient_count += out->items[i].entry.recipient_count;
		out->items[i].entry.recipient_count = 0; /* counted again as they are written */
	}
	out->recipients = calloc(out->recipient_count, sizeof(out->recipients[0]));
	return out->recipients != NULL || no_memory(err);
}

/* --- their recipients ---------------------------------------------------------------------------------------------- */

static struct queue_rcpt_new *next_recipient(struct letters *letters, struct letter *letter)
{
	return &letters->recipients[letter->first + letter->entry.recipient_count++];
}

static void write_sent(
        const struct delivery_request *request, const struct letters_wanted *wanted, struct queue_rcpt_new *out)
{
	*out = (struct queue_rcpt_new) {
		.kind = QUEUE_SENT,
		.address = request->trace->sender,
		.account_id = request->account_id,
		.notify = NOTIFY_NEVER,
	};
	if (wanted->sent_op_id != NULL)
		memcpy(out->op_id, wanted->sent_op_id, OP_ID_LEN);
}

static void write_local(
        const struct delivery_request *request, const struct letters_wanted *wanted, struct letters *out)
{
	const struct envelope *envelope = request->envelope;

	for (size_t i = 0; i < envelope->target_count; i++) {
		const struct delivery_target *target = &envelope->targets[i];
		const struct envelope_rcpt *rcpt = &envelope->rcpts[target->rcpt];

		if (wanted->targets != NULL && !wanted->targets[i])
			continue;
		*next_recipient(out, &out->items[0]) = (struct queue_rcpt_new) {
			.kind = QUEUE_LOCAL,
			.address = envelope_text(envelope, rcpt->address),
			.account_id = target->account_id,
			.folder = envelope_text(envelope, target->folder),
			.orcpt = envelope_text(envelope, rcpt->orcpt),
			.notify = rcpt->notify,
		};
	}
	if (wanted->sent)
		write_sent(request, wanted, next_recipient(out, &out->items[0]));
}

static void write_remotes(const struct envelope *envelope, struct letters *out)
{
	for (size_t i = 0; i < envelope->remote_count; i++) {
		const struct remote_target *remote = &envelope->remotes[i];
		const struct envelope_rcpt *rcpt = &envelope->rcpts[remote->rcpt];
		struct letter *letter = letter_of(out, envelope_text(envelope, remote->alias));

		CHECK(letter != NULL); /* it was counted */
		*next_recipient(out, letter) = (struct queue_rcpt_new) {
			.kind = QUEUE_REMOTE,
			.address = envelope_text(envelope, remote->address),
			.domain = envelope_text(envelope, remote->domain),
			.orcpt = envelope_text(envelope, rcpt->orcpt),
			.notify = rcpt->notify,
		};
	}
}

/* --- their envelopes ------------------------------------------------------------------------------------------------- */

/* A sender of ours stays: our own servers send for it. One whose address grows too long by it stays too: SPF may then fail, but a bounce
 * still finds back. */
static bool rewrite_sender(const struct delivery_request *request, struct letter *letter, struct error *err)
{
	const struct smtp_path *sender = &request->mail->sender;
	struct directory *directory = request->accept->directory;
	uint8_t secret[SRS_SECRET_LEN];
	size_t at = 0;

	if (sender->mailbox.len == 0 || directory_has_domain(directory, sender->domain, err))
		return true;
	if (err->code != ERR_NO_SUCH_DOMAIN && err->code != ERR_BAD_ADDRESS)
		return false;
	if (!directory_srs_secret(directory, secret, err))
		return false;
	(void)span_find_last(letter->alias, '@', &at);
	if (srs_forward(secret, sender->mailbox, span_skip(letter->alias, at + 1), request->trace->unix_seconds,
	            letter->sender, sizeof(letter->sender), err)) {
		letter->entry.sender = span_of(letter->sender);
		return true;
	}
	return err->code != ERR_NO_MEMORY;
}

/* Its transaction may have gone without SMTPUTF8: who sent it did not know where the alias leads. */
static bool needs_utf8(const struct letter *letter)
{
	for (size_t i = 0; i < letter->entry.recipient_count; i++)
		if (!utf8_is_ascii(letter->entry.recipients[i].address))
			return true;
	return !utf8_is_ascii(letter->alias);
}

static bool forward(
        const struct delivery_request *request, struct letter *letter, struct span prefix, struct error *err)
{
	buffer_printf(&letter->prefix, "Delivered-To: %.*s\r\n", SPAN_FMT(letter->alias));
	if (!buffer_append_span(&letter->prefix, prefix))
		return no_memory(err);
	letter->entry.prefix = buffer_span(&letter->prefix);
	if (needs_utf8(letter))
		letter->entry.flags |= QUEUE_SMTPUTF8;
	return rewrite_sender(request, letter, err);
}

static unsigned flags_of(const struct mail_args *mail, const struct prepared *prepared)
{
	return prepared->flags | (mail->by_mode == BY_RETURN ? QUEUE_BY_RETURN : 0) |
	       (mail->by_trace ? QUEUE_BY_TRACE : 0);
}

static struct queue_entry entry_of(const struct delivery_request *request, const struct prepared *prepared)
{
	const struct mail_args *mail = request->mail;
	int64_t begins = request->not_before_ms > 0 ? request->not_before_ms : request->received_ms;

	return (struct queue_entry) {
		.sender = mail->sender.mailbox,
		.envid = mail->envid,
		.message_id = span_of(prepared->message_id),
		.ret = (enum queue_return)mail->ret,
		.flags = flags_of(mail, prepared),
		.priority = mail->priority,
		.created_ms = request->received_ms,
		.not_before_ms = request->not_before_ms,
		.expires_ms = begins + request->accept->settings->give_up_ms,
		.deliver_by_ms = mail->deliver_by_ms,
		.prefix = span_skip(buffer_span(&prepared->prefix), prepared->return_path_len),
		.body = request->spool,
	};
}

/* RFC 4865 §5.1.2: what the report of an undeliverable message repeats. */
static struct span write_future_release(const struct mail_args *mail, struct letter *letter)
{
	struct buffer text;

	if (mail->hold == HOLD_NOT_SAID)
		return SPAN_EMPTY;
	buffer_init(&text, QUEUE_RELEASE_MAX);
	if (mail->hold == HOLD_FOR)
		(void)buffer_printf(&text, "for;%u", mail->hold_seconds);
	else if (buffer_append_text(&text, "until;"))
		(void)date_time_write(mail->hold_until_ms / 1000, &text);
	(void)span_copy(buffer_span(&text), letter->future_release, sizeof(letter->future_release));
	buffer_free(&text);
	return span_of(letter->future_release);
}

static void name_letter(struct letter *letter, struct span id, size_t number)
{
	if (number == 0)
		snprintf(letter->trace, sizeof(letter->trace), "%.*s", SPAN_FMT(id));
	else
		snprintf(letter->trace, sizeof(letter->trace), "%.*s-%zu", SPAN_FMT(span_first(id, 16)), number);
	letter->entry.trace = span_of(letter->trace);
}

/* What an alias sends on is not counted among what its writer sends (queue_add): the alias is the admin's. */
static bool write_letter(const struct delivery_request *request, const struct prepared *prepared, struct letters *all,
        size_t number, struct error *err)
{
	struct letter *letter = &all->items[number];
	size_t recipients = letter->entry.recipient_count;

	letter->entry = entry_of(request, prepared);
	letter->entry.future_release = write_future_release(request->mail, letter);
	letter->entry.recipients = &all->recipients[letter->first];
	letter->entry.recipient_count = recipients;
	name_letter(letter, request->trace->id, number);
	if (letter->alias.len > 0)
		return forward(request, letter, letter->entry.prefix, err);
	letter->entry.account_id = request->account_id;
	letter->entry.limits = request->options->limits;
	return true;
}

/* The first one has no recipients when all that was written to are aliases that lead away. */
static void drop_empty(struct letters *letters)
{
	if (letters->items[0].entry.recipient_count > 0)
		return;
	buffer_free(&letters->items[0].prefix);
	letters->count--;
	memmove(&letters->items[0], &letters->items[1], letters->count * sizeof(letters->items[0]));
}

bool letters_make(const struct delivery_request *request, const struct prepared *prepared,
        const struct letters_wanted *wanted, struct letters *out, struct error *err)
{
	*out = (struct letters) { .count = 0 };
	if (!count_recipients(request->envelope, wanted, out, err))
		return false;
	write_local(request, wanted, out);
	if (wanted->remotes)
		write_remotes(request->envelope, out);
	drop_empty(out);
	for (size_t i = 0; i < out->count; i++)
		if (!write_letter(request, prepared, out, i, err))
			return false;
	error_clear(err); /* of a look that found nothing on the way */
	return true;
}
