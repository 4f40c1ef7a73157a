/* common/message/arena.h — many small pieces of memory that are given back all at once.
 *
 * Owner: whoever called arena_init(), until arena_free(). The total is bounded by the limit; NULL beyond it or when out of
 * memory, and `failed` stays set. Pointers stay valid until arena_reset() or arena_free(). Any thread, one at a time. */
#ifndef MESSAGE_ARENA_H
#define MESSAGE_ARENA_H

#include "base/buffer.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;
	char *next;
	size_t left;
	size_t used; /* in all */
	size_t limit;
	bool failed;
};

void arena_init(struct arena *arena, size_t limit);
void arena_free(struct arena *arena);
void arena_wipe(struct arena *arena);  /* overwrites all of its memory: there were secrets in it */
void arena_reset(struct arena *arena); /* empty again; keeps one block */

void *arena_alloc(struct arena *arena, size_t size);        /* aligned for any type, not cleared */
struct span arena_copy(struct arena *arena, struct span s); /* ptr NULL when it failed; never NULL otherwise */

#endif
