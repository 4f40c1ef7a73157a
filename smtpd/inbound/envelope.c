#include "smtpd/inbound/envelope.h"

#include "smtpd/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void envelope_init(struct envelope *envelope)
{
	*envelope = (struct envelope) { .rcpt_count = 0 };
	buffer_init(&envelope->texts, ENVELOPE_TEXT_MAX);
}

void envelope_free(struct envelope *envelope)
{
	buffer_free(&envelope->texts);
	free(envelope->rcpts);
	free(envelope->targets);
	free(envelope->remotes);
	free(envelope->links);
	envelope_init(envelope);
}

size_t envelope_memory(const struct envelope *envelope)
{
	return envelope->texts.cap + envelope->rcpt_capacity * sizeof(envelope->rcpts[0]) +
	       envelope->target_capacity * sizeof(envelope->targets[0]) +
	       envelope->remote_capacity * sizeof(envelope->remotes[0]) +
	       envelope->link_capacity * sizeof(envelope->links[0]);
}

struct span envelope_text(const struct envelope *envelope, struct text_at text)
{
	return span_first(span_skip(buffer_span(&envelope->texts), text.at), text.len);
}

struct span envelope_address(const struct envelope *envelope, size_t rcpt)
{
	return envelope_text(envelope, envelope->rcpts[rcpt].address);
}

void envelope_names(const struct envelope *envelope, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (size_t i = 0; i < envelope->rcpt_count; i++) {
		struct span name = envelope_address(envelope, i);

		if (len + 1 + name.len >= size)
			return;
		len += (size_t)snprintf(out + len, size - len, "%s%.*s", i > 0 ? "," : "", SPAN_FMT(name));
	}
}

/* --- room -------------------------------------------------------------------------------------------------------- */

/* The array with room for `want` items; NULL: as it was, and *err. */
static void *grown(void *items, size_t item_size, size_t *capacity, size_t want, size_t limit, struct error *err)
{
	size_t doubled = 2 * *capacity < limit ? 2 * *capacity : limit;
	void *more;

	if (want > limit) {
		error_set(err, ERR_LIMIT, "too many recipients: the message would reach over %zu addresses", limit);
		return NULL;
	}
	want = want < doubled ? doubled : want;
	more = realloc(items, want * item_size);
	if (more == NULL)
		error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
	else
		*capacity = want;
	return more;
}

static bool room_for_rcpt(struct envelope *envelope, struct error *err)
{
	struct envelope_rcpt *more;

	if (envelope->rcpt_count < envelope->rcpt_capacity)
		return true;
	more = grown(
	        envelope->rcpts, sizeof(*more), &envelope->rcpt_capacity, envelope->rcpt_count + 1, RCPTS_MAX, err);
	if (more != NULL)
		envelope->rcpts = more;
	return more != NULL;
}

static bool room_for_targets(struct envelope *envelope, size_t count, struct error *err)
{
	struct delivery_target *more;

	if (envelope->target_count + count <= envelope->target_capacity)
		return true;
	more = grown(envelope->targets, sizeof(*more), &envelope->target_capacity, envelope->target_count + count,
	        ACCOUNTS_MAX, err);
	if (more != NULL)
		envelope->targets = more;
	return more != NULL;
}

static bool room_for_links(struct envelope *envelope, size_t count, struct error *err)
{
	struct envelope_link *more;

	if (!envelope->keeps_links || envelope->link_count + count <= envelope->link_capacity)
		return true;
	more = grown(
	        envelope->links, sizeof(*more), &envelope->link_capacity, envelope->link_count + count, LINKS_MAX, err);
	if (more != NULL)
		envelope->links = more;
	return more != NULL;
}

static bool room_for_remotes(struct envelope *envelope, size_t count, struct error *err)
{
	struct remote_target *more;

	if (envelope->remote_count + count <= envelope->remote_capacity)
		return true;
	more = grown(envelope->remotes, sizeof(*more), &envelope->remote_capacity, envelope->remote_count + count,
	        REMOTES_MAX, err);
	if (more != NULL)
		envelope->remotes = more;
	return more != NULL;
}

static struct text_at keep(struct envelope *envelope, struct span text)
{
	struct text_at at = { (uint32_t)envelope->texts.len, (uint32_t)text.len };

	buffer_append_span(&envelope->texts, text); /* a failure shows in texts.failed */
	return at;
}

/* --- adding ------------------------------------------------------------------------------------------------------ */

/* Its place among the targets; their number when it is not among them. */
static size_t find_account(const struct envelope *envelope, int64_t id)
{
	size_t at = 0;

	while (at < envelope->target_count && envelope->targets[at].account_id != id)
		at++;
	return at;
}

static void add_link(struct envelope *envelope, size_t target)
{
	if (envelope->keeps_links)
		envelope->links[envelope->link_count++] =
		        (struct envelope_link) { (uint32_t)envelope->rcpt_count, (uint32_t)target };
}

static void add_accounts(struct envelope *envelope, const struct resolution *resolution)
{
	struct text_at detail = { 0, 0 };

	for (size_t i = 0; i < resolution->count; i++) {
		size_t at = find_account(envelope, resolution->targets[i].account_id);

		add_link(envelope, at);
		if (at < envelope->target_count)
			continue;
		if (resolution->targets[i].detail_folders && detail.len == 0)
			detail = keep(envelope, span_of(resolution->detail));
		envelope->targets[envelope->target_count++] = (struct delivery_target) {
			.account_id = resolution->targets[i].account_id,
			.quota_bytes = resolution->targets[i].quota_bytes,
			.quota_messages = resolution->targets[i].quota_messages,
			.folder = resolution->targets[i].detail_folders ? detail : (struct text_at) { 0, 0 },
			.rcpt = (uint32_t)envelope->rcpt_count,
		};
	}
}

static bool has_remote(const struct envelope *envelope, struct span address, struct span alias)
{
	for (size_t i = 0; i < envelope->remote_count; i++)
		if (span_equal(envelope_text(envelope, envelope->remotes[i].address), address) &&
		        span_equal(envelope_text(envelope, envelope->remotes[i].alias), alias))
			return true;
	return false;
}

static void add_remote(struct envelope *envelope, struct span address, struct span domain, struct span alias)
{
	if (has_remote(envelope, address, alias))
		return;
	envelope->remotes[envelope->remote_count++] = (struct remote_target) {
		.address = keep(envelope, address),
		.domain = keep(envelope, domain),
		.alias = keep(envelope, alias),
		.rcpt = (uint32_t)envelope->rcpt_count,
	};
}

/* Of a catch-all ("*@example.test") the address that was written to is the one that a loop would come back to. */
static void add_forwards(struct envelope *envelope, const struct resolution *resolution, struct span written)
{
	for (size_t i = 0; i < resolution->remote_count; i++) {
		struct span address = span_of(resolution_remote(resolution, i));
		struct span alias = span_of(resolution_remote_alias(resolution, i));
		size_t at = 0;

		(void)span_find_last(address, '@', &at);
		add_remote(envelope, address, span_skip(address, at + 1),
		        span_starts(alias, SPAN("*@")) ? written : alias);
	}
}

/* What was there before a step that failed. */
struct mark {
	size_t targets, remotes, links, texts;
};

static bool take_back(struct envelope *envelope, struct mark mark, struct error *err)
{
	envelope->target_count = mark.targets;
	envelope->remote_count = mark.remotes;
	envelope->link_count = mark.links;
	envelope->texts.len = mark.texts;
	envelope->texts.failed = false;
	return error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
}

bool envelope_add(
        struct envelope *envelope, const struct rcpt_args *rcpt, const struct routing *routing, struct error *err)
{
	struct mark mark = { envelope->target_count, envelope->remote_count, envelope->link_count,
		envelope->texts.len };
	struct envelope_rcpt added = { .notify = rcpt->notify };

	if (!room_for_rcpt(envelope, err) || !room_for_targets(envelope, routing->resolution.count, err) ||
	        !room_for_links(envelope, routing->resolution.count, err) ||
	        !room_for_remotes(envelope, 1 + routing->resolution.remote_count, err))
		return false;
	added.address = keep(envelope, rcpt->recipient.mailbox);
	added.orcpt = keep(envelope, rcpt->orcpt);
	if (routing->remote[0] != '\0') {
		add_remote(envelope, span_of(routing->remote), span_of(routing->domain), SPAN_EMPTY);
	} else {
		add_accounts(envelope, &routing->resolution);
		add_forwards(envelope, &routing->resolution, rcpt->recipient.mailbox);
	}
	if (envelope->texts.failed)
		return take_back(envelope, mark, err);
	envelope->rcpts[envelope->rcpt_count++] = added;
	envelope->wants_success = envelope->wants_success || (rcpt->notify & RCPT_NOTIFY_SUCCESS) != 0;
	return true;
}
