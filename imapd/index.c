#include "imapd/index.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_SPARE   8 /* and an eighth: room for what comes */
#define EVENTS_FIRST 64

void index_free(struct index **index_ptr)
{
	struct index *index = *index_ptr;

	CHECK(index->views == NULL);
	known_clear(&index->latest);
	free(index->rows);
	free(index->events);
	free(index);
	*index_ptr = NULL;
}

uint32_t index_find(const struct index *index, uint32_t uid)
{
	uint32_t low = 0, high = index->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (index->rows[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct message_row *index_row(const struct index *index, uint32_t uid)
{
	uint32_t place = index_find(index, uid);

	return place < index->count && index->rows[place].uid == uid ? &index->rows[place] : NULL;
}

bool index_first_unseen(struct index *index, uint32_t *place)
{
	if (index->info.unseen == 0)
		return false;
	for (*place = index_find(index, index->unseen_from); *place < index->count; (*place)++) {
		if (!(index->rows[*place].flags & FLAG_SEEN)) {
			index->unseen_from = index->rows[*place].uid;
			return true;
		}
	}
	return false;
}

size_t index_memory(const struct index *index)
{
	size_t memory = sizeof(*index) + index->capacity * sizeof(*index->rows) +
	                index->event_capacity * sizeof(*index->events);

	if (index->latest.list != NULL)
		memory += index->latest.list->capacity * sizeof(*index->latest.list->uids);
	return memory;
}

/* --- events --- */

uint64_t index_events_end(const struct index *index)
{
	return index->events_first + index->event_count;
}

void index_drop_events(struct index *index, uint64_t before)
{
	uint32_t drop;

	if (before <= index->events_first)
		return;
	drop = before - index->events_first < index->event_count ? (uint32_t)(before - index->events_first)
	                                                         : index->event_count;
	index->event_count -= drop;
	index->events_first += drop;
	if (index->event_count > 0) {
		memmove(index->events, index->events + drop, index->event_count * sizeof(*index->events));
		return;
	}
	free(index->events);
	index->events = NULL;
	index->event_capacity = 0;
}

/* Room for as many more; without it (too many, no memory) the list is given up, and views compare rows. */
static bool reserve_events(struct index *index, size_t extra)
{
	uint32_t capacity = index->event_capacity == 0 ? EVENTS_FIRST : index->event_capacity;
	struct index_event *events;

	if (index->views == NULL || index->event_count + extra > INDEX_EVENTS_MAX)
		return false;
	while (capacity < index->event_count + extra)
		capacity *= 2;
	if (capacity == index->event_capacity)
		return true;
	events = realloc(index->events, capacity * sizeof(*events));
	if (events == NULL)
		return false;
	index->events = events;
	index->event_capacity = capacity;
	return true;
}

/* Views that stand before events_first know that they have missed some. */
static void give_events_up(struct index *index)
{
	index->events_first += index->event_count + 1;
	index->event_count = 0;
	free(index->events);
	index->events = NULL;
	index->event_capacity = 0;
}

static void add_event(struct index *index, bool wanted, uint32_t uid, bool gone, uint64_t modseq)
{
	if (wanted)
		index->events[index->event_count++] = (struct index_event) { uid, gone, modseq };
}

/* --- patching --- */

static bool reserve_rows(struct index *index, size_t extra)
{
	size_t wanted = index->count + extra, capacity = wanted + wanted / 8 + ROWS_SPARE;
	struct message_row *rows;

	if (wanted <= index->capacity)
		return true;
	if (capacity > UINT32_MAX)
		return false;
	rows = realloc(index->rows, capacity * sizeof(*rows));
	if (rows == NULL)
		return false;
	index->rows = rows;
	index->capacity = (uint32_t)capacity;
	return true;
}

static void note_unseen(struct index *index, const struct message_row *row)
{
	if (!(row->flags & FLAG_SEEN) && row->uid < index->unseen_from)
		index->unseen_from = row->uid;
}

static void remove_rows(struct index *index, const uint32_t *uids, size_t count, bool events)
{
	uint32_t from = count > 0 ? index_find(index, uids[0]) : 0, kept = from;
	size_t at = 0;

	while (from < index->count && at < count) {
		if (index->rows[from].uid == uids[at]) {
			add_event(index, events, uids[at++], true, 0);
			from++;
		} else if (index->rows[from].uid > uids[at]) {
			at++;
		} else {
			index->rows[kept++] = index->rows[from++];
		}
	}
	if (kept == from)
		return;
	memmove(index->rows + kept, index->rows + from, (index->count - from) * sizeof(*index->rows));
	index->count -= from - kept;
	index->epoch++;
}

/* Both rise, so each search begins where the last one ended; changes are few among many, so it is a search. */
static void update_rows(struct index *index, const struct message_row *rows, size_t count, bool events)
{
	uint32_t place = 0;

	for (size_t i = 0; i < count; i++) {
		if (place >= index->count || index->rows[place].uid != rows[i].uid)
			place = index_find(index, rows[i].uid);
		if (place >= index->count || index->rows[place].uid != rows[i].uid)
			continue;
		if (index->rows[place].modseq < rows[i].modseq) {
			index->rows[place] = rows[i];
			note_unseen(index, &rows[i]);
			add_event(index, events, rows[i].uid, false, rows[i].modseq);
		}
		place++;
	}
}

/* How many of the rows are new: they stand at the end. */
static size_t count_new(const struct index *index, const struct message_row *rows, size_t count)
{
	size_t fresh = 0;

	while (fresh < count && rows[count - 1 - fresh].uid >= index->info.uid_next)
		fresh++;
	return fresh;
}

static bool apply(
        struct index *index, const uint32_t *gone, size_t gone_count, const struct message_row *rows, size_t row_count)
{
	size_t fresh = count_new(index, rows, row_count), old = row_count - fresh;
	bool events;

	if (!reserve_rows(index, fresh))
		return false;
	events = reserve_events(index, gone_count + old);
	if (!events && index->views != NULL && gone_count + old > 0)
		give_events_up(index);
	remove_rows(index, gone, gone_count, events);
	update_rows(index, rows, old, events);
	for (size_t i = old; i < row_count; i++) {
		index->rows[index->count++] = rows[i];
		note_unseen(index, &rows[i]);
	}
	return true;
}

bool index_patch(struct index *index, uint64_t since, uint64_t modseq, const struct mailbox_changes *changes)
{
	if (index->modseq == 0 || index->modseq < since)
		return false;
	index->behind = false;
	if (modseq <= index->modseq)
		return true;
	if (changes != NULL && changes->deleted) {
		index->deleted = true;
	} else if (changes != NULL) {
		if (!apply(index, changes->vanished, changes->vanished_count, changes->rows, changes->row_count)) {
			index->behind = true;
			return false;
		}
		index->info = changes->info;
	}
	index->modseq = modseq;
	return true;
}

/* --- loading --- */

static void take_rows(struct index *index, struct mailbox_snapshot *snapshot)
{
	free(index->rows);
	index->rows = snapshot->rows;
	index->count = index->capacity = (uint32_t)snapshot->count;
	snapshot->rows = NULL;
	index->info = snapshot->info;
	index->modseq = snapshot->modseq;
	index->unseen_from = 0;
}

void index_load(struct index *index, struct mailbox_snapshot *snapshot)
{
	index->behind = false;
	if (index->modseq > 0 && snapshot->modseq <= index->modseq)
		return;
	if (index->modseq > 0) {
		index->epoch++;
		give_events_up(index);
	}
	take_rows(index, snapshot);
}
