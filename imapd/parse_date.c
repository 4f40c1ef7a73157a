#include "imapd/parse_internal.h"

#include "base/macros.h"

static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov",
	"Dec" };

/* Exactly between min_digits and max_digits of them. */
static bool take_digits(struct span *in, size_t min_digits, size_t max_digits, uint32_t *out)
{
	struct span rest = *in, digits;

	if (!span_take_run(&rest, ascii_is_digit, &digits) || digits.len < min_digits || digits.len > max_digits)
		return false;
	return span_take_number(in, UINT32_MAX, out);
}

static bool take_month(struct span *in, uint32_t *month)
{
	for (uint32_t i = 0; i < ARRAY_LEN(months); i++) {
		if (span_take_word(in, months[i])) {
			*month = i + 1;
			return true;
		}
	}
	return false;
}

static uint32_t month_days(uint32_t year, uint32_t month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/* Days since 1970-01-01 in the Gregorian calendar; years begin in March here, so that the leap day is the last. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t from_march = (month + 9) % 12;

	year -= month <= 2;
	year += 400; /* year 0 begins before its March */
	return 365 * year + year / 4 - year / 100 + year / 400 + (153 * from_march + 2) / 5 + day - 1 - 719468 - 146097;
}

/* date-text = date-day "-" date-month "-" date-year */
static bool take_date_text(struct span *in, int64_t *days)
{
	uint32_t day, month, year;

	if (!take_digits(in, 1, 2, &day) || !span_take_char(in, '-') || !take_month(in, &month) ||
	        !span_take_char(in, '-') || !take_digits(in, 4, 4, &year))
		return false;
	if (day < 1 || day > month_days(year, month))
		return false;
	*days = days_of(year, month, day);
	return true;
}

bool parse_date(struct parser *p, int64_t *days)
{
	struct span in = p->in;
	bool quoted = span_take_char(&in, '"');

	if (!take_date_text(&in, days) || (quoted && !span_take_char(&in, '"')))
		return parse_expected(p, "a date as in 7-Feb-1994");
	p->in = in;
	return true;
}

/* time = 2DIGIT ":" 2DIGIT ":" 2DIGIT; a leap second is the next minute's first */
static bool take_time(struct span *in, int64_t *seconds)
{
	uint32_t hour, minute, second;

	if (!take_digits(in, 2, 2, &hour) || !span_take_char(in, ':') || !take_digits(in, 2, 2, &minute) ||
	        !span_take_char(in, ':') || !take_digits(in, 2, 2, &second))
		return false;
	*seconds = ((int64_t)hour * 60 + minute) * 60 + second;
	return hour < 24 && minute < 60 && second <= 60;
}

/* zone = ("+" / "-") 4DIGIT: hhmm east of Greenwich */
static bool take_zone(struct span *in, int64_t *seconds)
{
	bool west = span_take_char(in, '-');
	uint32_t hhmm;

	if ((!west && !span_take_char(in, '+')) || !take_digits(in, 4, 4, &hhmm) || hhmm / 100 > 23 || hhmm % 100 > 59)
		return false;
	*seconds = ((int64_t)(hhmm / 100) * 60 + hhmm % 100) * 60;
	if (west)
		*seconds = -*seconds;
	return true;
}

bool parse_date_time(struct parser *p, int64_t *unix_seconds)
{
	struct span in = p->in;
	int64_t days, seconds, zone;
	bool good = span_take_char(&in, '"');

	(void)span_take_char(&in, ' '); /* date-day-fixed; also without it */
	good = good && take_date_text(&in, &days) && span_take_char(&in, ' ') && take_time(&in, &seconds) &&
	       span_take_char(&in, ' ') && take_zone(&in, &zone) && span_take_char(&in, '"');
	if (!good)
		return parse_expected(p, "a date and time as in \" 7-Feb-1994 21:52:25 -0800\"");
	*unix_seconds = days * 86400 + seconds - zone;
	p->in = in;
	return true;
}
