/* tests/unit/imapd/parse_show.h — a command parsed and written down again in one plain form, for tables and for the fuzzer. */
#ifndef TESTS_PARSE_SHOW_H
#define TESTS_PARSE_SHOW_H

#include "imapd/parse.h"

#include <stddef.h>

#define SHOW_MAX (16 * MIB)

/* Parses a whole command by what its name says and appends what came out; or "SYNTAX expected ..." by the error's name. True: it was parsed. */
bool parse_show_command(struct span command, bool utf8, struct arena *arena, struct buffer *out);
/* "\"text\"", octets outside ASCII as \xNN; NIL for ptr NULL */
void show_span(struct buffer *out, struct span s);
void show_set(struct buffer *out, const struct sequence_set *set);
void show_search(struct buffer *out, const struct search_args *args); /* parse_show_search.c */
bool show_sort_command(struct parser *p, struct buffer *out);
bool show_thread_command(struct parser *p, struct buffer *out);
bool show_search_command(struct parser *p, struct buffer *out);

struct show_bit {
	unsigned bit;
	const char *name;
};
/* " label=A|B"; nothing for 0. The table ends with bit 0. */
void show_bits(struct buffer *out, const char *label, unsigned bits, const struct show_bit *names);

/* A command and what parse_show_command() is to make of it: "A1 FETCH 1:3 FLAGS", or "SYNTAX expected a sequence set". */
struct parse_row {
	const char *command, *want;
	bool utf8;
};
void check_parse_rows(const struct parse_row *rows, size_t count); /* parse_rows.c: fails the test with both texts */

#endif
