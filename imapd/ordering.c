#include "imapd/ordering.h"

#include "imapd/envelope_text.h"
#include "imapd/fetch_put.h"
#include "imapd/sort.h"
#include "imapd/thread.h"

#include "base/clock.h"
#include "message/arena.h"
#include "message/fold.h"
#include "storage/messages.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MESSAGES 1024
#define NUMBER_LEN     11 /* " 4294967295" */
#define THREAD_LEN     14 /* "(4294967295)", and a dummy's parentheses for every second message at most */
#define PIECE_ALIGN    16 /* of pieces in an arena */

/* What one job works with. */
struct lane {
	struct arena arena; /* texts, collated; or hashes of references */
	struct buffer plain, folded;
	struct ordering *ordering;
	size_t first;
	bool full, failed; /* there is no more for texts; no memory at all */
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
	size_t left;               /* of the memory, when all messages have their place */
	_Atomic size_t text_taken; /* of it, by both jobs */
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

/* For each message, whatever it is made of. */
static size_t message_cost(const struct ordering_plan *plan)
{
	if (plan->criteria != NULL)
		return sizeof(struct sort_message) + 1 + NUMBER_LEN + SORT_COST;
	return sizeof(struct thread_message) + 1 + THREAD_LEN + THREAD_MESSAGE_COST;
}

static bool find_limits(struct ordering *o, struct error *err)
{
	const struct ordering_plan *plan = &o->plan;
	size_t cost = message_cost(plan);

	if (plan->held > plan->memory_max || plan->count > (plan->memory_max - plan->held) / cost)
		return error_set(err, ERR_LIMIT, "too many messages at once for that");
	o->left = plan->memory_max - plan->held - plan->count * cost;
	return true;
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

static bool prepare(struct ordering *o, struct error *err)
{
	if (!find_limits(o, err))
		return false;
	buffer_init(&o->answer, o->plan.count * (o->plan.criteria != NULL ? NUMBER_LEN : THREAD_LEN) + 2);
	for (unsigned i = 0; i < SCAN_JOBS_MAX; i++) {
		o->lanes[i].ordering = o;
		arena_init(&o->lanes[i].arena, o->plan.memory_max);
		buffer_init(&o->lanes[i].plain, ORDERING_KEY_MAX);
		buffer_init(&o->lanes[i].folded, ORDERING_KEY_MAX * FOLD_GROWTH_MAX);
	}
	return allocate(o) || error_set(err, ERR_NO_MEMORY, "out of memory");
}

bool ordering_new(const struct ordering_plan *plan, struct ordering **out, struct error *err)
{
	struct ordering *o = calloc(1, sizeof(*o));

	*out = NULL;
	if (o == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	o->plan = *plan;
	if (!prepare(o, err)) {
		ordering_free(&o);
		return false;
	}
	choose_columns(o);
	thread_hash_init(&o->hash);
	*out = o;
	return true;
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

/* RFC 5256 §2.2: without a valid Date the internal date. */
static int64_t sent_date(const struct stored_message *stored)
{
	return stored->has_sent_date ? stored->sent_date : clock_seconds_of(stored->internal_date_ms);
}

/* Collates the beginning of `text`. */
static struct span collate(struct lane *lane, struct span text)
{
	buffer_clear(&lane->folded);
	if (!fold_collate(span_first(text, ORDERING_KEY_MAX), &lane->folded))
		lane->failed = true;
	return buffer_span(&lane->folded);
}

/* Memory of the lane, out of what both may take; an eighth more, for what is left over at the ends of an arena's blocks. NULL: there is no
 * more, or none at all. */
static void *take_memory(struct lane *lane, size_t size)
{
	size_t padded = (size + PIECE_ALIGN - 1) / PIECE_ALIGN * PIECE_ALIGN;
	size_t charge = padded + padded / 8 + 1;

	if (atomic_fetch_add(&lane->ordering->text_taken, charge) + charge > lane->ordering->left) {
		lane->full = true;
		return NULL;
	}
	return arena_alloc(&lane->arena, size);
}

static struct span keep_text(struct lane *lane, struct span text)
{
	struct span key = span_first(text, ORDERING_KEY_MAX);
	char *copy = key.len > 0 ? take_memory(lane, key.len) : NULL;

	if (copy == NULL)
		return SPAN_EMPTY;
	memcpy(copy, key.ptr, key.len);
	return span_make(copy, key.len);
}

static struct span first_mailbox(struct lane *lane, const struct envelope_view *view, enum envelope_field field)
{
	buffer_clear(&lane->plain);
	(void)envelope_first_mailbox(view, field, &lane->plain); /* cut off when it is too long: nobody sorts by that */
	return keep_text(lane, collate(lane, buffer_span(&lane->plain)));
}

static void fill_sort(struct lane *lane, size_t i, const struct stored_message *stored)
{
	struct ordering *o = lane->ordering;
	struct sort_message *m = &o->sort[i];
	struct envelope_view view;

	m->arrival = clock_seconds_of(stored->internal_date_ms);
	m->sent = sent_date(stored);
	m->size = o->plan.messages[i].row.size;
	if (o->texts[SORT_SUBJECT])
		m->texts[SORT_SUBJECT] = keep_text(lane, collate(lane, stored->base_subject));
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
	uint64_t hashes[ORDERING_REFERENCES];
	uint64_t *copy;
	uint32_t count = 0;

	while (rest.len > 0 && count < ORDERING_REFERENCES) {
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
	copy = take_memory(lane, count * sizeof(*copy));
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
	return !lane->failed && !lane->full && !lane->arena.failed;
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
	if (done && lane->full)
		return error_set(err, ERR_LIMIT, "too much text to compare for that");
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
	size_t dummies = (o->left - o->text_taken) / THREAD_DUMMY_COST;

	if (count == 0)
		return true;
	buffer_append_char(&o->answer, ' ');
	return o->plan.algorithm == THREAD_REFERENCES ? thread_references(o->thread, count, dummies, &o->answer)
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
	/* all of it at once: a buffer that grows would be there twice while it moves */
	return (buffer_reserve(&o->answer, o->answer.limit) &&
	               (o->sort != NULL ? compute_sort(o, count) : compute_thread(o, count))) ||
	       error_set(err, ERR_NO_MEMORY, "out of memory");
}

struct span ordering_answer(const struct ordering *ordering)
{
	return buffer_span(&ordering->answer);
}
