#include "message/envelope.h"

#include "message/header.h"
#include "message/imap_text.h"

enum list { FROM, SENDER, REPLY_TO, TO, CC, BCC, LIST_COUNT };

static const char *const list_names[LIST_COUNT] = { "from", "sender", "reply-to", "to", "cc", "bcc" };

struct list_field {
	struct span value; /* of the first field of that name; ptr NULL: none */
	bool repeated;
};

struct envelope {
	struct span block;
	struct envelope_fields fields;
	struct list_field lists[LIST_COUNT];
	struct address_list *addresses;
	struct buffer *out;
	bool out_of_memory;
};

static void note_text(struct span name, struct span value, struct envelope_fields *fields)
{
	if (span_equal_nocase(name, SPAN("date")))
		fields->date = value;
	else if (span_equal_nocase(name, SPAN("subject")))
		fields->subject = value;
	else if (span_equal_nocase(name, SPAN("in-reply-to")))
		fields->in_reply_to = value;
	else if (span_equal_nocase(name, SPAN("message-id")))
		fields->message_id = value;
	else if (span_equal_nocase(name, SPAN("references")))
		fields->references = value;
}

static void note_field(struct envelope *e, const struct header_field *field)
{
	for (size_t i = 0; i < LIST_COUNT; i++) {
		if (!span_equal_nocase(field->name, span_of(list_names[i])))
			continue;
		if (e->lists[i].value.ptr == NULL)
			e->lists[i].value = field->value;
		else
			e->lists[i].repeated = true;
		return;
	}
	note_text(field->name, field->value, &e->fields);
}

static void collect(struct envelope *e)
{
	struct header_reader reader;
	struct header_field field;

	header_reader_init(&reader, e->block);
	while (header_next(&reader, &field))
		note_field(e, &field);
}

static void put_text(struct envelope *e, struct span value)
{
	struct buffer unfolded;

	if (value.ptr == NULL) {
		buffer_append_text(e->out, "NIL");
		return;
	}
	buffer_init(&unfolded, value.len + 1);
	if (!header_unfold(value, &unfolded))
		e->out_of_memory = true;
	imap_put_string(e->out, unfolded.data == NULL ? SPAN("") : buffer_span(&unfolded));
	buffer_free(&unfolded);
}

/* "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"; groups have no host (RFC 9051 §7.5.2). What is missing in an
 * address gets a word that shows it: NIL would mean a group. */
static void put_address(struct buffer *out, const struct address *address)
{
	struct span name = address->name;
	struct span mailbox = address->mailbox;
	struct span host = address->host;

	if (address->kind == ADDRESS_GROUP_START) {
		mailbox = address->name;
		name = SPAN_EMPTY;
	} else if (address->kind == ADDRESS_MAILBOX) {
		mailbox = mailbox.ptr == NULL ? SPAN("MISSING_MAILBOX") : mailbox;
		host = host.ptr == NULL ? SPAN("MISSING_DOMAIN") : host;
	}
	buffer_append_char(out, '(');
	imap_put_nstring(out, name);
	buffer_append_char(out, ' ');
	imap_put_nstring(out, address->route);
	buffer_append_char(out, ' ');
	imap_put_nstring(out, mailbox);
	buffer_append_char(out, ' ');
	imap_put_nstring(out, host);
	buffer_append_char(out, ')');
}

/* The addresses of one field's value, at most *left of them. */
static void put_addresses(struct envelope *e, struct span value, size_t *left)
{
	if (!address_list_parse(e->addresses, value))
		e->out_of_memory = true;
	for (size_t i = 0; i<e->addresses->count && * left> 0; i++, --*left)
		put_address(e->out, &e->addresses->items[i]);
}

static void put_repeated(struct envelope *e, enum list list, size_t *left)
{
	struct header_reader reader;
	struct header_field field;

	header_reader_init(&reader, e->block);
	while (*left > 0 && header_next(&reader, &field))
		if (span_equal_nocase(field.name, span_of(list_names[list])))
			put_addresses(e, field.value, left);
}

/* One address list, or NIL; returns whether there were addresses. */
static bool put_list(struct envelope *e, enum list list)
{
	size_t begin = e->out->len;
	size_t left = ADDRESS_COUNT_MAX;

	if (e->lists[list].value.ptr != NULL) {
		buffer_append_char(e->out, '(');
		if (e->lists[list].repeated)
			put_repeated(e, list, &left);
		else
			put_addresses(e, e->lists[list].value, &left);
		if (left < ADDRESS_COUNT_MAX)
			return buffer_append_char(e->out, ')');
		if (!e->out->failed)
			e->out->len = begin;
	}
	buffer_append_text(e->out, "NIL");
	return false;
}

/* RFC 9051 §7.5.2: without a Sender or Reply-To the From stands for it. */
static void put_senders(struct envelope *e)
{
	size_t begin = e->out->len;
	size_t len;

	put_list(e, FROM);
	len = e->out->len - begin;
	for (enum list list = SENDER; list <= REPLY_TO; list++) {
		size_t at;

		buffer_append_char(e->out, ' ');
		at = e->out->len;
		if (put_list(e, list) || e->out->failed)
			continue;
		e->out->len = at;
		if (buffer_reserve(e->out, len))
			buffer_append(e->out, e->out->data + begin, len);
	}
}

bool envelope_write(
        struct span block, struct address_list *addresses, struct envelope_fields *fields, struct buffer *out)
{
	struct envelope e = { .block = block, .addresses = addresses, .out = out };

	collect(&e);
	buffer_append_char(out, '(');
	put_text(&e, e.fields.date);
	buffer_append_char(out, ' ');
	put_text(&e, e.fields.subject);
	buffer_append_char(out, ' ');
	put_senders(&e);
	for (enum list list = TO; list <= BCC; list++) {
		buffer_append_char(out, ' ');
		put_list(&e, list);
	}
	buffer_append_char(out, ' ');
	put_text(&e, e.fields.in_reply_to);
	buffer_append_char(out, ' ');
	put_text(&e, e.fields.message_id);
	buffer_append_char(out, ')');
	if (fields != NULL)
		*fields = e.fields;
	return !out->failed && !e.out_of_memory;
}
