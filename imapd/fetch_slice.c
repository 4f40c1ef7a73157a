#include "imapd/fetch_slice.h"

#include "base/check.h"

#include <stdlib.h>

#define FIRST_TABLE 64

bool fetch_slice_init(struct fetch_slice *slice, struct view_message *messages, size_t count)
{
	*slice = (struct fetch_slice) { .messages = messages, .count = count };
	buffer_init(&slice->texts, FLAG_TEXTS_MAX);
	slice->ids = malloc((count + 1) * sizeof(*slice->ids));
	slice->uids = malloc((count + 1) * sizeof(*slice->uids));
	if (slice->ids == NULL || slice->uids == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		slice->ids[i] = messages[i].row.message_id;
		slice->uids[i] = messages[i].row.uid;
	}
	return true;
}

void fetch_slice_free(struct fetch_slice *slice)
{
	free(slice->messages);
	free(slice->ids);
	free(slice->uids);
	free(slice->changed);
	free(slice->table);
	buffer_free(&slice->texts);
	*slice = (struct fetch_slice) { 0 };
}

/* The entry of these flags, or the free one where they belong. */
static struct flag_text *find_text(const struct fetch_slice *slice, uint64_t flags)
{
	uint64_t hash = flags * 0x9e3779b97f4a7c15u;

	for (size_t i = (size_t)(hash >> 32);; i++) {
		struct flag_text *entry = &slice->table[i & (slice->table_size - 1)];

		if (entry->len == 0 || entry->flags == flags)
			return entry;
	}
}

static bool grow(struct fetch_slice *slice)
{
	struct flag_text *old = slice->table;
	size_t old_size = slice->table_size;

	slice->table_size = old_size == 0 ? FIRST_TABLE : old_size * 2;
	slice->table = calloc(slice->table_size, sizeof(*slice->table));
	if (slice->table == NULL) {
		slice->table = old;
		slice->table_size = old_size;
		return false;
	}
	for (size_t i = 0; i < old_size; i++)
		if (old[i].len > 0)
			*find_text(slice, old[i].flags) = old[i];
	free(old);
	return true;
}

static bool add_text(struct fetch_slice *slice, uint64_t flags,
        bool (*write)(const struct view *view, uint64_t flags, struct buffer *out), const struct view *view)
{
	struct flag_text *entry;
	size_t at = slice->texts.len;

	if (slice->table_used * 2 >= slice->table_size && !grow(slice))
		return false;
	entry = find_text(slice, flags);
	if (entry->len > 0)
		return true;
	if (!write(view, flags, &slice->texts))
		return false;
	*entry = (struct flag_text) { flags, (uint32_t)at, (uint32_t)(slice->texts.len - at) };
	slice->table_used++;
	return true;
}

bool fetch_slice_write_flags(struct fetch_slice *slice,
        bool (*write)(const struct view *view, uint64_t flags, struct buffer *out), const struct view *view)
{
	for (size_t i = 0; i < slice->count; i++)
		if (!add_text(slice, slice->messages[i].row.flags, write, view))
			return false;
	return true;
}

struct span fetch_slice_flags(const struct fetch_slice *slice, uint64_t flags)
{
	const struct flag_text *entry = find_text(slice, flags);

	CHECK(entry->len > 0);
	return span_make(slice->texts.data + entry->at, entry->len);
}
