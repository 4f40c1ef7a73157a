#include "authd/attempt_internal.h"
#include "base/clock.h"
#include "base/log.h"

void attempt_answer(struct attempt *attempt, const struct auth_answer *text)
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

void attempt_refuse(struct attempt *attempt, enum auth_status status, const char *why)
{
	struct auth_answer text = { .status = status };

	log_login(attempt, LOG_WARNING, "auth.refused", why);
	attempt_answer(attempt, &text);
}

void attempt_wrong(struct attempt *attempt, const char *why)
{
	failures_wrong(attempt->shared->failures, &attempt->ticket, clock_mono_ms());
	if (failures_standing(attempt->shared->failures, &attempt->ticket, clock_mono_ms()) == STANDING_SUSPECT)
		verify_suspect(attempt->shared->verify, &attempt->address_key);
	attempt_refuse(attempt, AUTH_WRONG, why);
}

void attempt_unreadable(struct attempt *attempt)
{
	LOG(LOG_ERROR, "auth.unreadable", LOG_FAILURE(&attempt->lookup.err));
	attempt_refuse(attempt, AUTH_UNAVAILABLE, "auth.db cannot be read");
}

void attempt_ok(
        struct attempt *attempt, struct auth_answer *text, int64_t account_id, const char *login, const char *how)
{
	bool was_charged = attempt->ticket.charged;

	text->status = AUTH_OK;
	text->account_id = account_id;
	(void)span_copy(span_of(login), text->login, sizeof(text->login));
	failures_good(attempt->shared->failures, &attempt->ticket, clock_mono_ms());
	if (was_charged)
		attempt_wake_neighbours(attempt->shared, &attempt->address_key);
	notes_add(attempt->shared->notes, account_id, attempt->service, attempt->address);
	log_login(attempt, LOG_INFO, "auth.ok", how);
	attempt_answer(attempt, text);
}

/* The secret was right. */
void attempt_right(struct attempt *attempt, struct auth_answer *text, const char *how)
{
	const struct credential *credential = &attempt->lookup.credential;

	if (credential->disabled)
		attempt_refuse(attempt, AUTH_DISABLED, "account disabled");
	else
		attempt_ok(attempt, text, credential->account_id, credential->login, how);
}
