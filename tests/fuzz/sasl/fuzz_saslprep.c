#include "base/check.h"
#include "base/utf8.h"
#include "sasl/saslprep.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was prepared is UTF-8, and stays as it is when it is prepared again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer once, twice;
	struct error err;

	buffer_init(&once, size * 12 + 1);
	buffer_init(&twice, size * 12 + 1);
	if (saslprep(span_make(data, size), &once, &err)) {
		CHECK(utf8_valid(buffer_span(&once)));
		CHECK(saslprep(buffer_span(&once), &twice, &err));
		CHECK(span_equal(buffer_span(&once), buffer_span(&twice)));
	} else {
		CHECK(err.code == ERR_BAD_VALUE);
	}
	buffer_free(&once);
	buffer_free(&twice);
	return 0;
}
