/* imapd/search_program.h — a SEARCH as something that can be asked of one message after the other (RFC 9051 §6.4.4).
 *
 * What is known of a message comes in levels, from cheap to dear; the program answers as soon as what is known decides, else VERDICT_OPEN:
 * then give it the next level that it uses. Keys inside AND and OR stand in order of what they cost, so that cheap ones save dear ones.
 *
 *   LEVEL_ROW      the index: sequence number, UID, size, message id, flags, modseq
 *   LEVEL_COLUMNS  stored columns: dates, thread, ENVELOPE
 *   LEVEL_HEADER   the header block
 *   LEVEL_TEXT     the whole message, fed to search_match_feed()
 *
 * What a text key means: the string, folded (message/fold.h), stands in the decoded and folded text, anywhere.
 *   FROM TO CC BCC  the addresses of ENVELOPE as "Name <local@host>, ..."; SUBJECT the ENVELOPE's; an empty string: the field is there
 *   HEADER          any field of that name in the message's header; an empty string: the field is there
 *   BODY, TEXT      message_text.h: text parts; and all header fields, as "name: value"
 *   BEFORE ON SINCE the day of the internal date in UTC;  SENT*: the day that Date: says, in its own zone; without a valid Date: no match
 *   SAVED*          the day (UTC) when it came into this mailbox (RFC 8514);  NEW, RECENT: nothing ever is;  OLD: everything
 * A message that is gone when its level is read matches nothing, whatever the keys.
 *
 * Owner: whoever called search_program_new(), until search_program_free(). The program is read only: any number of threads, each with its
 * own search_match. Depth of the keys: PARSE_DEPTH_MAX, which is also how deep evaluation recurses. */
#ifndef IMAPD_SEARCH_PROGRAM_H
#define IMAPD_SEARCH_PROGRAM_H

#include "imapd/parse.h"
#include "imapd/view.h"
#include "storage/messages.h"

enum search_level { LEVEL_ROW, LEVEL_COLUMNS, LEVEL_HEADER, LEVEL_TEXT, LEVEL_COUNT };
enum verdict { VERDICT_NO, VERDICT_YES, VERDICT_OPEN };

/* What the keys refer to besides the messages. */
struct search_context {
	uint32_t largest_sequence, largest_uid; /* what "*" stands for; 0: no messages */
	const uint32_t *saved;                  /* UIDs of "$", rising (RFC 5182) */
	size_t saved_count;
	int64_t now; /* unix seconds, for OLDER and YOUNGER */
	/* The bit of a keyword; false: no message has it. */
	bool (*keyword)(const void *arg, struct span name, uint64_t *bit);
	const void *keyword_arg;
};

struct search_program;
/* Copies all it needs. ERR_NO_MEMORY. */
bool search_program_new(const struct search_key *key, const struct search_context *context, struct search_program **out,
        struct error *err);
void search_program_free(struct search_program **program);
bool search_program_uses(const struct search_program *program, enum search_level level);
unsigned search_program_wants(const struct search_program *program); /* enum message_want, for LEVEL_COLUMNS */
bool search_program_uses_save_dates(const struct search_program *program);
size_t search_program_text_keys(const struct search_program *program); /* keys that look for a string */
bool search_program_has_numbers(const struct search_program *program); /* sequence numbers */
bool search_program_has_modseq(
        const struct search_program *program); /* RFC 7162 §3.1.5: the answer tells the highest */

/* One message being looked at; used again for the next. */
struct search_match;
struct search_match *search_match_new(const struct search_program *program); /* NULL: out of memory */
void search_match_free(struct search_match **match);

/* Begins a message: LEVEL_ROW. The row must live until the next begins. */
enum verdict search_match_row(struct search_match *match, const struct view_message *row);
/* Puts what was found out so far aside, and takes it up again later: search_match_state_size() octets. Not while it is being fed. */
size_t search_match_state_size(const struct search_program *program);
void search_match_save(const struct search_match *match, uint8_t *state);
void search_match_resume(struct search_match *match, const struct view_message *row, const uint8_t *state);
/* Adds LEVEL_COLUMNS; its spans need live only during the call. save_date: unix seconds, 0 when unknown. */
enum verdict search_match_columns(struct search_match *match, const struct stored_message *stored, int64_t save_date);
/* From now on strings are looked for in so many octets, counted for each key anew; then keys are left OPEN, and the message is held up: it goes
 * on where it was when it is asked the same again, after search_match_allow() or put aside meanwhile. At most one key is looked at beyond that. */
void search_match_allow(struct search_match *match, uint64_t octets);
bool search_match_held_up(const struct search_match *match); /* the last call left keys out */
/* Adds LEVEL_HEADER: the header block. */
enum verdict search_match_header(struct search_match *match, struct span header);
/* LEVEL_TEXT: the message in pieces; when the verdict is not OPEN the rest need not come. end: says that all has come, decides what is open. */
enum verdict search_match_feed(struct search_match *match, struct span octets);
enum verdict search_match_end(struct search_match *match);
bool search_match_failed(const struct search_match *match); /* out of memory: verdicts are not to be trusted */

#endif
