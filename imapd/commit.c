/* session_commit(): batches of one account that wait together become one transaction (group commit), and the same job reads what has
 * changed since for the account's indexes, so that a STORE or APPEND costs one hop to a worker and its news go out at once. */
#include "base/clock.h"
#include "imapd/session.h"
#include "imapd/watch.h"
#include "storage/batch.h"

#include <stdlib.h>

struct commit {
	struct worker_job job;
	struct imap_session *session;
	struct batch *batch;
	void (*done)(struct imap_session *s, struct batch *batch, const struct error *failed);
	struct error error; /* of the commit as a whole */
	bool wants_changes;
	uint64_t since; /* oldest of all in the job, in the first of them */
	int64_t started;
	bool has_changes; /* in the first of them, for all */
	struct account_changes changes;
};

static struct commit *commit_of(struct worker_job *job)
{
	return container_of(job, struct commit, job);
}

/* --- on a worker --- */

static void read_changes(struct account *account, struct worker_job **jobs, size_t count)
{
	struct commit *first = commit_of(jobs[0]);
	struct error ignored;

	for (size_t i = 1; i < count; i++) {
		const struct commit *commit = commit_of(jobs[i]);

		if (commit->wants_changes && (!first->wants_changes || commit->since < first->since))
			first->since = commit->since;
		first->wants_changes = first->wants_changes || commit->wants_changes;
	}
	first->started = clock_mono_ms();
	if (first->wants_changes)
		first->has_changes = account_changes(account, first->since, 0, &first->changes, &ignored);
}

static bool commit_all(struct worker_job **jobs, size_t count, struct error *err)
{
	const struct imap_session *s = commit_of(jobs[0])->session;
	struct batch *batches[WORKER_BATCH_MAX];
	struct account *account;
	bool ok;

	for (size_t i = 0; i < count; i++)
		batches[i] = commit_of(jobs[i])->batch;
	if (!account_open(s->server->store, s->account_id, &account, err))
		return false;
	ok = account_commit(account, batches, count, err);
	if (ok)
		read_changes(account, jobs, count);
	account_release(&account);
	return ok;
}

static void run_commits(struct worker_job **jobs, size_t count)
{
	struct error err;

	if (commit_all(jobs, count, &err))
		return;
	for (size_t i = 0; i < count; i++)
		commit_of(jobs[i])->error = err;
}

/* --- on the loop --- */

static void on_committed(struct worker_job *job)
{
	struct commit *commit = commit_of(job);
	struct imap_session *s = commit->session;
	bool failed = commit->error.code != ERR_NONE;

	if (!failed) {
		const struct watch_changes news = {
			.modseq = batch_result(commit->batch)->modseq,
			.since = commit->since,
			.started = commit->started,
			.changes = commit->has_changes ? &commit->changes : NULL,
		};

		watch_take_changes(s->server->watch, s->account_id, &news);
	}
	if (s->closing || s->ended)
		batch_free(&commit->batch);
	else
		commit->done(s, commit->batch, failed ? &commit->error : NULL);
	if (commit->has_changes)
		account_changes_free(&commit->changes);
	free(commit);
	session_release(s);
}

void session_commit(struct imap_session *s, struct batch *batch,
        void (*done)(struct imap_session *s, struct batch *batch, const struct error *failed))
{
	struct commit *commit = calloc(1, sizeof(*commit));
	struct error err;

	if (commit == NULL) {
		error_set(&err, ERR_NO_MEMORY, "out of memory");
		done(s, batch, &err);
		return;
	}
	commit->session = s;
	commit->batch = batch;
	commit->done = done;
	commit->wants_changes = watch_wants_changes(s->server->watch, s->account_id, &commit->since);
	commit->job = (struct worker_job) { .run_batch = run_commits,
		.done = on_committed,
		.lane = WORKER_WRITE,
		.key = account_writing_key(s->account_id) };
	session_hold(s);
	worker_submit(s->server->pool, &commit->job);
}
