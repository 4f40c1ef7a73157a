#include "authd/attempt.h"

#include "authd/failures.h"
#include "authd/lookup.h"
#include "authd/nobody.h"
#include "authd/notes.h"
#include "authd/peer.h"
#include "authd/remembered.h"
#include "authd/verify.h"
#include "base/buffer.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "sasl/scram_keys.h"

#include <stdlib.h>
#include <string.h>

struct attempts {
	uv_loop_t *loop;
	struct worker_pool *pool;
	struct lookup *lookup;
	struct notes *notes;
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

static void confirm(struct attempt *attempt, uint64_t known_version);
static void begin(struct attempt *attempt);
static void wake_neighbours(struct attempts *shared, const struct table_key *address);
static void look_up(struct attempt *attempt);

static void attempt_release(struct attempt *attempt)
{
	CHECK(attempt->holds > 0);
	if (--attempt->holds > 0)
		return;
	secret_buffer_free(&attempt->secret);
	secret_wipe(attempt, sizeof(*attempt));
	free(attempt);
}

static void on_timer_closed(uv_handle_t *handle)
{
	attempt_release(handle->data);
}

static void unpark(struct attempt *attempt)
{
	attempt->shared->parked_count--;
	TAILQ_REMOVE(&attempt->shared->parked, attempt, parked_link);
	uv_timer_stop(&attempt->timer);
}

/* The one place where an attempt ends, answered or not. */
static void attempt_end(struct attempt *attempt)
{
	if (attempt->state == PARKED)
		unpark(attempt);
	attempt->state = ENDED;
	if (attempt->has_timer)
		uv_close((uv_handle_t *)&attempt->timer, on_timer_closed);
	failures_not_tried(attempt->shared->failures, &attempt->ticket, clock_mono_ms());
	attempt_release(attempt);
}

static void answer(struct attempt *attempt, const struct auth_answer *text)
{
	attempt_done *done = attempt->done;
	void *arg = attempt->arg;

	attempt_end(attempt);
	done(arg, text);
}

/* One line for each login, good or bad (design 2.8: never what was typed as password). `why` is for the log alone. */
static void log_login(const struct attempt *attempt, enum log_level level, const char *event, const char *why)
{
	LOG(level, event, LOG_TEXT("service", auth_service_name(attempt->service)),
	        LOG_TEXT("address", attempt->address), LOG_TEXT("login", attempt->login), LOG_TEXT("how", why));
}

static void answer_status(struct attempt *attempt, enum auth_status status, const char *why)
{
	struct auth_answer text = { .status = status };

	log_login(attempt, LOG_WARNING, "auth.refused", why);
	answer(attempt, &text);
}

static void answer_wrong(struct attempt *attempt, bool known)
{
	failures_wrong(attempt->shared->failures, &attempt->ticket, clock_mono_ms());
	if (failures_standing(attempt->shared->failures, &attempt->ticket, clock_mono_ms()) == STANDING_SUSPECT)
		verify_suspect(attempt->shared->verify, &attempt->address_key);
	answer_status(attempt, AUTH_WRONG, known ? "wrong password" : "unknown user");
}

static void answer_unreadable(struct attempt *attempt)
{
	LOG(LOG_ERROR, "auth.unreadable", LOG_FAILURE(&attempt->lookup.err));
	answer_status(attempt, AUTH_UNAVAILABLE, "auth.db cannot be read");
}

static void answer_ok(
        struct attempt *attempt, struct auth_answer *text, int64_t account_id, const char *login, const char *how)
{
	bool was_charged = attempt->ticket.charged;

	text->status = AUTH_OK;
	text->account_id = account_id;
	(void)span_copy(span_of(login), text->login, sizeof(text->login));
	failures_good(attempt->shared->failures, &attempt->ticket, clock_mono_ms());
	if (was_charged)
		wake_neighbours(attempt->shared, &attempt->address_key);
	notes_add(attempt->shared->notes, account_id, attempt->service, attempt->address);
	log_login(attempt, LOG_INFO, "auth.ok", how);
	answer(attempt, text);
}

/* The secret was right. */
static void answer_right(struct attempt *attempt, struct auth_answer *text, const char *how)
{
	const struct credential *credential = &attempt->lookup.credential;

	if (credential->disabled)
		answer_status(attempt, AUTH_DISABLED, "account disabled");
	else
		answer_ok(attempt, text, credential->account_id, credential->login, how);
}

static void on_wake(uv_timer_t *timer)
{
	struct attempt *attempt = timer->data;

	if (attempt->refused) {
		answer_status(attempt, AUTH_THROTTLED, "too many tries from the address");
		return;
	}
	unpark(attempt);
	begin(attempt);
}

static void wake_at(struct attempt *attempt, int64_t wait_ms)
{
	if (!attempt->has_timer) {
		uv_timer_init(attempt->shared->loop, &attempt->timer);
		attempt->timer.data = attempt;
		attempt->has_timer = true;
		attempt->holds++;
	}
	uv_timer_start(&attempt->timer, on_wake, (uint64_t)wait_ms, 0);
}

static bool too_many_wait(const struct attempt *attempt)
{
	const struct attempt *other;
	unsigned count = 0;

	if (attempt->shared->parked_count >= ATTEMPT_PARKED_MAX)
		return true;
	TAILQ_FOREACH (other, &attempt->shared->parked, parked_link)
		if (!other->refused &&
		        memcmp(&other->address_key, &attempt->address_key, sizeof(attempt->address_key)) == 0)
			count++;
	return count >= ATTEMPT_PARKED_EACH;
}

static void park(struct attempt *attempt, int64_t now, int64_t wait_ms)
{
	bool is_new = attempt->parked_until_ms == 0;

	if (is_new)
		attempt->parked_until_ms = now + ATTEMPT_PARKED_MS;
	if (is_new ? too_many_wait(attempt) : now >= attempt->parked_until_ms) {
		attempt->refused = true;
		wait_ms = is_new ? ATTEMPT_THROTTLED_MS : 0;
	} else if (now + wait_ms > attempt->parked_until_ms) {
		wait_ms = attempt->parked_until_ms - now;
	}
	attempt->state = PARKED;
	attempt->shared->parked_count++;
	TAILQ_INSERT_TAIL(&attempt->shared->parked, attempt, parked_link);
	wake_at(attempt, wait_ms);
}

static void admit(struct attempt *attempt)
{
	int64_t now = clock_mono_ms(), wait_ms;

	if (failures_admit(attempt->shared->failures, &attempt->ticket, now, &wait_ms))
		look_up(attempt);
	else
		park(attempt, now, wait_ms);
}

/* A password was right: what was charged for it is free again, and its twins need no check of their own any more. */
static void wake_neighbours(struct attempts *shared, const struct table_key *address)
{
	struct attempt *attempt;

	TAILQ_FOREACH (attempt, &shared->parked, parked_link)
		if (!attempt->refused && memcmp(&attempt->address_key, address, sizeof(*address)) == 0)
			uv_timer_start(&attempt->timer, on_wake, 0, 0);
}

static void scram_first(struct attempt *attempt)
{
	struct credential *credential = &attempt->lookup.credential;
	struct auth_answer text = { .status = AUTH_OK };

	if (!attempt->lookup.found || credential->scram_iterations == 0)
		nobody_fill(&attempt->shared->nobody, span_of(attempt->login), credential);
	memcpy(text.salt, credential->scram_salt, sizeof(text.salt));
	text.iterations = credential->scram_iterations;
	answer(attempt, &text);
}

static void scram_final(struct attempt *attempt)
{
	struct credential *credential = &attempt->lookup.credential;
	bool known = attempt->lookup.found && credential->scram_iterations > 0;
	struct auth_answer text = { .status = AUTH_OK };
	struct scram_keys keys;
	bool right;

	if (!known)
		nobody_fill(&attempt->shared->nobody, span_of(attempt->login), credential);
	memcpy(keys.stored_key, credential->scram_stored_key, SCRAM_HASH_LEN);
	memcpy(keys.server_key, credential->scram_server_key, SCRAM_HASH_LEN);
	right = scram_check(&keys, buffer_span(&attempt->secret), attempt->proof, text.server_signature);
	secret_wipe(&keys, sizeof(keys));
	if (known && right)
		answer_right(attempt, &text, "scram");
	else
		answer_wrong(attempt, known);
}

/* Others with the same password may have been checked while this one waited its turn. */
static bool on_turn(struct verify_job *job)
{
	struct attempt *attempt = container_of(job, struct attempt, verify);
	struct remembered_login *login =
	        remembered_find(attempt->shared->remembered, &attempt->memory_key, clock_mono_ms());

	if (login == NULL)
		return true;
	failures_not_tried(attempt->shared->failures, &attempt->ticket, clock_mono_ms());
	confirm(attempt, login->version);
	attempt_release(attempt); /* the job's hold */
	return false;
}

static void hashed(struct attempt *attempt)
{
	const struct credential *credential = &attempt->lookup.credential;
	struct auth_answer text = { .status = AUTH_OK };

	if (attempt->verify.failed) {
		answer_status(attempt, AUTH_UNAVAILABLE, "no memory to check a password");
	} else if (!attempt->lookup.found || !attempt->verify.right) {
		answer_wrong(attempt, attempt->lookup.found);
	} else {
		if (!credential->disabled)
			remembered_add(attempt->shared->remembered, &attempt->memory_key, credential->account_id,
			        credential->login, credential->password_hash, attempt->lookup.version, clock_mono_ms());
		answer_right(attempt, &text, "checked");
	}
}

static void on_hashed(struct verify_job *job)
{
	struct attempt *attempt = container_of(job, struct attempt, verify);

	if (attempt->state == HASHING)
		hashed(attempt);
	attempt_release(attempt);
}

static void hash(struct attempt *attempt)
{
	struct verify_job *job = &attempt->verify;

	*job = (struct verify_job) { .address = attempt->address_key,
		.standing = failures_standing(attempt->shared->failures, &attempt->ticket, clock_mono_ms()),
		.known = attempt->lookup.found,
		.password = buffer_span(&attempt->secret),
		.still_needed = on_turn,
		.done = on_hashed };
	memcpy(job->hash, attempt->lookup.credential.password_hash, sizeof(job->hash));
	attempt->state = HASHING;
	attempt->holds++;
	if (verify_submit(attempt->shared->verify, job))
		return;
	attempt_release(attempt);
	if (job->standing == STANDING_SUSPECT)
		answer_status(attempt, AUTH_THROTTLED, "too many tries wait");
	else
		answer_status(attempt, AUTH_UNAVAILABLE, "too many checks wait");
}

/* The password was good a while ago; is the stored hash still the one it was good for? */
static void confirmed(struct attempt *attempt)
{
	struct attempts *shared = attempt->shared;
	struct lookup_job *job = &attempt->lookup;
	struct remembered_login *login = remembered_find(shared->remembered, &attempt->memory_key, clock_mono_ms());
	struct auth_answer text = { .status = AUTH_OK };
	uint8_t digest[REMEMBERED_DIGEST_LEN];

	if (login != NULL && !job->unchanged && job->found && !job->credential.disabled) {
		remembered_digest(shared->remembered, job->credential.password_hash, digest);
		if (job->credential.account_id == login->account_id &&
		        secret_equal(digest, login->digest, sizeof(digest)))
			login->version = job->version;
	}
	if (login != NULL && login->version == job->version) {
		answer_ok(attempt, &text, login->account_id, login->login, "remembered");
		return;
	}
	remembered_forget(shared->remembered, &attempt->memory_key);
	admit(attempt);
}

static void looked_up(struct attempt *attempt)
{
	if (!attempt->lookup.ok)
		answer_unreadable(attempt);
	else if (attempt->state == CONFIRMING)
		confirmed(attempt);
	else if (attempt->kind == AUTH_ASK_SCRAM_FIRST)
		scram_first(attempt);
	else if (attempt->kind == AUTH_ASK_SCRAM_FINAL)
		scram_final(attempt);
	else
		hash(attempt);
}

static void on_looked_up(struct lookup_job *job)
{
	struct attempt *attempt = container_of(job, struct attempt, lookup);

	if (attempt->state != ENDED)
		looked_up(attempt);
	attempt_release(attempt);
}

static void submit_lookup(struct attempt *attempt, enum attempt_state state)
{
	attempt->state = state;
	attempt->holds++;
	attempt->lookup.done = on_looked_up;
	memcpy(attempt->lookup.login, attempt->login, sizeof(attempt->login));
	lookup_submit(attempt->shared->lookup, &attempt->lookup);
}

static void confirm(struct attempt *attempt, uint64_t known_version)
{
	attempt->lookup.has_known_version = true;
	attempt->lookup.known_version = known_version;
	submit_lookup(attempt, CONFIRMING);
}

static void look_up(struct attempt *attempt)
{
	attempt->lookup.has_known_version = false;
	submit_lookup(attempt, LOOKING);
}

static void begin(struct attempt *attempt)
{
	struct remembered *remembered = attempt->shared->remembered;
	struct remembered_login *login = NULL;

	failures_prepare(attempt->shared->failures, &attempt->address_key, span_of(attempt->login), &attempt->ticket);
	if (attempt->kind == AUTH_ASK_PASSWORD) {
		remembered_key(
		        remembered, span_of(attempt->login), buffer_span(&attempt->secret), &attempt->memory_key);
		login = remembered_find(remembered, &attempt->memory_key, clock_mono_ms());
	}
	if (login != NULL)
		confirm(attempt, login->version);
	else if (attempt->kind == AUTH_ASK_SCRAM_FIRST)
		look_up(attempt); /* tells nothing that is worth guessing for; the final step is what is counted */
	else
		admit(attempt);
}

static bool copy_question(struct attempt *attempt, const struct auth_question *question)
{
	struct span secret = question->kind == AUTH_ASK_PASSWORD ? question->password : question->message;

	attempt->kind = question->kind;
	attempt->service = question->service;
	/* With a NUL in it, it is nobody's name and no address: both stay empty then. */
	(void)span_copy(question->address, attempt->address, sizeof(attempt->address));
	(void)span_copy(question->login, attempt->login, sizeof(attempt->login));
	peer_key(span_of(attempt->address), &attempt->address_key);
	if (question->kind == AUTH_ASK_SCRAM_FINAL)
		memcpy(attempt->proof, question->proof.ptr, AUTH_PROOF_LEN);
	buffer_init(&attempt->secret, secret.len);
	return buffer_append_span(&attempt->secret, secret);
}

struct attempt *attempt_begin(
        struct attempts *attempts, const struct auth_question *question, attempt_done *done, void *arg)
{
	struct attempt *attempt = calloc(1, sizeof(*attempt));

	if (attempt == NULL)
		return NULL;
	attempt->shared = attempts;
	attempt->done = done;
	attempt->arg = arg;
	attempt->holds = 1;
	if (!copy_question(attempt, question)) {
		attempt_release(attempt);
		return NULL;
	}
	begin(attempt);
	return attempt;
}

void attempt_cancel(struct attempt *attempt)
{
	bool waits_for_turn = attempt->state == HASHING && verify_cancel(&attempt->verify);

	/* A check that runs is a guess, whether the asker waits for it or not. */
	if (attempt->state == HASHING && !waits_for_turn)
		failures_wrong(attempt->shared->failures, &attempt->ticket, clock_mono_ms());
	attempt_end(attempt);
	if (waits_for_turn)
		attempt_release(attempt);
}

static bool open_all(struct attempts *attempts, const struct attempts_settings *settings, struct error *err)
{
	struct failures_settings limits = { .tries_per_minute = settings->tries_per_minute,
		.longest_delay_ms = settings->longest_delay_ms };

	attempts->checks_at_once = settings->checks_at_once;
	attempts->failures = failures_new(&limits);
	attempts->remembered = remembered_new(settings->remember_ms);
	if (attempts->failures == NULL || attempts->remembered == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	return nobody_load(settings->data_dir, &attempts->nobody, err) &&
	       lookup_new(settings->data_dir, &attempts->lookup, err) &&
	       notes_new(attempts->loop, settings->data_dir, &attempts->notes, err);
}

bool attempts_new(uv_loop_t *loop, const struct attempts_settings *settings, struct attempts **out, struct error *err)
{
	struct attempts *attempts = calloc(1, sizeof(*attempts));

	if (attempts == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	attempts->loop = loop;
	TAILQ_INIT(&attempts->parked);
	if (!open_all(attempts, settings, err)) {
		attempts_free(&attempts); /* notes, the only one with a handle, came last: no handle is open */
		return false;
	}
	*out = attempts;
	return true;
}

bool attempts_start(struct attempts *attempts, struct error *err)
{
	if (!worker_pool_new(attempts->loop, ATTEMPT_LOOKUP_THREADS, &attempts->pool, err) ||
	        !verify_new(attempts->loop, attempts->checks_at_once, &attempts->verify, err))
		return false;
	lookup_start(attempts->lookup, attempts->pool);
	notes_start(attempts->notes, attempts->pool);
	return true;
}

void attempts_close(struct attempts *attempts)
{
	verify_free(&attempts->verify);
	if (attempts->pool != NULL)
		notes_flush(attempts->notes);
	worker_pool_free(&attempts->pool); /* runs what is queued */
	notes_close(attempts->notes);
}

void attempts_free(struct attempts **attempts)
{
	if (*attempts == NULL)
		return;
	lookup_free(&(*attempts)->lookup);
	notes_free(&(*attempts)->notes);
	failures_free(&(*attempts)->failures);
	remembered_free(&(*attempts)->remembered);
	secret_wipe(&(*attempts)->nobody, sizeof((*attempts)->nobody));
	free(*attempts);
	*attempts = NULL;
}
