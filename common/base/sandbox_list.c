#include "base/sandbox_list.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>

void sandbox_list_add(struct sandbox_list *list, enum sandbox_access access, const char *dir, const char *name)
{
	char *text;

	if (list->count == SANDBOX_LIST_MAX)
		return;
	text = list->texts[list->count];
	if (snprintf(text, PATH_MAX, "%s%s", dir, name) < PATH_MAX)
		list->paths[list->count++] = (struct sandbox_path) { text, access };
}

void sandbox_list_add_replaced(struct sandbox_list *list, const char *path)
{
	char copy[PATH_MAX], *real = realpath(path, NULL);

	if (snprintf(copy, sizeof(copy), "%s", path) < (int)sizeof(copy))
		sandbox_list_add(list, SANDBOX_READ, dirname(copy), "");
	if (real != NULL)
		sandbox_list_add(list, SANDBOX_READ, dirname(real), "");
	free(real);
}
