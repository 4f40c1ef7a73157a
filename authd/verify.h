/* authd/verify.h — the bounded, fair queue of slow password checks (design 3).
 *
 * At most `at_once` run; each takes 64 MiB while it runs and gives it back to the system. The others wait by standing of their
 * address, then address by address in turn: good ones first; of the others three clean ones for one suspect. Suspects
 * together never hold the last place, so a good login waits for one check at most. In each standing VERIFY_QUEUE_MAX may wait, of one
 * address VERIFY_ADDRESS_MAX.
 * Owner: the job is its submitter's until done() or a verify_cancel() that returned true. Thread: the loop's. */
#ifndef AUTHD_VERIFY_H
#define AUTHD_VERIFY_H

#include "authd/failures.h"
#include "net/worker.h"
#include "sasl/password.h"
#include "storage/credentials.h"

#define VERIFY_QUEUE_MAX   256
#define VERIFY_ADDRESS_MAX 64

struct verify;

struct verify_job {
	struct table_key address;
	enum standing standing;
	bool known; /* false: no such user; it costs the same time */
	char hash[PASSWORD_HASH_MAX];
	struct span password; /* borrowed until done() */
	bool wants_scram;     /* make `keys` too if the password is right; scram_salt is given */
	uint8_t scram_salt[SCRAM_SALT_LEN];
	/* Asked just before the check would begin; false: it is not needed any more (the job is its owner's again). */
	bool (*still_needed)(struct verify_job *job);
	void (*done)(struct verify_job *job);
	/* The result. */
	bool right;
	bool failed; /* no memory: nothing is known */
	bool has_keys;
	struct password_keys keys; /* the scram_* members */
	/* Private. */
	struct verify *verify;
	struct worker_job work;
	bool running;
	struct verify_address *queue;
	TAILQ_ENTRY(verify_job) link;
};

bool verify_new(uv_loop_t *loop, unsigned at_once, struct verify **out, struct error *err);
void verify_free(struct verify **verify); /* waits for checks that run; none may wait in the queue */
bool verify_submit(struct verify *verify, struct verify_job *job); /* false: too many wait */
/* An address has been found guessing: what it has waiting waits as a suspect's from now on. */
void verify_suspect(struct verify *verify, const struct table_key *address);
/* True: taken out. False: it runs already, done() will come. */
bool verify_cancel(struct verify_job *job);

#endif
