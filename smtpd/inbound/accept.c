#include "smtpd/inbound/accept.h"

#include "base/clock.h"
#include "message/address.h"
#include "message/header.h"
#include "storage/mailbox.h"

#include <stdlib.h>

/* --- the sender ------------------------------------------------------------------------------------------------ */

/* RFC 1870 §6.1: too large is said before a byte of it was sent. */
static bool sender_size(const struct accept_context *context, const struct sender_request *request, struct error *err)
{
	uint64_t limit = context->settings->max_message_size;

	if (request->args->has_size && request->args->size > limit)
		return error_set(
		        err, ERR_TOO_LARGE, "message too large: at most %llu octets", (unsigned long long)limit);
	return true;
}

/* RFC 6531 §3.5: such an address only in a transaction that says SMTPUTF8. */
static bool sender_utf8(const struct accept_context *context, const struct sender_request *request, struct error *err)
{
	(void)context;
	if (request->args->sender.utf8 && !request->args->smtputf8)
		return error_set(err, ERR_BAD_SEQUENCE, "non-ASCII address in a transaction without SMTPUTF8");
	return true;
}

/* promises.md, "authenticated sender spoofing": no option turns this off. "<>" is for notifications, which mail clients
 * send too (RFC 8098 §3); who wrote them is then checked by From alone. */
static bool sender_is_theirs(
        const struct accept_context *context, const struct sender_request *request, struct error *err)
{
	const struct smtp_path *sender = &request->args->sender;

	if (request->account_id == 0 || sender->mailbox.len == 0)
		return true;
	if (directory_may_send_as(context->directory, request->account_id, path_local(sender), sender->domain, err))
		return true;
	if (err->code == ERR_DENIED || err->code == ERR_NO_SUCH_DOMAIN || err->code == ERR_NO_SUCH_ADDRESS)
		return error_set(err, ERR_DENIED, "the sender address does not belong to your login");
	return false;
}

bool accept_priority(int64_t account_id, struct mail_args *args)
{
	if (account_id != 0 || args->priority <= 0)
		return false;
	args->priority = 0;
	return true;
}

typedef bool sender_check(const struct accept_context *, const struct sender_request *, struct error *);
static sender_check *const sender_checks_now[] = { sender_size, sender_utf8 };
static sender_check *const sender_checks[] = { sender_is_theirs };

bool accept_sender_now(const struct accept_context *context, const struct sender_request *request, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(sender_checks_now); i++)
		if (!sender_checks_now[i](context, request, err))
			return false;
	return true;
}

bool accept_sender(const struct accept_context *context, const struct sender_request *request, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(sender_checks); i++)
		if (!sender_checks[i](context, request, err))
			return false;
	return true;
}

bool accept_sender_options(
        const struct accept_context *context, int64_t account_id, struct sender_options *out, struct error *err)
{
	const struct smtpd_settings *settings = context->settings;
	struct account_info info;
	const struct account_options *own = &info.options;

	if (!directory_account(context->directory, account_id, &info, err))
		return false;
	if (info.disabled) /* since the login */
		return error_set(err, ERR_DISABLED, "this account is disabled");
	*out = (struct sender_options) {
		.file_sent = own->file_sent,
		.undo_ms = own->undo_seconds < 0 ? settings->undo_ms : 1000 * (int64_t)own->undo_seconds,
		.limits.recipients_a_day =
		        own->recipients_a_day < 0 ? settings->recipients_a_day : (uint32_t)own->recipients_a_day,
		.limits.new_recipients_a_day = own->new_recipients_a_day < 0 ? settings->new_recipients_a_day
		                                                             : (uint32_t)own->new_recipients_a_day,
	};
	return true;
}

/* --- a recipient ----------------------------------------------------------------------------------------------- */

/* RFC 5321 §4.5.3.1.10: 452, so that the client sends the rest in a further transaction. */
static bool recipient_count(
        const struct accept_context *context, const struct recipient_request *request, struct error *err)
{
	if (request->envelope->rcpt_count >= context->settings->max_recipients)
		return error_set(
		        err, ERR_LIMIT, "too many recipients: at most %u a message", context->settings->max_recipients);
	return true;
}

static bool recipient_utf8(
        const struct accept_context *context, const struct recipient_request *request, struct error *err)
{
	(void)context;
	if (request->recipient->utf8 && !request->smtputf8)
		return error_set(err, ERR_BAD_SEQUENCE, "non-ASCII address in a transaction without SMTPUTF8");
	return true;
}

typedef bool recipient_check(const struct accept_context *, const struct recipient_request *, struct error *);
static recipient_check *const recipient_checks_now[] = { recipient_count, recipient_utf8 };

bool accept_recipient_now(
        const struct accept_context *context, const struct recipient_request *request, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(recipient_checks_now); i++)
		if (!recipient_checks_now[i](context, request, err))
			return false;
	return true;
}

static bool usage_of(struct store *store, int64_t id, struct account_usage *usage, struct error *err)
{
	struct account *account;
	bool ok;

	if (!account_open(store, id, &account, err))
		return false;
	ok = account_usage(account, usage, err);
	account_release(&account);
	return ok;
}

static bool target_has_room(const struct accept_context *context, uint64_t size, int64_t id, uint64_t quota_bytes,
        uint64_t quota_messages, struct error *err)
{
	struct account_usage usage;

	if (quota_bytes == 0 && quota_messages == 0)
		return true;
	if (quota_bytes > 0 && size > quota_bytes) /* RFC 1870 §6.4 (2) */
		return error_set(err, ERR_TOO_LARGE, "the message is larger than this mailbox may hold");
	if (!usage_of(context->store, id, &usage, err))
		return false;
	if ((quota_bytes > 0 && usage.bytes + size >= quota_bytes) ||
	        (quota_messages > 0 && usage.messages >= quota_messages))
		return error_set(err, ERR_OVER_QUOTA, "the mailbox is full, try again later");
	return true;
}

static bool recipient_is_routed(const struct accept_context *context, const struct recipient_request *request,
        struct routing *out, struct error *err)
{
	const struct routing_request routing = {
		.recipient = request->recipient,
		.may_relay = request->may_relay,
		.null_sender = request->null_sender,
		.unix_seconds = clock_wall_ms() / 1000,
	};

	return routing_find(context->directory, &routing, out, err);
}

static bool recipient_has_room(const struct accept_context *context, const struct recipient_request *request,
        struct routing *routing, struct error *err)
{
	const struct resolution *out = &routing->resolution;

	for (size_t i = 0; i < out->count; i++)
		if (!target_has_room(context, request->size, out->targets[i].account_id, out->targets[i].quota_bytes,
		            out->targets[i].quota_messages, err))
			return false;
	return true;
}

static bool has_limits(int64_t account_id, const struct sender_options *options)
{
	return account_id != 0 && (options->limits.recipients_a_day > 0 || options->limits.new_recipients_a_day > 0);
}

/* The addresses elsewhere that the sender wrote to himself (what an alias leads to is the admin's doing), and room for one more. NULL: no
 * memory. */
static struct span *written_remotes(const struct envelope *envelope, size_t *count)
{
	struct span *list = malloc((envelope->remote_count + 1) * sizeof(*list));

	*count = 0;
	for (size_t i = 0; list != NULL && i < envelope->remote_count; i++)
		if (envelope->remotes[i].alias.len == 0)
			list[(*count)++] = envelope_text(envelope, envelope->remotes[i].address);
	return list;
}

/* promises.md has stolen passwords send to thousands. This is for the client to know early, and what counts is what queue_add() says of the
 * whole message; so in a long list only the newest is looked at: else n recipients would cost n * n look-ups. */
static bool recipient_within_limits(const struct accept_context *context, const struct recipient_request *request,
        const struct routing *routing, bool *limited, struct error *err)
{
	struct span *list;
	size_t count;
	bool ok;

	if (routing->remote[0] == '\0' || !has_limits(request->account_id, request->options))
		return true;
	list = written_remotes(request->envelope, &count);
	if (list == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
	if (count > LIMIT_CHECKED_AT_RCPT)
		count = 0;
	list[count++] = span_of(routing->remote);
	ok = queue_may_send(
	        context->queue, request->account_id, &request->options->limits, list, count, clock_wall_ms(), err);
	*limited = !ok && err->code == ERR_LIMIT;
	free(list);
	return ok;
}

bool accept_recipient(const struct accept_context *context, const struct recipient_request *request,
        struct routing *out, bool *limited, struct error *err)
{
	*limited = false;
	return recipient_is_routed(context, request, out, err) && recipient_has_room(context, request, out, err) &&
	       recipient_within_limits(context, request, out, limited, err);
}

/* --- the message ----------------------------------------------------------------------------------------------- */

/* RFC 5321 §6.3: a message that has come round too often is in a loop. */
static bool message_hops(const struct accept_context *context, const struct message_request *request, struct error *err)
{
	struct header_reader reader;
	struct header_field field;
	unsigned hops = 0;

	header_reader_init(&reader, request->header);
	while (header_next(&reader, &field))
		if (span_equal_nocase(field.name, SPAN("Received")) && ++hops > context->settings->max_hops)
			return error_set(
			        err, ERR_LIMIT, "mail loop: more than %u Received fields", context->settings->max_hops);
	return true;
}

static bool is_nobodys(const struct error *err)
{
	return err->code == ERR_NO_SUCH_DOMAIN || err->code == ERR_NO_SUCH_ADDRESS || err->code == ERR_BAD_ADDRESS;
}

static bool share_an_account(const struct resolution *a, const struct resolution *b)
{
	for (size_t i = 0; i < a->count; i++)
		for (size_t k = 0; k < b->count; k++)
			if (a->targets[i].account_id == b->targets[k].account_id)
				return true;
	return false;
}

/* A program of this machine may write as who is elsewhere or nobody (a shop's, cron's bare "root"), but not as a user here who is another. */
static bool author_is_no_other(
        const struct accept_context *context, struct span user, const struct address *author, struct error *err)
{
	struct resolution claimed, own;
	size_t at = 0;

	if (author->mailbox.ptr == NULL || author->host.ptr == NULL)
		return true;
	if (!directory_resolve(context->directory, author->mailbox, author->host, &claimed, err))
		return is_nobodys(err);
	(void)span_find_last(user, '@', &at);
	if (claimed.catch_all)
		return true;
	if (directory_resolve(context->directory, span_first(user, at), span_skip(user, at + 1), &own, err)) {
		if (share_an_account(&claimed, &own))
			return true;
	} else if (!is_nobodys(err)) {
		return false;
	}
	return error_set(err, ERR_DENIED, "the From address belongs to another user");
}

static bool author_is_theirs(const struct accept_context *context, const struct message_request *request,
        const struct address *author, struct error *err)
{
	if (request->account_id == 0)
		return author_is_no_other(context, request->local_user, author, err);
	if (author->mailbox.ptr == NULL || author->host.ptr == NULL)
		return error_set(err, ERR_DENIED, "the From address cannot be read");
	if (directory_may_send_as(context->directory, request->account_id, author->mailbox, author->host, err))
		return true;
	if (err->code == ERR_DENIED || err->code == ERR_NO_SUCH_DOMAIN || err->code == ERR_NO_SUCH_ADDRESS)
		return error_set(err, ERR_DENIED, "the From address does not belong to your login");
	return false;
}

/* Every author named in From must be the login's own; a group or an empty list names nobody. */
static bool authors_are_theirs(const struct accept_context *context, const struct message_request *request,
        struct span value, struct error *err)
{
	struct address_list list;
	size_t authors = 0;
	bool ok;

	address_list_init(&list);
	ok = address_list_parse(&list, value) || error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
	if (ok && list.truncated)
		ok = error_set(err, ERR_DENIED, "too many From addresses");
	for (size_t i = 0; ok && i < list.count; i++) {
		if (list.items[i].kind != ADDRESS_MAILBOX)
			continue;
		authors++;
		ok = author_is_theirs(context, request, &list.items[i], err);
	}
	if (ok && authors == 0 && request->account_id != 0)
		ok = error_set(err, ERR_BAD_VALUE, "the From field names no address");
	address_list_free(&list);
	return ok;
}

/* RFC 5322 §3.6 wants exactly one From; with two, readers would choose one and we another (promises.md, "parser
 * differentials"). RFC 6409 §6.1 lets a submission server insist on the author. */
static bool message_author(
        const struct accept_context *context, const struct message_request *request, struct error *err)
{
	struct header_reader reader;
	struct header_field field;
	unsigned found = 0;

	if (request->account_id == 0 && request->local_user.len == 0)
		return true;
	header_reader_init(&reader, request->header);
	while (header_next(&reader, &field)) {
		if (!span_equal_nocase(field.name, SPAN("From")))
			continue;
		if (++found > 1)
			return error_set(err, ERR_BAD_VALUE, "more than one From field");
		if (!authors_are_theirs(context, request, field.value, err))
			return false;
	}
	/* Another From may stand where nobody has looked. */
	if (reader.count == HEADER_FIELDS_MAX || request->header.len >= HEADER_BLOCK_MAX)
		return error_set(err, ERR_BAD_VALUE, "the header is too long to be checked");
	return found == 1 || request->account_id == 0 || error_set(err, ERR_BAD_VALUE, "the message has no From field");
}

static bool is_forwarded_by(const struct envelope *envelope, struct span address)
{
	for (size_t i = 0; i < envelope->remote_count; i++)
		if (span_equal_nocase(envelope_text(envelope, envelope->remotes[i].alias), address))
			return true;
	return false;
}

/* What an alias sends on carries Delivered-To with its address: when it comes back it would go round until its Received fields are too many. */
static bool message_comes_back(
        const struct accept_context *context, const struct message_request *request, struct error *err)
{
	struct header_reader reader;
	struct header_field field;

	(void)context;
	if (request->envelope->remote_count == 0)
		return true;
	header_reader_init(&reader, request->header);
	while (header_next(&reader, &field)) {
		struct span address = span_trim(field.value);

		if (span_equal_nocase(field.name, SPAN("Delivered-To")) && address.len > 0 &&
		        is_forwarded_by(request->envelope, address))
			return error_set(err, ERR_LIMIT, "mail loop: this address has forwarded the message before");
	}
	return true;
}

typedef bool message_check(const struct accept_context *, const struct message_request *, struct error *);
static message_check *const message_checks[] = { message_hops, message_comes_back, message_author };

bool accept_message(const struct accept_context *context, const struct message_request *request, struct error *err)
{
	for (size_t i = 0; i < ARRAY_LEN(message_checks); i++)
		if (!message_checks[i](context, request, err))
			return false;
	return true;
}
