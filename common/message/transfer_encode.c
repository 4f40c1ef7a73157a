#include "message/transfer_encode.h"

#include "base/base64.h"

#include <string.h>

#define QUOTED_LINE 75 /* characters, and "=" (RFC 2045 §6.7 rule 5) */

void transfer_encode_init(struct transfer_encoder *encoder, enum transfer_encoding encoding)
{
	*encoder = (struct transfer_encoder) { .encoding = encoding, .blank = -1 };
}

/* ---- quoted-printable ---- */

static void quoted_octet(struct transfer_encoder *state, unsigned char c, bool plain, struct buffer *out)
{
	static const char digits[] = "0123456789ABCDEF";
	const char text[3] = { plain ? (char)c : '=', digits[c >> 4], digits[c & 15] };
	size_t len = plain ? 1 : sizeof(text);

	if (state->column + len > QUOTED_LINE) {
		(void)buffer_append_text(out, "=\r\n");
		state->column = 0;
	}
	(void)buffer_append(out, text, len);
	state->column += len;
}

static void quoted_blank(struct transfer_encoder *state, bool plain, struct buffer *out)
{
	if (state->blank >= 0)
		quoted_octet(state, (unsigned char)state->blank, plain, out);
	state->blank = -1;
}

static void quoted_end_of_line(struct transfer_encoder *state, struct buffer *out)
{
	quoted_blank(state, false, out);
	(void)buffer_append_text(out, "\r\n");
	state->column = 0;
	state->was_cr = false;
}

static void quoted_feed(struct transfer_encoder *state, struct span in, struct buffer *out)
{
	for (size_t i = 0; i < in.len; i++) {
		unsigned char c = (unsigned char)in.ptr[i];
		if (state->was_cr && c == '\n') {
			quoted_end_of_line(state, out);
			continue;
		}
		if (state->was_cr) {
			quoted_blank(state, true, out);
			quoted_octet(state, '\r', false, out);
		}
		state->was_cr = c == '\r';
		if (c == '\r')
			continue; /* a blank before it may yet stand before a line end */
		quoted_blank(state, true, out);
		if (c == ' ' || c == '\t')
			state->blank = c;
		else
			quoted_octet(state, c, c > ' ' && c < 127 && c != '=', out);
	}
}

static void quoted_finish(struct transfer_encoder *state, bool end_line, struct buffer *out)
{
	quoted_blank(state, false, out);
	if (state->was_cr)
		quoted_octet(state, '\r', false, out);
	if (end_line && state->column > 0)
		(void)buffer_append_text(out, "=\r\n");
}

/* ---- base64 ---- */

static void base64_line(struct transfer_encoder *state, struct span octets, struct buffer *out)
{
	if (state->has_line)
		(void)buffer_append_text(out, "\r\n");
	(void)base64_encode(octets, out);
	state->has_line = true;
}

static void base64_feed(struct transfer_encoder *state, struct span in, struct buffer *out)
{
	while (in.len > 0) {
		struct span part = span_first(in, sizeof(state->pending) - state->pending_len);
		memcpy(state->pending + state->pending_len, part.ptr, part.len);
		state->pending_len += part.len;
		in = span_skip(in, part.len);
		if (state->pending_len < sizeof(state->pending))
			return;
		base64_line(state, span_make(state->pending, state->pending_len), out);
		state->pending_len = 0;
	}
}

static void base64_finish(struct transfer_encoder *state, bool end_line, struct buffer *out)
{
	if (state->pending_len > 0)
		base64_line(state, span_make(state->pending, state->pending_len), out);
	if (end_line && state->has_line)
		(void)buffer_append_text(out, "\r\n");
}

/* ---- the doors ---- */

bool transfer_encode(struct transfer_encoder *encoder, struct span in, struct buffer *out)
{
	if (encoder->encoding == TRANSFER_QUOTED_PRINTABLE)
		quoted_feed(encoder, in, out);
	else
		base64_feed(encoder, in, out);
	return !out->failed;
}

bool transfer_encode_finish(struct transfer_encoder *encoder, bool end_line, struct buffer *out)
{
	if (encoder->encoding == TRANSFER_QUOTED_PRINTABLE)
		quoted_finish(encoder, end_line, out);
	else
		base64_finish(encoder, end_line, out);
	return !out->failed;
}
