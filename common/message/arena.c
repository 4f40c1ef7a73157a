#include "message/arena.h"

#include "base/check.h"
#include "base/secret.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE (8 * KIB)

struct arena_block {
	struct arena_block *older;
	size_t size;
	alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *arena, size_t limit)
{
	*arena = (struct arena) { .limit = limit };
}

static void use_block(struct arena *arena, struct arena_block *block)
{
	arena->next = block->bytes;
	arena->left = block->size;
}

void arena_wipe(struct arena *arena)
{
	for (struct arena_block *block = arena->blocks; block != NULL; block = block->older)
		secret_wipe(block->bytes, block->size);
}

void arena_reset(struct arena *arena)
{
	struct arena_block *oldest = arena->blocks;

	while (oldest != NULL && oldest->older != NULL) {
		struct arena_block *older = oldest->older;

		free(oldest);
		oldest = older;
	}
	arena_init(arena, arena->limit);
	if (oldest != NULL) {
		arena->blocks = oldest;
		use_block(arena, oldest);
	}
}

void arena_free(struct arena *arena)
{
	arena_reset(arena);
	free(arena->blocks);
	arena_init(arena, arena->limit);
}

static bool add_block(struct arena *arena, size_t size)
{
	size_t block_size = size > BLOCK_SIZE ? size : BLOCK_SIZE;
	struct arena_block *block = malloc(sizeof(*block) + block_size);

	if (block == NULL)
		return false;
	block->older = arena->blocks;
	block->size = block_size;
	arena->blocks = block;
	use_block(arena, block);
	return true;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	size_t rounded;
	void *memory;

	size += size == 0; /* so that NULL always means failure */
	if (size > arena->limit - arena->used) {
		arena->failed = true;
		return NULL;
	}
	rounded = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
	if (rounded > arena->left && !add_block(arena, rounded)) {
		arena->failed = true;
		return NULL;
	}
	memory = arena->next;
	arena->next += rounded;
	arena->left -= rounded;
	arena->used += size;
	return memory;
}

struct span arena_copy(struct arena *arena, struct span s)
{
	char *copy = arena_alloc(arena, s.len);

	if (copy == NULL)
		return SPAN_EMPTY;
	if (s.len > 0)
		memcpy(copy, s.ptr, s.len);
	return span_make(copy, s.len);
}
