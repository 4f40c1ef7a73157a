/* imapd/fetch_plan.h — what one FETCH wants of every message, worked out once: names as they go out, columns to be read, field filters.
 *
 * Owner: the command. Filled on the loop, then only read, also by jobs. Points into the parsed arguments. */
#ifndef IMAPD_FETCH_PLAN_H
#define IMAPD_FETCH_PLAN_H

#include "imapd/body_section.h"

struct plan_item {
	const struct fetch_item *item;
	size_t name_at,
	        name_len; /* in names: with the blank before the value, and before the name unless it is the first */
	struct field_filter filter; /* of HEADER.FIELDS(.NOT) */
};

struct fetch_plan {
	struct plan_item *items;
	size_t count;
	struct buffer names;
	unsigned wants;  /* enum message_want; 0: the index knows it all */
	bool save_dates; /* SAVEDATE is among the items */
	bool sets_seen;  /* some item is no peek */
	bool utf8;       /* quoted strings may hold UTF-8 */
	bool has_uid, has_flags, has_modseq;
	/* What goes with flags that this command changes (RFC 7162 §3.1, §3.2.4). */
	bool tell_uid, tell_modseq;
};

/* `uid`: UID is given whether asked for or not (RFC 9051 §6.4.9); `modseq`: so is MODSEQ (RFC 7162 §3.1.4.1: CHANGEDSINCE).
 * False: out of memory; free it all the same. */
bool fetch_plan_init(struct fetch_plan *plan, const struct fetch_args *args, bool uid, bool modseq);
void fetch_plan_free(struct fetch_plan *plan);
struct span fetch_plan_name(const struct fetch_plan *plan, const struct plan_item *item);

#endif
