#include "store_failures_queue.h"

#include "base/span.h"

#include <string.h>

#define NOW_MS INT64_C(1800000000000)
#define FIRST  (INT64_C(1) << 14) /* the first recipient of the first message */

static bool make_spool(struct store *store, size_t size, struct spool **out, struct error *err)
{
	char piece[2000];

	memset(piece, 'q', sizeof(piece));
	if (!spool_new(store, UINT64_MAX, out, err))
		return false;
	for (size_t left = size; left > 0; left -= left < sizeof(piece) ? left : sizeof(piece)) {
		if (!spool_append(*out, span_make(piece, left < sizeof(piece) ? left : sizeof(piece)), err))
			return false;
	}
	return true;
}

static const struct queue_rcpt_new two[] = {
	{ .kind = QUEUE_REMOTE, .address = { "a@one.test", 10 }, .domain = { "one.test", 8 } },
	{ .kind = QUEUE_REMOTE, .address = { "b@two.test", 10 }, .domain = { "two.test", 8 } },
};
static const struct queue_rcpt_new here[] = {
	{ .kind = QUEUE_LOCAL, .address = { "c@here.test", 11 }, .account_id = 1 },
};

static struct queue_entry entry_of(
        const char *trace, const struct queue_rcpt_new *recipients, size_t count, struct spool *body)
{
	return (struct queue_entry) { .trace = span_of(trace),
		.sender = SPAN("s@here.test"),
		.created_ms = NOW_MS,
		.expires_ms = NOW_MS * 2,
		.account_id = 1,
		.prefix = SPAN("Received: x\r\n"),
		.body = body,
		.recipients = recipients,
		.recipient_count = count };
}

static bool add_two(struct store *store, struct queue *queue, const char *large, const char *small, struct error *err)
{
	struct spool *bodies[2] = { NULL, NULL };
	struct queue_entry entries[2], *both[] = { &entries[0], &entries[1] };
	bool ok = make_spool(store, 100000, &bodies[0], err) && make_spool(store, 3000, &bodies[1], err);

	entries[0] = entry_of(large, two, 2, bodies[0]);
	entries[1] = entry_of(small, here, 1, bodies[1]);
	ok = ok && queue_add(queue, both, 2, err);
	spool_free(&bodies[0]);
	spool_free(&bodies[1]);
	return ok;
}

bool queue_scene(struct store *store, struct queue *queue, struct error *err)
{
	return add_two(store, queue, "first", "second", err);
}

bool queue_add_two(struct store *store, struct queue *queue, struct error *err)
{
	return add_two(store, queue, "third", "fourth", err);
}

bool queue_finish_some(struct store *store, struct queue *queue, struct error *err)
{
	static const struct queue_outcome outcomes[] = {
		{ FIRST, QUEUE_AGAIN, NOW_MS + 5, true, { "450 no", 6 } },
		{ FIRST + 1, QUEUE_DONE, 0, false, { "", 0 } },
		{ FIRST * 2, QUEUE_DONE, 0, false, { "", 0 } },
	};

	(void)store;
	return queue_finish(queue, outcomes, 3, NULL, 0, err);
}

bool queue_finish_report(struct store *store, struct queue *queue, struct error *err)
{
	static const struct queue_outcome outcomes[] = {
		{ FIRST, QUEUE_DONE, 0, false, { "", 0 } },
		{ FIRST + 1, QUEUE_DONE, 0, false, { "", 0 } },
	};
	struct queue_entry report, *reports[] = { &report };
	struct spool *body = NULL;
	bool ok = make_spool(store, 70000, &body, err);

	report = entry_of("report", two, 1, body);
	report.flags = QUEUE_REPORT;
	ok = ok && queue_finish(queue, outcomes, 2, reports, 1, err);
	spool_free(&body);
	return ok;
}

bool queue_hold_one(struct store *store, struct queue *queue, struct error *err)
{
	const struct queue_filter one = { .recipient = SPAN("@one.test"), .held = -1 };
	uint64_t changed;

	(void)store;
	return queue_hold(queue, &one, &changed, err);
}

bool queue_reroute_one(struct store *store, struct queue *queue, struct error *err)
{
	const struct queue_filter two_test = { .recipient = SPAN("@two.test"), .held = -1 };
	uint64_t changed;

	(void)store;
	return queue_reroute(queue, &two_test, SPAN("mx.test"), &changed, err);
}

bool queue_drop_first(struct store *store, struct queue *queue, struct error *err)
{
	const struct queue_filter first = { .trace = SPAN("first"), .held = -1 };
	uint64_t changed;

	(void)store;
	return queue_drop(queue, &first, &changed, err);
}

static bool add_row(void *arg, const struct queue_row *row)
{
	*(uint64_t *)arg += strlen(row->recipient->address) + strlen(row->message->trace);
	return true;
}

/* All that is read: 3 rows, a message with its octets, the numbers. */
bool queue_look(struct store *store, struct queue *queue, struct error *err)
{
	const struct sending_limits limits = { 100, 100 };
	const struct queue_filter all = { .held = -1 };
	const struct span address = SPAN("a@one.test");
	struct queue_destination due[4];
	struct queue_message *taken[4];
	struct queue_counts counts;
	uint64_t sum = 0;
	size_t count, got;
	int64_t next;
	char bytes[200];

	(void)store;
	if (!queue_due(queue, NOW_MS, due, 4, &count, &next, err) || !queue_count(queue, NOW_MS, &counts, err) ||
	        !queue_list(queue, &all, 0, 10, add_row, &sum, err) ||
	        !queue_may_send(queue, 1, &limits, &address, 1, NOW_MS, err) ||
	        !queue_read(queue, 1, 0, bytes, sizeof(bytes), &got, err))
		return false;
	if (count != 3 || counts.recipients != 3 || sum != 10 + 10 + 11 + 5 + 5 + 6 || got != sizeof(bytes))
		return error_set(err, ERR_INTERNAL, "not all was read");
	if (!queue_take(queue, "one.test", NOW_MS, NULL, NULL, taken, 4, SIZE_MAX, &count, err))
		return false;
	for (size_t i = 0; i < count; i++)
		queue_message_free(&taken[i]);
	return count == 1 || error_set(err, ERR_INTERNAL, "not all was taken");
}

bool queue_anew(const char *dir, struct queue **queue, struct error *err)
{
	queue_close(queue);
	return queue_open(dir, queue, err);
}
