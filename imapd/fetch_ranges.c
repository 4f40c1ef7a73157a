#include "imapd/fetch_ranges.h"

#include <stdlib.h>

#define SLICE_RANGES_MAX 256 /* handed to view_collect() at once */

/* The first sequence number whose UID is at least `uid`; view_count() + 1: none. */
static uint32_t first_at_least(const struct view *view, uint64_t uid)
{
	uint32_t low = 1, high = view_count(view) + 1;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (view_uid(view, middle) < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void add(struct fetch_ranges *ranges, uint32_t first, uint32_t last)
{
	if (first > last)
		return;
	if (ranges->count > 0 && ranges->ranges[ranges->count - 1].last + 1 == first)
		ranges->ranges[ranges->count - 1].last = last;
	else
		ranges->ranges[ranges->count++] = (struct number_range) { first, last };
}

static bool from_saved(struct fetch_ranges *ranges, const struct view *view)
{
	const struct uid_list *saved = view->session->saved;
	uint32_t sequence;

	ranges->ranges = malloc(((saved != NULL ? saved->count : 0) + 1u) * sizeof(*ranges->ranges));
	for (uint32_t i = 0; ranges->ranges != NULL && saved != NULL && i < saved->count; i++)
		if (view_sequence(view, saved->uids[i], &sequence))
			add(ranges, sequence, sequence);
	return ranges->ranges != NULL;
}

bool fetch_ranges_init(
        struct fetch_ranges *ranges, const struct view *view, struct sequence_set *set, bool uid, bool *beyond)
{
	uint32_t count = view_count(view);

	*ranges = (struct fetch_ranges) { 0 };
	*beyond = false;
	if (set->saved)
		return from_saved(ranges, view);
	sequence_set_resolve(set, uid && count > 0 ? view_uid(view, count) : count);
	ranges->ranges = malloc((set->count + 1) * sizeof(*ranges->ranges));
	if (ranges->ranges == NULL)
		return false;
	for (size_t i = 0; i < set->count; i++) {
		const struct number_range *range = &set->ranges[i];

		if (uid)
			add(ranges, first_at_least(view, range->first),
			        first_at_least(view, (uint64_t)range->last + 1) - 1);
		else if (range->last > count)
			*beyond = true;
		else
			add(ranges, range->first, range->last);
	}
	return true;
}

void fetch_ranges_free(struct fetch_ranges *ranges)
{
	free(ranges->ranges);
	*ranges = (struct fetch_ranges) { 0 };
}

/* Cuts the next at most `most` numbers off. */
static size_t cut(struct fetch_ranges *ranges, size_t most, struct number_range *out)
{
	size_t count = 0;

	while (ranges->at < ranges->count && count < SLICE_RANGES_MAX && most > 0) {
		struct number_range *range = &ranges->ranges[ranges->at];
		size_t length = (size_t)(range->last - range->first) + 1;

		out[count] = *range;
		if (length > most) {
			out[count++].last = range->first + (uint32_t)most - 1;
			range->first += (uint32_t)most;
			break;
		}
		count++;
		most -= length;
		ranges->at++;
	}
	return count;
}

bool fetch_ranges_next(struct fetch_ranges *ranges, const struct view *view, size_t most,
        struct view_message **messages, size_t *count, size_t *gone, bool *done)
{
	struct number_range piece[SLICE_RANGES_MAX];
	struct sequence_set set = { .ranges = piece };
	size_t gone_here = 0;
	bool beyond;

	*messages = NULL;
	*count = 0;
	set.count = cut(ranges, most, piece);
	*done = ranges->at == ranges->count;
	if (set.count == 0)
		return true;
	if (!view_collect(view, &set, false, messages, count, &beyond, &gone_here))
		return false;
	*gone += gone_here;
	return true;
}
