/* Running a search program over one message (imapd/search_program.h). */
#include "imapd/search_match.h"

#include "imapd/envelope_text.h"

#include "base/check.h"
#include "base/clock.h"
#include "message/date.h"
#include "message/fold.h"
#include "message/message_text.h"

#include <stdlib.h>
#include <string.h>

#define FIELD_TEXT_MAX (16 * MIB) /* of one field, decoded and folded */
#define KEEP_TEXT      (64 * KIB) /* kept from one message to the next */
#define DAY            (24 * 3600)
#define DECODE_COST    8 /* decoding and folding an octet takes as long as looking for a string in so many */

struct field_text {
	bool ready;
	struct buffer folded;
};

/* What is known of the message; NULL, or absent, what is not. */
struct search_match {
	const struct search_program *program;
	const struct view_message *row;
	const struct stored_message *stored; /* only during search_match_columns() */
	int64_t save_date;
	struct span header;
	bool has_header; /* only during search_match_header() */
	bool all_fed;
	bool failed;
	uint64_t allowance; /* octets that may still be looked through */
	bool held_up;

	bool viewed; /* envelope is that of this message, up to this field */
	enum envelope_field viewed_upto;
	struct envelope_view envelope;
	struct field_text fields[ENVELOPE_FIELDS];
	struct buffer scratch, plain;

	struct message_text *text;
	struct text_stream *streams; /* by node; used by BODY and TEXT */
	uint8_t verdicts[];          /* by node: enum verdict */
};

static void forget_field(struct field_text *field)
{
	field->ready = false;
	if (field->folded.cap > KEEP_TEXT)
		buffer_free(&field->folded);
	else
		buffer_clear(&field->folded);
}

static const struct envelope_view *view(struct search_match *m, enum envelope_field upto)
{
	if (!m->viewed || m->viewed_upto < upto)
		envelope_view(m->stored->envelope, upto, &m->envelope);
	m->viewed_upto = m->viewed && m->viewed_upto > upto ? m->viewed_upto : upto;
	m->viewed = true;
	return &m->envelope;
}

static enum envelope_field field_of(enum search_kind kind)
{
	switch (kind) {
	case SEARCH_FROM: return ENVELOPE_FROM;
	case SEARCH_TO: return ENVELOPE_TO;
	case SEARCH_CC: return ENVELOPE_CC;
	case SEARCH_BCC: return ENVELOPE_BCC;
	default: return ENVELOPE_SUBJECT;
	}
}

/* The field decoded and folded, made once for all keys that ask for it. */
static struct span field_text(struct search_match *m, enum envelope_field field)
{
	struct field_text *text = &m->fields[field];
	bool done;

	if (text->ready)
		return buffer_span(&text->folded);
	buffer_clear(&m->plain);
	buffer_clear(&m->scratch);
	if (field == ENVELOPE_SUBJECT)
		done = envelope_string(view(m, field), field, &m->plain) &&
		       message_text_value(buffer_span(&m->plain), &m->scratch, &text->folded);
	else
		done = envelope_addresses(view(m, field), field, &m->scratch, &m->plain) &&
		       fold_text(buffer_span(&m->plain), &text->folded);
	m->failed = m->failed || !done;
	text->ready = true;
	return buffer_span(&text->folded);
}

static void spend(struct search_match *m, size_t octets)
{
	m->allowance -= m->allowance < octets ? m->allowance : octets;
}

static bool match_field(struct search_match *m, const struct search_node *node)
{
	enum envelope_field field = field_of(node->kind);
	struct span text;

	if (!envelope_has(view(m, field), field))
		return false;
	text = field_text(m, field);
	spend(m, text.len);
	return text_find(&node->needle, text);
}

static int64_t day_of(int64_t unix_seconds)
{
	return unix_seconds >= 0 ? unix_seconds / DAY : -((DAY - 1 - unix_seconds) / DAY);
}

/* RFC 9051 §6.4.4 SENT*: the date as it stands in Date:, time and zone disregarded. */
static bool sent_day(struct search_match *m, int64_t *day)
{
	struct message_date date;

	if (!m->stored->has_sent_date)
		return false;
	buffer_clear(&m->plain);
	m->failed = m->failed || !envelope_string(view(m, ENVELOPE_DATE), ENVELOPE_DATE, &m->plain);
	if (!date_parse(buffer_span(&m->plain), &date))
		return false;
	*day = day_of(date.unix_seconds + date.zone_minutes * 60);
	return true;
}

static bool match_day(enum search_kind kind, enum search_kind before, int64_t day, int64_t wanted)
{
	if (kind == before)
		return day < wanted;
	return kind == before + 1 ? day == wanted : day >= wanted; /* BEFORE, ON, SINCE stand in this order */
}

static bool match_columns(struct search_match *m, const struct search_node *node)
{
	int64_t arrived = clock_seconds_of(m->stored->internal_date_ms);
	int64_t day;

	switch (node->kind) {
	case SEARCH_BEFORE:
	case SEARCH_ON:
	case SEARCH_SINCE: return match_day(node->kind, SEARCH_BEFORE, day_of(arrived), node->number);
	case SEARCH_SENTBEFORE:
	case SEARCH_SENTON:
	case SEARCH_SENTSINCE: return sent_day(m, &day) && match_day(node->kind, SEARCH_SENTBEFORE, day, node->number);
	case SEARCH_SAVEDBEFORE:
	case SEARCH_SAVEDON:
	case SEARCH_SAVEDSINCE:
		day = day_of(m->save_date != 0 ? m->save_date : arrived); /* RFC 8514 §4.3: where there is none */
		return match_day(node->kind, SEARCH_SAVEDBEFORE, day, node->number);
	case SEARCH_YOUNGER: return arrived >= node->number;
	case SEARCH_OLDER: return arrived <= node->number;
	case SEARCH_THREADID: return m->stored->thread_id == node->number;
	default: return match_field(m, node);
	}
}

static bool match_row(const struct search_match *m, const struct search_node *node)
{
	const struct message_row *row = &m->row->row;

	switch (node->kind) {
	case SEARCH_SEQUENCE: return sequence_set_contains(&node->set, m->row->sequence);
	case SEARCH_UID: return sequence_set_contains(&node->set, row->uid);
	case SEARCH_FLAG: return (row->flags & node->flag) != 0;
	case SEARCH_LARGER: return (int64_t)row->size > node->number;
	case SEARCH_SMALLER: return (int64_t)row->size < node->number;
	case SEARCH_MODSEQ: return row->modseq >= (uint64_t)node->number;
	case SEARCH_EMAILID: return row->message_id == node->number;
	case SEARCH_NEW:
	case SEARCH_RECENT: return false;
	default: return true; /* ALL, OLD, SAVEDATESUPPORTED */
	}
}

static bool match_header(struct search_match *m, const struct search_node *node)
{
	struct header_reader reader;
	struct header_field field;

	header_reader_init(&reader, m->header);
	spend(m, m->header.len);
	while (header_next(&reader, &field)) {
		if (!span_equal_nocase(field.name, node->name))
			continue;
		if (node->needle.folded.len == 0)
			return true;
		buffer_clear(&m->plain);
		spend(m, field.value.len * DECODE_COST);
		m->failed = m->failed || !message_text_value(field.value, &m->scratch, &m->plain);
		if (text_find(&node->needle, buffer_span(&m->plain)))
			return true;
	}
	return false;
}

static enum verdict verdict_of(bool matches)
{
	return matches ? VERDICT_YES : VERDICT_NO;
}

/* Has the level of this key come, but no time for it? */
static bool must_wait(struct search_match *m, const struct search_node *node)
{
	bool now =
	        (node->level == LEVEL_COLUMNS && m->stored != NULL) || (node->level == LEVEL_HEADER && m->has_header);

	if (!now || m->allowance > 0)
		return false;
	m->held_up = true;
	return true;
}

static enum verdict leaf(struct search_match *m, const struct search_node *node)
{
	if (must_wait(m, node))
		return VERDICT_OPEN;
	if (node->level == LEVEL_ROW)
		return verdict_of(match_row(m, node));
	if (node->level == LEVEL_COLUMNS && m->stored != NULL)
		return verdict_of(match_columns(m, node));
	if (node->level == LEVEL_HEADER && m->has_header)
		return verdict_of(match_header(m, node));
	if (node->level == LEVEL_TEXT && m->streams[node - m->program->nodes].found)
		return VERDICT_YES;
	return node->level == LEVEL_TEXT && m->all_fed ? VERDICT_NO : VERDICT_OPEN;
}

/* Depth: BUILD_DEPTH_MAX. */
static enum verdict evaluate(struct search_match *m, uint32_t index)
{
	const struct search_node *node = &m->program->nodes[index];
	enum verdict stop = node->kind == SEARCH_OR ? VERDICT_YES : VERDICT_NO;
	enum verdict verdict = stop == VERDICT_YES ? VERDICT_NO : VERDICT_YES;

	if (m->verdicts[index] != VERDICT_OPEN)
		return (enum verdict)m->verdicts[index];
	if (node->kind == SEARCH_NOT) {
		verdict = evaluate(m, node->child);
		verdict = verdict == VERDICT_OPEN ? verdict : verdict_of(verdict == VERDICT_NO);
	} else if (node->kind == SEARCH_AND || node->kind == SEARCH_OR) {
		for (uint32_t child = node->child; child != NO_NODE && verdict != stop;
		        child = m->program->nodes[child].next) {
			enum verdict one = evaluate(m, child);

			if (one == stop || one == VERDICT_OPEN)
				verdict = one;
		}
	} else {
		verdict = leaf(m, node);
	}
	m->verdicts[index] = (uint8_t)verdict;
	return verdict;
}

static bool is_text(const struct search_node *node)
{
	return node->level == LEVEL_TEXT && (node->kind == SEARCH_BODY || node->kind == SEARCH_TEXT);
}

/* A piece of the message's text. False when the search is decided. */
static bool on_text(void *context, enum message_text_place place, struct span folded)
{
	struct search_match *m = context;
	bool news = false;

	for (uint32_t i = 0; i < m->program->count; i++) {
		const struct search_node *node = &m->program->nodes[i];

		if (!is_text(node) || m->streams[i].found || (place == TEXT_HEADER && node->kind == SEARCH_BODY))
			continue;
		m->failed = m->failed || !text_stream_feed(&m->streams[i], folded);
		news = news || m->streams[i].found;
	}
	return !news || evaluate(m, 0) == VERDICT_OPEN;
}

static bool init_text(struct search_match *m)
{
	const struct search_program *p = m->program;
	struct message_text_hooks hooks = { .context = m, .headers = p->headers, .bodies = true, .on_text = on_text };

	if (!search_program_uses(p, LEVEL_TEXT))
		return true;
	m->text = message_text_new(&hooks);
	m->streams = calloc(p->count, sizeof(*m->streams));
	if (m->text == NULL || m->streams == NULL)
		return false;
	for (uint32_t i = 0; i < p->count; i++)
		if (is_text(&p->nodes[i]))
			text_stream_init(&m->streams[i], &p->nodes[i].needle);
	return true;
}

struct search_match *search_match_new(const struct search_program *program)
{
	struct search_match *m = calloc(1, sizeof(*m) + program->count);

	if (m == NULL)
		return NULL;
	m->program = program;
	m->allowance = UINT64_MAX;
	buffer_init(&m->scratch, FIELD_TEXT_MAX);
	buffer_init(&m->plain, FIELD_TEXT_MAX);
	for (unsigned i = 0; i < ENVELOPE_FIELDS; i++)
		buffer_init(&m->fields[i].folded, FIELD_TEXT_MAX * FOLD_GROWTH_MAX);
	if (!init_text(m))
		search_match_free(&m);
	return m;
}

void search_match_free(struct search_match **match)
{
	struct search_match *m = *match;

	if (m == NULL)
		return;
	for (uint32_t i = 0; m->streams != NULL && i < m->program->count; i++)
		if (is_text(&m->program->nodes[i]))
			text_stream_free(&m->streams[i]);
	free(m->streams);
	message_text_free(&m->text);
	buffer_free(&m->scratch);
	buffer_free(&m->plain);
	for (unsigned i = 0; i < ENVELOPE_FIELDS; i++)
		buffer_free(&m->fields[i].folded);
	free(m);
	*match = NULL;
}

static void begin(struct search_match *m, const struct view_message *row)
{
	m->row = row;
	m->viewed = m->all_fed = false;
	for (uint32_t i = 0; m->streams != NULL && i < m->program->count; i++)
		if (is_text(&m->program->nodes[i]))
			text_stream_reset(&m->streams[i]);
}

enum verdict search_match_row(struct search_match *m, const struct view_message *row)
{
	begin(m, row);
	memset(m->verdicts, VERDICT_OPEN, m->program->count);
	return evaluate(m, 0);
}

size_t search_match_state_size(const struct search_program *program)
{
	return program->count;
}

void search_match_save(const struct search_match *m, uint8_t *state)
{
	memcpy(state, m->verdicts, m->program->count);
}

void search_match_resume(struct search_match *m, const struct view_message *row, const uint8_t *state)
{
	begin(m, row);
	memcpy(m->verdicts, state, m->program->count);
}

enum verdict search_match_columns(struct search_match *m, const struct stored_message *stored, int64_t save_date)
{
	enum verdict verdict;

	m->stored = stored;
	m->save_date = save_date;
	m->viewed = m->held_up = false;
	for (unsigned i = 0; i < ENVELOPE_FIELDS; i++)
		if (m->fields[i].ready)
			forget_field(&m->fields[i]);
	verdict = evaluate(m, 0);
	m->stored = NULL;
	return verdict;
}

enum verdict search_match_header(struct search_match *m, struct span header)
{
	enum verdict verdict;

	m->header = header;
	m->has_header = true;
	m->held_up = false;
	verdict = evaluate(m, 0);
	m->has_header = false;
	return verdict;
}

enum verdict search_match_feed(struct search_match *m, struct span octets)
{
	message_text_feed(m->text, octets);
	return evaluate(m, 0);
}

enum verdict search_match_end(struct search_match *m)
{
	m->failed = !message_text_finish(m->text) || m->failed;
	m->all_fed = true;
	return evaluate(m, 0);
}

void search_match_allow(struct search_match *m, uint64_t octets)
{
	m->allowance = octets;
}

bool search_match_held_up(const struct search_match *match)
{
	return match->held_up;
}

bool search_match_failed(const struct search_match *match)
{
	return match->failed;
}
