#include "posthouse/story.h"

#include "posthouse/cli.h"

#include <stdio.h>
#include <string.h>

#define SAID       SPAN(" said: ")
#define NUMBER_LEN 32

struct span story_detail(struct span detail, const char *key)
{
	struct span word, rest = detail;

	while (rest.len > 0) {
		if (!span_take_until(&rest, ' ', &word)) {
			word = rest;
			rest = SPAN_EMPTY;
		}
		if (span_take_word(&word, key) && span_take_char(&word, '='))
			return word;
	}
	return SPAN_EMPTY;
}

/* ---- pieces ---- */

/* mx.example.net [192.0.2.1] said: 250 OK  ->  mx.example.net [192.0.2.1] said "250 OK" */
static void put_said(struct buffer *out, struct span text)
{
	for (size_t at = 0; at + SAID.len <= text.len; at++) {
		if (!span_equal(span_first(span_skip(text, at), SAID.len), SAID))
			continue;
		(void)buffer_printf(out, "%.*s said \"%.*s\"", SPAN_FMT(span_first(text, at)),
		        SPAN_FMT(span_skip(text, at + SAID.len)));
		return;
	}
	(void)buffer_append_span(out, text);
}

static void put_recipient(struct buffer *out, const struct event *event)
{
	if (event->recipient.len > 0)
		(void)buffer_printf(out, "%.*s: ", SPAN_FMT(event->recipient));
}

static void put_tls(struct buffer *out, struct span detail)
{
	struct span tls = story_detail(detail, "tls"), verified = story_detail(detail, "verified");

	if (tls.len == 0)
		return;
	if (span_equal(tls, SPAN("none")))
		(void)buffer_append_text(out, ", without TLS");
	else if (span_equal(verified, SPAN("dane")))
		(void)buffer_printf(
		        out, ", over %.*s with a certificate that its DNS vouches for (DANE)", SPAN_FMT(tls));
	else if (span_equal(verified, SPAN("pkix")))
		(void)buffer_printf(out, ", over %.*s with a certificate that is right", SPAN_FMT(tls));
	else
		(void)buffer_printf(out, ", over %.*s with a certificate that nobody vouches for", SPAN_FMT(tls));
}

static void put_time(struct buffer *out, const char *before, struct span value, uint64_t unit_ms)
{
	uint64_t number;
	char date[NUMBER_LEN];

	if (!span_number(value, INT64_MAX / 1000, &number) || number == 0)
		return;
	output_date((int64_t)(number * unit_ms), date, sizeof(date));
	(void)buffer_printf(out, "%s%s", before, date);
}

/* ---- one function for each kind ---- */

static void tell_received(struct buffer *out, const struct event *event)
{
	uint64_t bytes;
	char size[NUMBER_LEN];

	(void)buffer_append_text(out, "came in ");
	(void)buffer_append_span(out, event->text);
	if (!span_number(story_detail(event->detail, "size"), INT64_MAX, &bytes))
		return;
	output_size(bytes, size, sizeof(size));
	(void)buffer_printf(out, ", %s%s", size, bytes < 10240 ? " bytes" : "");
}

static void tell_refused(struct buffer *out, const struct event *event)
{
	put_recipient(out, event);
	(void)buffer_printf(out, "refused with the words \"%.*s\"", SPAN_FMT(event->text));
}

static void tell_recipient(struct buffer *out, const struct event *event)
{
	(void)buffer_printf(out, "%.*s is %.*s", SPAN_FMT(event->recipient), SPAN_FMT(event->text));
}

/* smtpd names the mailboxes of all; the relay tells of one recipient, with a status. */
static void tell_delivered(struct buffer *out, const struct event *event)
{
	if (story_detail(event->detail, "status").len > 0)
		put_recipient(out, event);
	else
		(void)buffer_append_text(out, "delivered: ");
	put_said(out, event->text);
}

static void tell_queued(struct buffer *out, const struct event *event)
{
	struct span from = story_detail(event->detail, "from");

	(void)buffer_printf(out, "put into the queue: %.*s", SPAN_FMT(event->text));
	put_time(out, "; waits until ", story_detail(event->detail, "not_before"), 1);
	if (from.len > 0 && !span_equal(from, event->trace))
		(void)buffer_printf(out, "; see also `posthouse explain %.*s`", SPAN_FMT(from));
}

static void tell_attempt(struct buffer *out, const struct event *event)
{
	put_recipient(out, event);
	(void)buffer_append_text(out, "tried ");
	put_said(out, event->text);
}

static void tell_relayed(struct buffer *out, const struct event *event)
{
	put_recipient(out, event);
	(void)buffer_append_text(out, "the other server has it: ");
	put_said(out, event->text);
	put_tls(out, event->detail);
}

static void tell_deferred(struct buffer *out, const struct event *event)
{
	put_recipient(out, event);
	(void)buffer_append_text(out, "not yet: ");
	put_said(out, event->text);
	put_tls(out, event->detail);
	put_time(out, "; tried again at ", story_detail(event->detail, "next"), 1000);
}

static void tell_failed(struct buffer *out, const struct event *event)
{
	put_recipient(out, event);
	(void)buffer_append_text(out, "given up: ");
	put_said(out, event->text);
	put_tls(out, event->detail);
}

static void tell_report(struct buffer *out, const struct event *event)
{
	struct span report = story_detail(event->detail, "report");

	(void)buffer_append_span(out, event->text);
	if (report.len > 0)
		(void)buffer_printf(out, "; see `posthouse explain %.*s`", SPAN_FMT(report));
}

static void tell_admin(struct buffer *out, const struct event *event)
{
	put_recipient(out, event);
	(void)buffer_append_span(out, event->text);
}

static void tell_limit(struct buffer *out, const struct event *event)
{
	put_recipient(out, event);
	(void)buffer_printf(out, "refused, a limit was reached: \"%.*s\"", SPAN_FMT(event->text));
}

static void (*const tellers[])(struct buffer *out, const struct event *event) = {
	[EVENT_RECEIVED] = tell_received,
	[EVENT_REFUSED] = tell_refused,
	[EVENT_RECIPIENT] = tell_recipient,
	[EVENT_DELIVERED] = tell_delivered,
	[EVENT_QUEUED] = tell_queued,
	[EVENT_ATTEMPT] = tell_attempt,
	[EVENT_RELAYED] = tell_relayed,
	[EVENT_DEFERRED] = tell_deferred,
	[EVENT_FAILED] = tell_failed,
	[EVENT_REPORT] = tell_report,
	[EVENT_ADMIN] = tell_admin,
	[EVENT_LIMIT] = tell_limit,
};

void story_words(const struct event *event, char *out, size_t size)
{
	struct buffer words;

	buffer_init(&words, STORY_WORDS_MAX);
	if ((size_t)event->kind < ARRAY_LEN(tellers) && tellers[event->kind] != NULL)
		tellers[event->kind](&words, event);
	else /* of a later version */
		(void)buffer_printf(&words, "event %d: %.*s", (int)event->kind, SPAN_FMT(event->text));
	output_printable(buffer_span(&words), out, size);
	buffer_free(&words);
}
