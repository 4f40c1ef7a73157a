#include "base/base64.h"
#include "base/utf8.h"
#include "sasl/scram.h"

#include <string.h>

/* RFC 5802 §7 "printable": visible ASCII but the comma. */
static bool is_nonce_char(unsigned char c)
{
	return c >= 0x21 && c <= 0x7E && c != ',';
}

/* "x=" value, up to the next comma or the end; the comma stays. */
static bool take_attribute(struct span *in, char name, struct span *value)
{
	struct span rest = *in;
	size_t len;

	if (!span_take_char(&rest, name) || !span_take_char(&rest, '='))
		return false;
	if (!span_find(rest, ',', &len))
		len = rest.len;
	if (len == 0)
		return false;
	*value = span_first(rest, len);
	*in = span_skip(rest, len);
	return true;
}

/* ["," attr-val ...]: unknown attributes are ignored, but must be attributes (RFC 5802 §5.1). */
static bool extensions_ok(struct span in)
{
	struct span ignored;

	while (in.len > 0)
		if (!span_take_char(&in, ',') || in.len == 0 || !ascii_is_alpha((unsigned char)in.ptr[0]) ||
		        !take_attribute(&in, in.ptr[0], &ignored))
			return false;
	return true;
}

/* RFC 5802 §7 "cb-name". */
static bool is_binding_name_char(unsigned char c)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '.' || c == '-';
}

/* gs2-cbind-flag "," */
static bool take_binding_flag(struct span *in, struct scram_first *out)
{
	out->binding_name = SPAN_EMPTY;
	if (span_take_char(in, 'n'))
		out->binding = SCRAM_CANNOT_BIND;
	else if (span_take_char(in, 'y'))
		out->binding = SCRAM_SAW_NO_PLUS;
	else if (span_take_char(in, 'p') && span_take_char(in, '=') &&
	         span_take_run(in, is_binding_name_char, &out->binding_name))
		out->binding = SCRAM_BINDS;
	else
		return false;
	return span_take_char(in, ',');
}

static bool take_gs2_header(struct span *in, struct scram_first *out)
{
	struct span start = *in;

	if (!take_binding_flag(in, out))
		return false;
	out->authzid = SPAN_EMPTY;
	(void)take_attribute(in, 'a', &out->authzid);
	if (!span_take_char(in, ','))
		return false;
	out->gs2_header = span_first(start, start.len - in->len);
	return true;
}

const char *scram_parse_first(struct span in, struct scram_first *out)
{
	struct span nonce, run;
	size_t at;

	if (in.len > SCRAM_FIRST_MAX || !utf8_valid(in) || span_find(in, '\0', &at))
		return "invalid-encoding";
	if (!take_gs2_header(&in, out))
		return "invalid-encoding";
	out->bare = in;
	if (span_starts(in, SPAN("m=")))
		return "extensions-not-supported"; /* RFC 5802 §5.1 */
	if (!take_attribute(&in, 'n', &out->username) || !span_take_char(&in, ',') ||
	        !take_attribute(&in, 'r', &out->nonce))
		return "invalid-encoding";
	nonce = out->nonce;
	if (nonce.len > SCRAM_NONCE_MAX || !span_take_run(&nonce, is_nonce_char, &run) || nonce.len > 0 ||
	        !extensions_ok(in))
		return "invalid-encoding";
	return NULL;
}

static bool decode_proof(struct span text, uint8_t proof[SCRAM_PROOF_LEN])
{
	struct buffer decoded;
	bool ok;

	buffer_init(&decoded, SCRAM_PROOF_LEN + 3);
	ok = text.len <= 44 && base64_decode(text, &decoded) && decoded.len == SCRAM_PROOF_LEN;
	if (ok)
		memcpy(proof, decoded.data, SCRAM_PROOF_LEN);
	buffer_free(&decoded);
	return ok;
}

const char *scram_parse_final(struct span in, struct scram_final *out)
{
	struct span proof;
	size_t at;

	if (in.len > SCRAM_FINAL_MAX || !utf8_valid(in) || span_find(in, '\0', &at))
		return "invalid-encoding";
	/* The proof is the last attribute, and no other value can begin after a comma with "p=". */
	if (!span_find_last(in, ',', &at))
		return "invalid-encoding";
	out->without_proof = span_first(in, at);
	proof = span_skip(in, at + 1);
	if (!span_take_char(&proof, 'p') || !span_take_char(&proof, '=') || !decode_proof(proof, out->proof))
		return "invalid-encoding";
	in = out->without_proof;
	if (!take_attribute(&in, 'c', &out->channel_binding) || !span_take_char(&in, ',') ||
	        !take_attribute(&in, 'r', &out->nonce) || !extensions_ok(in))
		return "invalid-encoding";
	return NULL;
}

bool scram_unescape(struct span name, struct buffer *out)
{
	while (name.len > 0) {
		if (!span_take_char(&name, '=')) {
			if (!buffer_append_char(out, name.ptr[0]))
				return false;
			name = span_skip(name, 1);
		} else if (span_starts(name, SPAN("2C")) || span_starts(name, SPAN("3D"))) {
			if (!buffer_append_char(out, name.ptr[0] == '2' ? ',' : '='))
				return false;
			name = span_skip(name, 2);
		} else {
			return false;
		}
	}
	return true;
}
