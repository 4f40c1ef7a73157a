/* imapd/list_names.h — the names of an account as a hierarchy, and which of them a LIST or LSUB is to answer. Pure, any thread.
 *
 * Mailboxes, subscriptions and the levels above them are nodes, each name once, parents before children. Levels may be no mailbox
 * (their mailbox was deleted, or only a subscription is below), and a subscription need not be one either.
 * Owner: whoever called list_names_init(), until list_names_free(). Names and infos are copied. */
#ifndef IMAPD_LIST_NAMES_H
#define IMAPD_LIST_NAMES_H

#include "imapd/list_match.h"
#include "imapd/parse.h"
#include "storage/mailbox.h"

#define LIST_NAMES_MAX       (MAILBOX_COUNT_MAX + SUBSCRIPTION_COUNT_MAX)
#define LIST_NAMES_ARENA_MAX (48 * MIB) /* of the longest names; usually some hundred KiB */
#define LIST_NO_PARENT       UINT32_MAX

struct list_node {
	struct span name;
	const struct mailbox_info *info; /* NULL: no mailbox */
	uint32_t parent;                 /* its place in nodes, or LIST_NO_PARENT */
	bool subscribed;
	bool has_children; /* mailboxes are below it */
	/* By list_names_select(): */
	bool listed;
	bool meets; /* what the selection asks for (RFC 9051 §6.3.9.3, 2A); else it is listed for those below it */
	bool below_meets;  /* one below does: CHILDINFO (RFC 9051 §6.3.9.6) */
	bool below_hidden; /* one below does, and no pattern matches it */
};

struct list_names {
	struct list_node *nodes;
	size_t count, capacity;
	struct arena arena;
	bool failed; /* out of memory, or over a limit */
};

void list_names_init(struct list_names *names);
void list_names_free(struct list_names *names);
/* info NULL: a subscription. Both may come for one name, in any order. */
void list_names_add(struct list_names *names, struct span name, const struct mailbox_info *info);
/* Once, after all adds. ERR_NO_MEMORY. */
bool list_names_arrange(struct list_names *names, struct error *err);
/* select: enum list_select. lsub: by the rules of RFC 3501 §6.3.9. May be called again. */
void list_names_select(struct list_names *names, const struct list_patterns *patterns, unsigned select, bool lsub);
/* RFC 6154 §2: the attribute, or NULL. */
const char *special_use_attribute(enum special_use use);

#endif
