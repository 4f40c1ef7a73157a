/* The view's arithmetic against a naive model: a mailbox that changes at random, clients that believe what they are told, and are
 * told at random times, with and without expunges. Told of everything, a client must know exactly what is there. */
#include "imapd/index.h"
#include "imapd/news.h"
#include "imapd/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MODEL_MAX 80000
#define CLIENTS   6
#define KEYWORD   ((uint64_t)1 << FLAG_KEYWORD_FIRST)

static uint32_t random_state;

static uint32_t roll(uint32_t below)
{
	random_state = random_state * 1664525 + 1013904223;
	return below == 0 ? 0 : (random_state >> 8) % below;
}

/* --- the mailbox as the store has it ------------------------------------------------------------------------------ */

struct model {
	struct message_row rows[MODEL_MAX];
	uint32_t count, uid_next;
	uint64_t modseq;
	/* what went since the start, with its modseq */
	struct gone {
		uint32_t uid;
		uint64_t modseq;
	} gone[MODEL_MAX];
	uint32_t gone_count;
};

static void model_append(struct model *m, uint32_t count)
{
	m->modseq++;
	for (; count > 0 && m->count < MODEL_MAX; count--)
		m->rows[m->count++] = (struct message_row) { .uid = m->uid_next++,
			.flags = roll(4) == 0 ? FLAG_SEEN : 0,
			.modseq = m->modseq,
			.message_id = m->uid_next };
	m->uid_next += roll(3);
}

/* Of the messages from `from` on each `step`-th, at most `most`; returns its modseq, 0: nothing changed. */
static uint64_t model_flags(struct model *m, uint32_t from, uint32_t step, uint32_t most, uint64_t toggled)
{
	if (from >= m->count)
		return 0;
	m->modseq++;
	for (uint32_t i = from; i < m->count && most > 0; i += step, most--) {
		m->rows[i].flags ^= toggled;
		m->rows[i].modseq = m->modseq;
	}
	return m->modseq;
}

static void model_expunge(struct model *m, uint32_t from, uint32_t step, uint32_t most)
{
	uint32_t kept = from, next = from;

	if (from >= m->count)
		return;
	m->modseq++;
	for (uint32_t i = from; i < m->count; i++) {
		if (i == next && most > 0 && m->gone_count < MODEL_MAX) {
			m->gone[m->gone_count++] = (struct gone) { m->rows[i].uid, m->modseq };
			next += step;
			most--;
		} else {
			m->rows[kept++] = m->rows[i];
		}
	}
	m->count = kept;
}

static struct mailbox_info model_info(const struct model *m)
{
	struct mailbox_info info = {
		.id = 7, .uid_validity = 3, .uid_next = m->uid_next, .messages = m->count, .modseq = m->modseq
	};

	for (uint32_t i = 0; i < m->count; i++)
		info.unseen += !(m->rows[i].flags & FLAG_SEEN);
	return info;
}

static int compare_uids(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

/* As account_changes() hands them over. */
static bool patch(struct index *index, const struct model *m, uint64_t since)
{
	uint32_t *vanished = malloc((m->gone_count + 1) * sizeof(*vanished));
	struct message_row *rows = malloc((m->count + 1) * sizeof(*rows));
	struct mailbox_changes changes = { .mailbox_id = 7, .info = model_info(m), .vanished = vanished, .rows = rows };
	bool ok;

	for (uint32_t i = 0; i < m->gone_count; i++)
		if (m->gone[i].modseq > since)
			vanished[changes.vanished_count++] = m->gone[i].uid;
	qsort(vanished, changes.vanished_count, sizeof(*vanished), compare_uids);
	for (uint32_t i = 0; i < m->count; i++)
		if (m->rows[i].modseq > since)
			rows[changes.row_count++] = m->rows[i];
	ok = index_patch(index, since, m->modseq, &changes);
	free(vanished);
	free(rows);
	return ok;
}

static void load(struct index *index, const struct model *m)
{
	struct mailbox_snapshot snapshot = { .info = model_info(m), .modseq = m->modseq, .count = m->count };

	snapshot.rows = malloc((m->count + 1) * sizeof(*snapshot.rows));
	assert_non_null(snapshot.rows);
	memcpy(snapshot.rows, m->rows, m->count * sizeof(*snapshot.rows));
	index_load(index, &snapshot);
	free(snapshot.rows);
}

/* --- a client that believes what it is told ------------------------------------------------------------------------ */

struct client {
	struct view *view;
	struct news_style style;
	uint32_t count;
	uint32_t *uids; /* 0: not yet asked for */
	uint64_t *flags;
	uint64_t own; /* the modseq of a change it made itself */
};

static struct keyword_list keywords;

static void hear_expunge(struct client *c, uint32_t number)
{
	assert_true(number >= 1 && number <= c->count);
	memmove(c->uids + number - 1, c->uids + number, (c->count - number) * sizeof(*c->uids));
	memmove(c->flags + number - 1, c->flags + number, (c->count - number) * sizeof(*c->flags));
	c->count--;
}

static void hear_vanished(struct client *c, const char *text)
{
	uint32_t first, last, kept = 0;
	int used;

	for (; sscanf(text, "%u%n", &first, &used) == 1; text += *text == ',') {
		uint32_t before = c->count, at;

		text += used;
		last = first;
		if (*text == ':') {
			assert_int_equal(sscanf(text, ":%u%n", &last, &used), 1);
			text += used;
		}
		assert_true(first <= last);
		kept = 0;
		for (at = 0; at < c->count; at++) {
			if (c->uids[at] >= first && c->uids[at] <= last)
				continue;
			c->uids[kept] = c->uids[at];
			c->flags[kept++] = c->flags[at];
		}
		c->count = kept;
		assert_int_equal(before - kept, last - first + 1); /* RFC 7162 §3.2.10.2: each is one less */
	}
}

static uint64_t flags_in(const char *line)
{
	uint64_t flags = 0;

	flags |= strstr(line, "\\Seen") != NULL ? FLAG_SEEN : 0;
	flags |= strstr(line, "\\Flagged") != NULL ? FLAG_FLAGGED : 0;
	flags |= strstr(line, "\\Deleted") != NULL ? FLAG_DELETED : 0;
	flags |= strstr(line, "$work") != NULL ? KEYWORD : 0;
	return flags;
}

static void hear_fetch(struct client *c, uint32_t number, const char *line)
{
	const char *uid = strstr(line, "(UID ");
	const struct message_row *row;

	assert_true(number >= 1 && number <= c->count);
	assert_non_null(uid);
	assert_int_equal(strtoul(uid + 5, NULL, 10), c->uids[number - 1]);
	assert_int_equal(strstr(line, "MODSEQ (") != NULL, c->style.modseq);
	c->flags[number - 1] = flags_in(line);
	row = index_row(c->view->index, c->uids[number - 1]);
	assert_non_null(row);
	assert_true(row->modseq != c->own); /* not told of what it did itself */
}

/* New ones it asks for at once, as clients do; of the index, since only this process answers it. */
static void hear_exists(struct client *c, uint32_t number)
{
	assert_true(number > c->count);
	assert_int_equal(number, c->view->known.count);
	for (; c->count < number; c->count++) {
		const struct message_row *row = index_row(c->view->index, c->view->known.list->uids[c->count]);

		assert_non_null(row);
		c->uids[c->count] = row->uid;
		c->flags[c->count] = row->flags;
	}
}

static void hear(struct client *c, struct buffer *out)
{
	char *line = out->len > 0 ? out->data : NULL, *end;

	for (; line != NULL && line < out->data + out->len; line = end + 2) {
		uint32_t number;
		char what[16] = "";

		end = strstr(line, "\r\n");
		assert_non_null(end);
		*end = '\0';
		if (strncmp(line, "* VANISHED ", 11) == 0) {
			assert_true(c->style.vanished);
			hear_vanished(c, line + 11);
		} else if (sscanf(line, "* %u %15s", &number, what) == 2 && strcmp(what, "EXPUNGE") == 0) {
			assert_false(c->style.vanished);
			hear_expunge(c, number);
		} else if (strcmp(what, "EXISTS") == 0) {
			hear_exists(c, number);
		} else if (strcmp(what, "FETCH") == 0) {
			hear_fetch(c, number, line);
		} else {
			assert_true(
			        strncmp(line, "* FLAGS (", 9) == 0 || strncmp(line, "* OK [PERMANENTFLAGS (", 22) == 0);
		}
	}
}

static void tell_one(
        struct client *c, enum news_left (*write)(struct view *, const struct news_style *, struct buffer *))
{
	struct buffer out;
	enum news_left left;

	do {
		buffer_init(&out, NEWS_TEXT_MAX);
		left = write(c->view, &c->style, &out);
		assert_int_not_equal(left, NEWS_NO_MEMORY);
		hear(c, &out);
		buffer_free(&out);
	} while (left == NEWS_MORE);
}

static void tell(struct client *c, bool expunges)
{
	if (expunges)
		tell_one(c, news_write_gone);
	tell_one(c, news_write_flags);
	tell_one(c, news_write_exists);
	c->own = 0;
	assert_int_equal(c->count, c->view->known.count);
}

/* --- what must hold ------------------------------------------------------------------------------------------------ */

static void check_index(struct index *index, const struct model *m)
{
	uint32_t unseen, place = 0;

	assert_int_equal(index->count, m->count);
	assert_memory_equal(index->rows, m->rows, m->count * sizeof(m->rows[0]));
	while (place < m->count && (m->rows[place].flags & FLAG_SEEN))
		place++;
	assert_int_equal(index_first_unseen(index, &unseen), place < m->count);
	if (place < m->count)
		assert_int_equal(unseen, place);
}

/* A client that was told of everything. */
static void check_told(const struct client *c, const struct model *m)
{
	assert_int_equal(c->count, m->count);
	for (uint32_t i = 0; i < m->count; i++) {
		assert_int_equal(c->uids[i], m->rows[i].uid);
		assert_int_equal(c->flags[i], m->rows[i].flags);
	}
	assert_false(news_has_gone(c->view));
	assert_false(news_has_new(c->view));
	assert_false(news_has_flags(c->view));
	assert_int_equal(c->view->epoch, c->view->index->epoch);
}

/* One that could not be told of expunges: the flags of what is there are right all the same. */
static void check_numbers(const struct client *c)
{
	bool gone = false;

	for (uint32_t i = 0; i < c->count; i++) {
		const struct message_row *row = index_row(c->view->index, c->uids[i]);
		uint32_t sequence = 0;

		assert_int_equal(view_uid(c->view, i + 1), c->uids[i]);
		assert_true(view_sequence(c->view, c->uids[i], &sequence));
		assert_int_equal(sequence, i + 1);
		gone = gone || row == NULL;
		if (row != NULL)
			assert_int_equal(c->flags[i], row->flags);
	}
	assert_int_equal(news_has_gone(c->view), gone);
	assert_false(news_has_new(c->view));
}

/* view_collect() against a walk over all numbers. */
static void check_collect(const struct client *c)
{
	struct number_range range = { roll(c->count) + 1, roll(c->count) + 1 };
	struct sequence_set set = { .ranges = &range, .count = 1 };
	bool uid = roll(2) == 0, beyond;
	struct view_message *messages;
	size_t count, gone, at = 0, missing = 0;

	if (c->count == 0)
		return;
	if (uid)
		range = (struct number_range) { c->uids[range.first - 1] + roll(2),
			roll(3) == 0 ? SEQUENCE_STAR : c->uids[range.last - 1] };
	assert_true(view_collect(c->view, &set, uid, &messages, &count, &beyond, &gone));
	assert_false(beyond);
	for (uint32_t i = 0; i < c->count; i++) {
		const struct message_row *row = index_row(c->view->index, c->uids[i]);

		if (!sequence_set_contains(&set, uid ? c->uids[i] : i + 1))
			continue;
		missing += row == NULL;
		if (row == NULL)
			continue;
		assert_true(at < count);
		assert_int_equal(messages[at].sequence, i + 1);
		assert_memory_equal(&messages[at].row, row, sizeof(*row));
		at++;
	}
	assert_int_equal(at, count);
	assert_int_equal(missing, gone);
	free(messages);
}

/* --- the steps ------------------------------------------------------------------------------------------------------ */

struct world {
	struct model model;
	struct index *index;
	struct client clients[CLIENTS];
};

static void client_open(struct world *w, struct client *c)
{
	c->view = calloc(1, sizeof(*c->view));
	assert_non_null(c->view);
	c->view->index = w->index;
	assert_true(news_begin(c->view));
	c->view->next = w->index->views;
	c->view->link = &w->index->views;
	if (c->view->next != NULL)
		c->view->next->link = &c->view->next;
	w->index->views = c->view;
	c->style = (struct news_style) { .modseq = roll(2) == 0, .vanished = roll(2) == 0, .keywords = &keywords };
	c->count = w->index->count;
	for (uint32_t i = 0; i < c->count; i++) {
		c->uids[i] = w->index->rows[i].uid;
		c->flags[i] = w->index->rows[i].flags;
	}
	c->own = 0;
}

static void client_close(struct client *c)
{
	if (c->view == NULL)
		return;
	*c->view->link = c->view->next;
	if (c->view->next != NULL)
		c->view->next->link = c->view->link;
	known_clear(&c->view->known);
	free(c->view);
	c->view = NULL;
}

/* STORE .SILENT: the client changes its own idea of the flags, and is not to be told. Only what it knows as it is. */
static void own_change(struct world *w, struct client *c)
{
	uint32_t at = roll(w->model.count);
	uint64_t modseq;

	if (w->model.count == 0 || w->index->modseq < w->model.modseq || !patch(w->index, &w->model, w->index->modseq))
		return;
	tell(c, true);
	modseq = model_flags(&w->model, at, 1, 1, FLAG_FLAGGED);
	c->flags[at] ^= FLAG_FLAGGED;
	assert_true(patch(w->index, &w->model, modseq - 1));
	view_own_change(c->view, modseq);
	c->own = modseq;
	tell(c, roll(2) == 0);
	if (!news_has_gone(c->view))
		check_told(c, &w->model);
}

static void change_something(struct world *w)
{
	struct model *m = &w->model;
	uint32_t kind = roll(10), from = roll(m->count), step = 1 + roll(5), most = 1 + roll(roll(4) == 0 ? 60 : 3);
	static const uint64_t toggles[] = { FLAG_SEEN, FLAG_FLAGGED, FLAG_DELETED, KEYWORD };

	if (kind < 4)
		model_append(m, 1 + roll(3));
	else if (kind < 7)
		model_flags(m, from, step, most, toggles[roll(4)]);
	else
		model_expunge(m, from, step, most);
}

/* Feeds may overlap and come twice; now and then the index is read anew. */
static void bring_up_to_date(struct world *w)
{
	uint64_t since = w->index->modseq, back = roll(4);

	if (roll(50) == 0) {
		load(w->index, &w->model);
	} else {
		assert_true(patch(w->index, &w->model, since > back ? since - back : 0));
		assert_true(patch(w->index, &w->model, since));
	}
	check_index(w->index, &w->model);
}

static void drop_events(struct index *index)
{
	uint64_t least = index_events_end(index);

	for (const struct view *view = index->views; view != NULL; view = view->next) {
		least = view->gone.event < least ? view->gone.event : least;
		least = view->flags.event < least ? view->flags.event : least;
	}
	index_drop_events(index, least);
}

static void step(struct world *w)
{
	struct client *c = &w->clients[roll(CLIENTS)];
	uint32_t kind = roll(20);

	if (kind < 8) {
		change_something(w);
	} else if (kind < 11) {
		bring_up_to_date(w);
	} else if (c->view == NULL) {
		if (w->index->modseq == w->model.modseq)
			client_open(w, c);
	} else if (kind < 16) {
		tell(c, true);
		if (w->index->modseq == w->model.modseq)
			check_told(c, &w->model);
	} else if (kind < 18) {
		tell(c, false);
		check_numbers(c);
		check_collect(c);
	} else if (kind == 18) {
		own_change(w, c);
	} else if (roll(4) == 0) {
		client_close(c);
	} else {
		drop_events(w->index);
	}
}

static struct world *world_new(uint32_t seed, uint32_t messages)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	random_state = seed;
	keywords.names[0] = SPAN("$work");
	w->model.uid_next = 1;
	model_append(&w->model, messages);
	w->index = calloc(1, sizeof(*w->index));
	assert_non_null(w->index);
	w->index->mailbox_id = 7;
	w->index->latest_epoch = UINT64_MAX;
	load(w->index, &w->model);
	for (size_t i = 0; i < CLIENTS; i++) {
		w->clients[i].uids = calloc(MODEL_MAX, sizeof(uint32_t));
		w->clients[i].flags = calloc(MODEL_MAX, sizeof(uint64_t));
		assert_non_null(w->clients[i].flags);
	}
	return w;
}

static void world_free(struct world *w)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		client_close(&w->clients[i]);
		free(w->clients[i].uids);
		free(w->clients[i].flags);
	}
	index_free(&w->index);
	free(w);
}

static uint64_t seeds = 40;

static void test_random(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= seeds; seed++) {
		struct world *w = world_new(seed, roll(30));

		for (unsigned i = 0; i < 2000 && w->model.gone_count + 200 < MODEL_MAX; i++)
			step(w);
		bring_up_to_date(w);
		for (size_t i = 0; i < CLIENTS; i++) {
			if (w->clients[i].view == NULL)
				continue;
			tell(&w->clients[i], true);
			check_told(&w->clients[i], &w->model);
		}
		world_free(w);
	}
}

/* More than the list of events holds: rows are compared, in pieces, while more happens. */
static void test_many(void **state)
{
	struct world *w = world_new(5, 70000);

	(void)state;
	for (size_t i = 0; i < 3; i++)
		client_open(w, &w->clients[i]);
	model_flags(&w->model, 0, 1, MODEL_MAX, FLAG_SEEN);
	assert_true(patch(w->index, &w->model, w->index->modseq));
	tell(&w->clients[0], true);
	check_told(&w->clients[0], &w->model);
	model_expunge(&w->model, 10, 2, 34000);
	assert_true(patch(w->index, &w->model, w->index->modseq));
	model_append(&w->model, 10);
	model_flags(&w->model, 5, 7, 2000, KEYWORD);
	assert_true(patch(w->index, &w->model, w->index->modseq));
	tell(&w->clients[1], false);
	check_numbers(&w->clients[1]);
	for (size_t i = 0; i < 3; i++) {
		tell(&w->clients[i], true);
		check_told(&w->clients[i], &w->model);
	}
	assert_ptr_equal(w->clients[0].view->known.list, w->clients[2].view->known.list); /* they know the same */
	world_free(w);
}

/* One delivery to a mailbox that several have open: no list is copied. */
static void test_shared(void **state)
{
	struct world *w = world_new(9, 1000);
	const struct known_list *list;

	(void)state;
	client_open(w, &w->clients[0]);
	client_open(w, &w->clients[1]);
	list = w->clients[0].view->known.list;
	assert_ptr_equal(list, w->clients[1].view->known.list);
	for (unsigned i = 0; i < 50; i++) {
		model_append(&w->model, 1);
		assert_true(patch(w->index, &w->model, w->index->modseq));
		tell(&w->clients[i % 2], true);
	}
	tell(&w->clients[0], true);
	tell(&w->clients[1], true);
	assert_ptr_equal(w->clients[0].view->known.list, list);
	assert_ptr_equal(w->clients[1].view->known.list, list);
	check_told(&w->clients[0], &w->model);
	check_told(&w->clients[1], &w->model);
	world_free(w);
}

/* RFC 7162 §3.2.10.2, and RFC 9051 §7.5.1 for the same in EXPUNGE. */
static void test_rfc_examples(void **state)
{
	static const struct {
		bool vanished;
		const char *want;
	} rows[] = {
		{ true, "* VANISHED 505,507,510,625\r\n" },
		{ false, "* 3 EXPUNGE\r\n* 3 EXPUNGE\r\n* 5 EXPUNGE\r\n* 8 EXPUNGE\r\n" },
	};
	static const uint32_t uids[] = { 500, 504, 505, 507, 508, 509, 510, 511, 512, 513, 625 };
	static const uint32_t gone[] = { 505, 507, 510, 625 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new(1, 0);
		struct mailbox_changes changes = {
			.mailbox_id = 7, .vanished = gone, .vanished_count = ARRAY_LEN(gone)
		};
		struct buffer out;

		for (size_t n = 0; n < ARRAY_LEN(uids); n++)
			w->model.rows[w->model.count++] = (struct message_row) { .uid = uids[n], .modseq = 2 };
		w->model.uid_next = 626;
		w->model.modseq = 2;
		load(w->index, &w->model);
		client_open(w, &w->clients[0]);
		w->clients[0].style.vanished = rows[i].vanished;
		changes.info = model_info(&w->model);
		assert_true(index_patch(w->index, 2, 3, &changes));
		buffer_init(&out, NEWS_TEXT_MAX);
		assert_int_equal(news_write_gone(w->clients[0].view, &w->clients[0].style, &out), NEWS_ALL_TOLD);
		assert_string_equal(buffer_text(&out), rows[i].want);
		buffer_free(&out);
		world_free(w);
	}
}

/* Names of keywords are told before they are used, and only once. */
static void test_keywords(void **state)
{
	struct world *w = world_new(2, 3);
	struct client *c = &w->clients[0];
	struct buffer out;

	(void)state;
	client_open(w, c);
	c->style = (struct news_style) { .modseq = false, .vanished = false, .keywords = &keywords };
	model_flags(&w->model, 0, 1, 2, KEYWORD);
	w->model.rows[0].flags = w->model.rows[1].flags = KEYWORD;
	assert_true(patch(w->index, &w->model, w->index->modseq));
	buffer_init(&out, NEWS_TEXT_MAX);
	assert_int_equal(news_write_flags(c->view, &c->style, &out), NEWS_ALL_TOLD);
	assert_string_equal(buffer_text(&out),
	        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $work)\r\n"
	        "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $work \\*)] flags and keywords are kept\r\n"
	        "* 1 FETCH (UID 1 FLAGS ($work))\r\n* 2 FETCH (UID 2 FLAGS ($work))\r\n");
	buffer_free(&out);
	world_free(w);
}

/* As many keywords as there can be, as long as they can be, on more messages than fit into a piece. */
static void test_long_keywords(void **state)
{
	struct world *w = world_new(2, 3000);
	struct client *c = &w->clients[0];
	struct keyword_list most = { .version = 1 };
	char names[FLAG_KEYWORD_COUNT][KEYWORD_LEN_MAX];
	enum news_left left;
	struct buffer out;
	size_t lines = 0;

	(void)state;
	for (unsigned i = 0; i < FLAG_KEYWORD_COUNT; i++) {
		memset(names[i], 'a' + (int)i % 26, sizeof(names[i]));
		most.names[i] = span_make(names[i], sizeof(names[i]));
	}
	for (unsigned round = 0; round < 2; round++) {
		client_open(w, c);
		c->style = (struct news_style) { .modseq = true, .keywords = &most };
		w->model.modseq++;
		for (uint32_t i = 0; i < w->model.count; i++) {
			w->model.rows[i].flags = ~UINT64_C(0) - round;
			w->model.rows[i].modseq = w->model.modseq;
		}
		if (round == 0)
			assert_true(patch(w->index, &w->model, w->index->modseq));
		else
			load(w->index, &w->model); /* the events are given up, and rows compared */
		do {
			buffer_init(&out, NEWS_TEXT_MAX);
			left = news_write_flags(c->view, &c->style, &out);
			assert_int_not_equal(left, NEWS_NO_MEMORY);
			for (const char *at = buffer_text(&out); (at = strstr(at, " FETCH (")) != NULL; at++)
				lines++;
			buffer_free(&out);
		} while (left == NEWS_MORE);
		assert_int_equal(lines, (round + 1) * (size_t)w->model.count);
		if (round == 0)
			client_close(c);
	}
	world_free(w);
}

/* test_imapd_view [SEEDS]: how many random histories. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_rfc_examples),
		cmocka_unit_test(test_keywords),
		cmocka_unit_test(test_long_keywords),
	};

	if (argc > 1 && !span_number(span_of(argv[1]), UINT32_MAX - 1, &seeds))
		return 2;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
