/* config/table.h — the one table of settings: parsing, the example file and the manual all come from its rows.
 * A new key: a member in struct settings, a row in table.c, `posthouse config example > config/posthouse.conf.example`. */
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include "base/buffer.h"
#include "base/span.h"

struct setting;

/* What a value looks like: how it is read, how it is written, and what the manual calls it. */
struct setting_type {
	const char *name;
	/* False: *why says what is expected ("a port, 0 to 65535"). member is the place in struct settings. */
	bool (*parse)(const struct setting *row, struct span value, void *member, struct buffer *why);
	bool (*print)(const struct setting *row, const void *member, struct buffer *out);
	bool is_list; /* may go on in indented lines */
};

struct setting {
	const char *section;
	const char *key;
	const struct setting_type *type;
	const char *fallback;       /* the default, as one would write it */
	size_t offset;              /* of the member in struct settings */
	uint64_t min, max;          /* numbers, sizes, durations (ms) */
	const char *const *choices; /* NULL-terminated; the member gets the index */
	const char *help;           /* one to three sentences; no quotes, no backslash */
};

struct setting_section {
	const char *name;
	const char *help;
};

extern const struct setting setting_table[];
extern const size_t setting_count;
extern const struct setting_section setting_sections[];
extern const size_t setting_section_count;

extern const struct setting_type type_hostname, type_path, type_user, type_choice, type_number, type_port, type_size,
        type_duration, type_bool, type_addresses, type_paths, type_networks, type_optional_path,
        type_optional_addresses, type_domains, type_durations, type_resolvers;

#endif
