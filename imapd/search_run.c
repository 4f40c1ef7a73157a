#include "imapd/search_run.h"

#include "base/check.h"
#include "message/header.h"

#include <stdlib.h>
#include <string.h>

#define CHEAP_BLOCK  (64 * KIB)  /* messages, when only the index is asked */
#define CHEAP_MAX    4096        /* so many may be asked on the loop: less than a millisecond */
#define PIECE        MIB         /* of a message that is not in a row */
#define MESSAGE_ROOM (192 * KIB) /* a message in a row: body and header block */
#define OCTETS_KEEP  (SEARCH_BLOCK_BYTES + SEARCH_BLOCK_BYTES / 2)

/* A message of the block that is not decided. */
struct open_message {
	size_t index; /* in run->messages */
	int64_t save_date;
	bool seen; /* by the pass under way: else it is gone */
	bool by_pieces;
	uint32_t header_length; /* of a header that is too long for its row; else 0 */
	size_t at, len;         /* in lane->octets */
};

/* What one job works with. */
struct lane {
	struct search_match *match;
	struct open_message open[SEARCH_BLOCK_MESSAGES];
	size_t open_count;
	uint8_t *states; /* one for each of open */
	int64_t ids[SEARCH_BLOCK_MESSAGES];
	struct buffer octets;
	struct search_run *run;
	enum search_level level; /* of the pass under way */
};

struct search_run {
	struct search_program *program;
	struct view_message *messages;
	size_t count;
	uint8_t *hits; /* one for each message; each is written by the one job that has its block */
	bool gathered;
	size_t hit_count;
	struct store *store;
	int64_t account_id, mailbox_id;
	size_t state_size;
	bool rows_only;
	struct lane *lanes[SCAN_JOBS_MAX];
};

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

static void lane_free(struct lane *lane)
{
	if (lane == NULL)
		return;
	search_match_free(&lane->match);
	free(lane->states);
	buffer_free(&lane->octets);
	free(lane);
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

static struct lane *lane_new(struct search_run *run)
{
	struct lane *lane = calloc(1, sizeof(*lane));

	if (lane == NULL)
		return NULL;
	lane->run = run;
	buffer_init(&lane->octets, OCTETS_KEEP + MESSAGE_ROOM + HEADER_BLOCK_MAX);
	lane->match = search_match_new(run->program);
	lane->states = malloc(run->state_size * SEARCH_BLOCK_MESSAGES);
	if (lane->match == NULL || lane->states == NULL) {
		lane_free(lane);
		return NULL;
	}
	return lane;
}

/* Files a verdict; what is still open is kept at its place for the next pass. */
static void settle(struct lane *lane, struct open_message *message, enum verdict verdict)
{
	message->seen = verdict == VERDICT_OPEN;
	if (verdict == VERDICT_OPEN)
		search_match_save(lane->match, lane->states + lane->run->state_size * (size_t)(message - lane->open));
	else
		lane->run->hits[message->index] = verdict == VERDICT_YES;
}

static void resume(struct lane *lane, const struct open_message *message)
{
	search_match_resume(lane->match, &lane->run->messages[message->index],
	        lane->states + lane->run->state_size * (size_t)(message - lane->open));
}

/* Drops the messages that are decided or gone. */
static void close_ranks(struct lane *lane)
{
	size_t size = lane->run->state_size;
	size_t kept = 0;

	for (size_t i = 0; i < lane->open_count; i++) {
		if (!lane->open[i].seen)
			continue;
		if (kept != i) {
			lane->open[kept] = lane->open[i];
			memcpy(lane->states + kept * size, lane->states + i * size, size);
		}
		kept++;
	}
	lane->open_count = kept;
}

static void ask_index(struct lane *lane, size_t first, size_t count)
{
	struct search_run *run = lane->run;

	lane->open_count = 0;
	for (size_t i = first; i < first + count; i++) {
		enum verdict verdict = search_match_row(lane->match, &run->messages[i]);

		if (verdict == VERDICT_OPEN) {
			CHECK(lane->open_count < SEARCH_BLOCK_MESSAGES);
			lane->open[lane->open_count] = (struct open_message) { .index = i };
			settle(lane, &lane->open[lane->open_count++], verdict);
		} else {
			run->hits[i] = verdict == VERDICT_YES;
		}
	}
}

/* Copies a message for later, when the account is given back; a long header or a message in a file is read then. */
static void keep_octets(struct lane *lane, struct open_message *message, const struct stored_message *stored)
{
	message->seen = true;
	message->at = lane->octets.len;
	message->by_pieces = stored->in_file || !stored->header_is_whole ||
	                     stored->header.len + stored->rest.len > lane->octets.limit - lane->octets.len;
	if (message->by_pieces)
		return;
	buffer_append_span(&lane->octets, stored->header);
	buffer_append_span(&lane->octets, stored->rest);
	message->len = lane->octets.len - message->at;
}

static bool each(void *arg, size_t i, const struct stored_message *stored)
{
	struct lane *lane = arg;
	struct open_message *message = &lane->open[i];

	if (stored->damaged && lane->level != LEVEL_COLUMNS)
		return true;
	if (lane->level == LEVEL_TEXT) {
		keep_octets(lane, message, stored);
		return true;
	}
	resume(lane, message);
	if (lane->level == LEVEL_COLUMNS) {
		settle(lane, message, search_match_columns(lane->match, stored, message->save_date));
	} else if (stored->header_is_whole) {
		settle(lane, message, search_match_header(lane->match, stored->header));
	} else {
		message->seen = true;
		message->header_length = stored->header_length;
	}
	return true;
}

static bool walk(struct lane *lane, struct account *account, enum search_level level, unsigned wants, struct error *err)
{
	lane->level = level;
	for (size_t i = 0; i < lane->open_count; i++) {
		lane->open[i].seen = false;
		lane->ids[i] = lane->run->messages[lane->open[i].index].row.message_id;
	}
	if (!messages_read(account, lane->ids, lane->open_count, wants, each, lane, err))
		return false;
	close_ranks(lane);
	return true;
}

static bool read_save_dates(struct lane *lane, struct account *account, struct error *err)
{
	int64_t dates[SEARCH_BLOCK_MESSAGES];
	uint32_t uids[SEARCH_BLOCK_MESSAGES];

	for (size_t i = 0; i < lane->open_count; i++)
		uids[i] = lane->run->messages[lane->open[i].index].row.uid;
	if (!mailbox_save_dates(account, lane->run->mailbox_id, uids, lane->open_count, dates, err))
		return false;
	for (size_t i = 0; i < lane->open_count; i++)
		lane->open[i].save_date = dates[i];
	return true;
}

/* Header blocks longer than CONTENT_HEAD_MAX. */
static bool read_long_headers(struct lane *lane, struct account *account, struct error *err)
{
	for (size_t i = 0; i < lane->open_count; i++) {
		struct open_message *message = &lane->open[i];
		size_t size = message->header_length < HEADER_BLOCK_MAX ? message->header_length : HEADER_BLOCK_MAX;

		message->seen = true;
		if (message->header_length == 0)
			continue;
		message->header_length = 0;
		message->seen = false;
		buffer_clear(&lane->octets);
		if (message_read(
		            account, lane->run->messages[message->index].row.message_id, 0, size, &lane->octets, err)) {
			resume(lane, message);
			settle(lane, message, search_match_header(lane->match, buffer_span(&lane->octets)));
		} else if (err->code != ERR_NO_SUCH_MESSAGE && err->code != ERR_DAMAGED) {
			return false;
		}
	}
	close_ranks(lane);
	return true;
}

static bool ask_columns(struct lane *lane, struct account *account, struct error *err)
{
	const struct search_program *program = lane->run->program;

	if (lane->open_count == 0 || !search_program_uses(program, LEVEL_COLUMNS))
		return true;
	if (search_program_uses_save_dates(program) && !read_save_dates(lane, account, err))
		return false;
	return walk(lane, account, LEVEL_COLUMNS, search_program_wants(program), err);
}

static bool ask_headers(struct lane *lane, struct account *account, struct error *err)
{
	if (lane->open_count == 0 || !search_program_uses(lane->run->program, LEVEL_HEADER))
		return true;
	return walk(lane, account, LEVEL_HEADER, WANT_META | WANT_HEADER, err) && read_long_headers(lane, account, err);
}

static bool read_octets(struct lane *lane, struct account *account, struct error *err)
{
	if (lane->octets.cap > OCTETS_KEEP)
		buffer_free(&lane->octets);
	buffer_clear(&lane->octets);
	if (lane->open_count == 0)
		return true;
	return walk(lane, account, LEVEL_TEXT, WANT_BYTES, err);
}

static bool read_block(struct lane *lane, struct error *err)
{
	struct account *account;
	bool done;

	if (!account_open(lane->run->store, lane->run->account_id, &account, err))
		return false;
	done = ask_columns(lane, account, err) && ask_headers(lane, account, err) && read_octets(lane, account, err);
	account_release(&account);
	return done;
}

/* One piece of a message; *verdict as far as it is known. */
static bool feed_piece(
        struct lane *lane, int64_t id, uint64_t offset, size_t *got, enum verdict *verdict, struct error *err)
{
	struct account *account;
	bool done;

	buffer_clear(&lane->octets);
	if (!account_open(lane->run->store, lane->run->account_id, &account, err))
		return false;
	done = message_read(account, id, offset, PIECE, &lane->octets, err);
	account_release(&account);
	*got = done ? lane->octets.len : 0;
	if (done && *got > 0)
		*verdict = search_match_feed(lane->match, buffer_span(&lane->octets));
	return done;
}

/* A message that is gone meanwhile, or damaged, matches nothing. */
static bool ask_pieces(struct lane *lane, const struct open_message *message, struct error *err)
{
	int64_t id = lane->run->messages[message->index].row.message_id;
	enum verdict verdict = VERDICT_OPEN;
	uint64_t offset = 0;
	size_t got;
	bool done;

	resume(lane, message);
	do {
		done = feed_piece(lane, id, offset, &got, &verdict, err);
		offset += got;
	} while (done && got == PIECE && verdict == VERDICT_OPEN);
	verdict = search_match_end(lane->match);
	lane->run->hits[message->index] = done && verdict == VERDICT_YES;
	return done || err->code == ERR_NO_SUCH_MESSAGE || err->code == ERR_DAMAGED;
}

/* The account is given back by now: only the messages that are in files need it once more. */
static bool ask_texts(struct lane *lane, struct error *err)
{
	for (size_t i = 0; i < lane->open_count; i++) {
		struct open_message *message = &lane->open[i];

		if (message->by_pieces)
			continue;
		resume(lane, message);
		search_match_feed(lane->match, span_make(lane->octets.data + message->at, message->len));
		lane->run->hits[message->index] = search_match_end(lane->match) == VERDICT_YES;
	}
	for (size_t i = 0; i < lane->open_count; i++)
		if (lane->open[i].by_pieces && !ask_pieces(lane, &lane->open[i], err))
			return false;
	return true;
}

bool search_run_work(void *arg, unsigned job, size_t first, size_t count, struct error *err)
{
	struct search_run *run = arg;
	struct lane *lane = run->lanes[job];

	if (lane == NULL)
		lane = run->lanes[job] = lane_new(run);
	if (lane == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	ask_index(lane, first, count);
	if (lane->open_count > 0 && !read_block(lane, err))
		return false;
	if (search_program_uses(run->program, LEVEL_TEXT) && !ask_texts(lane, err))
		return false;
	return !search_match_failed(lane->match) || error_set(err, ERR_NO_MEMORY, "out of memory");
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
