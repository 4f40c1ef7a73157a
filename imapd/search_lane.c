#include "imapd/search_lane.h"

#include "base/check.h"
#include "message/header.h"

#include <stdlib.h>
#include <string.h>

#define PIECE        MIB         /* of a message that is not in a row; less when there are many keys */
#define PIECE_MIN    (64 * KIB)  /* what a read of a file costs apart from its octets should not show */
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

enum stage { STAGE_COLUMNS, STAGE_HEADERS, STAGE_LONG_HEADERS, STAGE_OCTETS, STAGE_TEXTS, STAGE_PIECES, STAGE_DONE };

struct lane {
	struct search_match *match;
	struct open_message open[SEARCH_BLOCK_MESSAGES];
	size_t open_count;
	uint8_t *states; /* one for each of open */
	int64_t ids[SEARCH_BLOCK_MESSAGES];
	struct buffer octets;
	struct search_run *run;
	enum stage stage;
	size_t next;     /* of open: where the stage goes on */
	uint64_t offset; /* PIECES: in that message */
	bool held_up;    /* the call has done enough */
	size_t base;     /* of open: the first that the walk under way asks for */
};

struct lane *lane_new(struct search_run *run)
{
	struct lane *lane = calloc(1, sizeof(*lane));

	if (lane == NULL)
		return NULL;
	lane->run = run;
	lane->stage = STAGE_DONE;
	buffer_init(&lane->octets, OCTETS_KEEP + MESSAGE_ROOM + HEADER_BLOCK_MAX);
	lane->match = search_match_new(run->program);
	lane->states = malloc(run->state_size * SEARCH_BLOCK_MESSAGES);
	if (lane->match == NULL || lane->states == NULL) {
		lane_free(lane);
		return NULL;
	}
	return lane;
}

void lane_free(struct lane *lane)
{
	if (lane == NULL)
		return;
	search_match_free(&lane->match);
	free(lane->states);
	buffer_free(&lane->octets);
	free(lane);
}

bool lane_is_done(const struct lane *lane)
{
	return lane->stage == STAGE_DONE;
}

static void enter(struct lane *lane, enum stage stage)
{
	lane->stage = stage;
	lane->next = 0;
	lane->offset = 0;
}

/* --- verdicts --- */

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

void lane_begin(struct lane *lane, size_t first, size_t count)
{
	struct search_run *run = lane->run;

	CHECK(lane->stage == STAGE_DONE);
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
	enter(lane, lane->open_count > 0 ? STAGE_COLUMNS : STAGE_DONE);
}

/* --- what is stored, with the account held --- */

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

/* Of the message that the walk is at; it is asked again when the keys were too many for one call. */
static void judge(struct lane *lane, struct open_message *message, enum verdict verdict)
{
	settle(lane, message, verdict);
	lane->held_up = verdict == VERDICT_OPEN && search_match_held_up(lane->match);
	if (!lane->held_up)
		lane->next++;
}

static bool each(void *arg, size_t i, const struct stored_message *stored)
{
	struct lane *lane = arg;
	struct open_message *message = &lane->open[lane->base + i];

	lane->next = lane->base + i;
	if (stored->damaged && lane->stage != STAGE_COLUMNS)
		return true;
	if (lane->stage == STAGE_OCTETS) {
		keep_octets(lane, message, stored);
		return true;
	}
	resume(lane, message);
	if (lane->stage == STAGE_COLUMNS) {
		judge(lane, message, search_match_columns(lane->match, stored, message->save_date));
	} else if (stored->header_is_whole) {
		judge(lane, message, search_match_header(lane->match, stored->header));
	} else {
		message->seen = true;
		message->header_length = stored->header_length;
	}
	return !lane->held_up;
}

/* From `next` on; what stood before it has been seen by an earlier call. */
static bool walk(struct lane *lane, struct account *account, unsigned wants, struct error *err)
{
	lane->base = lane->next;
	for (size_t i = lane->base; i < lane->open_count; i++) {
		lane->open[i].seen = false;
		lane->ids[i] = lane->run->messages[lane->open[i].index].row.message_id;
	}
	if (!messages_read(account, lane->ids + lane->base, lane->open_count - lane->base, wants, each, lane, err))
		return false;
	if (lane->held_up)
		return true;
	close_ranks(lane);
	enter(lane, lane->stage + 1);
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

static bool ask_columns(struct lane *lane, struct account *account, struct error *err)
{
	const struct search_program *program = lane->run->program;

	if (!search_program_uses(program, LEVEL_COLUMNS)) {
		enter(lane, STAGE_HEADERS);
		return true;
	}
	if (lane->next == 0 && search_program_uses_save_dates(program) && !read_save_dates(lane, account, err))
		return false;
	return walk(lane, account, search_program_wants(program), err);
}

static bool ask_headers(struct lane *lane, struct account *account, struct error *err)
{
	if (search_program_uses(lane->run->program, LEVEL_HEADER))
		return walk(lane, account, WANT_META | WANT_HEADER, err);
	enter(lane, STAGE_OCTETS);
	return true;
}

static bool ask_long_header(struct lane *lane, struct account *account, struct open_message *message, struct error *err)
{
	size_t size = message->header_length < HEADER_BLOCK_MAX ? message->header_length : HEADER_BLOCK_MAX;

	message->seen = false;
	buffer_clear(&lane->octets);
	if (!message_read(account, lane->run->messages[message->index].row.message_id, 0, size, &lane->octets, err)) {
		lane->next++;
		return err->code == ERR_NO_SUCH_MESSAGE || err->code == ERR_DAMAGED;
	}
	resume(lane, message);
	judge(lane, message, search_match_header(lane->match, buffer_span(&lane->octets)));
	return true;
}

/* Header blocks longer than CONTENT_HEAD_MAX. */
static bool ask_long_headers(struct lane *lane, struct account *account, struct error *err)
{
	while (lane->next < lane->open_count) {
		struct open_message *message = &lane->open[lane->next];

		message->seen = true;
		if (message->header_length == 0)
			lane->next++;
		else if (!ask_long_header(lane, account, message, err))
			return false;
		if (lane->held_up)
			return true;
	}
	close_ranks(lane);
	enter(lane, STAGE_OCTETS);
	return true;
}

static bool read_octets(struct lane *lane, struct account *account, struct error *err)
{
	if (lane->octets.cap > OCTETS_KEEP)
		buffer_free(&lane->octets);
	buffer_clear(&lane->octets);
	return walk(lane, account, WANT_BYTES, err);
}

static bool read_stored(struct lane *lane, struct error *err)
{
	static bool (*const stages[])(struct lane *, struct account *, struct error *) = {
		[STAGE_COLUMNS] = ask_columns,
		[STAGE_HEADERS] = ask_headers,
		[STAGE_LONG_HEADERS] = ask_long_headers,
		[STAGE_OCTETS] = read_octets,
	};
	struct account *account;
	bool done = true;

	if (!account_open(lane->run->store, lane->run->account_id, &account, err))
		return false;
	while (done && !lane->held_up && lane->stage < STAGE_TEXTS && lane->open_count > 0)
		done = stages[lane->stage](lane, account, err);
	account_release(&account);
	return done;
}

/* --- texts --- */

static void ask_texts(struct lane *lane)
{
	for (size_t i = 0; i < lane->open_count; i++) {
		struct open_message *message = &lane->open[i];

		if (message->by_pieces)
			continue;
		resume(lane, message);
		search_match_feed(lane->match, span_make(lane->octets.data + message->at, message->len));
		lane->run->hits[message->index] = search_match_end(lane->match) == VERDICT_YES;
	}
	enter(lane, STAGE_PIECES);
}

static size_t piece_size(const struct search_run *run)
{
	size_t size = SEARCH_BLOCK_WORK / (search_program_text_keys(run->program) + 1);

	if (size > PIECE)
		return PIECE;
	return size < PIECE_MIN ? PIECE_MIN : size;
}

static bool read_piece(struct lane *lane, int64_t id, size_t size, struct error *err)
{
	struct account *account;
	bool done;

	buffer_clear(&lane->octets);
	if (!account_open(lane->run->store, lane->run->account_id, &account, err))
		return false;
	done = message_read(account, id, lane->offset, size, &lane->octets, err);
	account_release(&account);
	return done;
}

/* One piece of the message that PIECES is at. One that is gone meanwhile, or damaged, matches nothing. */
static bool ask_piece(struct lane *lane, struct error *err)
{
	const struct open_message *message = &lane->open[lane->next];
	size_t size = piece_size(lane->run);
	enum verdict verdict = VERDICT_OPEN;
	bool done;

	if (lane->offset == 0)
		resume(lane, message);
	done = read_piece(lane, lane->run->messages[message->index].row.message_id, size, err);
	if (!done && err->code != ERR_NO_SUCH_MESSAGE && err->code != ERR_DAMAGED)
		return false;
	if (done && lane->octets.len > 0)
		verdict = search_match_feed(lane->match, buffer_span(&lane->octets));
	lane->offset += lane->octets.len;
	if (done && lane->octets.len == size && verdict == VERDICT_OPEN)
		return true;
	verdict = search_match_end(lane->match);
	lane->run->hits[message->index] = done && verdict == VERDICT_YES;
	lane->next++;
	lane->offset = 0;
	return true;
}

static bool ask_pieces(struct lane *lane, struct error *err)
{
	uint64_t keys = search_program_text_keys(lane->run->program) + 1, spent = 0;

	while (lane->next < lane->open_count && spent < SEARCH_BLOCK_WORK) {
		if (!lane->open[lane->next].by_pieces) {
			lane->next++;
			continue;
		}
		if (!ask_piece(lane, err))
			return false;
		spent += (lane->octets.len + 1) * keys;
	}
	if (lane->next == lane->open_count)
		enter(lane, STAGE_DONE);
	return true;
}

bool lane_go_on(struct lane *lane, struct error *err)
{
	bool texts = search_program_uses(lane->run->program, LEVEL_TEXT);

	lane->held_up = false;
	search_match_allow(lane->match, SEARCH_BLOCK_WORK);
	if (lane->stage < STAGE_TEXTS && lane->open_count > 0 && !read_stored(lane, err))
		return false;
	if (lane->held_up)
		return true;
	if (lane->open_count == 0 || !texts)
		enter(lane, STAGE_DONE);
	if (lane->stage == STAGE_TEXTS)
		ask_texts(lane);
	if (lane->stage == STAGE_PIECES && !ask_pieces(lane, err))
		return false;
	return !search_match_failed(lane->match) || error_set(err, ERR_NO_MEMORY, "out of memory");
}
