#include "message/report.h"

#include "base/random.h"
#include "base/utf8.h"
#include "message/date.h"
#include "message/encoded_word.h"
#include "message/header.h"
#include "message/xtext.h"

#include <string.h>

#define LINE_LIMIT     998 /* RFC 5322 §2.1.1 */
#define FOLD_AT        76
#define SUBJECT_MAX    200
#define BOUNDARY_BYTES 16
#define HINTS_WIDTH    2
#define WORD_MAX       900 /* of one word, or of a value that is not folded: with the field's name it fits into a line */
#define ID_MAX         250 /* of a Message-ID that is answered */

/* What a person may do about it, by status; the first row that fits the beginning of the status counts. */
static const struct hint {
	const char *status;
	const char *text;
} hints[] = {
	{ "5.1.1",
	        "No such address exists there. Look for a typing error, or ask for the right address in another way." },
	{ "5.1.2", "No such domain exists. Look for a typing error in what stands after the @." },
	{ "5.1.10", "The domain takes no mail at all." },
	{ "5.2.1", "The mailbox exists but is not in use." },
	{ "5.2.2", "The mailbox is full. Its owner must make room; ask them in another way, then send it again." },
	{ "5.2.3", "The message is larger than the mailbox takes. Send less, or a link to it." },
	{ "5.3.4", "The message is larger than the other server takes. Send less, or a link to it." },
	{ "5.4.6", "The mail would go round in a circle: somebody forwards it back. Their postmaster can mend that." },
	{ "5.6.", "The other server cannot take a message of this kind." },
	{ "5.7.",
	        "The other server does not want this message. Its words above may say why; their postmaster can tell more." },
	{ "4.4.7",
	        "The other server could not be reached, or did not take the message, all that time. Send it again later." },
	{ "4.2.2", "The mailbox is full. Its owner must make room." },
};

static const struct kind {
	const char *action; /* RFC 3464 §2.3.3 */
	const char *subject;
	const char *opening; /* one sentence before the recipients */
} kinds[] = {
	[REPORT_FAILED] = { "failed", "Undelivered", "Your message could not be delivered to:" },
	[REPORT_DELAYED] = { "delayed", "Delayed",
	        "Your message has not been delivered yet. You need not send it again: it is still being tried. It waits for:" },
	[REPORT_DELIVERED] = { "delivered", "Delivered", "Your message was put into the mailbox of:" },
	[REPORT_RELAYED] = { "relayed", "Relayed",
	        "Your message was handed on to a server that sends no receipts. You will hear no more of it for:" },
	[REPORT_EXPANDED] = { "expanded", "Delivered", "Your message was handed on to the members of:" },
};

/* The worst decides what the whole is called. */
static enum report_action main_action(const struct report *report)
{
	static const enum report_action order[] = { REPORT_FAILED, REPORT_DELAYED, REPORT_RELAYED, REPORT_EXPANDED };

	for (size_t k = 0; k < sizeof(order) / sizeof(order[0]); k++) {
		for (size_t i = 0; i < report->recipient_count; i++) {
			if (report->recipients[i].action == order[k])
				return order[k];
		}
	}
	return REPORT_DELIVERED;
}

/* ---- text from elsewhere ---- */

/* Printable, one line; octets over 127 only as UTF-8 and where `utf8` allows them. */
static void put_clean(struct buffer *out, struct span text, bool utf8)
{
	uint32_t c;

	while (text.len > 0) {
		if (!utf8_take(&text, &c)) {
			text = span_skip(text, 1);
			c = '?';
		}
		if (c < ' ' || c == 0x7f || (c > 0x7f && (!utf8 || c < 0xa0)))
			c = '?';
		(void)utf8_append(out, c);
	}
}

/* "Name: value", folded at blanks so that no line is too long; LF in the value begins a folded line. Blanks are words for people: several
 * become one, so no line is made of them alone. */
static void put_field(struct buffer *out, const char *name, const char *type, struct span value, bool utf8)
{
	struct span line, word;
	size_t column = strlen(name) + strlen(type) + HINTS_WIDTH;
	bool first = true;

	(void)buffer_printf(out, "%s: %s", name, type);
	while (value.len > 0) {
		if (!span_take_until(&value, '\n', &line)) {
			line = value;
			value = SPAN_EMPTY;
		}
		while (line.len > 0) {
			if (!span_take_until(&line, ' ', &word)) {
				word = line;
				line = SPAN_EMPTY;
			}
			word = span_first(word, WORD_MAX);
			if (word.len == 0)
				continue;
			if (!first && column + word.len > FOLD_AT) {
				(void)buffer_append_text(out, "\r\n");
				column = 0;
			}
			if (!first)
				(void)buffer_append_char(out, ' ');
			put_clean(out, word, utf8);
			column += word.len + 1;
			first = false;
		}
		column = FOLD_AT; /* the next line of the reply begins a line here */
	}
	(void)buffer_append_text(out, "\r\n");
}

/* "Name: value" for programs, which compare it: as it is, on one line. */
static void put_whole(struct buffer *out, const char *name, const char *type, struct span value, bool utf8)
{
	(void)buffer_printf(out, "%s: %s", name, type);
	put_clean(out, span_first(value, WORD_MAX), utf8);
	(void)buffer_append_text(out, "\r\n");
}

static void put_date(struct buffer *out, const char *name, int64_t unix_seconds)
{
	(void)buffer_printf(out, "%s: ", name);
	(void)date_format(unix_seconds, out);
	(void)buffer_append_text(out, "\r\n");
}

static bool is_empty(struct span text)
{
	return text.len == 0;
}

/* ---- for people ---- */

static const char *hint_for(struct span status)
{
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		struct span row = span_of(hints[i].status);
		if (span_starts(status, row) && (row.ptr[row.len - 1] == '.' || status.len == row.len))
			return hints[i].text;
	}
	return NULL;
}

static void put_reply(struct buffer *out, struct span reply)
{
	struct span line;

	while (reply.len > 0) {
		if (!span_take_until(&reply, '\n', &line)) {
			line = reply;
			reply = SPAN_EMPTY;
		}
		(void)buffer_append_text(out, "        ");
		put_clean(out, span_first(line, LINE_LIMIT / 4), true);
		(void)buffer_append_text(out, "\r\n");
	}
}

static void put_remote(struct buffer *out, const struct report_recipient *recipient)
{
	(void)buffer_append_text(out, "    The server ");
	put_clean(out, recipient->remote_host, true);
	if (!is_empty(recipient->remote_address)) {
		(void)buffer_append_text(out, " [");
		put_clean(out, recipient->remote_address, false);
		(void)buffer_append_char(out, ']');
	}
	(void)buffer_append_text(out, " said:\r\n");
}

static void put_person(struct buffer *out, const struct report_recipient *recipient)
{
	const char *hint = recipient->action == REPORT_FAILED || recipient->action == REPORT_DELAYED
	                           ? hint_for(recipient->status)
	                           : NULL;

	(void)buffer_append_text(out, "\r\n  ");
	put_clean(out, recipient->address, true);
	(void)buffer_append_text(out, "\r\n");
	if (!is_empty(recipient->diagnostic)) {
		if (!is_empty(recipient->remote_host))
			put_remote(out, recipient);
		put_reply(out, recipient->diagnostic);
	}
	if (!is_empty(recipient->reason)) {
		(void)buffer_append_text(out, "    ");
		put_clean(out, recipient->reason, true);
		(void)buffer_append_text(out, "\r\n");
	}
	if (hint != NULL)
		(void)buffer_printf(out, "    %s\r\n", hint);
	if (recipient->action == REPORT_DELAYED && recipient->will_retry_until > 0) {
		(void)buffer_append_text(out, "    It will be tried until ");
		(void)date_format(recipient->will_retry_until, out);
		(void)buffer_append_text(out, ".\r\n");
	}
}

static void put_subject_line(struct buffer *out, const struct report *report)
{
	struct buffer subject;

	buffer_init(&subject, REPORT_HEADER_MAX);
	(void)encoded_word_decode(span_first(report->subject, SUBJECT_MAX * 4), &subject);
	if (subject.len > 0) {
		(void)buffer_append_text(out, "Its subject: ");
		put_clean(out, span_first(buffer_span(&subject), SUBJECT_MAX), true);
		(void)buffer_append_text(out, "\r\n");
	}
	buffer_free(&subject);
}

static void put_text_for_people(struct buffer *out, const struct report *report)
{
	(void)buffer_printf(out, "This is the mail server %.*s.\r\n\r\n%s\r\n", SPAN_FMT(report->hostname),
	        kinds[main_action(report)].opening);
	for (size_t i = 0; i < report->recipient_count; i++)
		put_person(out, &report->recipients[i]);
	(void)buffer_append_text(out, "\r\n");
	put_subject_line(out, report);
	(void)buffer_append_text(out, "It was received here on ");
	(void)date_format(report->arrival, out);
	(void)buffer_append_text(out, ".\r\n");
	if (!is_empty(report->trace))
		(void)buffer_printf(
		        out, "If you ask the postmaster about it, name this: %.*s\r\n", SPAN_FMT(report->trace));
	(void)buffer_printf(out, "\r\nBelow is the same for programs, and %s.\r\n",
	        report->full ? "the message itself" : "the header of the message");
}

/* ---- for programs ---- */

static bool is_ascii(struct span text)
{
	return utf8_is_ascii(text);
}

static void put_address(struct buffer *out, const char *name, struct span address, bool global)
{
	struct buffer embedded;

	if (is_ascii(address)) {
		put_whole(out, name, "rfc822;", address, false);
	} else if (global) {
		put_whole(out, name, "utf-8;", address, true);
	} else {
		buffer_init(&embedded, REPORT_HEADER_MAX);
		(void)xtext_encode_utf8(address, &embedded);
		put_whole(out, name, "utf-8;", buffer_span(&embedded), false);
		buffer_free(&embedded);
	}
}

/* RFC 3464 §2.3.1: ORCPT without its xtext. */
static void put_original_recipient(struct buffer *out, struct span orcpt, bool global)
{
	struct span type;
	struct buffer address;
	bool utf8;

	if (!span_take_until(&orcpt, ';', &type))
		return;
	buffer_init(&address, REPORT_HEADER_MAX);
	utf8 = span_equal_nocase(type, SPAN("utf-8"));
	if (utf8 && !global) {
		(void)xtext_to_ascii(orcpt, &address); /* the 7-bit form stays what it is */
	} else if (!xtext_decode(orcpt, &address)) {
		buffer_clear(&address);
		(void)buffer_append_span(&address, orcpt);
	}
	(void)buffer_append_text(out, "Original-Recipient: ");
	put_clean(out, type, false);
	(void)buffer_append_char(out, ';');
	put_clean(out, span_first(buffer_span(&address), LINE_LIMIT / 4 * 3), global);
	(void)buffer_append_text(out, "\r\n");
	buffer_free(&address);
}

static void put_status_of(struct buffer *out, const struct report_recipient *recipient, bool global)
{
	(void)buffer_append_text(out, "\r\n");
	if (!is_empty(recipient->orcpt))
		put_original_recipient(out, recipient->orcpt, global);
	put_address(out, "Final-Recipient", recipient->address, global);
	(void)buffer_printf(out, "Action: %s\r\n", kinds[recipient->action].action);
	put_field(out, "Status", "", recipient->status, false);
	if (!is_empty(recipient->remote_host))
		put_whole(out, "Remote-MTA", "dns;", recipient->remote_host, false);
	if (!is_empty(recipient->diagnostic))
		put_field(out, "Diagnostic-Code", "smtp;", recipient->diagnostic, global);
	else if (!is_empty(recipient->reason))
		put_field(out, "Diagnostic-Code", "x-posthouse;", recipient->reason, global);
	if (recipient->last_attempt > 0)
		put_date(out, "Last-Attempt-Date", recipient->last_attempt);
	if (recipient->will_retry_until > 0 && recipient->action == REPORT_DELAYED)
		put_date(out, "Will-Retry-Until", recipient->will_retry_until);
}

static void put_status(struct buffer *out, const struct report *report, bool global)
{
	struct buffer envid;

	buffer_init(&envid, REPORT_HEADER_MAX);
	if (!is_empty(report->envid) && xtext_decode(report->envid, &envid))
		put_whole(out, "Original-Envelope-Id", "", buffer_span(&envid), false); /* RFC 3464 §2.2: the first */
	buffer_free(&envid);
	put_whole(out, "Reporting-MTA", "dns;", report->hostname, false);
	put_date(out, "Arrival-Date", report->arrival);
	if (report->deliver_by != 0)
		put_date(out, "Deliver-By-Date", report->deliver_by);
	if (!is_empty(report->future_release))
		put_whole(out, "Future-Release-Request", "", report->future_release, false);
	for (size_t i = 0; i < report->recipient_count; i++)
		put_status_of(out, &report->recipients[i], global);
}

/* ---- the whole ---- */

/* Is there anything that only the forms of RFC 6533 can say? */
static bool needs_global(const struct report *report)
{
	if (!report->utf8)
		return false;
	for (size_t i = 0; i < report->recipient_count; i++) {
		if (!is_ascii(report->recipients[i].address))
			return true;
	}
	return !is_ascii(report->original_header);
}

/* RFC 3834 §3.1.5. The field is the sender's: only what is one plain id is repeated. */
static void put_in_reply_to(struct buffer *out, struct span header)
{
	struct header_field field;
	struct span id;

	if (!header_find(header, SPAN("Message-ID"), &field))
		return;
	id = span_trim(field.value);
	if (id.len < 3 || id.len > ID_MAX || id.ptr[0] != '<' || id.ptr[id.len - 1] != '>')
		return;
	for (size_t i = 0; i < id.len; i++)
		if ((unsigned char)id.ptr[i] <= ' ' || (unsigned char)id.ptr[i] >= 0x7f)
			return;
	(void)buffer_printf(out, "In-Reply-To: %.*s\r\n", SPAN_FMT(id));
}

static void put_header(struct buffer *out, const struct report *report, const char *boundary, bool eight_bit)
{
	(void)buffer_printf(
	        out, "From: Mail Delivery System <mailer-daemon@%.*s>\r\nTo: <", SPAN_FMT(report->hostname));
	put_clean(out, report->to, true);
	(void)buffer_append_text(out, ">\r\n");
	put_date(out, "Date", report->now);
	(void)buffer_printf(out, "Message-ID: <%.*s>\r\n", SPAN_FMT(report->message_id));
	put_in_reply_to(out, report->original_header);
	(void)buffer_printf(out, "Subject: %s: ", kinds[main_action(report)].subject);
	if (report->recipient_count == 1 && is_ascii(report->recipients[0].address))
		put_clean(out, report->recipients[0].address, false);
	else
		(void)buffer_printf(out, "your mail to %zu recipient%s", report->recipient_count,
		        report->recipient_count == 1 ? "" : "s");
	/* RFC 3834 §5: an answer, so that no program answers it */
	(void)buffer_append_text(out, "\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
	(void)buffer_printf(out,
	        "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"%s\"\r\n"
	        "Content-Transfer-Encoding: %s\r\n\r\n",
	        boundary, eight_bit ? "8bit" : "7bit");
}

static void put_part(struct buffer *out, const char *boundary, const char *type, bool eight_bit)
{
	(void)buffer_printf(out, "--%s\r\nContent-Type: %s\r\nContent-Transfer-Encoding: %s\r\n\r\n", boundary, type,
	        eight_bit ? "8bit" : "7bit");
}

/* Whole fields, up to REPORT_HEADER_MAX; every line ends with CRLF. */
static void put_original_header(struct buffer *out, struct span header)
{
	struct header_reader reader;
	struct header_field field;
	size_t end = 0;
	struct span rest, line;

	header_reader_init(&reader, header);
	while (header_next(&reader, &field) && field.at + field.len <= REPORT_HEADER_MAX)
		end = field.at + field.len;
	for (rest = span_first(header, end); rest.len > 0;) {
		if (!span_take_until(&rest, '\n', &line)) {
			line = rest;
			rest = SPAN_EMPTY;
		}
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		(void)buffer_append_span(out, line);
		(void)buffer_append_text(out, "\r\n");
	}
}

static const char *original_type(const struct report *report, bool global)
{
	if (report->full)
		return report->utf8 && global ? "message/global" : "message/rfc822";
	return global ? "message/global-headers" : "text/rfc822-headers";
}

static void make_boundary(char *out, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t bytes[BOUNDARY_BYTES];
	size_t at = 0;

	random_bytes(bytes, sizeof(bytes));
	out[at++] = '=';
	out[at++] = '_'; /* cannot occur in quoted-printable or base64 (RFC 2045 §6.7) */
	for (size_t i = 0; i < sizeof(bytes) && at + 2 < size; i++) {
		out[at++] = digits[bytes[i] >> 4];
		out[at++] = digits[bytes[i] & 15];
	}
	out[at] = '\0';
}

bool report_write(const struct report *report, struct buffer *head, struct buffer *tail, struct error *err)
{
	char boundary[2 + 2 * BOUNDARY_BYTES + 1];
	bool global = needs_global(report), eight_bit;
	bool original_8bit = report->eight_bit || (!report->full && !is_ascii(report->original_header));
	struct buffer people;

	make_boundary(boundary, sizeof(boundary));
	buffer_init(&people, REPORT_TEXT_MAX);
	put_text_for_people(&people, report);
	eight_bit = !is_ascii(buffer_span(&people));
	put_header(head, report, boundary, eight_bit || global || original_8bit);
	put_part(head, boundary, eight_bit ? "text/plain; charset=utf-8" : "text/plain; charset=us-ascii", eight_bit);
	(void)buffer_append_span(head, buffer_span(&people));
	(void)buffer_append_text(head, "\r\n");
	put_part(head, boundary, global ? "message/global-delivery-status" : "message/delivery-status", global);
	put_status(head, report, global);
	(void)buffer_append_text(head, "\r\n");
	put_part(head, boundary, original_type(report, global), original_8bit);
	if (!report->full)
		put_original_header(head, report->original_header);
	(void)buffer_printf(tail, "\r\n--%s--\r\n", boundary);
	if (!people.failed && !head->failed && !tail->failed) {
		buffer_free(&people);
		return true;
	}
	buffer_free(&people);
	return error_set(err, ERR_NO_MEMORY, "no memory for a report");
}
