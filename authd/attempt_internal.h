/* authd/attempt_internal.h — what the files of one attempt share; nobody else includes it.
 *
 * attempt.c         beginning, end, and what all attempts share
 * attempt_wait.c    admission, and waiting for one's time (failures.h)
 * attempt_check.c   auth.db, the memory of good logins, the hash, SCRAM's proof
 * attempt_answer.c  the answer, its log line, and what follows from it */
#ifndef AUTHD_ATTEMPT_INTERNAL_H
#define AUTHD_ATTEMPT_INTERNAL_H

#include "authd/attempt.h"
#include "authd/failures.h"
#include "authd/lookup.h"
#include "authd/new_keys.h"
#include "authd/nobody.h"
#include "authd/notes.h"
#include "authd/remembered.h"
#include "authd/verify.h"
#include "base/buffer.h"

#include <sys/queue.h>

struct attempts {
	uv_loop_t *loop;
	struct worker_pool *pool;
	struct lookup *lookup;
	struct writer writer;
	struct notes *notes;
	struct new_keys new_keys;
	struct verify *verify;
	struct failures *failures;
	struct remembered *remembered;
	struct nobody nobody;
	unsigned checks_at_once;
	unsigned parked_count;
	TAILQ_HEAD(, attempt) parked; /* the longest waiting first */
};

/*  password, and remembered?  --yes--> CONFIRMING --auth.db still has the hash--> answer
 *      | no                               | no
 *      v                                  v
 *  admit (failures.h) --must wait--> PARKED --its time, or a right password from there--> admit
 *      |                               `-----too long, or too many wait: answer
 *      v
 *  LOOKING (auth.db) ---> SCRAM: answer at once
 *      v
 *  HASHING (verify.h) --> answer     (just before it runs: remembered meanwhile? then CONFIRMING)
 *
 * Lifetime (lesson 8): `holds` counts the asker's interest, jobs under way and the timer's handle; the memory goes in
 * attempt_release() alone. After the answer or the cancellation the state is ENDED and results that still come are dropped. */
enum attempt_state { CONFIRMING, PARKED, LOOKING, HASHING, ENDED };

struct attempt {
	struct attempts *shared;
	enum attempt_state state;
	unsigned holds;
	attempt_done *done;
	void *arg;
	enum auth_kind kind;
	enum auth_service service;
	char address[AUTH_ADDRESS_MAX + 1];
	char login[AUTH_LOGIN_MAX + 1];
	struct buffer secret; /* the password, or AuthMessage */
	uint8_t proof[AUTH_PROOF_LEN];
	struct table_key address_key;
	struct table_key memory_key;
	struct failures_ticket ticket;
	int64_t parked_until_ms; /* then it is refused; 0: was not parked yet */
	TAILQ_ENTRY(attempt) parked_link;
	bool refused; /* parked only to be told so */
	bool has_timer;
	uv_timer_t timer;
	struct lookup_job lookup;
	struct verify_job verify;
};

/* attempt.c */
void attempt_release(struct attempt *attempt); /* gives one hold back */
void attempt_end(struct attempt *attempt);     /* the asker has been told, or does not want to be */
void attempt_route(struct attempt *attempt);   /* from the start: remembered, or admission, or straight to auth.db */

/* attempt_wait.c */
void attempt_admit(struct attempt *attempt);
void attempt_unpark(struct attempt *attempt);
void attempt_wake_neighbours(struct attempts *shared, const struct table_key *address);

/* attempt_check.c */
void attempt_confirm(struct attempt *attempt, uint64_t known_version); /* remembered: is it still so? */
void attempt_look_up(struct attempt *attempt);

/* attempt_answer.c: each ends the attempt. `why` and `how` are for the log alone. */
void attempt_answer(struct attempt *attempt, const struct auth_answer *text);
void attempt_refuse(struct attempt *attempt, enum auth_status status, const char *why);
void attempt_wrong(struct attempt *attempt, const char *why);
void attempt_unreadable(struct attempt *attempt);                                       /* auth.db */
void attempt_right(struct attempt *attempt, struct auth_answer *text, const char *how); /* by lookup.credential */
void attempt_ok(
        struct attempt *attempt, struct auth_answer *text, int64_t account_id, const char *login, const char *how);

#endif
