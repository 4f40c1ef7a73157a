#include "sasl/later.h"

#include "base/check.h"
#include "base/macros.h"

/* One a turn of the loop for each that waits now: run() may add, cancel, or close the queue. */
static void run_waiting(uv_idle_t *idle)
{
	struct later_queue *queue = container_of(idle, struct later_queue, idle);
	struct later *later;
	size_t count = 0;

	TAILQ_FOREACH (later, &queue->list, link)
		count++;
	while (count-- > 0 && (later = TAILQ_FIRST(&queue->list)) != NULL) {
		later_cancel(queue, later);
		later->run(later);
	}
}

void later_init(struct later_queue *queue, uv_loop_t *loop)
{
	uv_idle_init(loop, &queue->idle);
	TAILQ_INIT(&queue->list);
	queue->on_closed = NULL;
}

static void on_idle_closed(uv_handle_t *handle)
{
	struct later_queue *queue = container_of((uv_idle_t *)handle, struct later_queue, idle);

	queue->on_closed(queue);
}

void later_close(struct later_queue *queue, void (*on_closed)(struct later_queue *queue))
{
	struct later *later;

	while ((later = TAILQ_FIRST(&queue->list)) != NULL)
		later_cancel(queue, later);
	queue->on_closed = on_closed;
	uv_close((uv_handle_t *)&queue->idle, on_idle_closed);
}

void later_call(struct later_queue *queue, struct later *later)
{
	CHECK(!later->waiting);
	if (uv_is_closing((uv_handle_t *)&queue->idle))
		return;
	later->waiting = true;
	TAILQ_INSERT_TAIL(&queue->list, later, link);
	uv_idle_start(&queue->idle, run_waiting);
}

void later_cancel(struct later_queue *queue, struct later *later)
{
	if (!later->waiting)
		return;
	later->waiting = false;
	TAILQ_REMOVE(&queue->list, later, link);
	if (TAILQ_EMPTY(&queue->list))
		uv_idle_stop(&queue->idle);
}
