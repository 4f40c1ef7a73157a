/* The queue, its limits and the events, in memory; and of the directory what leads away. */
#include "fake.h"

#include "base/check.h"
#include "base/clock.h"
#include "storage/address_key.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static struct fake_world *the_world;

void fake_queue_init(struct fake_world *world)
{
	the_world = world;
	buffer_init(&world->queued, 4 * MIB);
	buffer_init(&world->told, 4 * MIB);
	world->may_send = UINT_MAX;
	world->options = (struct account_options) {
		.undo_seconds = ACCOUNT_AS_CONFIGURED,
		.recipients_a_day = ACCOUNT_AS_CONFIGURED,
		.new_recipients_a_day = ACCOUNT_AS_CONFIGURED,
	};
}

void fake_queue_free(struct fake_world *world)
{
	buffer_free(&world->queued);
	buffer_free(&world->told);
}

/* --- directory ----------------------------------------------------------------------------------------------------- */

void fake_add_remote(struct resolution *out, const char *address, const char *alias)
{
	size_t at = out->remote_text_len, len = strlen(address) + 1;

	memcpy(out->remote_text + at, address, len);
	memcpy(out->remote_text + at + len, alias, strlen(alias) + 1);
	out->remotes[out->remote_count].address = (uint16_t)at;
	out->remotes[out->remote_count++].alias = (uint16_t)(at + len);
	out->remote_text_len = (uint16_t)(at + len + strlen(alias) + 1);
}

const char *resolution_remote(const struct resolution *resolution, size_t i)
{
	CHECK(i < resolution->remote_count);
	return resolution->remote_text + resolution->remotes[i].address;
}

const char *resolution_remote_alias(const struct resolution *resolution, size_t i)
{
	CHECK(i < resolution->remote_count);
	return resolution->remote_text + resolution->remotes[i].alias;
}

bool directory_has_domain(struct directory *directory, struct span name, struct error *err)
{
	(void)directory;
	return span_equal_nocase(name, SPAN("example.test")) || error_set(err, ERR_NO_SUCH_DOMAIN, "not ours");
}

bool directory_srs_secret(struct directory *directory, uint8_t out[DIRECTORY_SECRET_LEN], struct error *err)
{
	(void)directory;
	(void)err;
	memset(out, 7, DIRECTORY_SECRET_LEN);
	return true;
}

bool directory_account(struct directory *directory, int64_t account_id, struct account_info *out, struct error *err)
{
	(void)directory;
	(void)err;
	*out = (struct account_info) {
		.id = account_id, .options = the_world->options, .disabled = the_world->disabled
	};
	return true;
}

bool domain_key(struct span domain, char *out, size_t size, struct error *err)
{
	(void)err;
	CHECK(span_copy(domain, out, size));
	for (char *c = out; *c != '\0'; c++)
		*c = ascii_lower(*c);
	return true;
}

/* --- queue --------------------------------------------------------------------------------------------------------- */

static void write_recipient(const struct queue_rcpt_new *rcpt)
{
	static const char *const kinds[] = { "remote", "local", "sent" };

	buffer_printf(&the_world->queued, "%s <%.*s>", kinds[rcpt->kind], SPAN_FMT(rcpt->address));
	if (rcpt->kind == QUEUE_REMOTE)
		buffer_printf(&the_world->queued, " domain=%.*s", SPAN_FMT(rcpt->domain));
	else
		buffer_printf(&the_world->queued, " account=%lld", (long long)rcpt->account_id);
	if (rcpt->folder.len > 0)
		buffer_printf(&the_world->queued, " folder=%.*s", SPAN_FMT(rcpt->folder));
	if (rcpt->orcpt.len > 0)
		buffer_printf(&the_world->queued, " orcpt=%.*s", SPAN_FMT(rcpt->orcpt));
	if (rcpt->notify != 0)
		buffer_printf(&the_world->queued, " notify=%u", rcpt->notify);
	for (size_t i = 0; i < OP_ID_LEN; i++)
		if (rcpt->op_id[i] != 0) {
			buffer_append_text(&the_world->queued, " once");
			break;
		}
	buffer_append_text(&the_world->queued, "\n");
}

static void write_entry(const struct queue_entry *entry)
{
	struct buffer *out = &the_world->queued;
	char piece[4096];
	size_t got;
	struct error err;

	CHECK(entry->recipient_count > 0 && entry->expires_ms > entry->created_ms);
	buffer_printf(out, "entry %s from <%.*s>", entry->trace.len > 16 ? span_skip(entry->trace, 16).ptr : "0",
	        SPAN_FMT(entry->sender));
	if (entry->account_id != 0)
		buffer_printf(out, " account=%lld", (long long)entry->account_id);
	if (entry->flags != 0)
		buffer_printf(out, " flags=%u", entry->flags);
	if (entry->not_before_ms > 0)
		buffer_printf(out, " after=%lld", (long long)(entry->not_before_ms - entry->created_ms));
	if (entry->deliver_by_ms != 0)
		buffer_printf(out, " by=%lld", (long long)(entry->deliver_by_ms - entry->created_ms));
	if (entry->priority != 0)
		buffer_printf(out, " priority=%d", entry->priority);
	if (entry->future_release.len > 0)
		buffer_printf(out, " release=%.*s", SPAN_FMT(entry->future_release));
	if (entry->ret != RETURN_DEFAULT)
		buffer_printf(out, " ret=%d", entry->ret);
	if (entry->envid.len > 0)
		buffer_printf(out, " envid=%.*s", SPAN_FMT(entry->envid));
	buffer_append_text(out, "\n");
	for (size_t i = 0; i < entry->recipient_count; i++)
		write_recipient(&entry->recipients[i]);
	CHECK(spool_read(entry->body, 0, piece, sizeof(piece), &got, &err));
	buffer_clear(&the_world->last);
	buffer_append_span(&the_world->last, entry->prefix);
	buffer_append(&the_world->last, piece, got);
}

static size_t count_remote(const struct queue_entry *entry)
{
	size_t count = 0;

	for (size_t i = 0; i < entry->recipient_count; i++)
		count += entry->recipients[i].kind == QUEUE_REMOTE;
	return count;
}

bool queue_add(struct queue *queue, struct queue_entry **entries, size_t count, struct error *err)
{
	(void)queue;
	if (the_world->queue_fails)
		return error_set(err, ERR_NO_SPACE, "no room left");
	for (size_t i = 0; i < count; i++)
		if (entries[i]->limits.recipients_a_day > 0 && count_remote(entries[i]) > the_world->may_send)
			return error_set(
			        err, ERR_LIMIT, "you have written to %u recipients today", the_world->may_send);
	for (size_t i = 0; i < count; i++)
		write_entry(entries[i]);
	error_set(err, ERR_BUSY, "a first try"); /* says nothing when it is true */
	return true;
}

bool queue_may_send(struct queue *queue, int64_t account_id, const struct sending_limits *limits,
        const struct span *addresses, size_t count, int64_t now_ms, struct error *err)
{
	(void)queue;
	(void)now_ms;
	CHECK(account_id == 1 && limits->recipients_a_day > 0 && addresses[0].len > 0);
	return count <= the_world->may_send ||
	       error_set(err, ERR_LIMIT, "you have written to %u recipients today", the_world->may_send);
}

/* --- events -------------------------------------------------------------------------------------------------------- */

void event_note(struct event_log *log, const struct event *event)
{
	static const char *const kinds[] = { "", "received", "refused", "recipient", "delivered", "queued", "",
		"attempt", "relayed", "deferred", "failed", "report", "admin", "limit" };

	CHECK(log != NULL && event->trace.len > 0);
	buffer_printf(&the_world->told, "%s <%.*s>: %.*s\n", kinds[event->kind], SPAN_FMT(event->recipient),
	        SPAN_FMT(event->text));
}
