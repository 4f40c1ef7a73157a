/* posthouse/filter.h — which of the queue's recipients a command is about, from its options. Any thread. */
#ifndef POSTHOUSE_FILTER_H
#define POSTHOUSE_FILTER_H

#include "posthouse/cli.h"
#include "storage/queue.h"

#define FILTER_AGE_MAX_MS (3650ull * 24 * 3600 * 1000)
#define PAGE_LIMIT_MAX    100000
#define PAGE_LIMIT        50
#define PAGE_MAX          1000000

/* --sender, --recipient ("a@b.example", "@b.example", sender also "<>"), --held, --older-than 2h. The trace is left empty.
 * Spans point into the options. ERR_SYNTAX. */
bool filter_from_options(const struct cli *cli, int64_t now_ms, struct queue_filter *out, struct error *err);
/* Nothing narrows it: the whole queue. */
bool filter_is_everything(const struct queue_filter *filter);

/* --limit and --page (from 1): what to leave out and how much to show. ERR_SYNTAX. */
bool page_from_options(const struct cli *cli, uint64_t *skip, uint64_t *limit, struct error *err);

/* An option with a number of 1..max; left alone when it was not given. ERR_SYNTAX. */
bool number_option(const struct cli *cli, enum cli_option option, uint64_t max, uint64_t *out, struct error *err);
/* An option with a duration like 90m; left alone when it was not given. ERR_SYNTAX. */
bool duration_option(const struct cli *cli, enum cli_option option, uint64_t max_ms, uint64_t *ms, struct error *err);

#endif
