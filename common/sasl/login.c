#include "base/secret.h"
#include "base/utf8.h"
#include "sasl/login.h"
#include "sasl/mechanism.h"

bool login_field_ok(struct span field, size_t most)
{
	size_t at;

	return field.len > 0 && field.len <= most && !span_find(field, '\0', &at) && utf8_valid(field);
}

static void take_name(struct sasl *sasl, struct span name)
{
	buffer_init(&sasl->login_name, AUTH_LOGIN_MAX);
	if (!login_field_ok(name, AUTH_LOGIN_MAX))
		sasl_finish(sasl, SASL_MALFORMED, SPAN_EMPTY);
	else if (!buffer_append_span(&sasl->login_name, name))
		sasl_finish(sasl, SASL_UNAVAILABLE, SPAN_EMPTY);
	else
		sasl_challenge(sasl, SPAN("Password:"));
}

/* The name comes as the initial response (copiers, Outlook by way of Microsoft's servers) or to the challenge "Username:": in
 * both cases it is the first message. */
static void login_respond(struct sasl *sasl, struct span message)
{
	if (sasl->step == 1)
		take_name(sasl, message);
	else if (!login_field_ok(message, AUTH_PASSWORD_MAX))
		sasl_finish(sasl, SASL_MALFORMED, SPAN_EMPTY);
	else
		sasl_ask_password(sasl, buffer_span(&sasl->login_name), message);
}

static void login_answered(struct sasl *sasl, const struct auth_answer *answer)
{
	sasl_finish_with(sasl, answer, SPAN_EMPTY);
}

static void login_release(struct sasl *sasl)
{
	buffer_free(&sasl->login_name);
}

const struct mechanism login_mechanism = {
	.name = "LOGIN",
	.invitation =
	        "Username:", /* with exactly these two texts a widely used client is content (§2.2 of the draft) */
	.respond = login_respond,
	.answered = login_answered,
	.release = login_release,
};
