/* storage/id_list.h — a list of row ids that grows. All zero is empty; free(list.ids). Owner: the caller; one thread. */
#ifndef STORAGE_ID_LIST_H
#define STORAGE_ID_LIST_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct id_list {
	int64_t *ids;
	size_t count, capacity;
};

bool id_list_add(struct id_list *list, int64_t id, struct error *err); /* not again what was the last one added */
void id_list_unique(struct id_list *list);                             /* sorted, each once */
bool id_list_has(const struct id_list *list, int64_t id);              /* after id_list_unique() */

#endif
