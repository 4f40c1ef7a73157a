#include "imapd/fetch_ahead.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_size_t total; /* octets of all buffers; jobs of several sessions run at the same time */

static void drop_octets(struct fetch_ahead *ahead)
{
	if (ahead->octets.data != NULL)
		atomic_fetch_sub(&total, FETCH_AHEAD);
	buffer_free(&ahead->octets);
}

static bool take_memory(struct fetch_ahead *ahead)
{
	if (ahead->octets.data != NULL)
		return true;
	if (atomic_fetch_add(&total, FETCH_AHEAD) <= FETCH_AHEAD_TOTAL - FETCH_AHEAD &&
	        buffer_reserve(&ahead->octets, FETCH_AHEAD))
		return true;
	atomic_fetch_sub(&total, FETCH_AHEAD);
	return false;
}

void fetch_ahead_free(struct fetch_ahead **ahead)
{
	if (*ahead == NULL)
		return;
	drop_octets(*ahead);
	free(*ahead);
	*ahead = NULL;
}

static bool is_section(const struct fetch_ahead *ahead, int64_t message_id, const struct fetch_item *item)
{
	const struct section *section = &item->section;

	return ahead != NULL && ahead->message_id == message_id && ahead->text == section->text &&
	       ahead->number_count == section->part_count &&
	       (section->part_count == 0 ||
	               memcmp(ahead->numbers, section->parts, section->part_count * sizeof(*section->parts)) == 0);
}

static void begin(
        struct fetch_ahead *ahead, int64_t message_id, const struct fetch_item *item, uint64_t at, uint64_t len)
{
	drop_octets(ahead);
	*ahead = (struct fetch_ahead) { .message_id = message_id,
		.number_count = item->section.part_count,
		.text = item->section.text,
		.at = at,
		.len = len,
		.next = UINT64_MAX };
	buffer_init(&ahead->octets, FETCH_AHEAD);
	if (item->section.part_count > 0)
		memcpy(ahead->numbers, item->section.parts, item->section.part_count * sizeof(*item->section.parts));
}

/* Only what is plain octets of the message from one place on. */
static bool can_be_ahead(const struct fetch_item *item)
{
	return item->kind == FETCH_SECTION && item->partial && item->section.part_count <= FETCH_AHEAD_NUMBERS &&
	       (item->section.text == SECTION_WHOLE || item->section.text == SECTION_TEXT);
}

void fetch_ahead_note(
        struct fetch_ahead **ahead, int64_t message_id, const struct fetch_item *item, uint64_t at, uint64_t len)
{
	struct section_range range = section_cut(item, len);

	if (!can_be_ahead(item))
		return;
	if (!is_section(*ahead, message_id, item)) {
		if (*ahead == NULL)
			*ahead = calloc(1, sizeof(**ahead));
		if (*ahead == NULL)
			return;
		begin(*ahead, message_id, item, at, len);
	}
	(*ahead)->in_turn = range.at == (*ahead)->next;
	(*ahead)->next = range.at + range.len;
	(*ahead)->used = true;
}

void fetch_ahead_tidy(struct fetch_ahead **ahead)
{
	if (*ahead == NULL)
		return;
	if (!(*ahead)->used || (*ahead)->next >= (*ahead)->len)
		fetch_ahead_free(ahead);
	else
		(*ahead)->used = false;
}

bool fetch_ahead_has(const struct fetch_ahead *ahead, int64_t message_id, const struct fetch_item *item)
{
	struct section_range range;
	struct span piece;

	if (!can_be_ahead(item) || !is_section(ahead, message_id, item))
		return false;
	range = section_cut(item, ahead->len);
	return fetch_ahead_find(ahead, message_id, ahead->at + range.at, range.len, &piece);
}

bool fetch_ahead_find(const struct fetch_ahead *ahead, int64_t message_id, uint64_t at, uint64_t len, struct span *out)
{
	if (ahead == NULL || ahead->message_id != message_id || at < ahead->octets_at ||
	        at - ahead->octets_at > ahead->octets.len || len > ahead->octets.len - (at - ahead->octets_at))
		return false;
	*out = span_first(span_skip(buffer_span(&ahead->octets), (size_t)(at - ahead->octets_at)), (size_t)len);
	return true;
}

bool fetch_ahead_wants(struct fetch_ahead *ahead, int64_t message_id, uint64_t at, uint64_t len, size_t *size)
{
	uint64_t end;

	if (ahead == NULL || ahead->message_id != message_id || !ahead->in_turn || len > FETCH_AHEAD / 2)
		return false;
	end = ahead->at + ahead->len;
	if (at < ahead->at || at > end || end - at <= len || !take_memory(ahead))
		return false;
	*size = end - at < FETCH_AHEAD ? (size_t)(end - at) : FETCH_AHEAD;
	buffer_clear(&ahead->octets);
	ahead->octets_at = at;
	return true;
}
