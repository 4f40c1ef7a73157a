#include "imapd/known.h"

#include <stdlib.h>
#include <string.h>

#define SPARE_LEAST 16 /* UIDs that come later without a new allocation */

static struct known_list *list_new(uint32_t capacity)
{
	struct known_list *list = calloc(1, sizeof(*list));

	if (list == NULL)
		return NULL;
	list->uids = malloc(((size_t)capacity + 1) * sizeof(*list->uids));
	if (list->uids == NULL) {
		free(list);
		return NULL;
	}
	list->refs = 1;
	list->capacity = capacity;
	return list;
}

static void list_release(struct known_list *list)
{
	if (list == NULL || --list->refs > 0)
		return;
	free(list->uids);
	free(list);
}

static bool list_grow(struct known_list *list, uint32_t extra)
{
	uint64_t wanted = (uint64_t)list->count + extra, capacity = wanted + wanted / 8 + SPARE_LEAST;
	uint32_t *uids;

	if (wanted <= list->capacity)
		return true;
	if (capacity > UINT32_MAX)
		return false;
	uids = realloc(list->uids, capacity * sizeof(*uids));
	if (uids == NULL)
		return false;
	list->uids = uids;
	list->capacity = (uint32_t)capacity;
	return true;
}

bool known_from_rows(struct known *known, const struct message_row *rows, uint32_t count)
{
	*known = (struct known) { 0 };
	return known_add(known, rows, count);
}

void known_share(struct known *to, const struct known *from)
{
	*to = *from;
	if (to->list != NULL)
		to->list->refs++;
}

void known_clear(struct known *known)
{
	list_release(known->list);
	*known = (struct known) { 0 };
}

/* A list of its own with the same UIDs, less those at places. */
static bool copy_without(struct known *known, const uint32_t *places, uint32_t count)
{
	struct known_list *copy = list_new(known->count - count + SPARE_LEAST);
	uint32_t from = 0;

	if (copy == NULL)
		return false;
	for (uint32_t i = 0; i <= count; i++) {
		uint32_t to = i < count ? places[i] : known->count;

		if (to > from)
			memcpy(copy->uids + copy->count, known->list->uids + from, (to - from) * sizeof(*copy->uids));
		copy->count += to - from;
		from = to + 1;
	}
	list_release(known->list);
	*known = (struct known) { copy, copy->count };
	return true;
}

/* What another client was told in the meantime may be just this. */
static uint32_t found_behind(const struct known *known, const struct message_row *rows, uint32_t count)
{
	uint32_t behind = known->list->count - known->count, same = 0;

	while (same < behind && same < count && known->list->uids[known->count + same] == rows[same].uid)
		same++;
	return same;
}

bool known_add(struct known *known, const struct message_row *rows, uint32_t count)
{
	uint32_t same;

	if (count == 0)
		return true;
	if (known->list == NULL)
		known->list = list_new(count);
	if (known->list == NULL)
		return false;
	same = found_behind(known, rows, count);
	if (same < count && known->count + same < known->list->count) {
		/* others were told of UIDs there that are gone by now */
		if (!copy_without(known, NULL, 0))
			return false;
		same = 0;
	}
	if (!list_grow(known->list, count - same))
		return false;
	for (uint32_t i = same; i < count; i++)
		known->list->uids[known->list->count++] = rows[i].uid;
	known->count += count;
	return true;
}

bool known_remove(struct known *known, const uint32_t *places, uint32_t count)
{
	uint32_t *uids, kept;

	if (count == 0)
		return true;
	if (known->list->refs > 1 || known->list->count > known->count)
		return copy_without(known, places, count);
	uids = known->list->uids;
	kept = places[0];
	for (uint32_t i = 0; i < count; i++) {
		uint32_t from = places[i] + 1, to = i + 1 < count ? places[i + 1] : known->count;

		memmove(uids + kept, uids + from, (to - from) * sizeof(*uids));
		kept += to - from;
	}
	known->list->count = known->count = kept;
	return true;
}

void known_cut(struct known *known, uint32_t count)
{
	if (known->count > count)
		known->count = count;
}

uint32_t known_find(const struct known *known, uint32_t uid)
{
	uint32_t low = 0, high = known->count;

	/* the first may be looked for often: all UIDs from 1 on, none ever expunged */
	if (uid > 0 && uid <= high && known->list->uids[uid - 1] == uid)
		return uid - 1;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (known->list->uids[middle] < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool known_place(const struct known *known, uint32_t uid, uint32_t *place)
{
	*place = known_find(known, uid);
	return *place < known->count && known->list->uids[*place] == uid;
}
