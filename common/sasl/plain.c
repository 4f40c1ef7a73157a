#include "sasl/plain.h"

#include "base/utf8.h"
#include "sasl/mechanism.h"

bool plain_parse(struct span in, struct plain_message *out)
{
	size_t at;

	if (!span_take_until(&in, '\0', &out->authzid) || !span_take_until(&in, '\0', &out->authcid))
		return false;
	out->passwd = in;
	return !span_find(in, '\0', &at) && out->authcid.len > 0 && in.len > 0 && out->authzid.len <= AUTH_LOGIN_MAX &&
	       out->authcid.len <= AUTH_LOGIN_MAX && in.len <= AUTH_PASSWORD_MAX && utf8_valid(out->authzid) &&
	       utf8_valid(out->authcid) && utf8_valid(in);
}

static void plain_respond(struct sasl *sasl, struct span message)
{
	struct plain_message plain;

	if (!plain_parse(message, &plain))
		sasl_finish(sasl, SASL_MALFORMED, SPAN_EMPTY);
	else if (plain.authzid.len > 0 && !span_equal_nocase(plain.authzid, plain.authcid))
		sasl_finish(sasl, SASL_WRONG, SPAN_EMPTY); /* nobody acts as another here (RFC 4616 §2) */
	else
		sasl_ask_password(sasl, plain.authcid, plain.passwd);
}

static void plain_answered(struct sasl *sasl, const struct auth_answer *answer)
{
	sasl_finish_with(sasl, answer, SPAN_EMPTY);
}

const struct mechanism plain_mechanism = {
	.name = "PLAIN",
	.invitation = "",
	.respond = plain_respond,
	.answered = plain_answered,
};
