/* tests/crash/store_model.h — what each process of the store test knows must be there, in memory that survives its death.
 *
 * A process changes only messages and mailboxes of its own, in mailboxes that all share, so it always knows where they are. Before
 * each commit it writes down what it is about to do (pending); after a kill that one batch has happened wholly or not at all, and
 * everything else must be exactly as written. */
#ifndef TEST_STORE_MODEL_H
#define TEST_STORE_MODEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_ENTRIES   4096
#define MODEL_BATCH     24
#define MODEL_MAILBOXES 16

#define MODEL_KEYWORDS 80 /* more than an account can have at a time */

/* Flags as the model has them: the system's as they are, and at most one keyword, "mk<n>", as n + 1 from here on. */
#define MODEL_KEYWORD_SHIFT 8

struct entry {
	uint32_t tag; /* written into the message, with the process's number */
	uint32_t uid;
	int64_t mailbox;
	uint64_t flags;
	uint64_t modseq; /* of the commit that changed it last */
	bool live;
};

struct own_mailbox {
	int64_t id;
	char name[40];
	bool live;
};

enum pending_type {
	PENDING_NONE,
	PENDING_APPEND,
	PENDING_COPY,
	PENDING_MOVE,
	PENDING_FLAGS,
	PENDING_EXPUNGE,
	PENDING_MAILBOX,
	PENDING_TREE
};

struct model {
	uint32_t number; /* of the process */
	uint64_t commits;
	uint32_t next_tag;
	uint32_t entry_count;
	struct entry entries[MODEL_ENTRIES];
	struct own_mailbox mailboxes[MODEL_MAILBOXES];
	/* the batch that may or may not have happened */
	enum pending_type pending;
	int64_t target;
	uint64_t flags;
	uint32_t count;
	uint32_t tags[MODEL_BATCH];
	uint32_t indices[MODEL_BATCH];
	uint32_t mailbox_index; /* PENDING_MAILBOX: which, and its name if it happens; "" for deleted */
	char mailbox_name[40];
	char root[24], new_root[24]; /* what the names of its mailboxes begin with; PENDING_TREE: and will begin with */
	/* From the end of a commit until all of the above says what it did: who kills it then would find half of that. */
	atomic_bool writing_down;
};

/* One process: works on the account until `stop` is set. Exits the process on a contradiction. */
void model_work(const char *dir, int64_t account, struct model *model, uint64_t seed, const volatile bool *stop);
/* Compares the account with all models. Returns the number of contradictions, each printed. */
unsigned model_verify(const char *dir, int64_t account, struct model *const *models, size_t count);

#endif
