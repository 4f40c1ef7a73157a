/* imapd/thread_tree.h — the tree that THREAD builds and writes; for thread.c and thread_references.c. */
#ifndef IMAPD_THREAD_TREE_H
#define IMAPD_THREAD_TREE_H

#include "imapd/thread.h"

#define THREAD_NONE UINT32_MAX

/* A message or a dummy. Children are a list in no particular order until tree_sort(). */
struct thread_node {
	uint32_t message;                       /* index; THREAD_NONE: a dummy */
	uint32_t parent, child, next, previous; /* previous: sibling */
};

struct thread_tree {
	const struct thread_message *messages;
	struct thread_node *nodes;
	uint32_t count, capacity;
	uint32_t *roots; /* filled by tree_find_roots() */
	uint32_t root_count;
};

bool tree_init(struct thread_tree *tree, const struct thread_message *messages, size_t count);
void tree_free(struct thread_tree *tree);
bool tree_add(struct thread_tree *tree, uint32_t message, uint32_t *node); /* false: out of memory */
void tree_link(struct thread_tree *tree, uint32_t parent, uint32_t child); /* child has no parent */
void tree_unlink(struct thread_tree *tree, uint32_t child);                /* from its parent */
bool tree_find_roots(struct thread_tree *tree);
/* By sent date, then by place in the mailbox. False: out of memory. */
bool tree_sort_children(struct thread_tree *tree, uint32_t node);
bool tree_sort_roots(struct thread_tree *tree);
/* The message that stands for a node: its own, or that of a dummy's first child. */
const struct thread_message *tree_message(const struct thread_tree *tree, uint32_t node);
bool tree_write(const struct thread_tree *tree, struct buffer *out);

#endif
