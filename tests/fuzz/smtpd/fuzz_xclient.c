/* The arguments of XCLIENT: what is taken is within its limits and one printable word. */
#include "smtpd/syntax/xclient.h"

#include "base/check.h"
#include "base/utf8.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const struct xclient_text *text)
{
	size_t len = strlen(text->value);

	CHECK((text->said == XCLIENT_SAID) == (len > 0) && len <= XCLIENT_VALUE_MAX &&
	        utf8_valid(span_of(text->value)));
	for (size_t i = 0; i < len; i++)
		CHECK((unsigned char)text->value[i] > 32 && text->value[i] != 127);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xclient_args args;
	struct error err;

	if (!xclient_parse(span_make(data, size), &args, &err)) {
		CHECK(err.code == ERR_SYNTAX || err.code == ERR_BAD_VALUE);
		return 0;
	}
	check_text(&args.helo);
	check_text(&args.login);
	if (args.address_said == XCLIENT_SAID)
		CHECK(args.address.ss_family == AF_INET || args.address.ss_family == AF_INET6);
	return 0;
}
