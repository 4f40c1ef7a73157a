#include "authd/lookup.h"

#include "base/macros.h"

#include <stdlib.h>

#define LOOKUP_KEY 1 /* of the worker pool: one batch at a time */

struct lookup {
	struct worker_pool *pool;
	struct credentials *credentials;
	uint32_t failures; /* after one the file may have been opened anew, and its versions begin again */
};

bool lookup_new(const char *data_dir, struct lookup **out, struct error *err)
{
	struct lookup *lookup = calloc(1, sizeof(*lookup));

	if (lookup == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	if (!credentials_open(data_dir, &lookup->credentials, err)) {
		free(lookup);
		return false;
	}
	*out = lookup;
	return true;
}

void lookup_start(struct lookup *lookup, struct worker_pool *pool)
{
	lookup->pool = pool;
}

void lookup_free(struct lookup **lookup)
{
	if (*lookup == NULL)
		return;
	credentials_close(&(*lookup)->credentials);
	free(*lookup);
	*lookup = NULL;
}

/* That nobody has this login is an answer, however the store words it; only a file that cannot be read is a failure. */
static bool says_nobody(enum error_code code)
{
	return code == ERR_NO_SUCH_ACCOUNT || code == ERR_NO_SUCH_ADDRESS || code == ERR_NO_SUCH_DOMAIN ||
	       code == ERR_BAD_ADDRESS || code == ERR_BAD_VALUE || code == ERR_SYNTAX || code == ERR_TOO_LONG;
}

static void find(struct lookup_job *job, uint64_t version)
{
	job->ok = true;
	job->version = version;
	job->unchanged = job->has_known_version && job->known_version == version;
	if (job->unchanged)
		return;
	job->found = credentials_find(job->lookup->credentials, span_of(job->login), &job->credential, &job->err);
	job->ok = job->found || says_nobody(job->err.code);
}

/* The version first: a change between it and the row makes the next lookup look again, never the reverse. */
static void run_batch(struct worker_job **jobs, size_t count)
{
	struct lookup_job *first = container_of(jobs[0], struct lookup_job, work);
	struct lookup *lookup = first->lookup;
	struct error err;
	uint32_t version;
	bool ok = credentials_version(lookup->credentials, &version, &err);
	bool any_failed = false;

	for (size_t i = 0; i < count; i++) {
		struct lookup_job *job = container_of(jobs[i], struct lookup_job, work);

		job->ok = ok;
		if (ok)
			find(job, (uint64_t)lookup->failures << 32 | version);
		else
			job->err = err;
		any_failed |= !job->ok;
	}
	lookup->failures += any_failed;
}

static void on_done(struct worker_job *work)
{
	struct lookup_job *job = container_of(work, struct lookup_job, work);

	job->done(job);
}

void lookup_submit(struct lookup *lookup, struct lookup_job *job)
{
	job->lookup = lookup;
	job->work =
	        (struct worker_job) { .run_batch = run_batch, .done = on_done, .lane = WORKER_READ, .key = LOOKUP_KEY };
	worker_submit(lookup->pool, &job->work);
}
