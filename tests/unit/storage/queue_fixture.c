#include "queue_fixture.h"

#include "storage/check.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void put_text(char *text, size_t size, const char *format, ...)
{
	size_t len = strlen(text);
	va_list args;

	va_start(args, format);
	assert_true(vsnprintf(text + len, size - len, format, args) < (int)(size - len));
	va_end(args);
}

int queue_setup(void **state)
{
	struct site *site = calloc(1, sizeof(*site));
	struct error err;

	assert_int_equal(fixture_setup(state), 0);
	site->fixture = *state;
	assert_true(queue_open(site->fixture->dir, &site->queue, &err));
	*state = site;
	return 0;
}

int queue_teardown(void **state)
{
	struct site *site = *state;
	void *fixture = site->fixture;

	queue_close(&site->queue);
	free(site);
	return fixture_teardown(&fixture);
}

void open_again(struct site *site)
{
	struct error err;

	queue_close(&site->queue);
	assert_true(queue_open(site->fixture->dir, &site->queue, &err));
}

/* "a@one.test b@two.test": the domain behind the last @ is the destination; an address without @ is of account 7. */
static size_t make_rcpts(const char *addresses, struct queue_rcpt_new *out, size_t max)
{
	struct span rest = span_of(addresses), address;
	size_t count = 0, at;

	while (rest.len > 0 && count < max) {
		if (!span_take_until(&rest, ' ', &address)) {
			address = rest;
			rest = SPAN_EMPTY;
		}
		out[count] = (struct queue_rcpt_new) { .kind = QUEUE_LOCAL, .address = address, .account_id = ACCOUNT };
		if (span_find_last(address, '@', &at)) {
			out[count].kind = QUEUE_REMOTE;
			out[count].domain = span_skip(address, at + 1);
		}
		count++;
	}
	return count;
}

enum error_code add_spec(struct site *site, const struct spec *spec)
{
	struct queue_rcpt_new rcpts[300];
	struct message message;
	struct queue_entry entry = {
		.trace = span_of(spec->trace),
		.sender = span_of(spec->sender == NULL ? "s@here.test" : spec->sender),
		.envid = SPAN("env"),
		.message_id = SPAN("id@here.test"),
		.flags = QUEUE_8BIT,
		.priority = spec->priority,
		.account_id = spec->account_id,
		.limits = spec->limits,
		.created_ms = spec->created_ms,
		.not_before_ms = spec->not_before_ms,
		.expires_ms = spec->created_ms + 5 * 24 * 60 * MINUTE,
		.prefix = SPAN("Received: from here\r\n"),
		.recipients = rcpts,
		.held = spec->held,
	}, *entries[] = { &entry };
	struct error err;
	bool ok;

	error_clear(&err);
	entry.recipient_count = make_rcpts(spec->addresses, rcpts, ARRAY_LEN(rcpts));
	message_make(site->fixture, &message, spec->size == 0 ? 100 : spec->size, 'x');
	entry.body = message.spool;
	ok = queue_add(site->queue, entries, 1, &err);
	message_free(&message);
	return ok ? ERR_NONE : err.code;
}

void add(struct site *site, const char *trace, const char *addresses)
{
	const struct spec spec = { .trace = trace, .addresses = addresses, .created_ms = NOW };

	assert_int_equal(add_spec(site, &spec), ERR_NONE);
}

static void finding(void *arg, const struct finding *finding)
{
	char *out = arg;

	put_text(out, 1000, "%d %s\n", (int)finding->severity, finding->what);
}

void check_is(struct site *site, bool repair, const char *expected)
{
	char found[1000] = "";
	struct error err;

	assert_true(check_site(site->fixture->dir, repair, finding, found, &err));
	assert_string_equal(found, expected);
}

/* "one.test:0 two.test:5" with their priorities. */
void due_is(struct site *site, int64_t now, const char *expected, int64_t next)
{
	struct queue_destination out[8];
	char text[600] = "";
	struct error err;
	int64_t next_due;
	size_t count;

	assert_true(queue_due(site->queue, now, out, ARRAY_LEN(out), &count, &next_due, &err));
	for (size_t i = 0; i < count; i++)
		put_text(text, sizeof(text), "%s%s:%d", i == 0 ? "" : " ", out[i].domain, out[i].priority);
	assert_string_equal(text, expected);
	assert_int_equal(next_due, next);
}

struct taken take(struct site *site, const char *domain, int64_t now, size_t max)
{
	struct taken taken;
	struct error err;

	assert_true(queue_take(site->queue, domain, now, NULL, NULL, taken.list, max, SIZE_MAX, &taken.count, &err));
	return taken;
}

void give_back(struct taken *taken)
{
	for (size_t i = 0; i < taken->count; i++)
		queue_message_free(&taken->list[i]);
}

/* "t1(a@one.test b@one.test) t2(c@one.test)" */
void take_is(struct site *site, const char *domain, int64_t now, size_t max, const char *expected)
{
	struct taken taken = take(site, domain, now, max);
	char text[4000] = "";

	for (size_t i = 0; i < taken.count; i++) {
		put_text(text, sizeof(text), "%s%s(", i == 0 ? "" : " ", taken.list[i]->trace);
		for (size_t n = 0; n < taken.list[i]->recipient_count; n++)
			put_text(text, sizeof(text), "%s%s", n == 0 ? "" : " ", taken.list[i]->recipients[n].address);
		put_text(text, sizeof(text), ")");
	}
	give_back(&taken);
	assert_string_equal(text, expected);
}

static bool note_id(void *arg, const struct queue_row *row)
{
	*(int64_t *)arg = row->recipient->id;
	return false;
}

int64_t recipient_id(struct site *site, const char *address)
{
	struct queue_filter filter = { .recipient = span_of(address), .held = -1 };
	struct error err;
	int64_t id = 0;

	assert_true(queue_list(site->queue, &filter, 0, 1, note_id, &id, &err));
	assert_true(id != 0);
	return id;
}

void finish(struct site *site, const char *address, enum queue_result result, int64_t next, const char *reply)
{
	const struct queue_outcome outcome = {
		.recipient_id = recipient_id(site, address),
		.result = result,
		.next_attempt_ms = next,
		.reply = span_of(reply),
	};
	struct error err;

	assert_true(queue_finish(site->queue, &outcome, 1, NULL, 0, &err));
}

static unsigned file_count;

static int count_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)st;
	(void)ftw;
	file_count += type == FTW_F ? 1 : 0;
	return 0;
}

unsigned files_in(struct site *site)
{
	char path[100];

	(void)snprintf(path, sizeof(path), "%s/queue/blobs", site->fixture->dir);
	file_count = 0;
	nftw(path, count_file, 16, FTW_PHYS);
	return file_count;
}
