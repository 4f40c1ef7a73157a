#include "imapd/sort.h"

#include <stdlib.h>

/* What decides most comparisons, next to each other in memory: the beginning of the first key. */
struct entry {
	uint64_t prefix;
	uint32_t index;
};

struct order {
	const struct sort_message *messages;
	const struct sort_criterion *criteria;
	size_t count;
};

bool sort_key_is_text(enum sort_key_kind kind)
{
	return kind < SORT_TEXT_COUNT;
}

static int64_t number_of(const struct sort_message *message, enum sort_key_kind kind)
{
	if (kind == SORT_SIZE)
		return message->size;
	return kind == SORT_DATE ? message->sent : message->arrival;
}

/* Compares as the key does, as far as eight octets tell. */
static uint64_t prefix_of(const struct sort_message *message, const struct sort_criterion *first)
{
	uint64_t prefix = 0;

	if (sort_key_is_text(first->kind)) {
		struct span text = message->texts[first->kind];

		for (size_t i = 0; i < 8; i++)
			prefix = prefix << 8 | (i < text.len ? (unsigned char)text.ptr[i] : 0);
	} else {
		prefix = (uint64_t)number_of(message, first->kind) ^ (uint64_t)1 << 63;
	}
	return first->reverse ? ~prefix : prefix;
}

static int compare_key(const struct sort_message *a, const struct sort_message *b, enum sort_key_kind kind)
{
	if (sort_key_is_text(kind))
		return span_compare(a->texts[kind], b->texts[kind]);
	return (number_of(a, kind) > number_of(b, kind)) - (number_of(a, kind) < number_of(b, kind));
}

static int compare(const void *left, const void *right, void *arg)
{
	const struct entry *a = left;
	const struct entry *b = right;
	const struct order *order = arg;

	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	for (size_t i = 0; i < order->count; i++) {
		int result =
		        compare_key(&order->messages[a->index], &order->messages[b->index], order->criteria[i].kind);

		if (result != 0)
			return order->criteria[i].reverse ? -result : result;
	}
	return a->index < b->index ? -1 : a->index > b->index;
}

bool sort_messages(const struct sort_message *messages, size_t count, const struct sort_criterion *criteria,
        size_t criterion_count, uint32_t *numbers)
{
	struct order order = { .messages = messages, .criteria = criteria, .count = criterion_count };
	struct entry *entries = reallocarray(NULL, count + 1, sizeof(*entries));

	if (entries == NULL)
		return false;
	for (size_t i = 0; i < count; i++)
		entries[i] = (struct entry) { .prefix = prefix_of(&messages[i], &criteria[0]), .index = (uint32_t)i };
	qsort_r(entries, count, sizeof(*entries), compare, &order);
	for (size_t i = 0; i < count; i++)
		numbers[i] = messages[entries[i].index].number;
	free(entries);
	return true;
}
