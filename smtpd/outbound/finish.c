#include "smtpd/outbound/finish.h"

#include "base/log.h"
#include "smtpd/outbound/bounce.h"
#include "smtpd/outbound/scheduler.h"
#include "smtpd/outbound/story.h"

#include <stdlib.h>
#include <string.h>

struct finisher {
	struct relay *relay;
	struct parcel_list waiting;
	struct worker_job job;
	bool in_job, stopped;
	uv_timer_t timer;
	uv_prepare_t turn; /* active: what waits begins when the loop has nothing else at hand */
	unsigned retry_ms; /* 0: no trouble */
	/* the job's */
	struct parcel *batch[FINISH_BATCH];
	size_t batch_count;
	struct bounce *bounces[FINISH_BATCH];
	struct parcel *about[FINISH_BATCH]; /* beside bounces */
	size_t bounce_count;
	struct error error;
	bool ok;
};

static void start_job(struct finisher *finisher);

/* --- on a worker ------------------------------------------------------------------------------------------------- */

static size_t count_told(const struct parcel *parcel)
{
	size_t count = 0;

	for (size_t i = 0; i < parcel->part.recipient_count; i++)
		count += parcel->fates[i].report;
	return count;
}

/* The parcels of one message, from number `first` on, that one report can tell of. */
static size_t collect_same(
        const struct finisher *finisher, size_t first, bool seen[FINISH_BATCH], struct parcel *same[FINISH_BATCH])
{
	size_t count = 0, told = 0;

	for (size_t i = first; i < finisher->batch_count; i++) {
		struct parcel *parcel = finisher->batch[i];
		size_t more = count_told(parcel);

		if (seen[i] || parcel->part.id != finisher->batch[first]->part.id || told + more > BOUNCE_TOLD_MAX)
			continue;
		seen[i] = true;
		told += more;
		same[count++] = parcel;
	}
	return count;
}

/* One report for each message of the batch that has something to tell; several, when it is of very many recipients: one that is too large could
 * never be written down, and nothing after it. */
static bool make_bounces(struct finisher *finisher)
{
	bool seen[FINISH_BATCH] = { false };
	struct parcel *same[FINISH_BATCH];

	for (size_t i = 0; i < finisher->batch_count; i++) {
		struct bounce *bounce;
		size_t count;

		if (seen[i])
			continue;
		count = collect_same(finisher, i, seen, same);
		if (!bounce_make(finisher->relay, same, count, &bounce, &finisher->error))
			return false;
		if (bounce != NULL) {
			finisher->about[finisher->bounce_count] = finisher->batch[i];
			finisher->bounces[finisher->bounce_count++] = bounce;
		}
	}
	return true;
}

_Static_assert(BOUNCE_TOLD_MAX >= QUEUE_TAKE_MAX, "every parcel fits into a report by itself");

static size_t count_outcomes(const struct finisher *finisher)
{
	size_t count = 0;

	for (size_t i = 0; i < finisher->batch_count; i++)
		count += finisher->batch[i]->part.recipient_count;
	return count;
}

static void fill_outcomes(const struct finisher *finisher, struct queue_outcome *out)
{
	for (size_t i = 0; i < finisher->batch_count; i++) {
		const struct parcel *parcel = finisher->batch[i];

		for (size_t k = 0; k < parcel->part.recipient_count; k++) {
			const struct fate *fate = &parcel->fates[k];

			*out++ = (struct queue_outcome) {
				.recipient_id = parcel->part.recipients[k].id,
				.result = fate->result,
				.next_attempt_ms = fate->next_ms,
				.warned = fate->warned,
				.reply = span_of(fate->outcome.text),
			};
		}
	}
}

static bool write_down(struct finisher *finisher)
{
	struct queue_entry *reports[FINISH_BATCH];
	size_t count = count_outcomes(finisher);
	struct queue_outcome *outcomes = calloc(count, sizeof(*outcomes));
	bool ok;

	if (outcomes == NULL)
		return error_set(&finisher->error, ERR_NO_MEMORY, "out of memory");
	fill_outcomes(finisher, outcomes);
	for (size_t i = 0; i < finisher->bounce_count; i++)
		reports[i] = bounce_entry(finisher->bounces[i]);
	ok = queue_finish(finisher->relay->queue, outcomes, count, reports, finisher->bounce_count, &finisher->error);
	free(outcomes);
	return ok;
}

static void run(struct worker_job *job)
{
	struct finisher *finisher = container_of(job, struct finisher, job);

	finisher->ok = make_bounces(finisher) && write_down(finisher);
}

/* --- on the loop ------------------------------------------------------------------------------------------------- */

static void free_bounces(struct finisher *finisher)
{
	for (size_t i = 0; i < finisher->bounce_count; i++)
		bounce_free(&finisher->bounces[i]);
	finisher->bounce_count = 0;
}

static void on_retry(uv_timer_t *timer)
{
	start_job(container_of(timer, struct finisher, timer));
}

/* The batch stays as it is and is tried again. */
static void trouble(struct finisher *finisher)
{
	free_bounces(finisher);
	finisher->retry_ms = finisher->retry_ms == 0 ? FINISH_RETRY_MS : 2 * finisher->retry_ms;
	if (finisher->retry_ms > FINISH_RETRY_MAX_MS)
		finisher->retry_ms = FINISH_RETRY_MAX_MS;
	LOG(LOG_ERROR, "relay.not_written", LOG_NUMBER("messages", finisher->batch_count),
	        LOG_FAILURE(&finisher->error));
	if (!finisher->stopped)
		(void)uv_timer_start(&finisher->timer, on_retry, finisher->retry_ms, 0);
}

static void on_done(struct worker_job *job)
{
	struct finisher *finisher = container_of(job, struct finisher, job);
	struct relay *relay = finisher->relay;
	size_t count = finisher->batch_count;

	if (!finisher->ok) {
		finisher->in_job = false;
		trouble(finisher);
		return;
	}
	finisher->retry_ms = 0;
	for (size_t i = 0; i < finisher->bounce_count; i++)
		story_of_report(relay, span_of(finisher->about[i]->part.trace), bounce_entry(finisher->bounces[i]));
	if (finisher->bounce_count > 0)
		scheduler_look(relay->scheduler); /* reports are mail too */
	free_bounces(finisher);
	finisher->batch_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct link *link = finisher->batch[i]->link;

		story_of_parcel(finisher->batch[i]);
		if (link != NULL)
			link_written(
			        link); /* what it settles at once comes to finisher_add(), and waits there: in_job */
		scheduler_parcel_gone(relay->scheduler, finisher->batch[i]);
	}
	finisher->in_job = false;
	start_job(finisher);
	scheduler_kick(relay->scheduler);
}

static void start_job(struct finisher *finisher)
{
	if (finisher->in_job || finisher->stopped)
		return;
	while (finisher->batch_count < FINISH_BATCH && finisher->waiting.first != NULL)
		finisher->batch[finisher->batch_count++] = parcel_list_take(&finisher->waiting);
	if (finisher->batch_count == 0)
		return;
	finisher->job = (struct worker_job) { .run = run, .done = on_done, .lane = WORKER_WRITE };
	finisher->in_job = true;
	worker_submit(finisher->relay->pool, &finisher->job);
}

static void on_turn(uv_prepare_t *turn)
{
	struct finisher *finisher = container_of(turn, struct finisher, turn);

	(void)uv_prepare_stop(turn);
	if (finisher->retry_ms == 0)
		start_job(finisher);
}

/* Not at once: what several servers have answered in the same turn of the loop is one commit. */
void finisher_add(struct finisher *finisher, struct parcel *parcel)
{
	parcel_list_add(&finisher->waiting, parcel);
	if (!finisher->stopped)
		(void)uv_prepare_start(&finisher->turn, on_turn);
}

bool finisher_is_empty(const struct finisher *finisher)
{
	return finisher->batch_count == 0 && finisher->waiting.first == NULL;
}

bool finisher_in_trouble(const struct finisher *finisher)
{
	return finisher->retry_ms != 0;
}

bool finisher_new(struct relay *relay, struct finisher **out, struct error *err)
{
	struct finisher *finisher = calloc(1, sizeof(*finisher));

	if (finisher == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	(void)uv_timer_init(relay->loop, &finisher->timer); /* these cannot fail */
	(void)uv_prepare_init(relay->loop, &finisher->turn);
	finisher->relay = relay;
	*out = finisher;
	return true;
}

void finisher_stop(struct finisher *finisher)
{
	if (finisher == NULL || finisher->stopped)
		return;
	finisher->stopped = true;
	uv_close((uv_handle_t *)&finisher->timer, NULL);
	uv_close((uv_handle_t *)&finisher->turn, NULL);
}

void finisher_free(struct finisher **finisher)
{
	struct finisher *it = *finisher;
	struct parcel *parcel;

	if (it == NULL)
		return;
	for (size_t i = 0; i < it->batch_count; i++)
		parcel_free(&it->batch[i]);
	while ((parcel = parcel_list_take(&it->waiting)) != NULL)
		parcel_free(&parcel);
	free(it);
	*finisher = NULL;
}
