/* imapd/fetch_put.h — numbers into a response, without a format string: 100,000 messages have half a million of them. Any thread. */
#ifndef IMAPD_FETCH_PUT_H
#define IMAPD_FETCH_PUT_H

#include "base/buffer.h"

static inline bool fetch_put_number(struct buffer *out, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) > 0);
	return buffer_append(out, digits + at, sizeof(digits) - at);
}

#endif
