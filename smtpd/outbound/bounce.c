#include "smtpd/outbound/bounce.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/utf8.h"
#include "message/header.h"
#include "message/report.h"
#include "message/srs.h"
#include "smtpd/syntax/path.h"
#include "storage/address_key.h"
#include "storage/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BOUNCE_RECIPIENTS_MAX (DIRECTORY_TARGETS_MAX + DIRECTORY_REMOTES_MAX)
#define ORIGINAL_PIECE        (64 * KIB)
#define SRS_ADDRESS_MAX       513

struct bounce {
	struct queue_entry entry;
	struct queue_rcpt_new recipients[BOUNCE_RECIPIENTS_MAX];
	char domains[DIRECTORY_REMOTES_MAX + 1][QUEUE_DOMAIN_MAX + 1];
	size_t domain_count;
	struct resolution resolution; /* the remote addresses live in it */
	char trace[QUEUE_TRACE_MAX + 1];
	char message_id[QUEUE_TRACE_MAX + 32 + DNS_NAME_MAX];
	char to[SRS_ADDRESS_MAX];
	struct spool *body;
	struct buffer head, tail, original;
};

struct queue_entry *bounce_entry(struct bounce *bounce)
{
	return &bounce->entry;
}

void bounce_free(struct bounce **bounce)
{
	struct bounce *it = *bounce;

	if (it == NULL)
		return;
	spool_free(&it->body);
	buffer_free(&it->head);
	buffer_free(&it->tail);
	buffer_free(&it->original);
	free(it);
	*bounce = NULL;
}

/* --- to whom ----------------------------------------------------------------------------------------------------- */

static bool add_local(struct bounce *bounce, int64_t account_id)
{
	bounce->recipients[bounce->entry.recipient_count++] = (struct queue_rcpt_new) {
		.kind = QUEUE_LOCAL,
		.address = span_of(bounce->to),
		.account_id = account_id,
		.notify = NOTIFY_NEVER, /* RFC 3461 §6.1 */
	};
	return true;
}

/* The domain as the queue groups by it. */
static bool queue_domain(struct span domain, char out[QUEUE_DOMAIN_MAX + 1], struct error *err)
{
	if (domain.len == 0 || domain.ptr[0] != '[')
		return domain_key(domain, out, QUEUE_DOMAIN_MAX + 1, err);
	if (!span_copy(domain, out, QUEUE_DOMAIN_MAX + 1))
		return error_set(err, ERR_BAD_ADDRESS, "the address literal is too long");
	return true;
}

static bool add_remote(struct bounce *bounce, struct span address, struct error *err)
{
	char *domain = bounce->domains[bounce->domain_count];
	size_t at;

	if (!span_find_last(address, '@', &at))
		return error_set(err, ERR_BAD_ADDRESS, "the sender's address has no domain");
	if (!queue_domain(span_skip(address, at + 1), domain, err))
		return false;
	bounce->domain_count++;
	bounce->recipients[bounce->entry.recipient_count++] = (struct queue_rcpt_new) {
		.kind = QUEUE_REMOTE,
		.address = address,
		.domain = span_of(domain),
		.notify = NOTIFY_NEVER,
	};
	return true;
}

static void add_resolved(struct bounce *bounce)
{
	const struct resolution *found = &bounce->resolution;
	struct error ignored;

	for (size_t i = 0; i < found->count; i++)
		(void)add_local(bounce, found->targets[i].account_id);
	for (size_t i = 0; i < found->remote_count; i++)
		(void)add_remote(bounce, span_of(resolution_remote(found, i)), &ignored);
}

/* What we forwarded left with an address of ours that stands for the sender's (message/srs.h). */
static bool reverse_srs(struct relay *relay, struct bounce *bounce, struct span local, struct error *err)
{
	uint8_t secret[DIRECTORY_SECRET_LEN];
	char address[SRS_ADDRESS_MAX];

	if (!directory_srs_secret(relay->directory, secret, err) ||
	        !srs_reverse(secret, local, clock_wall_ms() / 1000, address, sizeof(address), err))
		return false;
	(void)snprintf(bounce->to, sizeof(bounce->to), "%s", address);
	return add_remote(bounce, span_of(bounce->to), err);
}

static bool nobody_there(const struct error *err)
{
	return err->code == ERR_NO_SUCH_ADDRESS || err->code == ERR_BAD_ADDRESS || err->code == ERR_DENIED ||
	       err->code == ERR_TIMEOUT || err->code == ERR_LIMIT || err->code == ERR_TOO_LONG;
}

/* False with nobody_there(): no report; other errors: later. */
static bool address_bounce(struct relay *relay, struct bounce *bounce, const char *sender, struct error *err)
{
	struct smtp_path path;

	(void)snprintf(bounce->to, sizeof(bounce->to), "%s", sender);
	if (!path_parse_mailbox(span_of(bounce->to), &path, err))
		return false;
	if (directory_has_domain(relay->directory, path.domain, err)) {
		if (srs_is_ours(path_local(&path)))
			return reverse_srs(relay, bounce, path_local(&path), err);
		if (!directory_resolve(relay->directory, path_local(&path), path.domain, &bounce->resolution, err))
			return false;
		add_resolved(bounce);
		return bounce->entry.recipient_count > 0 || error_set(err, ERR_NO_SUCH_ADDRESS, "nobody there");
	}
	return err->code == ERR_NO_SUCH_DOMAIN && add_remote(bounce, path.mailbox, err);
}

/* --- what it says ------------------------------------------------------------------------------------------------ */

static bool read_original(struct relay *relay, int64_t id, struct buffer *out, size_t limit, struct error *err)
{
	size_t got;

	while (out->len < limit) {
		size_t want = limit - out->len < ORIGINAL_PIECE ? limit - out->len : ORIGINAL_PIECE;

		if (!buffer_reserve(out, want))
			return error_set(err, ERR_NO_MEMORY, "out of memory");
		if (!queue_read(relay->queue, id, out->len, out->data + out->len, want, &got, err))
			return false;
		out->len += got;
		if (got < want)
			break;
	}
	return true;
}

static void describe(const struct parcel *parcel, size_t i, struct report_recipient *out)
{
	const struct queue_rcpt *rcpt = &parcel->part.recipients[i];
	const struct fate *fate = &parcel->fates[i];
	struct span text = span_of(fate->outcome.text);

	*out = (struct report_recipient) {
		.action = fate->action,
		.address = span_of(rcpt->address),
		.orcpt = span_of(rcpt->orcpt),
		.status = fate->time_is_over ? SPAN("4.4.7") : span_of(fate->outcome.status),
		.remote_host = span_of(parcel->peer.host),
		.remote_address = span_of(parcel->peer.address),
		.diagnostic = fate->outcome.ours ? SPAN_EMPTY : text,
		.reason = fate->outcome.ours ? text : SPAN_EMPTY,
		.last_attempt = clock_wall_ms() / 1000,
		.will_retry_until = fate->action == REPORT_DELAYED ? parcel->part.expires_ms / 1000 : 0,
	};
}

static size_t describe_all(struct parcel *const *parcels, size_t count, struct report_recipient *out, size_t max)
{
	size_t n = 0;

	for (size_t p = 0; p < count; p++)
		for (size_t i = 0; i < parcels[p]->part.recipient_count && n < max; i++)
			if (parcels[p]->fates[i].report)
				describe(parcels[p], i, &out[n++]);
	return n;
}

/* RFC 3461 §4.3: the whole message only with failures. RFC 8689 §5: never of one that required TLS. */
static bool wants_full(const struct queue_message *message, const struct report_recipient *list, size_t count)
{
	bool failure = false;

	for (size_t i = 0; i < count; i++)
		failure = failure || list[i].action == REPORT_FAILED;
	if (!failure || message->ret == RETURN_HEADERS || (message->flags & QUEUE_REQUIRETLS))
		return false;
	return message->ret == RETURN_FULL || message->size <= BOUNCE_FULL_MAX;
}

static bool put(struct bounce *bounce, struct span bytes, struct error *err)
{
	return spool_append(bounce->body, bytes, err);
}

static bool put_original(struct relay *relay, struct bounce *bounce, int64_t id, struct error *err)
{
	char piece[16 * KIB];
	uint64_t at = 0;
	size_t got;

	do {
		if (!queue_read(relay->queue, id, at, piece, sizeof(piece), &got, err) ||
		        !put(bounce, span_make(piece, got), err))
			return false;
		at += got;
	} while (got == sizeof(piece));
	return true;
}

static bool write_body(struct relay *relay, struct bounce *bounce, const struct queue_message *message,
        const struct report *report, struct error *err)
{
	uint64_t limit = REPORT_TEXT_MAX + (report->full ? message->size : 0);

	return report_write(report, &bounce->head, &bounce->tail, err) &&
	       spool_new(relay->store, limit, &bounce->body, err) && put(bounce, buffer_span(&bounce->head), err) &&
	       (!report->full || put_original(relay, bounce, message->id, err)) &&
	       put(bounce, buffer_span(&bounce->tail), err);
}

static void fill_entry(struct relay *relay, struct bounce *bounce, const struct queue_message *message, bool full)
{
	struct queue_entry *entry = &bounce->entry;

	entry->trace = span_of(bounce->trace);
	entry->message_id = span_of(bounce->message_id);
	entry->flags = QUEUE_REPORT | (message->flags & (QUEUE_SMTPUTF8 | QUEUE_REQUIRETLS));
	if (!utf8_is_ascii(buffer_span(&bounce->head))) /* a subject told to people, a header that is returned */
		entry->flags |= QUEUE_8BIT;
	if (full)
		entry->flags |= message->flags & QUEUE_8BIT;
	entry->priority = message->priority; /* RFC 6710 §4.6 */
	entry->created_ms = clock_wall_ms();
	entry->expires_ms = entry->created_ms + relay->settings->schedule.give_up_after_ms;
	entry->body = bounce->body;
	entry->recipients = bounce->recipients;
}

/* A message that the disk does not give back will not get better: the sender hears what became of it without it, and what all the others wait for is
 * written down. */
static bool tell_unreadable(const struct queue_message *message, const struct error *err)
{
	if (err->code != ERR_DAMAGED && err->code != ERR_IO)
		return false;
	LOG(LOG_ERROR, "relay.original_unreadable", LOG_TEXT("id", message->trace), LOG_FAILURE(err));
	return true;
}

static bool write_what_is_there(struct relay *relay, struct bounce *bounce, const struct queue_message *message,
        struct report *report, struct error *err)
{
	if (write_body(relay, bounce, message, report, err))
		return true;
	if (!report->full || !tell_unreadable(message, err))
		return false;
	buffer_clear(&bounce->head);
	buffer_clear(&bounce->tail);
	spool_free(&bounce->body);
	report->full = report->eight_bit = false;
	return write_body(relay, bounce, message, report, err);
}

static bool write_report(struct relay *relay, struct bounce *bounce, const struct queue_message *message,
        const struct report_recipient *list, size_t count, struct error *err)
{
	struct header_field subject;
	size_t header_len;
	struct report report = {
		.hostname = span_of(relay->settings->hostname),
		.to = span_of(bounce->to),
		.message_id = span_of(bounce->message_id),
		.envid = span_of(message->envid),
		.trace = span_of(message->trace),
		.arrival = message->created_ms / 1000,
		.deliver_by = message->deliver_by_ms / 1000,
		.future_release = span_of(message->future_release),
		.now = clock_wall_ms() / 1000,
		.recipients = list,
		.recipient_count = count,
		.utf8 = (message->flags & QUEUE_SMTPUTF8) != 0,
		.full = wants_full(message, list, count),
	};

	buffer_init(&bounce->original, REPORT_HEADER_MAX);
	if (!read_original(relay, message->id, &bounce->original, REPORT_HEADER_MAX, err)) {
		if (!tell_unreadable(message, err))
			return false;
		buffer_clear(&bounce->original);
		report.full = false;
	}
	report.original_header = buffer_span(&bounce->original);
	if (header_length(report.original_header, &header_len))
		report.original_header = span_first(report.original_header, header_len);
	if (header_find(report.original_header, SPAN("Subject"), &subject))
		report.subject = subject.value;
	report.eight_bit = report.full && (message->flags & QUEUE_8BIT) != 0;
	if (!write_what_is_there(relay, bounce, message, &report, err))
		return false;
	fill_entry(relay, bounce, message, report.full);
	return true;
}

static size_t count_reports(struct parcel *const *parcels, size_t count)
{
	size_t n = 0;

	for (size_t p = 0; p < count; p++)
		for (size_t i = 0; i < parcels[p]->part.recipient_count; i++)
			n += parcels[p]->fates[i].report;
	return n;
}

static struct bounce *bounce_new(const struct relay *relay)
{
	struct bounce *bounce = calloc(1, sizeof(*bounce));

	if (bounce == NULL)
		return NULL;
	buffer_init(&bounce->head, REPORT_TEXT_MAX);
	buffer_init(&bounce->tail, REPORT_TEXT_MAX);
	(void)snprintf(bounce->trace, sizeof(bounce->trace), "%016llx", (unsigned long long)random_u64());
	(void)snprintf(bounce->message_id, sizeof(bounce->message_id), "%s.report@%.255s", bounce->trace,
	        relay->settings->hostname);
	return bounce;
}

bool bounce_make(
        struct relay *relay, struct parcel *const *parcels, size_t count, struct bounce **out, struct error *err)
{
	size_t max = count_reports(parcels, count);
	const struct queue_message *message = &parcels[0]->part;
	struct report_recipient *list;
	struct bounce *bounce;
	bool ok;

	*out = NULL;
	if (max == 0)
		return true;
	list = calloc(max, sizeof(*list));
	bounce = bounce_new(relay);
	ok = list != NULL && bounce != NULL ? address_bounce(relay, bounce, message->sender, err)
	                                    : error_set(err, ERR_NO_MEMORY, "out of memory");
	if (ok)
		ok = write_report(relay, bounce, message, list, describe_all(parcels, count, list, max), err);
	free(list);
	if (ok) {
		*out = bounce;
		return true;
	}
	bounce_free(&bounce);
	if (err->code == ERR_NO_SUCH_MESSAGE) /* dropped by an admin meanwhile: nobody wants a report */
		return true;
	if (!nobody_there(err))
		return false;
	LOG(LOG_WARNING, "relay.no_report", LOG_TEXT("id", message->trace), LOG_TEXT("to", message->sender),
	        LOG_FAILURE(err));
	return true;
}
