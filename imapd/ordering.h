/* imapd/ordering.h — what SORT and THREAD know of each message, loaded from the store by slices, and their answer computed; on workers.
 *
 * First scan: ordering_block, ordering_work over all messages. Second scan, of one item: ordering_compute. Then ordering_answer.
 * A message that is gone meanwhile is left out. Owner: whoever called ordering_new(), until ordering_free(). Thread: as scan.h says. */
#ifndef IMAPD_ORDERING_H
#define IMAPD_ORDERING_H

#include "imapd/parse.h"
#include "imapd/scan.h"
#include "imapd/view.h"

#define ORDERING_TEXT_MAX (512 * MIB) /* texts of all keys of a command together; then ERR_LIMIT */

struct ordering_plan {
	struct store *store;
	int64_t account_id;
	const struct view_message *messages; /* rising; they live as long as the ordering */
	size_t count;
	bool uid; /* answer UIDs, not sequence numbers */
	/* SORT, or failing criteria THREAD */
	const struct sort_criterion *criteria; /* copied */
	size_t criterion_count;
	enum thread_algorithm algorithm;
};

struct ordering;
struct ordering *ordering_new(const struct ordering_plan *plan); /* NULL: out of memory */
void ordering_free(struct ordering **ordering);

size_t ordering_block(void *ordering, size_t first);
bool ordering_work(void *ordering, unsigned job, size_t first, size_t count, struct error *err);
size_t ordering_compute_block(void *ordering, size_t first);
bool ordering_compute(void *ordering, unsigned job, size_t first, size_t count, struct error *err);

/* What follows "* SORT" or "* THREAD": each with a blank in front; empty when there is nothing. */
struct span ordering_answer(const struct ordering *ordering);

#endif
