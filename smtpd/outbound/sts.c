/* The parsers of MTA-STS (RFC 8461): records, policies, names. Pure; what asks and fetches is in sts_find.c and sts_fetch.c. */
#include "smtpd/outbound/tls_policy.h"

#include <string.h>

#define STS_MAX_AGE     31557600u /* RFC 8461 §3.2 */
#define STS_AGE_DIGITS  10        /* the same */
#define STS_ID_LEN_MAX  32        /* RFC 8461 §3.1 */
#define STS_LINE_MAX    512
#define STS_LINES_MAX   1000
#define STS_VERSION     "STSv1"
#define STS_VERSION_TAG "v=STSv1"

/* --- TXT -------------------------------------------------------------------------------------------------------- */

static struct span trim_blanks(struct span s)
{
	while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
		s = span_skip(s, 1);
	while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
		s.len--;
	return s;
}

/* Case matters (RFC 8461 §3.1: %s"v=STSv1"). */
static bool is_sts_record(struct span record)
{
	struct span rest;

	if (!span_starts(record, SPAN(STS_VERSION_TAG)))
		return false;
	rest = trim_blanks(span_skip(record, sizeof(STS_VERSION_TAG) - 1));
	return rest.len == 0 || rest.ptr[0] == ';';
}

static bool id_is_valid(struct span id)
{
	if (id.len == 0 || id.len > STS_ID_LEN_MAX)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (!ascii_is_alnum((unsigned char)id.ptr[i]))
			return false;
	return true;
}

static bool take_field(struct span *in, struct span *name, struct span *value)
{
	struct span field;
	size_t at;

	if (!span_take_until(in, ';', &field)) {
		field = *in;
		*in = SPAN_EMPTY;
	}
	field = trim_blanks(field);
	if (!span_find(field, '=', &at))
		return false;
	*name = span_first(field, at);
	*value = span_skip(field, at + 1);
	return true;
}

bool sts_parse_records(const struct span *records, size_t count, char *id, size_t id_size)
{
	struct span found = SPAN_EMPTY, name, value;
	size_t seen = 0;

	for (size_t i = 0; i < count; i++)
		if (is_sts_record(records[i])) {
			found = records[i];
			seen++;
		}
	if (seen != 1) /* RFC 8461 §3.1: with more than one, as if there were none */
		return false;
	while (found.len > 0)
		if (take_field(&found, &name, &value) && span_equal(name, SPAN("id")))
			return id_is_valid(value) && span_copy(value, id, id_size);
	return false;
}

/* --- the policy file -------------------------------------------------------------------------------------------- */

struct reading {
	bool version, mode, max_age;
};

static bool bad(struct error *err, const char *what)
{
	return error_set(err, ERR_SYNTAX, "MTA-STS policy: %s", what);
}

static bool label_is_valid(struct span label)
{
	if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++)
		if (!ascii_is_alnum((unsigned char)label.ptr[i]) && label.ptr[i] != '-' && label.ptr[i] != '_')
			return false;
	return true;
}

/* A host name; "*." may stand in front (RFC 8461 §3.2: one wildcard, the leftmost label). */
static bool pattern_is_valid(struct span pattern)
{
	struct span label;

	if (pattern.len > STS_MX_NAME_MAX)
		return false;
	if (span_starts(pattern, SPAN("*.")))
		pattern = span_skip(pattern, 2);
	if (pattern.len > 0 && pattern.ptr[pattern.len - 1] == '.')
		pattern.len--;
	while (span_take_until(&pattern, '.', &label))
		if (!label_is_valid(label))
			return false;
	return label_is_valid(pattern);
}

static bool add_mx(struct sts_policy *out, struct span value, struct error *err)
{
	if (!pattern_is_valid(value))
		return bad(err, "an mx is no name");
	if (out->mx_count == STS_MX_MAX)
		return bad(err, "too many mx");
	(void)span_copy(value, out->mx[out->mx_count++], sizeof(out->mx[0])); /* fits: pattern_is_valid() */
	return true;
}

static bool set_version(struct reading *seen, struct span value, struct error *err)
{
	seen->version = true;
	return span_equal(value, SPAN(STS_VERSION)) || bad(err, "another version");
}

static bool set_mode(struct sts_policy *out, struct reading *seen, struct span value, struct error *err)
{
	seen->mode = true;
	if (span_equal(value, SPAN("enforce")))
		out->mode = STS_ENFORCE;
	else if (span_equal(value, SPAN("testing")))
		out->mode = STS_TESTING;
	else if (span_equal(value, SPAN("none")))
		out->mode = STS_NONE;
	else
		return bad(err, "an unknown mode");
	return true;
}

static bool set_max_age(struct sts_policy *out, struct reading *seen, struct span value, struct error *err)
{
	uint64_t seconds;

	seen->max_age = true;
	if (value.len > STS_AGE_DIGITS || !span_number(value, UINT64_MAX, &seconds))
		return bad(err, "max_age is no number");
	out->max_age = seconds > STS_MAX_AGE ? STS_MAX_AGE : (uint32_t)seconds;
	return true;
}

/* Keys that are not known are passed over; of a key that comes twice the first counts (RFC 8461 §3.2). */
static bool take_line(struct sts_policy *out, struct reading *seen, struct span line, struct error *err)
{
	struct span key, value;
	size_t at;

	if (line.len > STS_LINE_MAX)
		return bad(err, "a line is too long");
	if (line.len == 0)
		return true;
	if (!span_find(line, ':', &at) || at == 0)
		return bad(err, "a line is no \"key: value\"");
	key = trim_blanks(span_first(line, at));
	value = trim_blanks(span_skip(line, at + 1));
	if (span_equal(key, SPAN("version")))
		return seen->version || set_version(seen, value, err);
	if (span_equal(key, SPAN("mode")))
		return seen->mode || set_mode(out, seen, value, err);
	if (span_equal(key, SPAN("max_age")))
		return seen->max_age || set_max_age(out, seen, value, err);
	if (span_equal(key, SPAN("mx")))
		return add_mx(out, value, err);
	return true;
}

bool sts_parse_policy(struct span text, struct sts_policy *out, struct error *err)
{
	struct reading seen = { false, false, false };
	struct span line;
	size_t lines = 0;

	memset(out, 0, sizeof(*out));
	while (text.len > 0) {
		if (!span_take_until(&text, '\n', &line)) {
			line = text;
			text = SPAN_EMPTY;
		}
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (++lines > STS_LINES_MAX)
			return bad(err, "too many lines");
		if (!take_line(out, &seen, line, err))
			return false;
	}
	if (!seen.version || !seen.mode || !seen.max_age)
		return bad(err, "version, mode or max_age is missing");
	if (out->mode != STS_NONE && out->mx_count == 0)
		return bad(err, "no mx");
	return true;
}

/* --- names ------------------------------------------------------------------------------------------------------ */

static struct span without_dot(struct span name)
{
	if (name.len > 0 && name.ptr[name.len - 1] == '.')
		name.len--;
	return name;
}

static bool pattern_matches(struct span pattern, struct span host)
{
	size_t at;

	if (!span_starts(pattern, SPAN("*.")))
		return span_equal_nocase(pattern, host);
	if (!span_find(host, '.', &at) || at == 0)
		return false;
	return span_equal_nocase(span_skip(pattern, 1), span_skip(host, at)); /* ".example.net" */
}

bool sts_matches(const struct sts_policy *policy, struct span host)
{
	host = without_dot(host);
	for (size_t i = 0; i < policy->mx_count; i++)
		if (host.len > 0 && pattern_matches(without_dot(span_of(policy->mx[i])), host))
			return true;
	return false;
}
