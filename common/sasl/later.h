/* common/sasl/later.h — "call this later, from the loop": what keeps callbacks out of the calls that cause them.
 *
 * Owner: a struct later is part of its user's struct; the user cancels it before that memory goes. run() is called once for
 * each later_call(), and may free its struct. later_close() forgets what waits; the queue's memory stays the caller's until
 * on_closed(). Thread: the loop's. */
#ifndef SASL_LATER_H
#define SASL_LATER_H

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

struct later {
	void (*run)(struct later *later);
	bool waiting;
	TAILQ_ENTRY(later) link;
};

struct later_queue {
	uv_idle_t idle; /* runs only while something waits, so an idle process sleeps */
	TAILQ_HEAD(later_list, later) list;
	void (*on_closed)(struct later_queue *queue);
};

void later_init(struct later_queue *queue, uv_loop_t *loop);
void later_close(struct later_queue *queue, void (*on_closed)(struct later_queue *queue));
void later_call(struct later_queue *queue, struct later *later);   /* run set by the caller; not waiting yet */
void later_cancel(struct later_queue *queue, struct later *later); /* nothing when it does not wait */

#endif
