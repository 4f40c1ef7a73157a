#include "imapd/search_lane.h"

#include "message/header.h"

#include <stdlib.h>

#define CHEAP_BLOCK (64 * KIB) /* messages, when only the index is asked */
#define CHEAP_MAX   4096       /* so many may be asked on the loop: less than a millisecond */

struct search_run *search_run_new(struct search_program *program, struct view_message *messages, size_t count,
        struct store *store, int64_t account_id, int64_t mailbox_id)
{
	struct search_run *run = calloc(1, sizeof(*run));

	if (run != NULL)
		run->hits = calloc(1, count + 1);
	if (run == NULL || run->hits == NULL) {
		search_program_free(&program);
		free(messages);
		free(run);
		return NULL;
	}
	run->program = program;
	run->messages = messages;
	run->count = count;
	run->store = store;
	run->account_id = account_id;
	run->mailbox_id = mailbox_id;
	run->state_size = search_match_state_size(program);
	run->rows_only = !search_program_uses(program, LEVEL_COLUMNS) && !search_program_uses(program, LEVEL_HEADER) &&
	                 !search_program_uses(program, LEVEL_TEXT);
	return run;
}

static void free_lanes(struct search_run *run)
{
	for (unsigned i = 0; i < SCAN_JOBS_MAX; i++) {
		lane_free(run->lanes[i]);
		run->lanes[i] = NULL;
	}
}

void search_run_free(struct search_run **run)
{
	struct search_run *r = *run;

	if (r == NULL)
		return;
	free_lanes(r);
	search_program_free(&r->program);
	free(r->messages);
	free(r->hits);
	free(r);
	*run = NULL;
}

/* Octets of a block: what is kept in memory, and what is looked through once for every key. */
static uint64_t block_bytes_max(const struct search_run *run)
{
	uint64_t most = search_program_uses(run->program, LEVEL_TEXT) ? SEARCH_BLOCK_BYTES : UINT64_MAX;
	uint64_t work = SEARCH_BLOCK_WORK / (search_program_text_keys(run->program) + 1);

	return work < most ? work : most;
}

size_t search_run_block(void *arg, size_t first)
{
	const struct search_run *run = arg;
	bool whole = search_program_uses(run->program, LEVEL_TEXT);
	size_t left = run->count - first;
	uint64_t bytes = 0, most;
	size_t count = 0;

	if (run->rows_only)
		return left < CHEAP_BLOCK ? left : CHEAP_BLOCK;
	if (left > SEARCH_BLOCK_MESSAGES)
		left = SEARCH_BLOCK_MESSAGES;
	if (!whole && !search_program_uses(run->program, LEVEL_HEADER))
		return left;
	most = block_bytes_max(run);
	while (count < left && bytes < most) {
		uint32_t size = run->messages[first + count++].row.size;

		bytes += whole || size < HEADER_BLOCK_MAX ? size : HEADER_BLOCK_MAX;
	}
	return count;
}

bool search_run_work(void *arg, unsigned job, size_t first, size_t count, struct error *err)
{
	struct search_run *run = arg;
	struct lane *lane = run->lanes[job];

	if (lane == NULL)
		lane = run->lanes[job] = lane_new(run);
	if (lane == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	if (lane_is_done(lane))
		lane_begin(lane, first, count);
	return lane_go_on(lane, err);
}

bool search_run_is_unfinished(void *arg, unsigned job)
{
	const struct search_run *run = arg;

	return run->lanes[job] != NULL && !lane_is_done(run->lanes[job]);
}

bool search_run_is_cheap(const struct search_run *run)
{
	return run->rows_only && run->count <= CHEAP_MAX;
}

const struct view_message *search_run_hits(struct search_run *run, size_t *count)
{
	if (!run->gathered) {
		for (size_t i = 0; i < run->count; i++)
			if (run->hits[i])
				run->messages[run->hit_count++] = run->messages[i];
		run->gathered = true;
		free_lanes(run); /* megabytes, and all is known */
	}
	*count = run->hit_count;
	return run->messages;
}

const struct search_program *search_run_program(const struct search_run *run)
{
	return run->program;
}

size_t search_run_count(const struct search_run *run)
{
	return run->count;
}

size_t search_run_memory(const struct search_run *run)
{
	return run->count * (sizeof(*run->messages) + sizeof(*run->hits));
}
