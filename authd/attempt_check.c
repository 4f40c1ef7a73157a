#include "authd/attempt_internal.h"
#include "base/clock.h"
#include "base/secret.h"
#include "sasl/scram_keys.h"

#include <string.h>

/* Whose hash was imported has no keys before a first login by PLAIN or LOGIN (new_keys.h), and is treated as nobody until then. */
static bool can_scram(const struct attempt *attempt)
{
	return attempt->lookup.found && attempt->lookup.credential.scram_iterations > 0;
}

/* For the log alone. */
static const char *why_wrong(const struct attempt *attempt)
{
	return attempt->lookup.found ? "wrong password" : "unknown user";
}

static void scram_first(struct attempt *attempt)
{
	struct credential *credential = &attempt->lookup.credential;
	struct auth_answer text = { .status = AUTH_OK };

	if (!can_scram(attempt))
		nobody_fill(&attempt->shared->nobody, span_of(attempt->login), credential);
	memcpy(text.salt, credential->scram_salt, sizeof(text.salt));
	text.iterations = credential->scram_iterations;
	attempt_answer(attempt, &text);
}

static void scram_final(struct attempt *attempt)
{
	struct credential *credential = &attempt->lookup.credential;
	bool known = can_scram(attempt);
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
		attempt_right(attempt, &text, "scram");
	else if (attempt->lookup.found && !known)
		attempt_wrong(attempt, "no SCRAM keys before a login by PLAIN or LOGIN");
	else
		attempt_wrong(attempt, why_wrong(attempt));
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
	attempt_confirm(attempt, login->version);
	attempt_release(attempt); /* the job's hold */
	return false;
}

static void hashed(struct attempt *attempt)
{
	const struct credential *credential = &attempt->lookup.credential;
	struct auth_answer text = { .status = AUTH_OK };

	/* After the answer the memory is still ours: on_hashed() has a hold. */
	if (attempt->verify.failed) {
		attempt_refuse(attempt, AUTH_UNAVAILABLE, "no memory to check a password");
	} else if (!attempt->lookup.found || !attempt->verify.right) {
		attempt_wrong(attempt, why_wrong(attempt));
	} else {
		if (!credential->disabled)
			remembered_add(attempt->shared->remembered, &attempt->memory_key, credential->account_id,
			        credential->login, credential->password_hash, attempt->lookup.version, clock_mono_ms());
		attempt_right(attempt, &text, "checked");
		if (attempt->verify.has_keys)
			new_keys_add(&attempt->shared->new_keys, credential, &attempt->verify.keys);
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
	const struct credential *credential = &attempt->lookup.credential;
	struct verify_job *job = &attempt->verify;

	*job = (struct verify_job) { .address = attempt->address_key,
		.standing = failures_standing(attempt->shared->failures, &attempt->ticket, clock_mono_ms()),
		.known = attempt->lookup.found,
		.password = buffer_span(&attempt->secret),
		.still_needed = on_turn,
		.wants_scram = attempt->lookup.found && !credential->disabled && credential->scram_iterations == 0,
		.done = on_hashed };
	memcpy(job->hash, credential->password_hash, sizeof(job->hash));
	/* The salt that SCRAM has been given for this login so far: that there is a user now does not show in it. */
	if (job->wants_scram)
		nobody_salt(&attempt->shared->nobody, span_of(credential->login), job->scram_salt);
	attempt->state = HASHING;
	attempt->holds++;
	if (verify_submit(attempt->shared->verify, job))
		return;
	attempt_release(attempt);
	if (job->standing == STANDING_SUSPECT)
		attempt_refuse(attempt, AUTH_THROTTLED, "too many tries wait");
	else
		attempt_refuse(attempt, AUTH_UNAVAILABLE, "too many checks wait");
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
		attempt_ok(attempt, &text, login->account_id, login->login, "remembered");
		return;
	}
	remembered_forget(shared->remembered, &attempt->memory_key);
	attempt_admit(attempt);
}

static void looked_up(struct attempt *attempt)
{
	if (!attempt->lookup.ok)
		attempt_unreadable(attempt);
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

void attempt_confirm(struct attempt *attempt, uint64_t known_version)
{
	attempt->lookup.has_known_version = true;
	attempt->lookup.known_version = known_version;
	submit_lookup(attempt, CONFIRMING);
}

void attempt_look_up(struct attempt *attempt)
{
	attempt->lookup.has_known_version = false;
	submit_lookup(attempt, LOOKING);
}
