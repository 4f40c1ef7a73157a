/* Paths: what is taken is inside the input, within its limits, and reads the same again when written plainly. */
#include "smtpd/syntax/path.h"

#include "base/check.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(struct span in, struct span rest, const struct smtp_path *path)
{
	struct smtp_path again;
	struct error err;

	CHECK(rest.len < in.len && rest.ptr + rest.len == in.ptr + in.len);
	CHECK(path->local_len <= PATH_LOCAL_MAX && path->mailbox.len <= PATH_MAILBOX_MAX);
	CHECK(path->utf8 == !utf8_is_ascii(path->mailbox) && utf8_valid(path->mailbox));
	for (size_t i = 0; i < path->mailbox.len; i++)
		CHECK((unsigned char)path->mailbox.ptr[i] >= 32 && path->mailbox.ptr[i] != 127);
	if (path->domain.len == 0)
		return; /* "<>", "<Postmaster>" */
	CHECK(path->literal ? address_literal_is_valid(path->domain) : domain_is_valid(path->domain));
	CHECK(path_parse_mailbox(path->mailbox, &again, &err));
	CHECK(span_equal(path_local(&again), path_local(path)) && span_equal(again.domain, path->domain));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = span_make(data, size), rest = in;
	struct smtp_path path;
	struct error err;

	if (path_take_forward(&rest, &path, &err))
		check_path(in, rest, &path);
	else
		CHECK(rest.len == in.len);
	rest = in;
	if (path_take_reverse(&rest, &path, &err))
		check_path(in, rest, &path);
	else
		CHECK(rest.len == in.len);
	(void)path_parse_mailbox(in, &path, &err);
	CHECK(!(domain_is_valid(in) && address_literal_is_valid(in)));
	return 0;
}
