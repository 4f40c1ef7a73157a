/* smtpd/syntax/date_time.c — RFC 3339 §5.6, as HOLDUNTIL has it. */
#include "smtpd/syntax/params.h"

#include "base/span.h"

#define DAY_SECONDS 86400

struct moment {
	uint32_t year, month, day, hour, minute, second;
};

static bool take_digits(struct span *in, size_t count, uint32_t max, uint32_t *out)
{
	struct span digits = span_first(*in, count);
	uint64_t number;

	if (digits.len != count || !span_number(digits, max, &number))
		return false;
	*in = span_skip(*in, count);
	*out = (uint32_t)number;
	return true;
}

static bool is_leap(uint32_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static uint32_t days_of(uint32_t year, uint32_t month)
{
	static const uint32_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

static bool take_moment(struct span *in, struct moment *m)
{
	bool ok = take_digits(in, 4, 9999, &m->year) && span_take_char(in, '-') && take_digits(in, 2, 12, &m->month) &&
	          span_take_char(in, '-') && take_digits(in, 2, 31, &m->day) && span_take_word(in, "T") &&
	          take_digits(in, 2, 23, &m->hour) && span_take_char(in, ':') && take_digits(in, 2, 59, &m->minute) &&
	          span_take_char(in, ':') && take_digits(in, 2, 60, &m->second); /* a leap second */

	return ok && m->year >= 1970 && m->month >= 1 && m->day >= 1 && m->day <= days_of(m->year, m->month);
}

/* "Z" or "+hh:mm": minutes east of UTC. */
static bool take_zone(struct span *in, int *minutes)
{
	uint32_t hour, minute;
	bool west;

	*minutes = 0;
	if (span_take_word(in, "Z"))
		return true;
	west = span_take_char(in, '-');
	if ((!west && !span_take_char(in, '+')) || !take_digits(in, 2, 23, &hour) || !span_take_char(in, ':') ||
	        !take_digits(in, 2, 59, &minute))
		return false;
	*minutes = (int)(hour * 60 + minute) * (west ? -1 : 1);
	return true;
}

static bool is_digit(unsigned char c)
{
	return ascii_is_digit(c);
}

bool parse_date_time(struct span text, int64_t *unix_seconds)
{
	struct span fraction;
	struct moment m;
	int64_t days = 0;
	int zone;

	if (!take_moment(&text, &m) || (span_take_char(&text, '.') && !span_take_run(&text, is_digit, &fraction)) ||
	        !take_zone(&text, &zone) || text.len > 0)
		return false;
	for (uint32_t year = 1970; year < m.year; year++)
		days += is_leap(year) ? 366 : 365;
	for (uint32_t month = 1; month < m.month; month++)
		days += days_of(m.year, month);
	days += m.day - 1;
	*unix_seconds = days * DAY_SECONDS + (int64_t)m.hour * 3600 + m.minute * 60 + m.second - zone * 60;
	return true;
}

bool date_time_write(int64_t unix_seconds, struct buffer *out)
{
	int64_t days = unix_seconds / DAY_SECONDS, rest = unix_seconds % DAY_SECONDS;
	uint32_t year = 1970, month = 1;

	for (; days >= (is_leap(year) ? 366 : 365); year++)
		days -= is_leap(year) ? 366 : 365;
	for (; days >= days_of(year, month); month++)
		days -= days_of(year, month);
	return buffer_printf(out, "%04u-%02u-%02uT%02u:%02u:%02uZ", year, month, (unsigned)days + 1,
	        (unsigned)(rest / 3600), (unsigned)(rest / 60 % 60), (unsigned)(rest % 60));
}
