/* tests/crash/store_failures_queue.h — what is done to queue.db while the n-th call fails. */
#ifndef TEST_STORE_FAILURES_QUEUE_H
#define TEST_STORE_FAILURES_QUEUE_H

#include "storage/queue.h"

/* What is in the queue at the beginning: a large message to two recipients, a small one to one, and one here. */
bool queue_scene(struct store *store, struct queue *queue, struct error *err);

bool queue_add_two(struct store *store, struct queue *queue, struct error *err); /* one of them large */
bool queue_finish_some(struct store *store, struct queue *queue, struct error *err);
bool queue_finish_report(
        struct store *store, struct queue *queue, struct error *err); /* the last of a large one, with a report */
bool queue_hold_one(struct store *store, struct queue *queue, struct error *err);
bool queue_reroute_one(struct store *store, struct queue *queue, struct error *err);
bool queue_drop_first(struct store *store, struct queue *queue, struct error *err);
bool queue_look(struct store *store, struct queue *queue, struct error *err);
bool queue_anew(const char *dir, struct queue **queue, struct error *err);

#endif
