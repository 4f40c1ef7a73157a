#include "smtpd/inbound/prepare.h"

#include "base/check.h"
#include "base/utf8.h"
#include "message/header.h"
#include "message/message_id.h"

#include <sodium.h>

#define READ_PIECE (16 * KIB)

void prepared_init(struct prepared *prepared)
{
	*prepared = (struct prepared) { .flags = 0 };
	buffer_init(&prepared->prefix, PREFIX_MAX);
}

void prepared_free(struct prepared *prepared)
{
	buffer_free(&prepared->prefix);
	message_summary_free(&prepared->summary);
}

static bool no_memory(struct error *err)
{
	return error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
}

/* Whoever looks at *err alone must find nothing of a look-up that found nothing on the way. */
static bool done(struct error *err)
{
	error_clear(err);
	return true;
}

/* --- the header ---------------------------------------------------------------------------------------------------- */

/* The header block of the message as received, at most HEADER_BLOCK_MAX octets of it. */
static bool read_header(struct spool *spool, struct buffer *out, struct error *err)
{
	size_t got, len;

	while (out->len < HEADER_BLOCK_MAX) {
		if (!buffer_reserve(out, READ_PIECE))
			return no_memory(err);
		if (!spool_read(spool, out->len, out->data + out->len, READ_PIECE, &got, err))
			return false;
		out->len += got;
		if (header_length(buffer_span(out), &len)) {
			out->len = len;
			return true;
		}
		if (got < READ_PIECE)
			return true;
	}
	return true;
}

static bool write_prefix(const struct delivery_request *request, struct span header, struct prepared *out)
{
	if (!trace_write_return_path(&out->prefix, request->trace->sender))
		return false;
	out->return_path_len = out->prefix.len;
	return trace_write_received(&out->prefix, request->trace) &&
	       (!request->trusted || trace_add_missing(&out->prefix, request->trace, header));
}

static bool check_header(
        const struct delivery_request *request, struct span header, struct prepared *out, struct error *err)
{
	const struct message_request message = {
		.header = header,
		.account_id = request->account_id,
		.local_user = request->account_id == 0 ? request->login : SPAN_EMPTY,
		.envelope = request->envelope,
	};

	if (!accept_message(request->accept, &message, err))
		return false;
	return write_prefix(request, header, out) || no_memory(err);
}

/* --- for mailboxes --------------------------------------------------------------------------------------------------- */

/* One pass over the message: the summary for its readers, and the hash that knows it again. */
static bool digest_body(const struct delivery_request *request, struct summary_builder *builder, struct prepared *out,
        struct error *err)
{
	crypto_generichash_state hash;
	struct span sender = request->trace->sender;
	char piece[READ_PIECE];
	uint64_t at = 0;
	size_t got;

	crypto_generichash_init(&hash, NULL, 0, CONTENT_HASH);
	crypto_generichash_update(&hash, (const unsigned char *)sender.ptr, sender.len);
	crypto_generichash_update(&hash, (const unsigned char *)"", 1);
	do {
		if (!spool_read(request->spool, at, piece, sizeof(piece), &got, err))
			return false;
		summary_feed(builder, span_make(piece, got));
		crypto_generichash_update(&hash, (const unsigned char *)piece, got);
		at += got;
	} while (got == sizeof(piece));
	crypto_generichash_final(&hash, out->content, CONTENT_HASH);
	return true;
}

static bool digest(const struct delivery_request *request, struct prepared *out, struct error *err)
{
	struct summary_builder *builder = summary_builder_of_thread();
	struct error ignored;

	if (builder == NULL)
		return no_memory(err);
	summary_feed(builder, buffer_span(&out->prefix));
	if (!digest_body(request, builder, out, err)) {
		summary_finish(builder, &out->summary, &ignored); /* ready for the next message */
		return false;
	}
	if (!summary_finish(builder, &out->summary, err))
		return false;
	(void)span_copy(out->summary.message_id, out->message_id, sizeof(out->message_id));
	out->has_summary = true;
	return true;
}

bool prepare_summary(const struct delivery_request *request, struct prepared *out, struct error *err)
{
	return digest(request, out, err) && spool_sync(request->spool, err);
}

bool prepare_for_mailboxes(const struct delivery_request *request, struct prepared *out, struct error *err)
{
	struct buffer header;
	bool ok;

	buffer_init(&header, HEADER_BLOCK_MAX + READ_PIECE);
	ok = read_header(request->spool, &header, err) && check_header(request, buffer_span(&header), out, err);
	buffer_free(&header);
	return ok && prepare_summary(request, out, err) && done(err);
}

/* --- for the queue --------------------------------------------------------------------------------------------------- */

static void note_message_id(struct span header, struct prepared *out)
{
	struct header_field field;
	struct buffer id;

	if (!header_find(header, SPAN("Message-ID"), &field) &&
	        !header_find(buffer_span(&out->prefix), SPAN("Message-ID"), &field))
		return;
	buffer_init(&id, MESSAGE_ID_MAX);
	if (message_id_of(field.value, &id))
		(void)span_copy(buffer_span(&id), out->message_id, sizeof(out->message_id));
	buffer_free(&id);
}

static bool has_utf8_address(const struct delivery_request *request)
{
	const struct envelope *envelope = request->envelope;

	if (request->mail->sender.utf8)
		return true;
	for (size_t i = 0; i < envelope->rcpt_count; i++)
		if (!utf8_is_ascii(envelope_address(envelope, i)))
			return true;
	return false;
}

/* RFC 8689 §5: asks for delivery also where TLS cannot be had as a policy wants it. REQUIRETLS goes first (§4.1). */
static bool says_tls_no(struct span header)
{
	struct header_field field;

	return header_find(header, SPAN("TLS-Required"), &field) &&
	       span_equal_nocase(span_trim(field.value), SPAN("No"));
}

/* What a next server must be able to do: as the message is, not as its sender announced it (RFC 6531 §3.4: an SMTPUTF8 transaction
 * may carry a message that needs none). */
static unsigned header_flags(const struct delivery_request *request, struct span header)
{
	const struct mail_args *mail = request->mail;
	unsigned flags = 0;

	if (mail->smtputf8 && (has_utf8_address(request) || !utf8_is_ascii(header)))
		flags |= QUEUE_SMTPUTF8;
	if (mail->requiretls)
		flags |= QUEUE_REQUIRETLS;
	else if (says_tls_no(header))
		flags |= QUEUE_TLS_NO;
	return flags;
}

static bool has_high_octets(struct spool *spool, bool *out, struct error *err)
{
	char piece[READ_PIECE];
	uint64_t at = 0;
	size_t got;

	*out = false;
	do {
		if (!spool_read(spool, at, piece, sizeof(piece), &got, err))
			return false;
		*out = !utf8_is_ascii(span_make(piece, got));
		at += got;
	} while (!*out && got == sizeof(piece));
	return true;
}

static bool note_octets(const struct delivery_request *request, struct prepared *out, struct error *err)
{
	bool eight_bit;

	if (!has_high_octets(request->spool, &eight_bit, err))
		return false;
	out->flags |= eight_bit ? QUEUE_8BIT : 0;
	return true;
}

static void note_header(const struct delivery_request *request, struct span header, struct prepared *out)
{
	note_message_id(header, out);
	out->flags = header_flags(request, header);
}

bool prepare_for_queue(const struct delivery_request *request, struct prepared *out, struct error *err)
{
	struct buffer header;
	bool ok;

	buffer_init(&header, HEADER_BLOCK_MAX + READ_PIECE);
	ok = read_header(request->spool, &header, err) && check_header(request, buffer_span(&header), out, err);
	if (ok)
		note_header(request, buffer_span(&header), out);
	buffer_free(&header);
	return ok && note_octets(request, out, err) && done(err);
}

bool prepare_flags(const struct delivery_request *request, struct prepared *out, struct error *err)
{
	struct buffer header;
	bool ok;

	buffer_init(&header, HEADER_BLOCK_MAX + READ_PIECE);
	ok = read_header(request->spool, &header, err);
	if (ok)
		note_header(request, buffer_span(&header), out);
	buffer_free(&header);
	return ok && note_octets(request, out, err);
}
