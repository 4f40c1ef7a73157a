#include "storage/id_list.h"

#include <stdlib.h>

bool id_list_add(struct id_list *list, int64_t id, struct error *err)
{
	if (list->count > 0 && list->ids[list->count - 1] == id)
		return true;
	if (list->count == list->capacity) {
		size_t capacity = list->capacity == 0 ? 16 : list->capacity * 2;
		int64_t *bigger = realloc(list->ids, capacity * sizeof(*bigger));

		if (bigger == NULL)
			return error_set(err, ERR_NO_MEMORY, "out of memory");
		list->ids = bigger;
		list->capacity = capacity;
	}
	list->ids[list->count++] = id;
	return true;
}

static int compare_ids(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

void id_list_unique(struct id_list *list)
{
	size_t kept = 0;

	if (list->count < 2)
		return;
	qsort(list->ids, list->count, sizeof(*list->ids), compare_ids);
	for (size_t i = 0; i < list->count; i++) {
		if (i == 0 || list->ids[i] != list->ids[kept - 1])
			list->ids[kept++] = list->ids[i];
	}
	list->count = kept;
}

bool id_list_has(const struct id_list *list, int64_t id)
{
	return list->count > 0 && bsearch(&id, list->ids, list->count, sizeof(id), compare_ids) != NULL;
}
