/* authd/attempt.h — one question of a daemon, from its arrival to its answer.
 *
 * Owner: whoever called attempt_begin(), until done() or attempt_cancel(). done() comes exactly once, from the loop, unless
 * cancelled; never from inside attempt_begin(). Secrets are copied, and wiped when the attempt ends. Thread: the loop's. */
#ifndef AUTHD_ATTEMPT_H
#define AUTHD_ATTEMPT_H

#include "base/error.h"
#include "sasl/auth_protocol.h"

#include <uv.h>

#define ATTEMPT_PARKED_MAX     4096  /* that wait for their time, in all; more are refused */
#define ATTEMPT_PARKED_EACH    128   /* the same, of one address */
#define ATTEMPT_PARKED_MS      30000 /* then it is refused; half of AUTH_TIMEOUT_MS */
#define ATTEMPT_THROTTLED_MS   1000  /* a refusal takes at least so long, to slow the asker down */
#define ATTEMPT_LOOKUP_THREADS 2     /* one for lookups, one for the writer */

struct attempts; /* what all attempts share */
struct attempt;

struct attempts_settings {
	const char *data_dir;
	int64_t remember_ms;
	unsigned checks_at_once;
	unsigned tries_per_minute;
	int64_t longest_delay_ms;
};

typedef void attempt_done(void *arg, const struct auth_answer *answer);

/* Opens the files; starts no thread yet, so that the sandbox can be entered in between. */
bool attempts_new(uv_loop_t *loop, const struct attempts_settings *settings, struct attempts **out, struct error *err);
bool attempts_start(struct attempts *attempts, struct error *err); /* then questions may come */
/* At the end: no attempt is open (cancel them). Writes the last notes, waits for checks that run, closes its handles; the memory
 * goes with attempts_free(), after the loop has ended. */
void attempts_close(struct attempts *attempts);
void attempts_free(struct attempts **attempts);

/* NULL: out of memory. */
struct attempt *attempt_begin(
        struct attempts *attempts, const struct auth_question *question, attempt_done *done, void *arg);
void attempt_cancel(struct attempt *attempt);

#endif
