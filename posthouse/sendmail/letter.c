#include "posthouse/sendmail/letter.h"

#include "message/address.h"
#include "message/header.h"

#include <string.h>

#define ADDRESS_MAX 320 /* RFC 5321 §4.5.3.1 */

void letter_init(struct letter *letter, size_t limit)
{
	*letter = (struct letter) { .header_len = 0 };
	buffer_init(&letter->text, limit);
	buffer_init(&letter->recipients, LETTER_RECIPIENTS_TEXT_MAX);
}

void letter_free(struct letter *letter)
{
	buffer_free(&letter->text);
	buffer_free(&letter->recipients);
}

static void set_length(struct buffer *text, size_t length)
{
	text->len = length;
	if (text->data != NULL)
		text->data[length] = '\0'; /* buffer.h has a spare byte for it */
}

/* ---- reading ---- */

static void end_line(struct letter *letter, bool ignore_dots)
{
	struct buffer *text = &letter->text;
	struct span line = span_skip(buffer_span(text), letter->line_at);

	if (!ignore_dots && span_equal(line, SPAN("."))) {
		set_length(text, letter->line_at);
		letter->ended = true;
	} else if (letter->line_at == 0 && (span_starts(line, SPAN("From ")) || span_starts(line, SPAN(">From ")))) {
		set_length(text, 0);
	} else {
		(void)buffer_append(text, "\r\n", 2);
		letter->line_at = text->len;
	}
}

static void feed_octet(struct letter *letter, char c, bool ignore_dots)
{
	bool after_cr = letter->after_cr;

	letter->after_cr = c == '\r';
	if (c == '\n' && after_cr)
		return;
	if (c == '\r' || c == '\n') {
		end_line(letter, ignore_dots);
		return;
	}
	letter->eight_bit = letter->eight_bit || (unsigned char)c > 0x7f;
	(void)buffer_append_char(&letter->text, c != '\0' ? c : '?');
}

bool letter_feed(struct letter *letter, struct span octets, bool ignore_dots, struct error *err)
{
	for (size_t i = 0; i < octets.len && !letter->ended; i++)
		feed_octet(letter, octets.ptr[i], ignore_dots);
	return !letter->text.failed ||
	       error_set(err, ERR_TOO_LARGE, "the message is larger than %zu octets", letter->text.limit);
}

/* RFC 5322 §2.2: printable characters, then a colon (blanks before it: §4.5). */
static bool is_field(struct span line)
{
	size_t i = 0;

	while (i < line.len && (unsigned char)line.ptr[i] > ' ' && (unsigned char)line.ptr[i] < 0x7f &&
	        line.ptr[i] != ':')
		i++;
	if (i == 0)
		return false;
	while (i < line.len && (line.ptr[i] == ' ' || line.ptr[i] == '\t'))
		i++;
	return i < line.len && line.ptr[i] == ':';
}

static size_t find_header_end(struct span text, bool *needs_line)
{
	struct span rest = text, line;
	size_t at = 0;

	*needs_line = true;
	while (span_take_until(&rest, '\n', &line)) {
		bool folded = at > 0 && line.len > 1 && (line.ptr[0] == ' ' || line.ptr[0] == '\t');

		if (line.len <= 1) {
			*needs_line = false;
			break;
		}
		if (!folded && !is_field(line))
			break;
		at = text.len - rest.len;
	}
	return at;
}

static bool insert(struct letter *letter, size_t at, struct span what, struct error *err)
{
	struct buffer *text = &letter->text;

	if (!buffer_reserve(text, what.len))
		return error_set(err, ERR_TOO_LARGE, "the message is larger than %zu octets", text->limit);
	memmove(text->data + at + what.len, text->data + at, text->len - at);
	memcpy(text->data + at, what.ptr, what.len);
	set_length(text, text->len + what.len);
	return true;
}

bool letter_finish(struct letter *letter, struct error *err)
{
	bool needs_line;

	if (!letter->ended && letter->text.len > letter->line_at)
		end_line(letter, true);
	if (letter->text.failed)
		return error_set(err, ERR_TOO_LARGE, "the message is larger than %zu octets", letter->text.limit);
	letter->header_len = find_header_end(buffer_span(&letter->text), &needs_line);
	return !needs_line || insert(letter, letter->header_len, SPAN("\r\n"), err);
}

/* ---- recipients ---- */

static struct span header_of(const struct letter *letter)
{
	return span_first(buffer_span(&letter->text), letter->header_len);
}

static bool is_clean(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f || text.ptr[i] == '<' ||
		        text.ptr[i] == '>')
			return false;
	return text.len > 0 && text.len <= ADDRESS_MAX;
}

static bool knows(const struct letter *letter, struct span address)
{
	struct span rest = buffer_span(&letter->recipients), one;

	while (span_take_until(&rest, '\0', &one))
		if (span_equal(one, address))
			return true;
	return false;
}

static bool add_one(struct letter *letter, const struct address *address, const char *domain, struct error *err)
{
	struct address whole = { .kind = ADDRESS_MAILBOX, .mailbox = address->mailbox, .host = address->host };
	struct buffer text;
	bool ok = true;

	if (address->mailbox.ptr == NULL)
		return error_set(err, ERR_BAD_ADDRESS, "a recipient is not an address");
	if (address->host.ptr == NULL)
		whole.host = span_of(domain);
	buffer_init(&text, ADDRESS_MAX);
	if (!address_write(&text, &whole) || !is_clean(buffer_span(&text)))
		ok = error_set(err, ERR_BAD_ADDRESS, "a recipient is not an address: %.60s", buffer_text(&text));
	if (ok && !knows(letter, buffer_span(&text))) {
		ok = buffer_append_span(&letter->recipients, buffer_span(&text)) &&
		     buffer_append_char(&letter->recipients, '\0');
		letter->recipient_count++;
		if (!ok)
			(void)error_set(err, ERR_LIMIT, "too many recipients");
	}
	buffer_free(&text);
	return ok;
}

bool letter_add_recipients(struct letter *letter, struct span list, const char *domain, struct error *err)
{
	struct address_list addresses;
	bool ok, any = false;

	address_list_init(&addresses);
	ok = address_list_parse(&addresses, list) || error_set(err, ERR_NO_MEMORY, "out of memory");
	if (ok && addresses.truncated)
		ok = error_set(err, ERR_LIMIT, "too many recipients");
	for (size_t i = 0; ok && i < addresses.count; i++) {
		any = true;
		ok = addresses.items[i].kind != ADDRESS_MAILBOX || add_one(letter, &addresses.items[i], domain, err);
	}
	address_list_free(&addresses);
	if (ok && !any && span_trim(list).len > 0)
		ok = error_set(err, ERR_BAD_ADDRESS, "not an address: %.60s", list.ptr);
	return ok;
}

static bool is_one_of(struct span name, const char *const names[3])
{
	return span_equal_nocase(name, span_of(names[0])) || span_equal_nocase(name, span_of(names[1])) ||
	       span_equal_nocase(name, span_of(names[2]));
}

static const char *const plain_names[] = { "To", "Cc", "Bcc" };
static const char *const resent_names[] = { "Resent-To", "Resent-Cc", "Resent-Bcc" };

static bool is_resent(const struct letter *letter)
{
	struct header_reader reader;
	struct header_field field;

	header_reader_init(&reader, header_of(letter));
	while (header_next(&reader, &field))
		if (is_one_of(field.name, resent_names))
			return true;
	return false;
}

static void remove_field(struct letter *letter, const struct header_field *field)
{
	struct buffer *text = &letter->text;
	size_t end = field->at + field->len;

	memmove(text->data + field->at, text->data + end, text->len - end);
	set_length(text, text->len - field->len);
	letter->header_len -= field->len;
}

static void remove_blind(struct letter *letter)
{
	struct header_field field;

	while (header_find(header_of(letter), SPAN("Bcc"), &field) ||
	        header_find(header_of(letter), SPAN("Resent-Bcc"), &field))
		remove_field(letter, &field);
}

bool letter_take_recipients(struct letter *letter, const char *domain, struct error *err)
{
	const char *const *names = is_resent(letter) ? resent_names : plain_names;
	struct header_reader reader;
	struct header_field field;

	header_reader_init(&reader, header_of(letter));
	while (header_next(&reader, &field))
		if (is_one_of(field.name, names) && !letter_add_recipients(letter, field.value, domain, err))
			return false;
	if (reader.count >= HEADER_FIELDS_MAX)
		return error_set(err, ERR_LIMIT, "the header has too many fields");
	remove_blind(letter);
	return true;
}

/* ---- From ---- */

bool letter_add_from(struct letter *letter, const char *name, const char *address, struct error *err)
{
	struct address from = { .kind = ADDRESS_MAILBOX, .name = span_of(name) };
	struct span whole = span_of(address);
	struct header_field field;
	struct buffer text;
	size_t at;
	bool ok;

	if (header_find(header_of(letter), SPAN("From"), &field) || !span_find_last(whole, '@', &at))
		return true;
	if (name == NULL || name[0] == '\0')
		from.name = SPAN_EMPTY;
	from.mailbox = span_first(whole, at);
	from.host = span_skip(whole, at + 1);
	buffer_init(&text, 4 * KIB);
	ok = buffer_append_text(&text, "From: ") && address_write(&text, &from) && buffer_append_text(&text, "\r\n");
	if (!ok)
		ok = error_set(err, ERR_TOO_LONG, "the sender's name is too long");
	else
		ok = insert(letter, letter->header_len, buffer_span(&text), err);
	if (ok)
		letter->header_len += text.len;
	buffer_free(&text);
	return ok;
}
