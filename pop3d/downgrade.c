#include "pop3d/downgrade.h"

#include "base/utf8.h"
#include "message/address.h"
#include "message/encoded_word.h"
#include "message/header.h"
#include "message/params.h"

#define VALUE_MAX       (256 * KIB) /* of one field, decoded */
#define WORD_PAYLOAD    60          /* RFC 2047 §2: an encoded word has at most 75 characters, 12 of them its frame */
#define PARAM_LINE      60          /* octets of a value in one RFC 2231 §3 section */
#define ARENA_LIMIT     (512 * KIB)
#define INVALID_ADDRESS "<invalid@internationalized-address.invalid>" /* RFC 6858 §2.1 */

enum rewrite { REWRITE_TEXT, REWRITE_ADDRESSES, REWRITE_CONTENT_TYPE, REWRITE_DISPOSITION, LEAVE_OUT };

/* What a field holds. Fields that are not here are texts: X-... and all that people read. */
static const struct {
	struct span name;
	enum rewrite how;
} fields[] = {
	{ SPAN("From"), REWRITE_ADDRESSES },
	{ SPAN("Sender"), REWRITE_ADDRESSES },
	{ SPAN("Reply-To"), REWRITE_ADDRESSES },
	{ SPAN("To"), REWRITE_ADDRESSES },
	{ SPAN("Cc"), REWRITE_ADDRESSES },
	{ SPAN("Bcc"), REWRITE_ADDRESSES },
	{ SPAN("Resent-From"), REWRITE_ADDRESSES },
	{ SPAN("Resent-Sender"), REWRITE_ADDRESSES },
	{ SPAN("Resent-To"), REWRITE_ADDRESSES },
	{ SPAN("Resent-Cc"), REWRITE_ADDRESSES },
	{ SPAN("Resent-Bcc"), REWRITE_ADDRESSES },
	{ SPAN("Disposition-Notification-To"), REWRITE_ADDRESSES },
	{ SPAN("Mail-Followup-To"), REWRITE_ADDRESSES },
	{ SPAN("Content-Type"), REWRITE_CONTENT_TYPE },
	{ SPAN("Content-Disposition"), REWRITE_DISPOSITION },
	/* RFC 6858 §2.4: what cannot be said in ASCII is left out. */
	{ SPAN("Return-Path"), LEAVE_OUT },
	{ SPAN("Delivered-To"), LEAVE_OUT },
	{ SPAN("Received"), LEAVE_OUT },
	{ SPAN("Received-SPF"), LEAVE_OUT },
	{ SPAN("Authentication-Results"), LEAVE_OUT },
	{ SPAN("DKIM-Signature"), LEAVE_OUT },
	{ SPAN("ARC-Seal"), LEAVE_OUT },
	{ SPAN("ARC-Message-Signature"), LEAVE_OUT },
	{ SPAN("ARC-Authentication-Results"), LEAVE_OUT },
	{ SPAN("Date"), LEAVE_OUT },
	{ SPAN("Resent-Date"), LEAVE_OUT },
	{ SPAN("Message-ID"), LEAVE_OUT },
	{ SPAN("Resent-Message-ID"), LEAVE_OUT },
	{ SPAN("In-Reply-To"), LEAVE_OUT },
	{ SPAN("References"), LEAVE_OUT },
	{ SPAN("MIME-Version"), LEAVE_OUT },
	{ SPAN("Content-ID"), LEAVE_OUT },
	{ SPAN("Content-Transfer-Encoding"), LEAVE_OUT },
	{ SPAN("Content-Location"), LEAVE_OUT },
	{ SPAN("List-Id"), LEAVE_OUT },
	{ SPAN("List-Post"), LEAVE_OUT },
	{ SPAN("List-Unsubscribe"), LEAVE_OUT },
	{ SPAN("List-Archive"), LEAVE_OUT },
	{ SPAN("List-Help"), LEAVE_OUT },
	{ SPAN("List-Subscribe"), LEAVE_OUT },
	{ SPAN("List-Owner"), LEAVE_OUT },
};

static enum rewrite rewrite_of(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (span_equal_nocase(name, fields[i].name))
			return fields[i].how;
	}
	return REWRITE_TEXT;
}

static bool put_escaped(struct buffer *out, char mark, unsigned char octet)
{
	static const char hex[] = "0123456789ABCDEF";

	return buffer_append_char(out, mark) && buffer_append_char(out, hex[octet >> 4]) &&
	       buffer_append_char(out, hex[octet & 15]);
}

/* One character of an encoded word; the alphabet is the one that is allowed in names too (RFC 2047 §5 (3)). */
static bool put_q(struct buffer *out, struct span character)
{
	for (size_t i = 0; i < character.len; i++) {
		unsigned char c = (unsigned char)character.ptr[i];

		if (!(c == ' '                  ? buffer_append_char(out, '_')
		            : ascii_is_alnum(c) ? buffer_append_char(out, (char)c)
		                                : put_escaped(out, '=', c)))
			return false;
	}
	return true;
}

/* UTF-8 text as encoded words, one a line. */
static bool put_words(struct buffer *out, struct span text)
{
	bool ok = buffer_append_text(out, "=?utf-8?q?");
	size_t begin = out->len;

	while (ok && text.len > 0) {
		struct span rest = text, character;
		uint32_t code_point;

		if (!utf8_take(&rest, &code_point))
			rest = span_skip(text, 1);
		character = span_first(text, text.len - rest.len);
		if (out->len - begin + 3 * character.len > WORD_PAYLOAD) {
			ok = buffer_append_text(out, "?=\r\n =?utf-8?q?");
			begin = out->len;
		}
		ok = ok && put_q(out, character);
		text = rest;
	}
	return ok && buffer_append_text(out, "?=");
}

static bool rewrite_text(struct span value, struct buffer *out)
{
	struct buffer text;
	bool ok;

	buffer_init(&text, VALUE_MAX);
	ok = encoded_word_decode(value, &text) && put_words(out, span_trim(buffer_span(&text)));
	buffer_free(&text);
	return ok;
}

static bool is_ascii_address(const struct address *a)
{
	return utf8_is_ascii(a->mailbox) && utf8_is_ascii(a->host) && utf8_is_ascii(a->route);
}

/* RFC 6858 §2.1: the address as a name that people can read, before one that nobody can write to by mistake. */
static bool put_invalid(struct buffer *out, const struct address *a, struct buffer *name)
{
	bool ok = buffer_append_text(name, name->len > 0 ? " <" : "<") && buffer_append_span(name, a->mailbox) &&
	          buffer_append_char(name, '@') && buffer_append_span(name, a->host) && buffer_append_char(name, '>');

	return ok && put_words(out, buffer_span(name)) && buffer_append_text(out, "\r\n " INVALID_ADDRESS);
}

static bool put_mailbox(struct buffer *out, const struct address *a, struct buffer *name)
{
	struct address bare = *a;

	buffer_clear(name);
	if (!encoded_word_decode(a->name, name))
		return false;
	if (!is_ascii_address(a))
		return put_invalid(out, a, name);
	if (utf8_is_ascii(a->name))
		return address_write(out, a);
	bare.name = SPAN_EMPTY;
	return put_words(out, buffer_span(name)) && buffer_append_text(out, "\r\n <") && address_write(out, &bare) &&
	       buffer_append_char(out, '>');
}

static bool put_address(struct buffer *out, const struct address *a, bool first, struct buffer *name)
{
	if (a->kind == ADDRESS_GROUP_END)
		return buffer_append_char(out, ';');
	if (!first && !buffer_append_text(out, ",\r\n "))
		return false;
	if (a->kind == ADDRESS_MAILBOX)
		return put_mailbox(out, a, name);
	buffer_clear(name);
	return encoded_word_decode(a->name, name) && put_words(out, buffer_span(name)) && buffer_append_char(out, ':');
}

static bool rewrite_addresses(struct span value, struct buffer *out)
{
	struct address_list list;
	struct buffer name;
	bool ok, first = true;

	buffer_init(&name, VALUE_MAX);
	address_list_init(&list);
	ok = address_list_parse(&list, value);
	for (size_t i = 0; ok && i < list.count; i++) {
		ok = put_address(out, &list.items[i], first, &name);
		first = list.items[i].kind == ADDRESS_GROUP_START;
	}
	address_list_free(&list);
	buffer_free(&name);
	return ok;
}

static bool is_attribute_char(unsigned char c)
{
	return ascii_is_alnum(c) || c == '-' || c == '.' || c == '_'; /* within RFC 2231 §7 */
}

/* name*0*=utf-8''...; name*1*=... */
static bool put_extended(struct buffer *out, const struct mime_param *param)
{
	struct span value = param->value;
	unsigned section = 0;
	bool ok = true;

	do {
		size_t begin;

		ok = buffer_printf(out, ";\r\n %.*s*%u*=%s", SPAN_FMT(param->name), section, section ? "" : "utf-8''");
		section++;
		for (begin = out->len; ok && value.len > 0 && out->len - begin < PARAM_LINE;
		        value = span_skip(value, 1)) {
			unsigned char c = (unsigned char)*value.ptr;

			ok = is_attribute_char(c) ? buffer_append_char(out, (char)c) : put_escaped(out, '%', c);
		}
	} while (ok && value.len > 0);
	return ok;
}

static bool put_quoted(struct buffer *out, struct span value)
{
	bool ok = buffer_append_char(out, '"');

	for (size_t i = 0; ok && i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		if (c < ' ' || c == 0x7f)
			continue;
		ok = ((c != '"' && c != '\\') || buffer_append_char(out, '\\')) && buffer_append_char(out, (char)c);
	}
	return ok && buffer_append_char(out, '"');
}

static bool put_param(struct buffer *out, const struct mime_param *param)
{
	bool extended = param->name.len > 0 && param->name.ptr[param->name.len - 1] == '*';

	if (!utf8_is_ascii(param->name))
		return true;                         /* no name of any standard */
	if (extended && utf8_is_ascii(param->value)) /* is RFC 2231 already */
		return buffer_printf(out, ";\r\n %.*s=%.*s", SPAN_FMT(param->name), SPAN_FMT(param->value));
	if (extended)
		return true; /* against its own rules */
	if (!utf8_is_ascii(param->value))
		return put_extended(out, param); /* RFC 6858 §2.2 lets a server do better than leaving it out */
	return buffer_printf(out, ";\r\n %.*s=", SPAN_FMT(param->name)) && put_quoted(out, param->value);
}

static bool rewrite_params(struct span value, bool is_type, struct buffer *out)
{
	struct mime_params params = { 0 };
	struct span type = SPAN_EMPTY, subtype = SPAN_EMPTY;
	struct arena arena;
	bool ok;

	arena_init(&arena, ARENA_LIMIT);
	ok = is_type ? params_parse_content_type(&arena, value, &type, &subtype, &params)
	             : params_parse_disposition(&arena, value, &type, &params);
	ok = ok && utf8_is_ascii(type) && utf8_is_ascii(subtype) && type.len > 0;
	ok = ok && buffer_append_span(out, type) &&
	     (!is_type || (buffer_append_char(out, '/') && buffer_append_span(out, subtype)));
	for (size_t i = 0; ok && i < params.count; i++)
		ok = put_param(out, &params.items[i]);
	arena_free(&arena);
	return ok;
}

static bool rewrite_value(enum rewrite how, struct span value, struct buffer *out)
{
	switch (how) {
	case REWRITE_TEXT: return rewrite_text(value, out);
	case REWRITE_ADDRESSES: return rewrite_addresses(value, out);
	case REWRITE_CONTENT_TYPE: return rewrite_params(value, true, out);
	case REWRITE_DISPOSITION: return rewrite_params(value, false, out);
	case LEAVE_OUT: break;
	}
	return false;
}

/* A field that is not ASCII but UTF-8. One that cannot be rewritten is left out; false only when out is full. */
static bool downgrade_field(const struct header_field *field, struct buffer *out)
{
	enum rewrite how = rewrite_of(field->name);
	size_t before = out->len;

	if (how == LEAVE_OUT || !utf8_is_ascii(field->name))
		return true;
	if (buffer_append_span(out, field->name) && buffer_append_text(out, ": ") &&
	        rewrite_value(how, field->value, out) && buffer_append_text(out, "\r\n"))
		return true;
	if (out->failed)
		return false;
	out->len = before;
	return true;
}

bool downgrade_header(struct span block, struct buffer *out)
{
	struct header_reader reader;
	struct header_field field;
	size_t done = 0;
	bool ok = true;

	header_reader_init(&reader, block);
	while (ok && header_next(&reader, &field)) {
		struct span raw = span_make(block.ptr + field.at, field.len);

		ok = buffer_append(out, block.ptr + done, field.at - done);
		if (utf8_is_ascii(raw) || !utf8_valid(raw))
			ok = ok && buffer_append_span(out, raw);
		else
			ok = ok && downgrade_field(&field, out);
		done = field.at + field.len;
	}
	return ok && buffer_append(out, block.ptr + done, block.len - done);
}
