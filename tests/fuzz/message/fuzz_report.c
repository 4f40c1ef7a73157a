/* Whatever other servers say and senders write: a report is well-formed lines, and what is rewritten by SRS comes back. */
#include "message/report.h"
#include "message/srs.h"
#include "message/xtext.h"

#include "base/check.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t secret[SRS_SECRET_LEN] = { 7 };

static void one_report(struct span a, struct span b, struct span c, unsigned bits)
{
	struct report_recipient recipient = { .action = (enum report_action)(bits % 5),
		.address = span_first(a, 320),
		.orcpt = span_first(b, 500),
		.status = SPAN("5.0.0"),
		.remote_host = span_first(c, 255),
		.diagnostic = b,
		.reason = c };
	struct report report = { .hostname = SPAN("h.example"),
		.to = span_first(c, 320),
		.message_id = SPAN("x@h.example"),
		.envid = span_first(a, 100),
		.recipients = &recipient,
		.recipient_count = 1,
		.utf8 = bits & 8,
		.original_header = b,
		.subject = a };
	struct buffer head, tail;
	struct error err;

	buffer_init(&head, REPORT_TEXT_MAX);
	buffer_init(&tail, REPORT_TEXT_MAX);
	CHECK(report_write(&report, &head, &tail, &err));
	for (size_t i = 0; i < head.len; i++)
		CHECK(head.data[i] != '\n' || (i > 0 && head.data[i - 1] == '\r'));
	buffer_free(&head);
	buffer_free(&tail);
}

static void one_address(struct span sender)
{
	char out[600], back[600];
	struct error err;
	size_t at;

	if (!srs_forward(secret, sender, SPAN("ours.example"), 1000000000, out, sizeof(out), &err))
		return;
	CHECK(span_find_last(span_of(out), '@', &at));
	CHECK(srs_reverse(secret, span_first(span_of(out), at), 1000000000, back, sizeof(back), &err));
	CHECK(strncmp(out, "SRS1", 4) == 0 || span_equal(span_of(back), sender));
}

static void one_xtext(struct span text)
{
	struct buffer coded, back;

	buffer_init(&coded, 4 * MIB);
	buffer_init(&back, 4 * MIB);
	(void)xtext_decode(text, &back);
	buffer_clear(&back);
	CHECK(xtext_encode(text, &coded));
	if (memchr(text.ptr, '\\', text.len) == NULL) {
		CHECK(xtext_decode(buffer_span(&coded), &back));
		CHECK(span_equal(buffer_span(&back), text));
	}
	buffer_free(&coded);
	buffer_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span all = span_make(data, size), a, b;
	struct error err;
	char out[600];

	if (size == 0)
		return 0;
	one_xtext(all);
	one_address(all);
	(void)srs_reverse(secret, all, 1000000000, out, sizeof(out), &err);
	if (span_take_until(&all, '|', &a) && span_take_until(&all, '|', &b))
		one_report(a, b, all, data[0]);
	return 0;
}
