/* A date that was read, written and read again is the same moment. */
#include "message/date.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message_date date, again;
	struct buffer text;

	if (!date_parse(span_make(data, size), &date))
		return 0;
	buffer_init(&text, 100);
	CHECK(date_format(date.unix_seconds, &text));
	/* a year that the zone moves out of 0000 to 9999 cannot be written with four digits */
	if (date.unix_seconds > -62167219200 && date.unix_seconds < 253402300800) {
		CHECK(date_parse(buffer_span(&text), &again));
		CHECK(again.unix_seconds == date.unix_seconds);
	}
	buffer_free(&text);
	return 0;
}
