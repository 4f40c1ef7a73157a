#include "base/check.h"

#include "base/log.h"

#include <stdlib.h>

_Noreturn void check_failed(const char *condition, const char *file, int line)
{
	LOG(LOG_ERROR, "check.failed", LOG_TEXT("condition", condition), LOG_TEXT("file", file),
	        LOG_NUMBER("line", line));
	abort();
}
