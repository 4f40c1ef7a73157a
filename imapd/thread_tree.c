#include "imapd/thread_tree.h"

#include "imapd/fetch_put.h"

#include "base/check.h"

#include <stdlib.h>

#define FEW 32 /* siblings that are sorted without asking for memory */

struct sibling {
	int64_t sent;
	uint32_t message, node;
};

bool tree_init(struct thread_tree *tree, const struct thread_message *messages, size_t count)
{
	*tree = (struct thread_tree) { .messages = messages, .capacity = (uint32_t)(count + count / 2 + 16) };
	tree->nodes = reallocarray(NULL, tree->capacity, sizeof(*tree->nodes));
	return tree->nodes != NULL;
}

void tree_free(struct thread_tree *tree)
{
	free(tree->nodes);
	free(tree->roots);
	*tree = (struct thread_tree) { 0 };
}

bool tree_add(struct thread_tree *tree, uint32_t message, uint32_t *node)
{
	if (tree->count == tree->capacity) {
		uint32_t capacity = tree->capacity * 2;
		struct thread_node *nodes;

		if (tree->capacity >= UINT32_MAX / 4)
			return false;
		nodes = reallocarray(tree->nodes, capacity, sizeof(*nodes));
		if (nodes == NULL)
			return false;
		tree->nodes = nodes;
		tree->capacity = capacity;
	}
	*node = tree->count++;
	tree->nodes[*node] = (struct thread_node) { .message = message,
		.parent = THREAD_NONE,
		.child = THREAD_NONE,
		.next = THREAD_NONE,
		.previous = THREAD_NONE };
	return true;
}

void tree_link(struct thread_tree *tree, uint32_t parent, uint32_t child)
{
	struct thread_node *node = &tree->nodes[child];

	node->parent = parent;
	node->previous = THREAD_NONE;
	node->next = tree->nodes[parent].child;
	if (node->next != THREAD_NONE)
		tree->nodes[node->next].previous = child;
	tree->nodes[parent].child = child;
}

void tree_unlink(struct thread_tree *tree, uint32_t child)
{
	struct thread_node *node = &tree->nodes[child];

	if (node->previous != THREAD_NONE)
		tree->nodes[node->previous].next = node->next;
	else
		tree->nodes[node->parent].child = node->next;
	if (node->next != THREAD_NONE)
		tree->nodes[node->next].previous = node->previous;
	node->parent = node->next = node->previous = THREAD_NONE;
}

bool tree_find_roots(struct thread_tree *tree)
{
	tree->roots = reallocarray(NULL, (size_t)tree->count + 1, sizeof(*tree->roots));
	if (tree->roots == NULL)
		return false;
	for (uint32_t i = 0; i < tree->count; i++)
		if (tree->nodes[i].parent == THREAD_NONE)
			tree->roots[tree->root_count++] = i;
	return true;
}

static uint32_t message_index(const struct thread_tree *tree, uint32_t node)
{
	if (tree->nodes[node].message == THREAD_NONE)
		node = tree->nodes[node].child;
	CHECK(node != THREAD_NONE && tree->nodes[node].message != THREAD_NONE);
	return tree->nodes[node].message;
}

const struct thread_message *tree_message(const struct thread_tree *tree, uint32_t node)
{
	return &tree->messages[message_index(tree, node)];
}

static int compare(const void *left, const void *right)
{
	const struct sibling *a = left;
	const struct sibling *b = right;

	if (a->sent != b->sent)
		return a->sent < b->sent ? -1 : 1;
	return a->message < b->message ? -1 : a->message > b->message;
}

static struct sibling sibling_of(const struct thread_tree *tree, uint32_t node)
{
	uint32_t message = message_index(tree, node);

	return (struct sibling) { .sent = tree->messages[message].sent, .message = message, .node = node };
}

static void relink(struct thread_tree *tree, uint32_t parent, const struct sibling *siblings, size_t count)
{
	tree->nodes[parent].child = THREAD_NONE;
	for (size_t i = count; i > 0; i--)
		tree_link(tree, parent, siblings[i - 1].node);
}

bool tree_sort_children(struct thread_tree *tree, uint32_t node)
{
	struct sibling few[FEW];
	struct sibling *siblings = few;
	size_t count = 0, at = 0;

	for (uint32_t child = tree->nodes[node].child; child != THREAD_NONE; child = tree->nodes[child].next)
		count++;
	if (count < 2)
		return true;
	if (count > FEW)
		siblings = reallocarray(NULL, count, sizeof(*siblings));
	if (siblings == NULL)
		return false;
	for (uint32_t child = tree->nodes[node].child; child != THREAD_NONE; child = tree->nodes[child].next)
		siblings[at++] = sibling_of(tree, child);
	qsort(siblings, count, sizeof(*siblings), compare);
	relink(tree, node, siblings, count);
	if (siblings != few)
		free(siblings);
	return true;
}

bool tree_sort_roots(struct thread_tree *tree)
{
	struct sibling *siblings = reallocarray(NULL, (size_t)tree->root_count + 1, sizeof(*siblings));

	if (siblings == NULL)
		return false;
	for (uint32_t i = 0; i < tree->root_count; i++)
		siblings[i] = sibling_of(tree, tree->roots[i]);
	qsort(siblings, tree->root_count, sizeof(*siblings), compare);
	for (uint32_t i = 0; i < tree->root_count; i++)
		tree->roots[i] = siblings[i].node;
	free(siblings);
	return true;
}

static bool has_siblings(const struct thread_tree *tree, uint32_t node)
{
	const struct thread_node *n = &tree->nodes[node];

	return n->parent != THREAD_NONE && (n->next != THREAD_NONE || n->previous != THREAD_NONE);
}

/* What comes before a node's children: "(" where it begins a list, its number, a blank where it only goes on. */
static void write_open(const struct thread_tree *tree, uint32_t node, struct buffer *out)
{
	const struct thread_node *n = &tree->nodes[node];

	if (n->parent == THREAD_NONE || has_siblings(tree, node)) {
		if (n->previous == THREAD_NONE && n->parent != THREAD_NONE &&
		        tree->nodes[n->parent].message != THREAD_NONE)
			buffer_append_char(out, ' '); /* thread-members SP thread-nested */
		buffer_append_char(out, '(');
	} else {
		buffer_append_char(out, ' ');
	}
	if (n->message != THREAD_NONE)
		fetch_put_number(out, tree->messages[n->message].number);
}

/* RFC 5256 §5 thread-list: depth first, without recursion. */
static void write_thread(const struct thread_tree *tree, uint32_t root, struct buffer *out)
{
	uint32_t node = root;

	for (;;) {
		write_open(tree, node, out);
		if (tree->nodes[node].child != THREAD_NONE) {
			node = tree->nodes[node].child;
			continue;
		}
		for (;;) {
			if (node == root || has_siblings(tree, node))
				buffer_append_char(out, ')');
			if (node == root)
				return;
			if (tree->nodes[node].next != THREAD_NONE)
				break;
			node = tree->nodes[node].parent;
		}
		node = tree->nodes[node].next;
	}
}

bool tree_write(const struct thread_tree *tree, struct buffer *out)
{
	for (uint32_t i = 0; i < tree->root_count; i++)
		write_thread(tree, tree->roots[i], out);
	return !out->failed;
}
