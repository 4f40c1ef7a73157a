/* THREAD=ORDEREDSUBJECT (RFC 5256 §3), and the hash that both algorithms compare by. */
#include "imapd/thread_tree.h"

#include "base/random.h"

#include <stdlib.h>
#include <string.h>

void thread_hash_init(struct thread_hash *hash)
{
	random_bytes(hash->key, sizeof(hash->key));
	hash->key[1] |= 1;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t thread_hash_of(const struct thread_hash *hash, struct span text)
{
	uint64_t value = hash->key[0] ^ text.len;
	uint64_t word;

	if (text.len == 0)
		return 0;
	for (; text.len >= sizeof(word); text = span_skip(text, sizeof(word))) {
		memcpy(&word, text.ptr, sizeof(word));
		value = mix(value ^ word, hash->key[1]);
	}
	word = 0;
	if (text.len > 0)
		memcpy(&word, text.ptr, text.len);
	value = mix(value ^ word, hash->key[1]);
	value = mix(value ^ hash->key[0], 0x9e3779b97f4a7c15u);
	return value == 0 ? 1 : value;
}

static int compare(const void *left, const void *right, void *arg)
{
	const struct thread_message *messages = arg;
	uint32_t first = *(const uint32_t *)left;
	uint32_t second = *(const uint32_t *)right;
	const struct thread_message *a = &messages[first];
	const struct thread_message *b = &messages[second];

	if (a->subject != b->subject)
		return a->subject < b->subject ? -1 : 1; /* which group comes first does not matter: the date decides */
	if (a->sent != b->sent)
		return a->sent < b->sent ? -1 : 1;
	return first < second ? -1 : first > second;
}

/* Neighbours of one subject: the first is the root, the others are its children. */
static bool build(struct thread_tree *tree, const uint32_t *order, size_t count)
{
	uint32_t root = THREAD_NONE;

	for (size_t i = 0; i < count; i++) {
		bool begins = i == 0 || tree->messages[order[i]].subject != tree->messages[order[i - 1]].subject;
		uint32_t node;

		if (!tree_add(tree, order[i], &node))
			return false;
		if (begins)
			root = node;
		else
			tree_link(tree, root, node);
	}
	if (!tree_find_roots(tree))
		return false;
	for (uint32_t i = 0; i < tree->root_count; i++)
		if (!tree_sort_children(tree, tree->roots[i]))
			return false;
	return tree_sort_roots(tree);
}

bool thread_ordered_subject(const struct thread_message *messages, size_t count, struct buffer *out)
{
	uint32_t *order = reallocarray(NULL, count + 1, sizeof(*order));
	struct thread_tree tree = { 0 };
	bool done = false;

	if (order != NULL && tree_init(&tree, messages, count)) {
		for (size_t i = 0; i < count; i++)
			order[i] = (uint32_t)i;
		qsort_r(order, count, sizeof(*order), compare, (void *)(uintptr_t)messages);
		done = build(&tree, order, count) && tree_write(&tree, out);
	}
	tree_free(&tree);
	free(order);
	return done;
}
