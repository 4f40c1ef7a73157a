/* common/message/charset_table.h — the labels we know, and what each is converted by. Any thread. */
#ifndef MESSAGE_CHARSET_TABLE_H
#define MESSAGE_CHARSET_TABLE_H

#include "base/span.h"

enum charset_method {
	CHARSET_UTF8,
	CHARSET_ASCII,        /* says it has no 8-bit text; what there is is UTF-8 or windows-1252 */
	CHARSET_WINDOWS_1252, /* also everything called ISO-8859-1 */
	CHARSET_ICONV,
};

struct charset {
	const char *label; /* lower case */
	enum charset_method method;
	const char *iconv_name;
};

const struct charset *charset_find(struct span label); /* NULL: unknown */
const struct charset *charset_at(size_t index);        /* NULL behind the last; for tests */

#endif
