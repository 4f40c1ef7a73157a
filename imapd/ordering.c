#include "imapd/ordering.h"

#include "imapd/envelope_text.h"
#include "imapd/fetch_put.h"
#include "imapd/sort.h"
#include "imapd/thread.h"

#include "message/arena.h"
#include "message/fold.h"
#include "storage/messages.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_MESSAGES 1024
#define KEY_TEXT_MAX   (64 * KIB) /* of one key: subjects and local parts are shorter */
#define ANSWER_MAX     (1u << 30)
#define REFERENCES_MAX 1024 /* of one message; SUMMARY_REFERENCES_MAX are stored */

/* What one job works with. */
struct lane {
	struct arena arena; /* texts, collated; or hashes of references */
	struct buffer plain, folded;
	struct ordering *ordering;
	size_t first;
	bool failed;
};

struct ordering {
	struct ordering_plan plan;
	struct sort_criterion *criteria;
	unsigned wants;
	bool texts[SORT_KEY_COUNT];
	struct sort_message *sort;
	struct thread_message *thread;
	uint8_t *there;
	struct thread_hash hash;
	struct lane lanes[SCAN_JOBS_MAX];
	struct buffer answer;
};

static void choose_columns(struct ordering *o)
{
	o->wants = WANT_META;
	if (o->plan.criteria == NULL)
		o->wants |= WANT_THREADING;
	for (size_t i = 0; i < o->plan.criterion_count; i++) {
		enum sort_key_kind kind = o->criteria[i].kind;

		if (sort_key_is_text(kind))
			o->wants |= kind == SORT_SUBJECT ? WANT_THREADING : WANT_ENVELOPE;
		o->texts[kind] = sort_key_is_text(kind);
	}
}

static bool allocate(struct ordering *o)
{
	size_t count = o->plan.count + 1;

	o->there = calloc(1, count);
	if (o->plan.criteria != NULL) {
		o->sort = calloc(count, sizeof(*o->sort));
		o->criteria = reallocarray(NULL, o->plan.criterion_count, sizeof(*o->criteria));
		if (o->criteria != NULL)
			memcpy(o->criteria, o->plan.criteria, o->plan.criterion_count * sizeof(*o->criteria));
		return o->there != NULL && o->sort != NULL && o->criteria != NULL;
	}
	o->thread = calloc(count, sizeof(*o->thread));
	return o->there != NULL && o->thread != NULL;
}

struct ordering *ordering_new(const struct ordering_plan *plan)
{
	struct ordering *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->plan = *plan;
	buffer_init(&o->answer, ANSWER_MAX);
	for (unsigned i = 0; i < SCAN_JOBS_MAX; i++) {
		o->lanes[i].ordering = o;
		arena_init(&o->lanes[i].arena, ORDERING_TEXT_MAX / SCAN_JOBS_MAX);
		buffer_init(&o->lanes[i].plain, KEY_TEXT_MAX);
		buffer_init(&o->lanes[i].folded, KEY_TEXT_MAX * FOLD_GROWTH_MAX);
	}
	if (!allocate(o)) {
		ordering_free(&o);
		return NULL;
	}
	choose_columns(o);
	thread_hash_init(&o->hash);
	return o;
}

void ordering_free(struct ordering **ordering)
{
	struct ordering *o = *ordering;

	if (o == NULL)
		return;
	for (unsigned i = 0; i < SCAN_JOBS_MAX; i++) {
		arena_free(&o->lanes[i].arena);
		buffer_free(&o->lanes[i].plain);
		buffer_free(&o->lanes[i].folded);
	}
	buffer_free(&o->answer);
	free(o->criteria);
	free(o->sort);
	free(o->thread);
	free(o->there);
	free(o);
	*ordering = NULL;
}

size_t ordering_block(void *ordering, size_t first)
{
	const struct ordering *o = ordering;
	size_t left = o->plan.count - first;

	return left < BLOCK_MESSAGES ? left : BLOCK_MESSAGES;
}

static int64_t seconds_of(int64_t milliseconds)
{
	return milliseconds >= 0 ? milliseconds / 1000 : -((999 - milliseconds) / 1000);
}

/* RFC 5256 §2.2: without a valid Date the internal date. */
static int64_t sent_date(const struct stored_message *stored)
{
	return stored->has_sent_date ? stored->sent_date : seconds_of(stored->internal_date_ms);
}

/* Collates what is in `text`, at most KEY_TEXT_MAX octets of it. */
static struct span collate(struct lane *lane, struct span text)
{
	buffer_clear(&lane->folded);
	if (!fold_collate(span_first(text, KEY_TEXT_MAX), &lane->folded))
		lane->failed = true;
	return buffer_span(&lane->folded);
}

static struct span first_mailbox(struct lane *lane, const struct envelope_view *view, enum envelope_field field)
{
	buffer_clear(&lane->plain);
	(void)envelope_first_mailbox(view, field, &lane->plain); /* cut off when it is too long: nobody sorts by that */
	return arena_copy(&lane->arena, collate(lane, buffer_span(&lane->plain)));
}

static void fill_sort(struct lane *lane, size_t i, const struct stored_message *stored)
{
	struct ordering *o = lane->ordering;
	struct sort_message *m = &o->sort[i];
	struct envelope_view view;

	m->arrival = seconds_of(stored->internal_date_ms);
	m->sent = sent_date(stored);
	m->size = o->plan.messages[i].row.size;
	if (o->texts[SORT_SUBJECT])
		m->texts[SORT_SUBJECT] = arena_copy(&lane->arena, collate(lane, stored->base_subject));
	if (!(o->wants & WANT_ENVELOPE))
		return;
	envelope_view(stored->envelope, ENVELOPE_CC, &view);
	if (o->texts[SORT_FROM])
		m->texts[SORT_FROM] = first_mailbox(lane, &view, ENVELOPE_FROM);
	if (o->texts[SORT_TO])
		m->texts[SORT_TO] = first_mailbox(lane, &view, ENVELOPE_TO);
	if (o->texts[SORT_CC])
		m->texts[SORT_CC] = first_mailbox(lane, &view, ENVELOPE_CC);
}

static void fill_references(struct lane *lane, struct thread_message *m, const struct stored_message *stored)
{
	struct span rest = stored->references.len > 0 ? stored->references : stored->in_reply_to;
	uint64_t hashes[REFERENCES_MAX];
	uint64_t *copy;
	uint32_t count = 0;

	while (rest.len > 0 && count < REFERENCES_MAX) {
		struct span id;

		if (!span_take_until(&rest, '\n', &id)) {
			id = rest;
			rest.len = 0;
		}
		if (id.len > 0)
			hashes[count++] = thread_hash_of(&lane->ordering->hash, id);
	}
	if (count == 0)
		return;
	copy = arena_alloc(&lane->arena, count * sizeof(*copy));
	if (copy == NULL)
		return;
	memcpy(copy, hashes, count * sizeof(*copy));
	m->references = copy;
	m->reference_count = count;
}

static void fill_thread(struct lane *lane, size_t i, const struct stored_message *stored)
{
	struct ordering *o = lane->ordering;
	struct thread_message *m = &o->thread[i];

	m->is_reply = stored->subject_is_reply;
	m->sent = sent_date(stored);
	m->subject = thread_hash_of(&o->hash, collate(lane, stored->base_subject));
	if (o->plan.algorithm == THREAD_ORDEREDSUBJECT)
		return;
	m->id = thread_hash_of(&o->hash, stored->rfc_message_id);
	fill_references(lane, m, stored);
}

static bool each(void *arg, size_t i, const struct stored_message *stored)
{
	struct lane *lane = arg;
	struct ordering *o = lane->ordering;
	const struct view_message *message = &o->plan.messages[lane->first + i];
	uint32_t number = o->plan.uid ? message->row.uid : message->sequence;

	i += lane->first;
	o->there[i] = true;
	if (o->sort != NULL) {
		o->sort[i].number = number;
		fill_sort(lane, i, stored);
	} else {
		o->thread[i].number = number;
		fill_thread(lane, i, stored);
	}
	return !lane->failed && !lane->arena.failed;
}

bool ordering_work(void *ordering, unsigned job, size_t first, size_t count, struct error *err)
{
	struct ordering *o = ordering;
	struct lane *lane = &o->lanes[job];
	int64_t ids[BLOCK_MESSAGES];
	struct account *account;
	bool done;

	lane->first = first;
	for (size_t i = 0; i < count; i++)
		ids[i] = o->plan.messages[first + i].row.message_id;
	if (!account_open(o->plan.store, o->plan.account_id, &account, err))
		return false;
	done = messages_read(account, ids, count, o->wants, each, lane, err);
	account_release(&account);
	if (done && lane->arena.failed && lane->arena.used > lane->arena.limit / 2)
		return error_set(err, ERR_LIMIT, "the mailbox is too large for that");
	if (done && (lane->failed || lane->arena.failed))
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	return done;
}

size_t ordering_compute_block(void *ordering, size_t first)
{
	(void)ordering;
	(void)first;
	return 1;
}

static void put_number(struct buffer *out, uint32_t number)
{
	buffer_append_char(out, ' ');
	fetch_put_number(out, number);
}

static bool compute_sort(struct ordering *o, size_t count)
{
	uint32_t *numbers = reallocarray(NULL, count + 1, sizeof(*numbers));
	bool done = numbers != NULL && sort_messages(o->sort, count, o->criteria, o->plan.criterion_count, numbers);

	for (size_t i = 0; done && i < count; i++)
		put_number(&o->answer, numbers[i]);
	free(numbers);
	return done && !o->answer.failed;
}

static bool compute_thread(struct ordering *o, size_t count)
{
	if (count == 0)
		return true;
	buffer_append_char(&o->answer, ' ');
	return o->plan.algorithm == THREAD_REFERENCES ? thread_references(o->thread, count, &o->answer)
	                                              : thread_ordered_subject(o->thread, count, &o->answer);
}

bool ordering_compute(void *ordering, unsigned job, size_t first, size_t items, struct error *err)
{
	struct ordering *o = ordering;
	size_t count = 0;

	(void)job, (void)first, (void)items;
	for (size_t i = 0; i < o->plan.count; i++) {
		if (!o->there[i])
			continue;
		if (o->sort != NULL)
			o->sort[count++] = o->sort[i];
		else
			o->thread[count++] = o->thread[i];
	}
	return (o->sort != NULL ? compute_sort(o, count) : compute_thread(o, count)) ||
	       error_set(err, ERR_NO_MEMORY, "out of memory");
}

struct span ordering_answer(const struct ordering *ordering)
{
	return buffer_span(&ordering->answer);
}
