/* config/types.c — one pair of functions for each kind of value in the table: text to member, member to text. */
#include "config/table.h"

#include "config/settings.h"
#include "config/value.h"

#include <arpa/inet.h>
#include <string.h>

/* ---- text ---- */

static bool copy_text(struct span value, void *member, size_t size, struct buffer *why)
{
	if (span_copy(value, member, size))
		return true;
	(void)buffer_printf(why, "at most %zu characters", size - 1);
	return false;
}

static bool print_text(const struct setting *row, const void *member, struct buffer *out)
{
	return buffer_append_text(out, member);
}

static bool parse_hostname(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	char *text = member;

	if (value.len > 0 && !value_is_hostname(value)) {
		(void)buffer_append_text(why, "a host name like mail.example.org");
		return false;
	}
	if (!copy_text(value, member, SETTINGS_TEXT_MAX, why))
		return false;
	for (; *text != '\0'; text++)
		*text = ascii_lower(*text);
	return true;
}

static bool parse_path(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	if (value.len == 0 || value.ptr[0] != '/') {
		(void)buffer_append_text(why, "a path that begins with /");
		return false;
	}
	while (value.len > 1 && value.ptr[value.len - 1] == '/')
		value.len--;
	return copy_text(value, member, row->max + 1, why);
}

static bool parse_optional_path(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	return value.len == 0 ? copy_text(value, member, 1, why) : parse_path(row, value, member, why);
}

static bool parse_user(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];
		if (!ascii_is_alnum(c) && c != '_' && (i == 0 || (c != '-' && c != '.'))) {
			value.len = 0;
			break;
		}
	}
	if (value.len > 0 && value.len <= 32)
		return copy_text(value, member, SETTINGS_TEXT_MAX, why);
	(void)buffer_append_text(why, "the name of a user of this system");
	return false;
}

/* ---- choices, switches, numbers ---- */

static bool parse_choice(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	for (int i = 0; row->choices[i] != NULL; i++) {
		if (span_equal_nocase(value, span_of(row->choices[i]))) {
			memcpy(member, &i, sizeof(i)); /* an enum of ours is as large as an int */
			return true;
		}
	}
	for (int i = 0; row->choices[i] != NULL; i++)
		(void)buffer_printf(why, "%s%s", i == 0 ? "one of " : ", ", row->choices[i]);
	return false;
}

static bool print_choice(const struct setting *row, const void *member, struct buffer *out)
{
	int choice;

	memcpy(&choice, member, sizeof(choice));
	return buffer_append_text(out, row->choices[choice]);
}

static bool parse_bool(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	if (value_bool(value, member))
		return true;
	(void)buffer_append_text(why, "yes or no");
	return false;
}

static bool print_bool(const struct setting *row, const void *member, struct buffer *out)
{
	return buffer_append_text(out, *(const bool *)member ? "yes" : "no");
}

static bool parse_number(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	uint64_t number;

	if (span_number(value, row->max, &number) && number >= row->min) {
		*(uint32_t *)member = (uint32_t)number;
		return true;
	}
	(void)buffer_printf(why, "a %s from %llu to %llu", row->type->name, (unsigned long long)row->min,
	        (unsigned long long)row->max);
	return false;
}

static bool print_number(const struct setting *row, const void *member, struct buffer *out)
{
	return buffer_printf(out, "%u", *(const uint32_t *)member);
}

static bool parse_size(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	char least[VALUE_TEXT_MAX], most[VALUE_TEXT_MAX];
	uint64_t bytes;

	if (value_size(value, row->max, &bytes) && bytes >= row->min) {
		*(uint64_t *)member = bytes;
		return true;
	}
	value_size_text(row->min, least, sizeof(least));
	value_size_text(row->max, most, sizeof(most));
	(void)buffer_printf(why, "a size like 50M, from %s to %s", least, most);
	return false;
}

static bool print_size(const struct setting *row, const void *member, struct buffer *out)
{
	char text[VALUE_TEXT_MAX];

	value_size_text(*(const uint64_t *)member, text, sizeof(text));
	return buffer_append_text(out, text);
}

static bool parse_duration(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	char least[VALUE_TEXT_MAX], most[VALUE_TEXT_MAX];
	uint64_t ms;

	if (value_duration(value, row->max, &ms) && ms >= row->min) {
		*(uint64_t *)member = ms;
		return true;
	}
	value_duration_text(row->min, least, sizeof(least));
	value_duration_text(row->max, most, sizeof(most));
	(void)buffer_printf(why, "a time like 30s or 5m, from %s to %s", least, most);
	return false;
}

static bool print_duration(const struct setting *row, const void *member, struct buffer *out)
{
	char text[VALUE_TEXT_MAX];

	value_duration_text(*(const uint64_t *)member, text, sizeof(text));
	return buffer_append_text(out, text);
}

/* ---- lists: kept as text; every item is checked ---- */

bool settings_take_item(struct span *list, struct span *item)
{
	size_t end = 0;

	while (list->len > 0 && (list->ptr[0] == ',' || list->ptr[0] == ' ' || list->ptr[0] == '\t'))
		*list = span_skip(*list, 1);
	while (end < list->len && list->ptr[end] != ',' && list->ptr[end] != ' ' && list->ptr[end] != '\t')
		end++;
	*item = span_first(*list, end);
	*list = span_skip(*list, end);
	return end > 0;
}

/* One item on a line: the whole list may be longer than a line can be. */
static bool print_list(const struct setting *row, const void *member, struct buffer *out)
{
	struct span rest = span_of(member), item;
	bool first = true;

	for (; settings_take_item(&rest, &item); first = false)
		(void)buffer_printf(out, "%s%.*s", first ? "" : "\n\t", SPAN_FMT(item));
	return !out->failed;
}

static bool is_ip(struct span text, unsigned *bits)
{
	unsigned char raw[16];
	char copy[INET6_ADDRSTRLEN];

	if (!span_copy(text, copy, sizeof(copy)))
		return false;
	*bits = strchr(copy, ':') != NULL ? 128 : 32;
	return inet_pton(*bits == 128 ? AF_INET6 : AF_INET, copy, raw) == 1;
}

static bool is_address(struct span item)
{
	unsigned bits;

	return is_ip(item, &bits);
}

static bool is_network(struct span item)
{
	struct span address;
	unsigned bits;
	uint64_t prefix;

	if (!span_take_until(&item, '/', &address))
		return is_ip(item, &bits);
	return is_ip(address, &bits) && span_number(item, bits, &prefix);
}

static bool is_path(struct span item)
{
	return item.ptr[0] == '/' && item.len < SETTINGS_TEXT_MAX;
}

static bool parse_list(struct span value, void *member, bool (*item_ok)(struct span item), size_t max_items,
        const char *expected, struct buffer *why)
{
	struct span rest = value, item;
	size_t count = 0;

	while (settings_take_item(&rest, &item)) {
		if (!item_ok(item)) {
			(void)buffer_printf(why, "%s; \"%.*s\" is none", expected, SPAN_FMT(span_first(item, 60)));
			return false;
		}
		if (++count > max_items) {
			(void)buffer_printf(why, "at most %zu items", max_items);
			return false;
		}
	}
	return copy_text(value, member, SETTINGS_LIST_MAX, why);
}

static bool parse_addresses(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	if (!parse_list(
	            value, member, is_address, SETTINGS_ADDRESSES_MAX, "addresses like 192.0.2.1 or 2001:db8::1", why))
		return false;
	if (value.len > 0)
		return true;
	(void)buffer_append_text(why, "at least one address; 0.0.0.0 and :: are all of this machine");
	return false;
}

static bool parse_networks(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	return parse_list(value, member, is_network, 256, "networks like 192.0.2.0/24 or 2001:db8::/32", why);
}

static bool parse_paths(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	return parse_list(value, member, is_path, row->max, "paths that begin with /, 255 characters at most", why);
}

static bool parse_optional_addresses(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	return parse_list(
	        value, member, is_address, SETTINGS_ADDRESSES_MAX, "addresses like 192.0.2.1 or 2001:db8::1", why);
}

/* "192.0.2.1", "2001:db8::1@5353" */
static bool is_resolver(struct span item)
{
	struct span address;
	uint64_t port;

	if (!span_take_until(&item, '@', &address))
		return is_address(item);
	return is_address(address) && span_number(item, 65535, &port) && port > 0;
}

static bool parse_resolvers(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	return parse_list(
	        value, member, is_resolver, SETTINGS_ADDRESSES_MAX, "addresses like 192.0.2.1 or 192.0.2.1@5353", why);
}

static bool parse_domains(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	if (!parse_list(value, member, value_is_hostname, 256, "domains like example.org", why))
		return false;
	for (char *text = member; *text != '\0'; text++)
		*text = ascii_lower(*text);
	return true;
}

/* "1m 5m 30m": into numbers, since nothing else would be done with the text. */
static bool parse_durations(const struct setting *row, struct span value, void *member, struct buffer *why)
{
	struct settings_durations durations = { .count = 0 };
	struct span item;
	uint64_t ms;

	while (settings_take_item(&value, &item)) {
		if (durations.count == SETTINGS_DURATIONS_MAX || !value_duration(item, row->max, &ms) ||
		        ms < row->min) {
			(void)buffer_printf(why, "1 to %d times like 30s or 5m; \"%.*s\" is too much or none",
			        SETTINGS_DURATIONS_MAX, SPAN_FMT(span_first(item, 60)));
			return false;
		}
		durations.ms[durations.count++] = ms;
	}
	if (durations.count == 0) {
		(void)buffer_append_text(why, "at least one time like 5m");
		return false;
	}
	memcpy(member, &durations, sizeof(durations));
	return true;
}

static bool print_durations(const struct setting *row, const void *member, struct buffer *out)
{
	const struct settings_durations *durations = member;
	char text[VALUE_TEXT_MAX];

	for (uint32_t i = 0; i < durations->count; i++) {
		value_duration_text(durations->ms[i], text, sizeof(text));
		(void)buffer_printf(out, "%s%s", i == 0 ? "" : " ", text);
	}
	return !out->failed;
}

const struct setting_type type_hostname = { "host name", parse_hostname, print_text, false };
const struct setting_type type_path = { "path", parse_path, print_text, false };
const struct setting_type type_user = { "user name", parse_user, print_text, false };
const struct setting_type type_choice = { "choice", parse_choice, print_choice, false };
const struct setting_type type_number = { "number", parse_number, print_number, false };
const struct setting_type type_port = { "port", parse_number, print_number, false };
const struct setting_type type_size = { "size", parse_size, print_size, false };
const struct setting_type type_duration = { "time", parse_duration, print_duration, false };
const struct setting_type type_bool = { "yes or no", parse_bool, print_bool, false };
const struct setting_type type_addresses = { "addresses", parse_addresses, print_list, true };
const struct setting_type type_paths = { "paths", parse_paths, print_list, true };
const struct setting_type type_networks = { "networks", parse_networks, print_list, true };
const struct setting_type type_optional_path = { "path", parse_optional_path, print_text, false };
const struct setting_type type_optional_addresses = { "addresses", parse_optional_addresses, print_list, true };
const struct setting_type type_domains = { "domains", parse_domains, print_list, true };
const struct setting_type type_durations = { "times", parse_durations, print_durations, true };
const struct setting_type type_resolvers = { "addresses", parse_resolvers, print_list, true };
