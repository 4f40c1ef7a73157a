#include "authd/attempt_internal.h"
#include "authd/peer.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

void attempt_release(struct attempt *attempt)
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

/* The one place where an attempt ends, answered or not. */
void attempt_end(struct attempt *attempt)
{
	if (attempt->state == PARKED)
		attempt_unpark(attempt);
	attempt->state = ENDED;
	if (attempt->has_timer)
		uv_close((uv_handle_t *)&attempt->timer, on_timer_closed);
	failures_not_tried(attempt->shared->failures, &attempt->ticket, clock_mono_ms());
	attempt_release(attempt);
}

void attempt_route(struct attempt *attempt)
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
		attempt_confirm(attempt, login->version);
	else if (attempt->kind == AUTH_ASK_SCRAM_FIRST)
		attempt_look_up(
		        attempt); /* tells nothing that is worth guessing for; the final step is what is counted */
	else
		attempt_admit(attempt);
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
	attempt_route(attempt);
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

	attempts->new_keys.writer = &attempts->writer;
	attempts->checks_at_once = settings->checks_at_once;
	attempts->failures = failures_new(&limits);
	attempts->remembered = remembered_new(settings->remember_ms);
	if (attempts->failures == NULL || attempts->remembered == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	return nobody_load(settings->data_dir, &attempts->nobody, err) &&
	       lookup_new(settings->data_dir, &attempts->lookup, err) &&
	       writer_open(&attempts->writer, settings->data_dir, err) &&
	       notes_new(attempts->loop, &attempts->writer, &attempts->notes, err);
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
	writer_start(&attempts->writer, attempts->pool);
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
	writer_close(&(*attempts)->writer);
	failures_free(&(*attempts)->failures);
	remembered_free(&(*attempts)->remembered);
	secret_wipe(&(*attempts)->nobody, sizeof((*attempts)->nobody));
	free(*attempts);
	*attempts = NULL;
}
