#include "parse_show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void check_row(const struct parse_row *row)
{
	struct arena arena;
	struct buffer out;

	arena_init(&arena, PARSE_ARENA_MAX);
	buffer_init(&out, SHOW_MAX);
	(void)parse_show_command(span_of(row->command), row->utf8, &arena, &out);
	if (strcmp(buffer_text(&out), row->want) != 0)
		fail_msg("%s\n\tgave %s\n\twant %s", row->command, buffer_text(&out), row->want);
	buffer_free(&out);
	arena_free(&arena);
}

void check_parse_rows(const struct parse_row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check_row(&rows[i]);
}
