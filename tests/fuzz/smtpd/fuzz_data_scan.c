/* DATA: the scanner, fed in pieces of the fuzzer's choosing, against the plainest possible reading of RFC 5321 §4.5.2. */
#include "smtpd/syntax/data_scan.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct reading {
	char *text;
	size_t len;
	enum data_found found;
	size_t left;
};

/* Octet by octet, with all of the input at hand. */
static void read_plainly(struct span in, struct reading *out)
{
	size_t at = 0;

	out->len = 0;
	out->left = 0;
	for (bool start = true; at < in.len; at++) {
		char c = in.ptr[at];

		if (c == '\0' || c == '\n') {
			out->found = DATA_BAD;
			return;
		}
		if (start && c == '.') {
			struct span rest = span_skip(in, at + 1);

			start = false;
			if (span_starts(rest, SPAN("\r\n"))) {
				out->found = DATA_END;
				out->left = rest.len - 2;
				return;
			}
			if (rest.len == 1 && rest.ptr[0] == '\r') /* open: perhaps the end */
				break;
			continue;
		}
		start = false;
		out->text[out->len++] = c;
		if (c != '\r' || at + 1 == in.len)
			continue;
		if (in.ptr[at + 1] != '\n') {
			out->found = DATA_BAD;
			return;
		}
		out->text[out->len++] = '\n';
		at++;
		start = true;
	}
	out->found = DATA_MORE;
}

static void read_in_pieces(struct span in, uint8_t piece, struct reading *out)
{
	struct data_scan scan;
	struct span text;

	data_scan_init(&scan);
	out->len = 0;
	out->found = DATA_MORE;
	while (in.len > 0 && out->found == DATA_MORE) {
		struct span now = span_first(in, (size_t)piece + 1);
		size_t len = now.len;

		while ((out->found = data_scan_next(&scan, &now, &text)) == DATA_TEXT) {
			CHECK(text.len > 0);
			memcpy(out->text + out->len, text.ptr, text.len);
			out->len += text.len;
		}
		in = span_skip(in, len - now.len);
	}
	out->left = in.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reading plain, pieces;
	struct span in;

	if (size < 1)
		return 0;
	in = span_make(data + 1, size - 1);
	plain.text = malloc(size + 1);
	pieces.text = malloc(size + 1);
	read_plainly(in, &plain);
	read_in_pieces(in, data[0], &pieces);
	CHECK(plain.found == pieces.found);
	if (plain.found != DATA_BAD)
		CHECK(plain.len == pieces.len && memcmp(plain.text, pieces.text, plain.len) == 0);
	if (plain.found == DATA_END)
		CHECK(plain.left == pieces.left);
	free(plain.text);
	free(pieces.text);
	return 0;
}
