/* The arguments of MAIL and RCPT. */
#include "smtpd/syntax/params.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_make(data, size);
	struct smtp_param params[SMTP_PARAMS_MAX];
	static const struct smtp_offers helo = { 0 }, ehlo = { .extended = true },
	                                all = { true, true, true, true, 1800000000000 };
	struct mail_args mail, strict;
	struct rcpt_args rcpt;
	struct error err;
	size_t count;

	if (smtp_params_parse(in, params, &count, &err))
		CHECK(count <= SMTP_PARAMS_MAX);
	if (parse_mail(in, &helo, &strict, &err)) /* what HELO allows, EHLO allows too, and means the same */
		CHECK(parse_mail(in, &all, &mail, &err) && !strict.has_size && !strict.smtputf8 && !mail.has_size);
	if (parse_mail(in, &ehlo, &mail, &err))
		CHECK(mail.sender.mailbox.len <= PATH_MAILBOX_MAX);
	if (parse_rcpt(in, &all, &rcpt, &err))
		CHECK(rcpt.recipient.mailbox.len > 0 && rcpt.recipient.mailbox.len <= PATH_MAILBOX_MAX);
	return 0;
}
