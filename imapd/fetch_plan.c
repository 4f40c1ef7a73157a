#include "imapd/fetch_plan.h"

#include "imapd/settings.h"
#include "storage/messages.h"

#include <stdlib.h>

#define NAMES_MAX (4 * COMMAND_MAX) /* every octet of a name escaped, and what is around it */

static const struct fetch_item uid_item = { .kind = FETCH_UID };
static const struct fetch_item modseq_item = { .kind = FETCH_MODSEQ };

static bool has_filter(const struct fetch_item *item)
{
	return item->kind == FETCH_SECTION &&
	       (item->section.text == SECTION_HEADER_FIELDS || item->section.text == SECTION_HEADER_FIELDS_NOT);
}

static unsigned wants_of_section(const struct section *section)
{
	if (section->part_count > 0)
		return WANT_PARTS | WANT_BYTES;
	if (section->text == SECTION_TEXT)
		return WANT_PARTS | WANT_BYTES;
	return section->text == SECTION_WHOLE ? WANT_BYTES : WANT_HEADER;
}

static unsigned wants_of(const struct fetch_item *item)
{
	switch (item->kind) {
	case FETCH_INTERNALDATE:
	case FETCH_THREADID: return WANT_META;
	case FETCH_ENVELOPE: return WANT_ENVELOPE;
	case FETCH_BODY: return WANT_BODY;
	case FETCH_BODYSTRUCTURE: return WANT_BODY_STRUCTURE;
	case FETCH_PREVIEW: return WANT_PREVIEW;
	case FETCH_RFC822: return WANT_BYTES;
	case FETCH_RFC822_HEADER: return WANT_HEADER;
	case FETCH_RFC822_TEXT:
	case FETCH_BINARY:
	case FETCH_BINARY_SIZE: return WANT_PARTS | WANT_BYTES;
	case FETCH_SECTION: return wants_of_section(&item->section);
	case FETCH_UID:
	case FETCH_FLAGS:
	case FETCH_RFC822_SIZE:
	case FETCH_MODSEQ:
	case FETCH_EMAILID:
	case FETCH_SAVEDATE: break;
	}
	return 0;
}

/* RFC 9051 §6.4.5 and RFC 3501 §6.4.5: BODY[...], RFC822 and RFC822.TEXT set \Seen; RFC822.HEADER does not. */
static bool sets_seen(const struct fetch_item *item)
{
	if (item->kind == FETCH_SECTION || item->kind == FETCH_BINARY)
		return !item->peek;
	return item->kind == FETCH_RFC822 || item->kind == FETCH_RFC822_TEXT;
}

static bool add_item(struct fetch_plan *plan, const struct fetch_item *item)
{
	struct plan_item *added = &plan->items[plan->count];

	*added = (struct plan_item) { .item = item, .name_at = plan->names.len };
	if (has_filter(item) && !field_filter_init(&added->filter, &item->section))
		return false;
	if (plan->count++ > 0)
		buffer_append_char(&plan->names, ' ');
	section_write_name(&plan->names, item);
	buffer_append_char(&plan->names, ' ');
	added->name_len = plan->names.len - added->name_at;
	plan->wants |= wants_of(item);
	plan->save_dates |= item->kind == FETCH_SAVEDATE;
	plan->sets_seen |= sets_seen(item);
	plan->has_uid |= item->kind == FETCH_UID;
	plan->has_flags |= item->kind == FETCH_FLAGS;
	plan->has_modseq |= item->kind == FETCH_MODSEQ;
	return !plan->names.failed;
}

static bool has_kind(const struct fetch_args *args, enum fetch_kind kind)
{
	for (size_t i = 0; i < args->item_count; i++)
		if (args->items[i].kind == kind)
			return true;
	return false;
}

bool fetch_plan_init(struct fetch_plan *plan, const struct fetch_args *args, bool uid, bool modseq)
{
	*plan = (struct fetch_plan) { 0 };
	buffer_init(&plan->names, NAMES_MAX);
	plan->items = calloc(args->item_count + 2, sizeof(*plan->items));
	if (plan->items == NULL)
		return false;
	if (uid && !has_kind(args, FETCH_UID) && !add_item(plan, &uid_item))
		return false;
	for (size_t i = 0; i < args->item_count; i++)
		if (!add_item(plan, &args->items[i]))
			return false;
	return !modseq || plan->has_modseq || add_item(plan, &modseq_item);
}

void fetch_plan_free(struct fetch_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		field_filter_free(&plan->items[i].filter);
	free(plan->items);
	buffer_free(&plan->names);
	*plan = (struct fetch_plan) { 0 };
}

struct span fetch_plan_name(const struct fetch_plan *plan, const struct plan_item *item)
{
	return span_make(plan->names.data + item->name_at, item->name_len);
}
