#include "smtpd/outbound/id_set.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_MIN 1024 /* a power of two */

void id_set_init(struct id_set *set)
{
	memset(set, 0, sizeof(*set));
	(void)pthread_mutex_init(&set->mutex, NULL);
}

void id_set_free(struct id_set *set)
{
	free(set->slots);
	set->slots = NULL;
	set->capacity = set->count = 0;
	(void)pthread_mutex_destroy(&set->mutex);
}

static size_t place_of(const struct id_set *set, int64_t id)
{
	return (size_t)(((uint64_t)id * 0x9e3779b97f4a7c15u) >> 20) & (set->capacity - 1);
}

/* Where the id is, or the free slot where it would be. There is always a free one. */
static size_t find(const struct id_set *set, int64_t id)
{
	size_t at = place_of(set, id);

	while (set->slots[at] != 0 && set->slots[at] != id)
		at = (at + 1) & (set->capacity - 1);
	return at;
}

static bool grow(struct id_set *set)
{
	struct id_set next = { .capacity = set->capacity == 0 ? CAPACITY_MIN : 2 * set->capacity };

	next.slots = calloc(next.capacity, sizeof(*next.slots));
	if (next.slots == NULL)
		return false;
	for (size_t i = 0; i < set->capacity; i++)
		if (set->slots[i] != 0)
			next.slots[find(&next, set->slots[i])] = set->slots[i];
	free(set->slots);
	set->slots = next.slots;
	set->capacity = next.capacity;
	return true;
}

bool id_set_add(struct id_set *set, int64_t id)
{
	bool ok;
	size_t at;

	(void)pthread_mutex_lock(&set->mutex);
	ok = 2 * (set->count + 1) <= set->capacity || grow(set);
	if (ok) {
		at = find(set, id);
		set->count += set->slots[at] == 0;
		set->slots[at] = id;
	}
	(void)pthread_mutex_unlock(&set->mutex);
	return ok;
}

bool id_set_has(struct id_set *set, int64_t id)
{
	bool has;

	(void)pthread_mutex_lock(&set->mutex);
	has = set->capacity > 0 && set->slots[find(set, id)] == id;
	(void)pthread_mutex_unlock(&set->mutex);
	return has;
}

/* What stands behind a removed one is put in anew: no tombstones. */
void id_set_remove(struct id_set *set, int64_t id)
{
	size_t at;

	(void)pthread_mutex_lock(&set->mutex);
	if (set->capacity > 0 && set->slots[at = find(set, id)] == id) {
		set->slots[at] = 0;
		set->count--;
		for (at = (at + 1) & (set->capacity - 1); set->slots[at] != 0; at = (at + 1) & (set->capacity - 1)) {
			int64_t moved = set->slots[at];

			set->slots[at] = 0;
			set->slots[find(set, moved)] = moved;
		}
	}
	(void)pthread_mutex_unlock(&set->mutex);
}
