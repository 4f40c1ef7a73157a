#include "authd/verify.h"

#include "base/check.h"
#include "sasl/password.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CLEAN_TURNS 3 /* for one of a suspect */

/* The jobs of one address; exists while any wait. */
struct verify_address {
	struct table_key key;
	enum standing standing;
	unsigned count;
	TAILQ_HEAD(verify_jobs, verify_job) jobs;
	TAILQ_ENTRY(verify_address) turn;
};

struct verify {
	struct worker_pool *pool;
	unsigned at_once;
	unsigned running;
	unsigned running_suspects;
	unsigned clean_turns; /* since the last suspect's */
	unsigned waiting[STANDING_COUNT];
	TAILQ_HEAD(turns, verify_address) turns[STANDING_COUNT]; /* the next first */
};

bool verify_new(uv_loop_t *loop, unsigned at_once, struct verify **out, struct error *err)
{
	struct verify *verify = calloc(1, sizeof(*verify));

	if (verify == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	verify->at_once = at_once;
	for (int i = 0; i < STANDING_COUNT; i++)
		TAILQ_INIT(&verify->turns[i]);
	if (!worker_pool_new(loop, at_once, &verify->pool, err)) {
		free(verify);
		return false;
	}
	*out = verify;
	return true;
}

void verify_free(struct verify **verify)
{
	if (*verify == NULL)
		return;
	for (int i = 0; i < STANDING_COUNT; i++)
		CHECK(TAILQ_EMPTY(&(*verify)->turns[i]));
	worker_pool_free(&(*verify)->pool);
	free(*verify);
	*verify = NULL;
}

static struct verify_address *address_find(struct verify *verify, enum standing standing, const struct table_key *key)
{
	struct verify_address *address;

	TAILQ_FOREACH (address, &verify->turns[standing], turn)
		if (memcmp(&address->key, key, sizeof(*key)) == 0)
			return address;
	return NULL;
}

static struct verify_address *address_get(struct verify *verify, const struct verify_job *job)
{
	struct verify_address *address = address_find(verify, job->standing, &job->address);

	if (address != NULL)
		return address;
	address = calloc(1, sizeof(*address));
	if (address == NULL)
		return NULL;
	address->key = job->address;
	address->standing = job->standing;
	TAILQ_INIT(&address->jobs);
	TAILQ_INSERT_TAIL(&verify->turns[job->standing], address, turn);
	return address;
}

static void take_out(struct verify *verify, struct verify_job *job)
{
	struct verify_address *address = job->queue;

	job->queue = NULL;
	job->standing = address->standing;
	TAILQ_REMOVE(&address->jobs, job, link);
	address->count--;
	verify->waiting[address->standing]--;
	if (address->count > 0)
		return;
	TAILQ_REMOVE(&verify->turns[address->standing], address, turn);
	free(address);
}

/* One place at least is never a suspect's, unless there is only one place in all. */
static bool suspects_may_run(const struct verify *verify)
{
	unsigned places = verify->at_once > 1 ? verify->at_once - 1 : 1;

	return verify->running_suspects < places && !TAILQ_EMPTY(&verify->turns[STANDING_SUSPECT]);
}

static struct verify_address *next_address(struct verify *verify)
{
	struct turns *clean = &verify->turns[STANDING_CLEAN];
	struct turns *suspect = &verify->turns[STANDING_SUSPECT];

	if (!TAILQ_EMPTY(&verify->turns[STANDING_GOOD]))
		return TAILQ_FIRST(&verify->turns[STANDING_GOOD]);
	if (suspects_may_run(verify) && (TAILQ_EMPTY(clean) || verify->clean_turns >= CLEAN_TURNS)) {
		verify->clean_turns = 0;
		return TAILQ_FIRST(suspect);
	}
	verify->clean_turns++;
	return TAILQ_FIRST(clean);
}

/* The first job of the address whose turn it is; the address goes to the end of the row. */
static struct verify_job *next_job(struct verify *verify)
{
	struct verify_address *address = next_address(verify);
	struct verify_job *job;

	if (address == NULL)
		return NULL;
	TAILQ_REMOVE(&verify->turns[address->standing], address, turn);
	TAILQ_INSERT_TAIL(&verify->turns[address->standing], address, turn);
	job = TAILQ_FIRST(&address->jobs);
	take_out(verify, job);
	return job;
}

/* On a worker thread. */
static void run(struct worker_job *work)
{
	struct verify_job *job = container_of(work, struct verify_job, work);
	struct error ignored; /* out of memory; the login does not depend on it */

	if (!job->known) {
		password_waste_time(job->password);
		return;
	}
	job->right = password_matches(job->hash, job->password);
	job->failed = !job->right && errno == ENOMEM;
	if (job->right && job->wants_scram)
		job->has_keys = password_make_scram(job->password, job->scram_salt, &job->keys, &ignored);
}

static void start_next(struct verify *verify);

static void on_done(struct worker_job *work)
{
	struct verify_job *job = container_of(work, struct verify_job, work);
	struct verify *verify = job->verify;

	job->running = false;
	verify->running--;
	if (job->standing == STANDING_SUSPECT)
		verify->running_suspects--;
	job->done(job);
	start_next(verify);
}

static void start(struct verify *verify, struct verify_job *job)
{
	job->running = true;
	verify->running++;
	if (job->standing == STANDING_SUSPECT)
		verify->running_suspects++;
	job->work = (struct worker_job) { .run = run, .done = on_done, .lane = WORKER_READ };
	worker_submit(verify->pool, &job->work);
}

static void start_next(struct verify *verify)
{
	struct verify_job *job;

	while (verify->running < verify->at_once && (job = next_job(verify)) != NULL)
		if (job->still_needed(job))
			start(verify, job);
}

bool verify_submit(struct verify *verify, struct verify_job *job)
{
	struct verify_address *address;

	if (verify->waiting[job->standing] >= VERIFY_QUEUE_MAX)
		return false;
	address = address_get(verify, job);
	if (address == NULL || address->count >= VERIFY_ADDRESS_MAX)
		return false;
	job->verify = verify;
	job->running = false;
	job->right = false;
	job->failed = false;
	job->has_keys = false;
	job->queue = address;
	address->count++;
	verify->waiting[job->standing]++;
	TAILQ_INSERT_TAIL(&address->jobs, job, link);
	start_next(verify);
	return true;
}

static void merge(struct verify *verify, struct verify_address *from, struct verify_address *into)
{
	struct verify_job *job;

	TAILQ_FOREACH (job, &from->jobs, link)
		job->queue = into;
	TAILQ_CONCAT(&into->jobs, &from->jobs, link);
	into->count += from->count;
	TAILQ_REMOVE(&verify->turns[from->standing], from, turn);
	free(from);
}

void verify_suspect(struct verify *verify, const struct table_key *key)
{
	struct verify_address *address = address_find(verify, STANDING_CLEAN, key);
	struct verify_address *other = address_find(verify, STANDING_SUSPECT, key);

	if (address == NULL)
		return;
	verify->waiting[STANDING_CLEAN] -= address->count;
	verify->waiting[STANDING_SUSPECT] += address->count;
	if (other != NULL) {
		merge(verify, address, other);
		return;
	}
	TAILQ_REMOVE(&verify->turns[STANDING_CLEAN], address, turn);
	address->standing = STANDING_SUSPECT;
	TAILQ_INSERT_TAIL(&verify->turns[STANDING_SUSPECT], address, turn);
}

bool verify_cancel(struct verify_job *job)
{
	if (job->running)
		return false;
	take_out(job->verify, job);
	return true;
}
