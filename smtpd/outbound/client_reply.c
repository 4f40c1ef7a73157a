#include "smtpd/outbound/client_reply.h"

#include "base/macros.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LIMIT_VALUE_MAX 999999 /* of LIMITS (RFC 9422 §4): six digits, the first is not 0 */

/* ---- replies ---- */

void reply_begin(struct reply_reader *reader)
{
	memset(reader, 0, sizeof(*reader));
}

void reply_local(struct client_reply *reply, const char *format, ...)
{
	va_list args;

	memset(reply, 0, sizeof(*reply));
	va_start(args, format);
	(void)vsnprintf(reply->text, sizeof(reply->text), format, args);
	va_end(args);
}

static enum reply_state garbage(struct reply_reader *reader, const char *what)
{
	reply_local(&reader->reply, "%s", what);
	return REPLY_GARBAGE;
}

static bool take_code(struct span *in, unsigned *code)
{
	uint32_t number;

	if (in->len < 3 || !span_take_number(&(struct span) { in->ptr, 3 }, 599, &number) ||
	        !ascii_is_digit((unsigned char)in->ptr[0]) || !ascii_is_digit((unsigned char)in->ptr[1]) ||
	        !ascii_is_digit((unsigned char)in->ptr[2]) || number < 200)
		return false;
	*code = number;
	*in = span_skip(*in, 3);
	return true;
}

/* RFC 3463 §2, RFC 2034 §4: class "." subject "." detail, the class as the code's. */
static void take_enhanced(struct reply_reader *reader, struct span text)
{
	struct span rest = text, status;
	uint32_t number[3];

	if (!span_take_number(&rest, 5, &number[0]) || !span_take_char(&rest, '.') ||
	        !span_take_number(&rest, 999, &number[1]) || !span_take_char(&rest, '.') ||
	        !span_take_number(&rest, 999, &number[2]))
		return;
	if (number[0] != reader->reply.code / 100 || (rest.len > 0 && rest.ptr[0] != ' '))
		return;
	status = span_first(text, text.len - rest.len);
	(void)span_copy(status, reader->reply.enhanced, sizeof(reader->reply.enhanced));
}

static void keep_text(struct reply_reader *reader, struct span line)
{
	char *text = reader->reply.text;

	if (reader->text_len > 0 && reader->text_len < CLIENT_REPLY_TEXT)
		text[reader->text_len++] = '\n';
	for (size_t i = 0; i < line.len && reader->text_len < CLIENT_REPLY_TEXT; i++) {
		unsigned char c = (unsigned char)line.ptr[i];
		text[reader->text_len++] = c >= ' ' && c < 0x7f ? (char)c : c == '\t' ? ' ' : '?';
	}
	text[reader->text_len] = '\0';
}

enum reply_state reply_line(struct reply_reader *reader, struct span line)
{
	struct span rest = line;
	bool more;
	unsigned code;

	reader->octets += line.len + 2;
	if (++reader->lines > CLIENT_REPLY_LINES || reader->octets > CLIENT_REPLY_MAX)
		return garbage(reader, "the other server's reply has no end");
	if (!take_code(&rest, &code) || (rest.len > 0 && rest.ptr[0] != ' ' && rest.ptr[0] != '-'))
		return garbage(reader, "what the other server sent is not SMTP");
	more = rest.len > 0 && rest.ptr[0] == '-';
	if (code > reader->reply.code)
		reader->reply.code = code;
	keep_text(reader, line);
	if (reader->reply.enhanced[0] == '\0' && rest.len > 0)
		take_enhanced(reader, span_skip(rest, 1));
	return more ? REPLY_MORE : REPLY_WHOLE;
}

/* ---- what it offers ---- */

static void offer_auth(struct client_offer *offer, struct span names)
{
	struct span name;

	while (names.len > 0) {
		if (!span_take_until(&names, ' ', &name)) {
			name = names;
			names = SPAN_EMPTY;
		}
		offer->auth_plain = offer->auth_plain || span_equal_nocase(name, SPAN("PLAIN"));
		offer->auth_login = offer->auth_login || span_equal_nocase(name, SPAN("LOGIN"));
		offer->auth_scram = offer->auth_scram || span_equal_nocase(name, SPAN("SCRAM-SHA-256"));
	}
}

/* RFC 9422 §3, §3.7: "RCPTMAX=100 MAILMAX=10"; what is none is left out */
static void offer_limits(struct client_offer *offer, struct span limits)
{
	static const struct {
		const char *name;
		size_t member;
	} known[] = {
		{ "RCPTMAX=", offsetof(struct client_offer, rcpt_max) },
		{ "MAILMAX=", offsetof(struct client_offer, mail_max) },
		{ "RCPTDOMAINMAX=", offsetof(struct client_offer, rcpt_domain_max) },
	};
	struct span item;

	while (limits.len > 0) {
		if (!span_take_until(&limits, ' ', &item)) {
			item = limits;
			limits = SPAN_EMPTY;
		}
		for (size_t i = 0; i < ARRAY_LEN(known); i++) {
			struct span value = item;
			uint64_t number;
			if (span_take_word(&value, known[i].name) && span_number(value, LIMIT_VALUE_MAX, &number) &&
			        value.ptr[0] != '0')
				*(uint32_t *)(void *)((char *)offer + known[i].member) = (uint32_t)number;
		}
	}
}

static void offer_size(struct client_offer *offer, struct span value)
{
	offer->has_size = true;
	if (!span_number(span_trim(value), UINT64_MAX, &offer->size))
		offer->size = 0;
}

static void offer_deliver_by(struct client_offer *offer, struct span value)
{
	struct span minimum;
	uint64_t seconds;

	offer->deliver_by = true;
	if (!span_take_until(&value, ',', &minimum)) /* RFC 2852 §2: options of other documents may follow */
		minimum = value;
	if (span_number(span_trim(minimum), INT32_MAX, &seconds))
		offer->deliver_by_min = (int64_t)seconds;
}

static const struct {
	const char *keyword;
	size_t flag;
} flags[] = {
	{ "STARTTLS", offsetof(struct client_offer, starttls) },
	{ "PIPELINING", offsetof(struct client_offer, pipelining) },
	{ "8BITMIME", offsetof(struct client_offer, eight_bit_mime) },
	{ "SMTPUTF8", offsetof(struct client_offer, smtputf8) },
	{ "DSN", offsetof(struct client_offer, dsn) },
	{ "CHUNKING", offsetof(struct client_offer, chunking) },
	{ "BINARYMIME", offsetof(struct client_offer, binarymime) },
	{ "REQUIRETLS", offsetof(struct client_offer, requiretls) },
	{ "ENHANCEDSTATUSCODES", offsetof(struct client_offer, enhanced) },
	{ "FUTURERELEASE", offsetof(struct client_offer, future_release) },
	{ "MT-PRIORITY", offsetof(struct client_offer, mt_priority) },
};

void offer_line(struct client_offer *offer, struct span line)
{
	struct span keyword, value = span_trim(line);

	if (!span_take_until(&value, ' ', &keyword)) {
		keyword = value;
		value = SPAN_EMPTY;
	}
	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		if (span_equal_nocase(keyword, span_of(flags[i].keyword)))
			*(bool *)(void *)((char *)offer + flags[i].flag) = true;
	}
	if (span_equal_nocase(keyword, SPAN("AUTH")))
		offer_auth(offer, value);
	else if (span_starts_nocase(keyword, SPAN("AUTH="))) /* as some write it since before RFC 2554 */
		offer_auth(offer, span_skip(keyword, 5));
	else if (span_equal_nocase(keyword, SPAN("LIMITS")))
		offer_limits(offer, value);
	else if (span_equal_nocase(keyword, SPAN("SIZE")))
		offer_size(offer, value);
	else if (span_equal_nocase(keyword, SPAN("DELIVERBY")))
		offer_deliver_by(offer, value);
}
