/* THREAD=REFERENCES (RFC 5256 §3), its six steps. */
#include "imapd/thread_tree.h"

#include <stdlib.h>

/* A node for each hash of an id or subject; they are even random numbers, so the table takes their low bits. */
struct slot {
	uint64_t hash; /* 0: empty */
	uint32_t node;
};

struct table {
	struct slot *slots;
	size_t mask;
	size_t used;
};

struct state {
	struct thread_tree tree;
	struct table table; /* of ids, then of subjects */
	uint32_t walked;
	size_t dummies, dummies_max;
	uint32_t *order;    /* breadth first */
	uint32_t *up;       /* of a pruned dummy: where its children go; else THREAD_NONE */
	uint64_t *subjects; /* of the roots */
};

#define TABLE_FIRST 1024

static bool table_init(struct table *table)
{
	*table = (struct table) { .slots = calloc(TABLE_FIRST, sizeof(*table->slots)), .mask = TABLE_FIRST - 1 };
	return table->slots != NULL;
}

static void table_free(struct table *table)
{
	free(table->slots);
	table->slots = NULL;
}

/* The slot of a hash, or the empty one where it belongs. */
static struct slot *table_find(const struct table *table, uint64_t hash)
{
	size_t at = hash & table->mask;

	while (table->slots[at].hash != 0 && table->slots[at].hash != hash)
		at = (at + 1) & table->mask;
	return &table->slots[at];
}

static bool table_grow(struct table *table)
{
	struct table bigger = { .mask = table->mask * 2 + 1, .used = table->used };

	if (table->used * 3 < (table->mask + 1) * 2)
		return true;
	bigger.slots = calloc(bigger.mask + 1, sizeof(*bigger.slots));
	if (bigger.slots == NULL)
		return false;
	for (size_t i = 0; i <= table->mask; i++)
		if (table->slots[i].hash != 0)
			*table_find(&bigger, table->slots[i].hash) = table->slots[i];
	free(table->slots);
	*table = bigger;
	return true;
}

/* The slot of a hash; *fresh: it was not there, and its node is to be filled in. NULL: out of memory. */
static struct slot *table_add(struct table *table, uint64_t hash, bool *fresh)
{
	struct slot *slot;

	if (!table_grow(table))
		return NULL;
	slot = table_find(table, hash);
	*fresh = slot->hash == 0;
	if (*fresh) {
		*slot = (struct slot) { .hash = hash, .node = THREAD_NONE };
		table->used++;
	}
	return slot;
}

/* Step 1: a node for each message; of several with one id only the first has it. */
static bool add_messages(struct state *s, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t id = s->tree.messages[i].id;
		struct slot *slot;
		uint32_t node;
		bool fresh;

		if (!tree_add(&s->tree, (uint32_t)i, &node))
			return false;
		if (id == 0)
			continue;
		slot = table_add(&s->table, id, &fresh);
		if (slot == NULL)
			return false;
		if (fresh)
			slot->node = node;
	}
	return true;
}

/* The node of a reference: a dummy when no message has that id; THREAD_NONE when there are too many dummies already. */
static bool node_of(struct state *s, uint64_t id, uint32_t *node)
{
	struct slot *slot;
	bool fresh;

	if (s->dummies >= s->dummies_max) {
		slot = table_find(&s->table, id);
		*node = slot->hash == 0 ? THREAD_NONE : slot->node;
		return true;
	}
	slot = table_add(&s->table, id, &fresh);
	if (slot == NULL || (fresh && !tree_add(&s->tree, THREAD_NONE, &slot->node)))
		return false;
	s->dummies += fresh;
	*node = slot->node;
	return true;
}

/* Is `node` the same as `above`, or below it? A node without children has nothing below it. */
static bool is_below(struct state *s, uint32_t node, uint32_t above)
{
	if (node == above)
		return true;
	if (s->tree.nodes[above].child == THREAD_NONE)
		return false;
	while (node != THREAD_NONE && node != above && s->walked < THREAD_WALK_MAX) {
		node = s->tree.nodes[node].parent;
		s->walked++;
	}
	return node != THREAD_NONE;
}

static void link_unless_loop(struct state *s, uint32_t parent, uint32_t child)
{
	if (!is_below(s, parent, child))
		tree_link(&s->tree, parent, child);
}

/* Step 1 (A) and (B) for one message. */
static bool link_references(struct state *s, uint32_t message)
{
	const struct thread_message *m = &s->tree.messages[message];
	uint32_t last = THREAD_NONE;

	for (uint32_t i = 0; i < m->reference_count; i++) {
		uint32_t node;

		if (!node_of(s, m->references[i], &node))
			return false;
		if (node == THREAD_NONE)
			continue;
		if (last != THREAD_NONE && s->tree.nodes[node].parent == THREAD_NONE)
			link_unless_loop(s, last, node);
		last = node;
	}
	if (s->tree.nodes[message].parent == last)
		return true;
	if (s->tree.nodes[message].parent != THREAD_NONE)
		tree_unlink(&s->tree, message);
	if (last != THREAD_NONE)
		link_unless_loop(s, last, message);
	return true;
}

/* All nodes, parents before their children. */
static bool find_order(struct state *s)
{
	uint32_t filled = 0;

	s->order = reallocarray(NULL, (size_t)s->tree.count + 1, sizeof(*s->order));
	if (s->order == NULL || !tree_find_roots(&s->tree))
		return false;
	for (uint32_t i = 0; i < s->tree.root_count; i++)
		s->order[filled++] = s->tree.roots[i];
	for (uint32_t i = 0; i < filled; i++)
		for (uint32_t child = s->tree.nodes[s->order[i]].child; child != THREAD_NONE;
		        child = s->tree.nodes[child].next)
			s->order[filled++] = child;
	return true;
}

static bool is_dummy(const struct state *s, uint32_t node)
{
	return s->tree.nodes[node].message == THREAD_NONE;
}

static void give_children(struct state *s, uint32_t from, uint32_t to)
{
	while (s->tree.nodes[from].child != THREAD_NONE) {
		uint32_t child = s->tree.nodes[from].child;

		tree_unlink(&s->tree, child);
		tree_link(&s->tree, to, child);
	}
}

/* Step 3: a dummy goes and its children take its place, but none at the top. Parents first, so that each child moves once, to where
 * the last of the dummies above it would have sent it. */
static bool prune(struct state *s)
{
	s->up = reallocarray(NULL, (size_t)s->tree.count + 1, sizeof(*s->up));
	if (s->up == NULL)
		return false;
	for (uint32_t i = 0; i < s->tree.count; i++) {
		uint32_t node = s->order[i];
		uint32_t parent = s->tree.nodes[node].parent;
		bool moves = parent != THREAD_NONE && s->up[parent] != THREAD_NONE;
		uint32_t place = moves ? s->up[parent] : parent;

		s->up[node] = is_dummy(s, node) ? place : THREAD_NONE;
		if (moves || s->up[node] != THREAD_NONE)
			tree_unlink(&s->tree, node);
		if (moves && s->up[node] == THREAD_NONE)
			tree_link(&s->tree, place, node);
	}
	return true;
}

/* The rest of steps 2 and 3: what is at the top now. */
static void prune_roots(struct state *s)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->tree.root_count; i++) {
		uint32_t root = s->tree.roots[i];
		uint32_t child = s->tree.nodes[root].child;

		if (is_dummy(s, root) && child == THREAD_NONE)
			continue;
		if (is_dummy(s, root) && s->tree.nodes[child].next == THREAD_NONE) {
			tree_unlink(&s->tree, child);
			root = child;
		}
		s->tree.roots[kept++] = root;
	}
	s->tree.root_count = kept;
}

/* Step 4 */
static bool sort_top(struct state *s)
{
	for (uint32_t i = 0; i < s->tree.root_count; i++)
		if (is_dummy(s, s->tree.roots[i]) && !tree_sort_children(&s->tree, s->tree.roots[i]))
			return false;
	return tree_sort_roots(&s->tree);
}

static bool is_reply(const struct state *s, uint32_t node)
{
	return !is_dummy(s, node) && tree_message(&s->tree, node)->is_reply;
}

/* Step 5 (B): one thread for each subject. Values of the table are nodes. */
static bool fill_subjects(struct state *s)
{
	s->subjects = reallocarray(NULL, (size_t)s->tree.root_count + 1, sizeof(*s->subjects));
	if (s->subjects == NULL)
		return false;
	for (uint32_t i = 0; i < s->tree.root_count; i++) {
		uint32_t root = s->tree.roots[i];
		struct slot *slot;
		bool fresh;

		s->subjects[i] = tree_message(&s->tree, root)->subject;
		if (s->subjects[i] == 0)
			continue;
		slot = table_add(&s->table, s->subjects[i], &fresh);
		if (slot == NULL)
			return false;
		if (fresh || (!is_dummy(s, slot->node) &&
		                     (is_dummy(s, root) || (is_reply(s, slot->node) && !is_reply(s, root)))))
			slot->node = root;
	}
	return true;
}

/* Step 5 (C) for one thread whose subject another one has too. A new dummy stands in the place of the one that was in the table. */
static bool merge(struct state *s, struct slot *slot, uint32_t root, uint32_t *dummy)
{
	*dummy = THREAD_NONE;
	if (is_dummy(s, slot->node) && is_dummy(s, root)) {
		give_children(s, root, slot->node);
		return true;
	}
	if (is_dummy(s, slot->node) || (is_reply(s, root) && !is_reply(s, slot->node))) {
		tree_link(&s->tree, slot->node, root);
		return true;
	}
	if (!tree_add(&s->tree, THREAD_NONE, dummy))
		return false;
	tree_link(&s->tree, *dummy, slot->node);
	tree_link(&s->tree, *dummy, root);
	slot->node = *dummy;
	return true;
}

/* Step 5 (C). A thread that was given to another is no longer a root: it has a parent, or is a dummy without children. */
static bool merge_subjects(struct state *s)
{
	uint32_t count = s->tree.root_count;

	for (uint32_t i = 0; i < count; i++) {
		uint64_t subject = s->subjects[i];
		uint32_t root = s->tree.roots[i];
		struct slot *slot;
		uint32_t dummy;

		if (subject == 0)
			continue;
		slot = table_find(&s->table, subject);
		if (slot->node == root || s->tree.nodes[root].parent != THREAD_NONE)
			continue;
		if (!merge(s, slot, root, &dummy))
			return false;
		if (dummy != THREAD_NONE)
			s->tree.roots[i] = dummy; /* one of the two places goes to it; the other falls away below */
	}
	return true;
}

static void drop_merged_roots(struct state *s)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->tree.root_count; i++) {
		const struct thread_node *root = &s->tree.nodes[s->tree.roots[i]];

		if (root->parent == THREAD_NONE && !(root->message == THREAD_NONE && root->child == THREAD_NONE))
			s->tree.roots[kept++] = s->tree.roots[i];
	}
	s->tree.root_count = kept;
}

/* Step 6 */
static bool sort_all(struct state *s)
{
	for (uint32_t i = 0; i < s->tree.count; i++)
		if (!tree_sort_children(&s->tree, i))
			return false;
	return tree_sort_roots(&s->tree);
}

static bool run(struct state *s, size_t count, struct buffer *out)
{
	if (!add_messages(s, count))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!link_references(s, (uint32_t)i))
			return false;
	if (!find_order(s))
		return false;
	if (!prune(s))
		return false;
	prune_roots(s);
	if (!sort_top(s))
		return false;
	table_free(&s->table);
	if (!table_init(&s->table) || !fill_subjects(s) || !merge_subjects(s))
		return false;
	drop_merged_roots(s);
	return sort_all(s) && tree_write(&s->tree, out);
}

bool thread_references(const struct thread_message *messages, size_t count, size_t dummies_max, struct buffer *out)
{
	struct state s = { .dummies_max = dummies_max };
	bool done = tree_init(&s.tree, messages, count) && table_init(&s.table) && run(&s, count, out);

	table_free(&s.table);
	free(s.order);
	free(s.up);
	free(s.subjects);
	tree_free(&s.tree);
	return done;
}
