/* common/base/sandbox_list.h — collecting the paths of a sandbox (privileges.h) from pieces.
 *
 * Large (a megabyte, touched only where it is used): static, not on the stack. What does not fit, in number or length, is left
 * out: the process then cannot open it, and says so where it needs it. */
#ifndef BASE_SANDBOX_LIST_H
#define BASE_SANDBOX_LIST_H

#include "base/privileges.h"

#include <limits.h>
#include <stddef.h>

#define SANDBOX_LIST_MAX 320 /* room for 64 certificates and keys, each in two places, and for a store */

struct sandbox_list {
	struct sandbox_path paths[SANDBOX_LIST_MAX];
	char texts[SANDBOX_LIST_MAX][PATH_MAX];
	size_t count;
};

void sandbox_list_add(struct sandbox_list *list, enum sandbox_access access, const char *dir, const char *name);
/* A file that is going to be replaced while we run and read again, such as a certificate: the directory it is in, and (as certbot has it)
 * the one that it is a link into. */
void sandbox_list_add_replaced(struct sandbox_list *list, const char *path);

#endif
