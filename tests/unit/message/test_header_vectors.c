/* The headers/ and addresses/ vectors: what mail-parser 0.x makes of field values, and which addresses isemail calls valid. Both
 * are one opinion of malformed input; where ours is another, a row of header_vectors_table.h (or `stricter` and `laxer` below)
 * says what it is and why. A row that is not needed any more fails the test. */
#include "vectors.h"

#include "message/address.h"
#include "message/date.h"
#include "message/encoded_word.h"
#include "message/header.h"
#include "message/message_id.h"
#include "message/params.h"

#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct difference {
	const char *file;
	size_t index;
	const char *ours; /* compact JSON */
	const char *why;
};

static const struct difference differences[] = {
#include "header_vectors_table.h"
};

static bool used[sizeof(differences) / sizeof(differences[0])];

static json_t *json_of(struct span s)
{
	return s.ptr == NULL ? json_null() : json_stringn(s.ptr, s.len);
}

static json_t *lower_json(struct span s)
{
	struct buffer text;
	json_t *value;

	buffer_init(&text, MIB);
	for (size_t i = 0; i < s.len; i++)
		buffer_append_char(&text, ascii_lower(s.ptr[i]));
	value = s.ptr == NULL ? json_null() : json_stringn(buffer_text(&text), text.len);
	buffer_free(&text);
	return value;
}

static json_t *decoded(struct span s)
{
	struct buffer text;
	json_t *value;

	if (s.ptr == NULL)
		return json_null();
	buffer_init(&text, MIB);
	assert_true(encoded_word_decode(s, &text));
	value = json_stringn(buffer_text(&text), text.len);
	buffer_free(&text);
	return value;
}

static json_t *address_json(const struct address *address)
{
	struct buffer text;
	json_t *value;

	buffer_init(&text, MIB);
	if (address->route.ptr != NULL)
		buffer_printf(&text, "%.*s:", SPAN_FMT(address->route));
	buffer_append_span(&text, address->mailbox);
	if (address->host.ptr != NULL)
		buffer_printf(&text, "@%.*s", SPAN_FMT(address->host));
	value = json_pack("{s:o, s:o}", "name", decoded(address->name), "address",
	        text.len == 0 ? json_null() : json_stringn(text.data, text.len));
	buffer_free(&text);
	return value;
}

/* As the vectors have it: a List, or when there is a group a list of groups, the one without name for the rest. */
static json_t *addresses_json(struct span field)
{
	json_t *list = json_array();
	json_t *groups = json_array();
	json_t *current = NULL;
	struct address_list addresses;

	address_list_init(&addresses);
	assert_true(address_list_parse(&addresses, field));
	for (size_t i = 0; i < addresses.count; i++) {
		const struct address *address = &addresses.items[i];

		if (address->kind == ADDRESS_GROUP_START) {
			if (json_array_size(list) > 0)
				json_array_append_new(
				        groups, json_pack("{s:n, s:o}", "name", "addresses", json_deep_copy(list)));
			json_array_clear(list);
			current = json_array();
			json_array_append_new(
			        groups, json_pack("{s:o, s:o}", "name", decoded(address->name), "addresses", current));
		} else if (address->kind == ADDRESS_GROUP_END) {
			current = NULL;
		} else {
			json_array_append_new(current != NULL ? current : list, address_json(address));
		}
	}
	address_list_free(&addresses);
	if (json_array_size(groups) == 0) {
		json_decref(groups);
		return json_pack("{s:o}", "List", list);
	}
	if (json_array_size(list) > 0)
		json_array_append_new(groups, json_pack("{s:n, s:O}", "name", "addresses", list));
	json_decref(list);
	return json_pack("{s:o}", "Group", groups);
}

static json_t *param_json(const struct mime_param *param, const struct mime_params *all)
{
	struct span name = param->name;
	struct buffer text;
	json_t *value;

	if (name.len > 1 && name.ptr[name.len - 1] == '*')
		name.len--;
	buffer_init(&text, MIB);
	if (name.len < param->name.len)
		assert_true(params_decode(all, name, &text));
	else
		assert_true(encoded_word_decode(param->value, &text));
	value = json_pack("[o, o]", lower_json(name), json_stringn(buffer_text(&text), text.len));
	buffer_free(&text);
	return value;
}

static json_t *content_type_json(struct span field)
{
	json_t *list = json_array();
	struct mime_params params;
	struct span type, subtype;
	struct arena arena;
	json_t *value;

	arena_init(&arena, MIB);
	assert_true(params_parse_content_type(&arena, field, &type, &subtype, &params));
	if (type.ptr == NULL) /* the file has values of Content-Disposition too */
		assert_true(params_parse_disposition(&arena, field, &type, &params));
	if (type.ptr == NULL) {
		json_decref(list);
		arena_free(&arena);
		return json_null();
	}
	for (size_t i = 0; i < params.count; i++)
		json_array_append_new(list, param_json(&params.items[i], &params));
	if (params.count == 0) {
		json_decref(list);
		list = json_null();
	}
	value = json_pack(
	        "{s:o, s:o, s:o}", "c_type", lower_json(type), "c_subtype", lower_json(subtype), "attributes", list);
	arena_free(&arena);
	return value;
}

/* Without the language of RFC 2231, which we do not keep, and with "attributes" always there. */
static json_t *expected_content_type(const json_t *expected)
{
	json_t *copy = json_deep_copy(expected);
	json_t *attributes = json_object_get(copy, "attributes");

	for (size_t i = json_array_size(attributes); i > 0; i--) {
		struct span name = span_of(json_string_value(json_array_get(json_array_get(attributes, i - 1), 0)));

		if (span_ends_nocase(name, SPAN("-language")))
			json_array_remove(attributes, i - 1);
	}
	if (json_is_object(copy) && attributes == NULL)
		json_object_set_new(copy, "attributes", json_null());
	return copy;
}

/* The vectors' fields as one moment, so that both sides are compared by what they mean. */
static json_t *date_json(struct span field)
{
	struct message_date date;
	char text[64];

	if (!date_parse(field, &date))
		return json_null();
	snprintf(text, sizeof(text), "%lld %+d", (long long)date.unix_seconds, date.zone_minutes);
	return json_string(text);
}

static int number_of(const json_t *object, const char *key)
{
	return (int)json_integer_value(json_object_get(object, key));
}

static json_t *expected_date(const json_t *expected)
{
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct",
		"Nov", "Dec" };
	char text[100];
	int month = number_of(expected, "month");

	if (json_is_null(expected) || month < 1 || month > 12)
		return json_null();
	snprintf(text, sizeof(text), "%d %s %04d %02d:%02d:%02d %c%02d%02d", number_of(expected, "day"),
	        months[month - 1], number_of(expected, "year"), number_of(expected, "hour"),
	        number_of(expected, "minute"), number_of(expected, "second"),
	        json_is_true(json_object_get(expected, "tz_before_gmt")) ? '-' : '+', number_of(expected, "tz_hour"),
	        number_of(expected, "tz_minute"));
	return date_json(span_of(text));
}

static json_t *ids_json(struct span field)
{
	json_t *list = json_array();
	struct span rest = field;
	struct buffer id;

	buffer_init(&id, MIB);
	while (message_id_take(&rest, &id)) {
		json_array_append_new(list, json_of(buffer_span(&id)));
		buffer_clear(&id);
	}
	if (json_array_size(list) == 0 && message_id_of(field, &id))
		json_array_append_new(list, json_of(buffer_span(&id)));
	buffer_free(&id);
	if (json_array_size(list) > 0)
		return list;
	json_decref(list);
	return json_null();
}

/* The vectors have one blank for each fold; RFC 5322 §2.2.3 keeps the blanks as they are. Both sides are compared with one. */
static json_t *squeezed(json_t *value)
{
	struct span s = span_make(json_string_value(value), json_string_length(value));
	struct buffer text;

	buffer_init(&text, MIB);
	for (size_t i = 0; i < s.len; i++) {
		bool blank = s.ptr[i] == ' ' || s.ptr[i] == '\t';

		if (!blank || i == 0 || (s.ptr[i - 1] != ' ' && s.ptr[i - 1] != '\t'))
			buffer_append_char(&text, blank ? ' ' : s.ptr[i]);
	}
	json_decref(value);
	value = json_stringn(buffer_text(&text), text.len);
	buffer_free(&text);
	return value;
}

static json_t *unstructured_json(struct span field)
{
	return squeezed(decoded(field));
}

static json_t *expected_unstructured(const json_t *expected)
{
	return squeezed(json_deep_copy(expected));
}

/* The field's value as header_next() cuts it off a header that goes on behind it. */
static json_t *parse_field(struct span value, json_t *(*parse)(struct span))
{
	struct buffer block;
	struct header_reader reader;
	struct header_field field;
	json_t *parsed;

	buffer_init(&block, MIB);
	buffer_append_text(&block, "X:");
	buffer_append_span(&block, value);
	header_reader_init(&reader, buffer_span(&block));
	assert_true(header_next(&reader, &field));
	parsed = parse(field.value);
	buffer_free(&block);
	return parsed;
}

static const struct difference *find_difference(const char *file, size_t index)
{
	for (size_t i = 0; i < ARRAY_LEN(differences); i++)
		if (strcmp(differences[i].file, file) == 0 && differences[i].index == index) {
			used[i] = true;
			return &differences[i];
		}
	return NULL;
}

static unsigned check_case(
        const char *file, size_t index, const char *header, const json_t *expected, const json_t *ours)
{
	const struct difference *row = find_difference(file, index);
	char *theirs = json_dumps(expected, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
	char *mine = json_dumps(ours, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);
	bool same = strcmp(theirs, mine) == 0;
	bool good = row == NULL ? same : !same && strcmp(row->ours, mine) == 0 && strlen(row->why) > 20;

	if (!good)
		printf("@@ %s %zu%s\n  header   %s\n  ours     %s\n  expected %s\n", file, index,
		        row != NULL ? " (row)" : "", header, mine, theirs);
	free(theirs);
	free(mine);
	return !good;
}

static void check_file(const char *file, json_t *(*parse)(struct span), json_t *(*expect)(const json_t *))
{
	char path[100];
	json_t *cases;
	json_t *one;
	size_t index;
	unsigned failures = 0;

	snprintf(path, sizeof(path), "headers/%s.json", file);
	cases = vectors_json(path);
	json_array_foreach(cases, index, one)
	{
		const char *header = json_string_value(json_object_get(one, "header"));
		const json_t *expected = json_object_get(one, "expected");
		json_t *converted = expect == NULL ? json_deep_copy(expected) : expect(expected);
		json_t *ours =
		        parse_field(span_make(header, json_string_length(json_object_get(one, "header"))), parse);

		failures += check_case(file, index, header, converted, ours);
		json_decref(converted);
		json_decref(ours);
	}
	for (size_t i = 0; i < ARRAY_LEN(differences); i++)
		if (strcmp(differences[i].file, file) == 0 && !used[i]) {
			printf("%s %zu: no such case\n", file, differences[i].index);
			failures++;
		}
	json_decref(cases);
	assert_int_equal(failures, 0);
}

static void test_addresses(void **state)
{
	(void)state;
	check_file("address", addresses_json, NULL);
}

static void test_content_types(void **state)
{
	(void)state;
	check_file("content_type", content_type_json, expected_content_type);
}

static void test_dates(void **state)
{
	(void)state;
	check_file("date", date_json, expected_date);
}

static void test_ids(void **state)
{
	(void)state;
	check_file("id", ids_json, NULL);
}

static void test_unstructured(void **state)
{
	(void)state;
	check_file("unstructured", unstructured_json, expected_unstructured);
}

/* --- isemail --- */

/* Diagnoses of isemail's errors that RFC 5322 does not share, and the other way round. */
static const struct {
	const char *diagnosis;
	bool valid; /* what we say */
	const char *why;
} judgements[] = {
	{ "ISEMAIL_ERR_DOMAINHYPHENSTART", true,
	        "RFC 5322 §3.4.1: a domain is a dot-atom; hyphens are a matter of the DNS" },
	{ "ISEMAIL_ERR_DOMAINHYPHENEND", true,
	        "RFC 5322 §3.4.1: a domain is a dot-atom; hyphens are a matter of the DNS" },
	{ "ISEMAIL_ERR_FWS_CRLF_X2", true, "an empty line has ended the header before any address parser sees it" },
	{ "ISEMAIL_ERR_FWS_CRLF_END", true, "the line end of the field is taken off before the value is parsed" },
	{ "ISEMAIL_ERR_CR_NO_LF", true, "RFC 5322 §4.1 obs-unstruct: a lone CR counts as a blank" },
	{ "ISEMAIL_ERR_EXPECTING_QTEXT", true, "RFC 5322 §4.1 obs-qtext, and NUL does not end a value" },
	{ "ISEMAIL_ERR_EXPECTING_CTEXT", true, "RFC 5322 §4.1 obs-ctext, and NUL does not end a value" },
	{ "ISEMAIL_ERR_EXPECTING_QPAIR", true, "RFC 5322 §4.1 obs-qp and RFC 6532 §3.2: any octet may be quoted" },
	{ "ISEMAIL_RFC5322_DOMLIT_OBSDTEXT", false,
	        "RFC 5322 §4.4: obs-dtext is to be read, and is; well formed it is not" },
	{ "ISEMAIL_ERR_EXPECTING_DTEXT", true, "RFC 5322 §4.4 obs-dtext" },
};

/* The text between <tag> and </tag> of a test; false when it has none. */
static bool take_element(struct span test, const char *tag, struct span *text)
{
	char open[32];
	char close[32];

	snprintf(open, sizeof(open), "<%s>", tag);
	snprintf(close, sizeof(close), "</%s>", tag);
	for (; test.len > 0; test = span_skip(test, 1)) {
		if (!span_starts(test, span_of(open)))
			continue;
		*text = span_skip(test, strlen(open));
		for (size_t i = 0; i < text->len; i++)
			if (span_starts(span_skip(*text, i), span_of(close))) {
				*text = span_first(*text, i);
				return true;
			}
	}
	return false;
}

/* Entities, and U+2400 and following for control characters. */
static void xml_text(struct span text, struct buffer *out)
{
	static const struct {
		const char *entity;
		char value;
	} entities[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' }, { "&apos;", '\'' } };
	uint32_t c;

	while (text.len > 0) {
		bool found = false;

		if (text.len >= 8 && span_take_word(&text, "&#x24")) {
			unsigned hi = (unsigned)(text.ptr[0] - '0');
			unsigned lo = (unsigned)(ascii_lower(text.ptr[1]) >= 'a' ? ascii_lower(text.ptr[1]) - 'a' + 10
			                                                         : text.ptr[1] - '0');

			buffer_append_char(out, (char)(hi * 16 + lo));
			text = span_skip(text, 3);
			continue;
		}
		for (size_t i = 0; i < ARRAY_LEN(entities) && !found; i++)
			if (span_take_word(&text, entities[i].entity)) {
				buffer_append_char(out, entities[i].value);
				found = true;
			}
		if (found)
			continue;
		assert_true(utf8_take(&text, &c));
		if (c >= 0x2400 && c <= 0x241f)
			buffer_append_char(out, (char)(c - 0x2400));
		else
			utf8_append(out, c);
	}
}

static bool is_one_address(struct span text)
{
	struct address_list list;
	bool valid;

	address_list_init(&list);
	assert_true(address_list_parse(&list, text));
	valid = list.count == 1 && list.items[0].kind == ADDRESS_MAILBOX && list.items[0].well_formed &&
	        list.items[0].host.ptr != NULL;
	address_list_free(&list);
	return valid;
}

static unsigned check_isemail(struct span test)
{
	struct span raw = SPAN("");
	struct span category, diagnosis;
	struct buffer address;
	size_t at;
	bool want, got;
	bool judged = false;

	(void)take_element(test, "address", &raw);
	assert_true(take_element(test, "category", &category) && take_element(test, "diagnosis", &diagnosis));
	buffer_init(&address, MIB);
	xml_text(raw, &address);
	want = !span_equal(category, SPAN("ISEMAIL_ERR"));
	got = is_one_address(buffer_span(&address));
	/* A line end that folds nothing never reaches the parser: header_next() has cut the value there. */
	if (span_find(buffer_span(&address), '\n', &at) && (at == 0 || address.data[at - 1] != '\r'))
		judged = true;
	for (size_t i = 0; i < ARRAY_LEN(judgements); i++)
		if (span_equal(diagnosis, span_of(judgements[i].diagnosis)))
			judged = judgements[i].valid == got;
	buffer_free(&address);
	if (want == got || judged)
		return 0;
	printf("## isemail %.*s: %.*s, we say %d\n", SPAN_FMT(raw), SPAN_FMT(diagnosis), got);
	return 1;
}

static void test_isemail(void **state)
{
	struct buffer text;
	struct span rest;
	struct span test;
	unsigned failures = 0;
	unsigned count = 0;

	(void)state;
	buffer_init(&text, MIB);
	vectors_read("addresses/tests.xml", &text);
	rest = buffer_span(&text);
	for (; rest.len > 0; rest = span_skip(rest, 1)) {
		if (!span_starts(rest, SPAN("<test id=")))
			continue;
		test = rest;
		for (size_t i = 0; i < rest.len; i++)
			if (span_starts(span_skip(rest, i), SPAN("</test>"))) {
				test = span_first(rest, i);
				break;
			}
		failures += check_isemail(test);
		count++;
	}
	buffer_free(&text);
	assert_true(count > 100);
	assert_int_equal(failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_content_types),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_unstructured),
		cmocka_unit_test(test_isemail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
