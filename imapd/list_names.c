#include "imapd/list_names.h"

#include <stdlib.h>

void list_names_init(struct list_names *names)
{
	*names = (struct list_names) { 0 };
	arena_init(&names->arena, LIST_NAMES_ARENA_MAX);
}

void list_names_free(struct list_names *names)
{
	free(names->nodes);
	arena_free(&names->arena);
	*names = (struct list_names) { 0 };
}

/* --- adding --- */

static struct list_node *new_node(struct list_names *names)
{
	if (names->count == names->capacity) {
		size_t capacity = names->capacity == 0 ? 64 : 2 * names->capacity;
		struct list_node *nodes = reallocarray(names->nodes, capacity, sizeof(*nodes));

		if (nodes == NULL) {
			names->failed = true;
			return NULL;
		}
		names->nodes = nodes;
		names->capacity = capacity;
	}
	names->nodes[names->count] = (struct list_node) { .parent = LIST_NO_PARENT };
	return &names->nodes[names->count++];
}

static const struct mailbox_info *copy_info(struct list_names *names, const struct mailbox_info *info)
{
	struct mailbox_info *copy = arena_alloc(&names->arena, sizeof(*copy));

	if (copy != NULL)
		*copy = *info;
	return copy;
}

void list_names_add(struct list_names *names, struct span name, const struct mailbox_info *info)
{
	struct list_node *node = names->failed ? NULL : new_node(names);

	if (node == NULL)
		return;
	node->name = arena_copy(&names->arena, name);
	node->subscribed = info == NULL || info->subscribed;
	if (info != NULL)
		node->info = copy_info(names, info);
	if (names->arena.failed)
		names->failed = true;
}

/* --- the hierarchy --- */

/* By octets with "/" below all others: a parent is followed by all that is below it. */
static int compare_names(const void *left, const void *right)
{
	struct span a = ((const struct list_node *)left)->name, b = ((const struct list_node *)right)->name;
	size_t len = a.len < b.len ? a.len : b.len;

	for (size_t i = 0; i < len; i++) {
		unsigned char x = (unsigned char)a.ptr[i], y = (unsigned char)b.ptr[i];

		if (x != y)
			return x == '/' ? -1 : y == '/' ? 1 : x < y ? -1 : 1;
	}
	return a.len < b.len ? -1 : a.len > b.len;
}

static void merge_into(struct list_node *node, const struct list_node *same)
{
	if (node->info == NULL)
		node->info = same->info;
	node->subscribed |= same->subscribed;
}

static bool is_below(struct span name, struct span parent)
{
	return name.len > parent.len && name.ptr[parent.len] == '/' && span_starts(name, parent);
}

/* Behind the nodes that stand already: the levels above it that are missing, then the node. `last`: the node before it. */
static uint32_t place_node(struct list_names *names, const struct list_node *node, uint32_t last)
{
	uint32_t parent = last;
	size_t at;

	while (parent != LIST_NO_PARENT && !is_below(node->name, names->nodes[parent].name))
		parent = names->nodes[parent].parent;
	at = parent == LIST_NO_PARENT ? 0 : names->nodes[parent].name.len + 1;
	for (size_t slash; span_find(span_skip(node->name, at), '/', &slash); at += slash + 1) {
		struct list_node *level = new_node(names);

		if (level == NULL)
			return LIST_NO_PARENT;
		level->name = span_first(node->name, at + slash);
		level->parent = parent;
		parent = (uint32_t)(names->count - 1);
	}
	if (new_node(names) == NULL)
		return LIST_NO_PARENT;
	names->nodes[names->count - 1] = *node;
	names->nodes[names->count - 1].parent = parent;
	return (uint32_t)(names->count - 1);
}

static void note_children(struct list_names *names)
{
	for (size_t i = names->count; i-- > 0;) {
		const struct list_node *node = &names->nodes[i];

		if (node->parent != LIST_NO_PARENT && (node->info != NULL || node->has_children))
			names->nodes[node->parent].has_children = true;
	}
}

bool list_names_arrange(struct list_names *names, struct error *err)
{
	struct list_node *given = names->nodes;
	size_t count = names->count;
	uint32_t last = LIST_NO_PARENT;

	if (count > 0)
		qsort(given, count, sizeof(*given), compare_names);
	names->nodes = NULL;
	names->count = names->capacity = 0;
	for (size_t i = 0; i < count && !names->failed; i++) {
		if (last != LIST_NO_PARENT && span_equal(given[i].name, names->nodes[last].name))
			merge_into(&names->nodes[last], &given[i]);
		else
			last = place_node(names, &given[i], last);
	}
	free(given);
	if (names->failed)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	note_children(names);
	return true;
}

/* --- selecting --- */

const char *special_use_attribute(enum special_use use)
{
	static const char *const attributes[USE_COUNT] = {
		[USE_DRAFTS] = "\\Drafts",
		[USE_SENT] = "\\Sent",
		[USE_ARCHIVE] = "\\Archive",
		[USE_JUNK] = "\\Junk",
		[USE_TRASH] = "\\Trash",
	};

	return use < USE_COUNT ? attributes[use] : NULL;
}

/* RFC 9051 §6.3.9.1: options add up. REMOTE changes nothing: all mailboxes are here. */
static bool meets_selection(const struct list_node *node, unsigned select)
{
	if ((select & LIST_SPECIAL_USE) && (node->info == NULL || special_use_attribute(node->info->use) == NULL))
		return false;
	if (select & LIST_SUBSCRIBED)
		return node->subscribed;
	return node->info != NULL;
}

static bool restricts(unsigned select)
{
	return (select & (LIST_SUBSCRIBED | LIST_SPECIAL_USE)) != 0;
}

/* One that does not meet the selection is listed only for the sake of one below it that is not listed itself (RFC 9051 §6.3.9.3, 2B):
 * when RECURSIVEMATCH asks for it; at the end of "%" where it is a level without mailbox (§6.3.9), or, in LSUB, without
 * subscription (RFC 3501 §6.3.9). */
static bool stands_for_others(const struct list_node *node, unsigned found, unsigned select, bool lsub)
{
	if (!node->below_hidden)
		return false;
	if (select & LIST_RECURSIVEMATCH)
		return true;
	return (found & LIST_MATCHES_LEVEL) != 0 && (lsub || !restricts(select));
}

void list_names_select(struct list_names *names, const struct list_patterns *patterns, unsigned select, bool lsub)
{
	for (size_t i = 0; i < names->count; i++)
		names->nodes[i].below_meets = names->nodes[i].below_hidden = false;
	for (size_t i = names->count; i-- > 0;) { /* what is below a node comes before it */
		struct list_node *node = &names->nodes[i];
		unsigned found = list_patterns_match(patterns, node->name);

		node->meets = meets_selection(node, select);
		node->listed = found != LIST_NO_MATCH && (node->meets || stands_for_others(node, found, select, lsub));
		if (node->parent != LIST_NO_PARENT) {
			struct list_node *parent = &names->nodes[node->parent];

			parent->below_meets |= node->meets || node->below_meets;
			parent->below_hidden |= (node->meets && found == LIST_NO_MATCH) || node->below_hidden;
		}
	}
}
