/* common/message/date.h — RFC 5322 §3.3 dates, with the obsolete forms of §4.3. Any thread. */
#ifndef MESSAGE_DATE_H
#define MESSAGE_DATE_H

#include "base/buffer.h"

#define DATE_VALUE_MAX 1024 /* octets of a Date: value that are looked at */

struct message_date {
	int64_t unix_seconds;
	int zone_minutes; /* east of UTC; 0 also for an unknown zone (RFC 5322 §4.3: "-0000") */
};

/* Reads "[day-name,] day month year hh:mm[:ss] zone" with comments and folds anywhere; two- and three-digit years, zone
 * names, a missing zone (taken as UTC), asctime order and dashes between day, month and year are accepted.
 * False when it is no date; *out is then as it was. */
bool date_parse(struct span value, struct message_date *out);

/* Appends "Sat, 21 Nov 2026 10:41:08 +0000", always UTC, no line end. False when out is full. Years 0 to 9999. */
bool date_format(int64_t unix_seconds, struct buffer *out);

#endif
