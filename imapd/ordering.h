/* imapd/ordering.h — what SORT and THREAD know of each message, loaded from the store by slices, and their answer computed; on workers.
 *
 * First scan: ordering_block, ordering_work over all messages. Second scan, of one item: ordering_compute. Then ordering_answer.
 * A message that is gone meanwhile is left out. Owner: whoever called ordering_new(), until ordering_free(). Thread: as scan.h says. */
#ifndef IMAPD_ORDERING_H
#define IMAPD_ORDERING_H

#include "imapd/parse.h"
#include "imapd/scan.h"
#include "imapd/view.h"

/* What a command may hold from its search to its answer, whatever the mailbox is made of; then ERR_LIMIT. With what the store and the sandbox of a
 * read use it stays below the 64 MiB of the promises.
 *   each message searched     41  (a row and its mark: search_run_memory())
 *   each message found       100  for SORT: number, dates, size and four texts (88), its mark (1), its number in the answer (11)
 *                             32  SORT_COST
 *                             63  for THREAD: hashes and numbers (48), its mark (1), its number in the answer (14)
 *                            184  THREAD_MESSAGE_COST
 *   what is left of that          texts of keys, or hashes of references; then dummies, THREAD_DUMMY_COST each
 * So 350,000 messages can be sorted by date, 250,000 with subjects and names of usual length, and 200,000 be threaded. */
#define ORDERING_MEMORY_MAX (60 * MIB)
#define ORDERING_KEY_MAX    1024 /* octets of a text that it is sorted by: what differs behind them counts as the same */
#define ORDERING_REFERENCES 100  /* of one message; as many as are stored (SUMMARY_REFERENCES_MAX) */

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
	size_t held;       /* octets that the search holds meanwhile */
	size_t memory_max; /* ORDERING_MEMORY_MAX */
};

struct ordering;
/* ERR_LIMIT: so many messages need more than memory_max; ERR_NO_MEMORY. ordering_work() says the same when their texts do. */
bool ordering_new(const struct ordering_plan *plan, struct ordering **out, struct error *err);
void ordering_free(struct ordering **ordering);

size_t ordering_block(void *ordering, size_t first);
bool ordering_work(void *ordering, unsigned job, size_t first, size_t count, struct error *err);
size_t ordering_compute_block(void *ordering, size_t first);
bool ordering_compute(void *ordering, unsigned job, size_t first, size_t count, struct error *err);

/* What follows "* SORT" or "* THREAD": each with a blank in front; empty when there is nothing. */
struct span ordering_answer(const struct ordering *ordering);

#endif
