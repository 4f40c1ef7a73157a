#include "base/check.h"
#include "sasl/plain.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What parses has the three parts in order, and nothing else. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct plain_message got;

	if (!plain_parse(span_make(data, size), &got))
		return 0;
	CHECK(got.authzid.len + 1 + got.authcid.len + 1 + got.passwd.len == size);
	CHECK(got.authzid.ptr == (const char *)data);
	CHECK(got.passwd.ptr + got.passwd.len == (const char *)data + size);
	CHECK(got.authcid.len > 0 && got.passwd.len > 0);
	return 0;
}
