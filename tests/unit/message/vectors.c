#include "vectors.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

const char *vectors_folder(void)
{
	const char *folder = getenv("POSTHOUSE_VECTORS");

	if (folder == NULL)
		folder = SOURCE_ROOT "/../shared/vectors";
	if (access(folder, R_OK) != 0) {
		printf("skipped: no test vectors (set POSTHOUSE_VECTORS to their folder)\n");
		skip();
	}
	return folder;
}

void vectors_read(const char *path, struct buffer *out)
{
	char name[PATH_MAX];
	char piece[4096];
	size_t got;
	FILE *file;

	snprintf(name, sizeof(name), "%s/%s", vectors_folder(), path);
	file = fopen(name, "rb");
	assert_non_null(file);
	while ((got = fread(piece, 1, sizeof(piece), file)) > 0)
		assert_true(buffer_append(out, piece, got));
	fclose(file);
}

json_t *vectors_json(const char *path)
{
	struct buffer text;
	json_error_t error;
	json_t *value;

	buffer_init(&text, 64 * MIB);
	vectors_read(path, &text);
	value = json_loadb(text.data, text.len, JSON_ALLOW_NUL, &error);
	assert_non_null(value);
	buffer_free(&text);
	return value;
}
