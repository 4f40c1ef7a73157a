#include "base/check.h"
#include "sasl/auth_client.h"
#include "sasl/login.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (login_field_ok(span_make(data, size), AUTH_LOGIN_MAX))
		CHECK(size > 0 && size <= AUTH_LOGIN_MAX && memchr(data, '\0', size) == NULL);
	return 0;
}
