/* What came of the relay's attempts. */
#include "storage/queue_private.h"

#include "storage/reserve.h"

#include <stdlib.h>

static struct span clean_reply(struct span reply)
{
	size_t at;

	reply = span_first(reply, QUEUE_REPLY_MAX);
	return span_find(reply, '\0', &at) ? span_first(reply, at) : reply;
}

/* How many recipients were to go, and how many of them were there. */
struct gone {
	size_t wanted, found;
};

static bool apply_outcome(
        struct queue_change *change, const struct queue_outcome *outcome, struct gone *gone, struct error *err)
{
	const struct value values[] = { V_INT(outcome->recipient_id), V_INT(outcome->next_attempt_ms),
		V_INT(outcome->warned), V_TEXT(clean_reply(outcome->reply)) };
	bool found;

	switch (outcome->result) {
	case QUEUE_DONE:
		gone->wanted++;
		if (!queue_touch(change, QUEUE_RCPT_DONE, values, 1, &found, err))
			return false;
		gone->found += found ? 1 : 0;
		return !found || id_list_add(&change->messages, outcome->recipient_id >> QUEUE_NUMBER_BITS, err);
	case QUEUE_AGAIN: return queue_touch(change, QUEUE_RCPT_AGAIN, values, 4, &found, err);
	case QUEUE_UNDONE: return queue_touch(change, QUEUE_RCPT_UNDONE, values, 4, &found, err);
	}
	return error_set(err, ERR_INTERNAL, "no such result");
}

static bool apply_all(struct queue_change *change, const struct queue_outcome *outcomes, size_t count,
        struct gone *gone, struct error *err)
{
	bool ok = true;

	for (size_t i = 0; ok && i < count; i++)
		ok = apply_outcome(change, &outcomes[i], gone, err);
	return ok;
}

struct finish {
	const struct queue_outcome *outcomes;
	size_t outcome_count;
	struct queue_entry **reports;
	size_t report_count;
};

/* After a commit of which the disk would not say whether it is there, the same comes again with new reports: where none is left of those who were to
 * go, it was there, and its reports with it. */
static bool finish_once(struct queue *queue, const struct finish *finish, struct body_name *names, struct error *err)
{
	struct gone gone = { 0, 0 };
	struct queue_change change;
	bool ok, unknown = false, told = false;

	ok = queue_prepare(queue, finish->reports, finish->report_count, names, err) &&
	     queue_change_begin(queue, &change, err);
	if (ok) {
		ok = apply_all(&change, finish->outcomes, finish->outcome_count, &gone, err);
		told = gone.wanted > 0 && gone.found == 0;
		ok = ok && (told || queue_insert(&change, finish->reports, finish->report_count, names, err));
		ok = queue_change_end(&change, ok, &unknown, err);
	}
	if (ok ? told : !unknown)
		queue_unlink(queue, names, finish->report_count);
	return ok;
}

static bool finish_with_names(
        struct queue *queue, const struct finish *finish, struct body_name *names, struct error *err)
{
	if (finish_once(queue, finish, names, err))
		return true;
	if (err->code != ERR_NO_SPACE || !reserve_release(queue->reserve))
		return false;
	for (size_t i = 0; i < finish->report_count; i++)
		names[i].text[0] = '\0';
	return finish_once(queue, finish, names, err);
}

bool queue_finish(struct queue *queue, const struct queue_outcome *outcomes, size_t outcome_count,
        struct queue_entry **reports, size_t report_count, struct error *err)
{
	const struct finish finish = { outcomes, outcome_count, reports, report_count };
	struct body_name *names = calloc(report_count + 1, sizeof(*names));
	bool ok;

	if (names == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	ok = finish_with_names(queue, &finish, names, err);
	free(names);
	if (ok && report_count > 0)
		queue_tell(queue, QUEUE_HINT_WORK);
	return ok;
}
