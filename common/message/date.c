#include "message/date.h"

#include <stdio.h>
#include <string.h>

#define DAY_SECONDS 86400

static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov",
	"Dec" };
static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

/* RFC 5322 §4.3; military letters count as "-0000". */
static const struct zone {
	const char *name;
	int minutes;
} zones[] = {
	{ "UT", 0 },
	{ "UTC", 0 },
	{ "GMT", 0 },
	{ "EDT", -4 * 60 },
	{ "EST", -5 * 60 },
	{ "CDT", -5 * 60 },
	{ "CST", -6 * 60 },
	{ "MDT", -6 * 60 },
	{ "MST", -7 * 60 },
	{ "PDT", -7 * 60 },
	{ "PST", -8 * 60 },
	/* not in the RFC, but in mail */
	{ "BST", 60 },
	{ "CET", 60 },
	{ "MET", 60 },
	{ "CEST", 2 * 60 },
	{ "EET", 2 * 60 },
	{ "EEST", 3 * 60 },
	{ "JST", 9 * 60 },
};

struct fields {
	uint32_t day, month, year, hour, minute, second;
	size_t year_digits;
	int zone;
};

/* Skips blanks, folds and comments (RFC 5322 §3.2.2 CFWS), and commas, which stand in many wrong places. */
static void skip_filler(struct span *in)
{
	unsigned depth = 0;

	while (in->len > 0) {
		char c = in->ptr[0];

		if (depth > 0 && c == '\\' && in->len > 1)
			*in = span_skip(*in, 1);
		else if (c == '(')
			depth++;
		else if (c == ')' && depth > 0)
			depth--;
		else if (depth == 0 && (c == '\0' || strchr(" \t\r\n,", c) == NULL))
			return;
		*in = span_skip(*in, 1);
	}
}

static bool take_letters(struct span *in, struct span *word)
{
	return span_take_run(in, ascii_is_alpha, word);
}

static bool find_name(struct span word, const char (*names)[4], size_t count, uint32_t *index)
{
	for (uint32_t i = 0; i < count; i++)
		if (word.len >= 3 && span_equal_nocase(span_first(word, 3), span_of(names[i]))) {
			*index = i;
			return true;
		}
	return false;
}

static bool take_number(struct span *in, uint32_t max, uint32_t *out)
{
	skip_filler(in);
	return span_take_number(in, max, out);
}

static bool take_month(struct span *in, uint32_t *month)
{
	struct span word;
	struct span rest;

	skip_filler(in);
	rest = *in;
	if (!take_letters(&rest, &word) || !find_name(word, month_names, 12, month))
		return false;
	*in = rest;
	return true;
}

static bool take_year(struct span *in, struct fields *f)
{
	struct span before;

	skip_filler(in);
	before = *in;
	if (!span_take_number(in, 9999, &f->year))
		return false;
	f->year_digits = before.len - in->len;
	return true;
}

static void take_dash(struct span *in)
{
	skip_filler(in);
	(void)(span_take_char(in, '-') || span_take_char(in, '/'));
}

/* hour ":" minute [ ":" second ], with CFWS around the colons (RFC 5322 §4.3) */
static bool take_time(struct span *in, struct fields *f)
{
	if (!take_number(in, 24, &f->hour))
		return false;
	skip_filler(in);
	if (!span_take_char(in, ':') && !span_take_char(in, '.'))
		return false;
	if (!take_number(in, 59, &f->minute))
		return false;
	f->second = 0;
	skip_filler(in);
	if (span_take_char(in, ':') || span_take_char(in, '.'))
		return take_number(in, 60, &f->second);
	return true;
}

static int zone_by_name(struct span word)
{
	for (size_t i = 0; i < ARRAY_LEN(zones); i++)
		if (span_equal_nocase(word, span_of(zones[i].name)))
			return zones[i].minutes;
	return 0;
}

/* RFC 5322 §3.3 zone, §4.3 obs-zone. A zone that cannot be understood counts as UTC. */
static void take_zone(struct span *in, int *minutes)
{
	struct span word;
	uint32_t number;
	bool west;

	*minutes = 0;
	skip_filler(in);
	if (take_letters(in, &word)) {
		*minutes = zone_by_name(word);
		if (*minutes != 0)
			return;
	}
	west = span_take_char(in, '-');
	if (!west && !span_take_char(in, '+'))
		return;
	if (!span_take_number(in, 9999, &number) || number % 100 > 59)
		return;
	*minutes = (int)(number / 100 * 60 + number % 100);
	if (west)
		*minutes = -*minutes;
}

/* Days since 1970-01-01 of a date in the Gregorian calendar. */
static int64_t days_of(int64_t year, uint32_t month, uint32_t day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + (int64_t)day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static uint32_t days_in_month(uint32_t year, uint32_t month)
{
	static const uint32_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		return 29;
	return days[month - 1];
}

/* RFC 5322 §4.3: 00-49 is 2000 and later, 50-99 and three digits are 1900 and later. */
static uint32_t full_year(const struct fields *f)
{
	if (f->year_digits == 2)
		return f->year < 50 ? f->year + 2000 : f->year + 1900;
	if (f->year_digits == 3)
		return f->year + 1900;
	return f->year;
}

static bool finish(struct fields *f, struct message_date *out)
{
	uint32_t year = full_year(f);

	f->month++;
	if (f->year_digits < 2 || f->day < 1 || f->day > days_in_month(year, f->month) || f->hour > 23)
		return false;
	out->unix_seconds = days_of(year, f->month, f->day) * DAY_SECONDS + (int64_t)f->hour * 3600 +
	                    (int64_t)f->minute * 60 + (int64_t)f->second - (int64_t)f->zone * 60;
	out->zone_minutes = f->zone;
	return true;
}

/* day month year time zone */
static bool parse_usual(struct span in, struct fields *f)
{
	if (!take_number(&in, 31, &f->day))
		return false;
	take_dash(&in);
	if (!take_month(&in, &f->month))
		return false;
	take_dash(&in);
	if (!take_year(&in, f) || !take_time(&in, f))
		return false;
	take_zone(&in, &f->zone);
	return true;
}

/* asctime(): month day time [zone] year */
static bool parse_asctime(struct span in, struct fields *f)
{
	struct span word;

	if (!take_month(&in, &f->month) || !take_number(&in, 31, &f->day) || !take_time(&in, f))
		return false;
	skip_filler(&in);
	f->zone = take_letters(&in, &word) ? zone_by_name(word) : 0;
	return take_year(&in, f);
}

bool date_parse(struct span value, struct message_date *out)
{
	struct span in = span_first(value, DATE_VALUE_MAX);
	struct span rest;
	struct span word;
	uint32_t day_name;
	struct fields f = { 0 };

	skip_filler(&in);
	rest = in;
	if (take_letters(&rest, &word) && find_name(word, day_names, 7, &day_name)) {
		in = rest;
		skip_filler(&in);
		(void)span_take_char(&in, '.');
	}
	if (!parse_usual(in, &f) && !parse_asctime(in, &f))
		return false;
	return finish(&f, out);
}

bool date_format(int64_t unix_seconds, struct buffer *out)
{
	int64_t days = unix_seconds / DAY_SECONDS - (unix_seconds % DAY_SECONDS < 0);
	int64_t seconds = unix_seconds - days * DAY_SECONDS;
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t day_of_era = z - era * 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t shifted_month = (5 * day_of_year + 2) / 153; /* 0 is March */
	int64_t month = shifted_month < 10 ? shifted_month + 2 : shifted_month - 10;
	int64_t year = year_of_era + era * 400 + (month <= 1);
	int64_t day_name = ((days + 4) % 7 + 7) % 7;

	return buffer_printf(out, "%s, %02d %s %04d %02d:%02d:%02d +0000", day_names[day_name],
	        (int)(day_of_year - (153 * shifted_month + 2) / 5 + 1), month_names[month], (int)year,
	        (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60));
}
