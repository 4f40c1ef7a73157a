#include "smtpd/inbound/received.h"

#include "base/utf8.h"
#include "message/date.h"
#include "message/header.h"
#include "smtpd/syntax/path.h"

const char *trace_protocol(const struct trace *trace)
{
	/* [smtputf8][tls][authenticated] */
	static const char *const names[2][2][2] = {
		{ { "ESMTP", "ESMTPA" }, { "ESMTPS", "ESMTPSA" } },             /* RFC 3848 */
		{ { "UTF8SMTP", "UTF8SMTPA" }, { "UTF8SMTPS", "UTF8SMTPSA" } }, /* RFC 6531 §4.3 */
	};
	static const char *const lmtp[2][2] = { { "LMTP", "LMTPS" }, { "UTF8LMTP", "UTF8LMTPS" } };

	if (trace->lmtp)
		return lmtp[trace->smtputf8][trace->tls_version.len > 0];
	if (!trace->extended)
		return "SMTP";
	return names[trace->smtputf8][trace->tls_version.len > 0][trace->authenticated];
}

/* From-domain wants a Domain or an address literal (RFC 5321 §4.4). Clients say other things; those are not copied, and
 * neither is UTF-8 into a message that is not meant to have it (RFC 6531 §3.2). */
static struct span shown_helo(const struct trace *trace)
{
	bool fit = domain_is_valid(trace->helo) || address_literal_is_valid(trace->helo);

	return fit && (trace->smtputf8 || utf8_is_ascii(trace->helo)) ? trace->helo : SPAN("unknown");
}

/* TCP-info = address-literal / ( Domain FWS address-literal ): an IPv6 address carries its tag (RFC 5321 §4.1.3). */
static void append_peer(struct buffer *out, const struct trace *trace)
{
	size_t at;
	bool named = domain_is_valid(trace->peer_name) && utf8_is_ascii(trace->peer_name);

	buffer_printf(out, "(%.*s%s[%s%.*s])", SPAN_FMT(named ? trace->peer_name : SPAN_EMPTY), named ? " " : "",
	        span_find(trace->peer, ':', &at) ? "IPv6:" : "", SPAN_FMT(trace->peer));
}

bool trace_write_return_path(struct buffer *out, struct span sender)
{
	return buffer_printf(out, "Return-Path: <%.*s>\r\n", SPAN_FMT(sender));
}

/* From-domain has to be there (RFC 5321 §4.4); its TCP-info need not. */
static void append_from(struct buffer *out, const struct trace *trace)
{
	if (trace->authenticated) {
		buffer_append_text(out, "Received: from submission");
		return;
	}
	if (trace->local) {
		buffer_printf(out, "Received: from localhost (uid %u)", trace->uid);
		return;
	}
	buffer_printf(out, "Received: from %.*s ", SPAN_FMT(shown_helo(trace)));
	append_peer(out, trace);
}

bool trace_write_received(struct buffer *out, const struct trace *trace)
{
	append_from(out, trace);
	buffer_printf(out, "\r\n\tby %.*s with %s", SPAN_FMT(trace->hostname), trace_protocol(trace));
	if (trace->tls_version.len > 0)
		buffer_printf(out, " (%.*s %.*s)", SPAN_FMT(trace->tls_version), SPAN_FMT(trace->tls_cipher));
	buffer_printf(out, "\r\n\tid %.*s", SPAN_FMT(trace->id));
	/* Not in UTF-8 (RFC 6531 §3.7.3 allows it): a header that was ASCII may have to go to a server without SMTPUTF8. */
	if (trace->recipient.len > 0 && utf8_is_ascii(trace->recipient))
		buffer_printf(out, "\r\n\tfor <%.*s>", SPAN_FMT(trace->recipient));
	if (trace->has_priority) /* RFC 6710 §4.1 (2), §7: an additional clause, so behind all others */
		buffer_printf(out, " PRIORITY %d", trace->priority);
	buffer_append_text(out, ";\r\n\t");
	date_format(trace->unix_seconds, out);
	buffer_append_text(out, "\r\n");
	return !out->failed;
}

bool trace_add_missing(struct buffer *out, const struct trace *trace, struct span header)
{
	struct header_field field;

	if (!header_find(header, SPAN("Date"), &field)) {
		buffer_append_text(out, "Date: ");
		date_format(trace->unix_seconds, out);
		buffer_append_text(out, "\r\n");
	}
	if (trace->local && trace->sender.len > 0 && utf8_is_ascii(trace->sender) &&
	        !header_find(header, SPAN("From"), &field))
		buffer_printf(out, "From: <%.*s>\r\n", SPAN_FMT(trace->sender));
	if (!header_find(header, SPAN("Message-ID"), &field))
		buffer_printf(out, "Message-ID: <%.*s@%.*s>\r\n", SPAN_FMT(trace->id), SPAN_FMT(trace->hostname));
	return !out->failed;
}
