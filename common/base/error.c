#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	const char *meaning;
} codes[] = {
#define ERROR_ROW(code, meaning) [code] = { #code, meaning },
	ERROR_CODES(ERROR_ROW)
#undef ERROR_ROW
};

bool error_set(struct error *err, enum error_code code, const char *reason_format, ...)
{
	va_list args;

	err->code = code;
	err->detail[0] = '\0';
	va_start(args, reason_format);
	vsnprintf(err->reason, sizeof(err->reason), reason_format, args);
	va_end(args);
	return false;
}

bool error_detail(struct error *err, enum error_code code, const char *detail_format, ...)
{
	va_list args;

	err->code = code;
	snprintf(err->reason, sizeof(err->reason), "%s", error_meaning(code));
	va_start(args, detail_format);
	vsnprintf(err->detail, sizeof(err->detail), detail_format, args);
	va_end(args);
	return false;
}

static enum error_code code_of_errno(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT: return ERR_NO_SPACE;
	case ENOMEM: return ERR_NO_MEMORY;
	default: return ERR_IO;
	}
}

bool error_errno(struct error *err, int errnum, const char *what)
{
	char text[96];

	return error_detail(err, code_of_errno(errnum), "%s: %s", what, strerror_r(errnum, text, sizeof(text)));
}

void error_clear(struct error *err)
{
	*err = (struct error) { .code = ERR_NONE };
}

const char *error_name(enum error_code code)
{
	return code < ERROR_CODE_COUNT ? codes[code].name : "ERR_UNKNOWN";
}

const char *error_meaning(enum error_code code)
{
	return code < ERROR_CODE_COUNT ? codes[code].meaning : "unknown error";
}
