/* SCRAM-SHA-256(-PLUS) as a server (RFC 5802 §3, §5, §6; RFC 7677). Grammar is in scram_parse.c, keys are in authd. */
#include "sasl/scram.h"

#include "base/base64.h"
#include "base/random.h"
#include "base/secret.h"
#include "sasl/auth_protocol.h"
#include "sasl/mechanism.h"

static void scram_init(struct scram *scram)
{
	buffer_init(&scram->binding, SCRAM_FIRST_MAX + SASL_BINDING_MAX);
	buffer_init(&scram->username, SCRAM_USERNAME_MAX);
	buffer_init(&scram->auth_message, AUTH_MESSAGE_MAX);
	buffer_init(&scram->nonce, SCRAM_NONCE_MAX + SCRAM_NONCE_OWN);
	buffer_init(&scram->verifier, 64);
}

static void scram_release(struct sasl *sasl)
{
	buffer_free(&sasl->scram.binding);
	buffer_free(&sasl->scram.username);
	buffer_free(&sasl->scram.auth_message);
	buffer_free(&sasl->scram.nonce);
	buffer_free(&sasl->scram.verifier);
}

static void fail(struct sasl *sasl, enum sasl_outcome outcome, const char *server_error)
{
	char text[64] = "e=";
	size_t len = 2;

	for (const char *p = server_error; *p != '\0' && len < sizeof(text); p++)
		text[len++] = *p;
	sasl_finish(sasl, outcome, span_make(text, len));
}

const char *const sasl_binding_types[SASL_BINDING_COUNT] = { "tls-exporter", "tls-unique", "tls-server-end-point" };

/* The octets of a type on this channel; empty: it is not there. */
static struct span binding_octets(const struct sasl_channel *channel, struct span type)
{
	for (size_t i = 0; i < SASL_BINDING_COUNT; i++)
		if (span_equal(type, span_of(sasl_binding_types[i])))
			return span_make(channel->bindings[i].octets, channel->bindings[i].len);
	return SPAN_EMPTY;
}

/* What the client says of channel binding, against what it was offered (RFC 5802 §6): NULL, or what is wrong. "p=" and -PLUS
 * go together: one without the other is refused. */
static const char *wrong_binding(const struct sasl *sasl, const struct scram_first *first)
{
	bool plus = sasl->mechanism->binds;

	if (first->binding == SCRAM_SAW_NO_PLUS)
		return channel_can_bind(&sasl->channel) ? "server-does-support-channel-binding" : NULL;
	if (first->binding == SCRAM_CANNOT_BIND)
		return plus ? "other-error" : NULL;
	if (!plus)
		return "channel-binding-not-supported";
	return binding_octets(&sasl->channel, first->binding_name).len > 0 ? NULL : "unsupported-channel-binding-type";
}

/* authzid must be empty or the user's own name (the same rule as for PLAIN). */
static bool acts_for_itself(struct span authzid, struct span username, bool *malformed)
{
	struct buffer name;
	bool own;

	buffer_init(&name, SCRAM_USERNAME_MAX);
	*malformed = !scram_unescape(authzid, &name);
	own = authzid.len == 0 || span_equal_nocase(buffer_span(&name), username);
	buffer_free(&name);
	return own;
}

static void add_own_nonce(struct buffer *nonce)
{
	char bytes[SCRAM_NONCE_OWN / 4 * 3];

	random_bytes(bytes, sizeof(bytes));
	(void)base64_encode(span_make(bytes, sizeof(bytes)), nonce); /* base64 has no comma: all "printable" */
}

static void take_first(struct sasl *sasl, struct span message)
{
	struct scram *scram = &sasl->scram;
	struct scram_first first;
	const char *wrong;
	bool malformed;

	scram_init(scram);
	wrong = scram_parse_first(message, &first);
	if (wrong != NULL) {
		fail(sasl, SASL_MALFORMED, wrong);
		return;
	}
	wrong = wrong_binding(sasl, &first);
	if (wrong != NULL) {
		/* "y" is another's work and a failed login; the rest is a client that does not speak what was offered. */
		fail(sasl, first.binding == SCRAM_SAW_NO_PLUS ? SASL_WRONG : SASL_MALFORMED, wrong);
		return;
	}
	if (!scram_unescape(first.username, &scram->username)) {
		fail(sasl, SASL_MALFORMED, "invalid-username-encoding");
		return;
	}
	if (!acts_for_itself(first.authzid, buffer_span(&scram->username), &malformed)) {
		fail(sasl, malformed ? SASL_MALFORMED : SASL_WRONG, "other-error");
		return;
	}
	buffer_append_span(&scram->binding, first.gs2_header);
	buffer_append_span(&scram->binding, binding_octets(&sasl->channel, first.binding_name));
	buffer_append_span(&scram->nonce, first.nonce);
	add_own_nonce(&scram->nonce);
	buffer_append_span(&scram->auth_message, first.bare);
	if (scram->binding.failed || scram->nonce.failed || scram->auth_message.failed)
		fail(sasl, SASL_UNAVAILABLE, "no-resources");
	else
		sasl_ask_scram_first(sasl, buffer_span(&scram->username));
}

/* server-first-message; it is part of AuthMessage as well. */
static void send_first(struct sasl *sasl, const struct auth_answer *answer)
{
	struct buffer *message = &sasl->scram.auth_message;
	size_t start;

	if (answer->status != AUTH_OK) {
		sasl_finish_with(sasl, answer, SPAN("e=other-error"));
		return;
	}
	buffer_append_char(message, ',');
	start = message->len;
	buffer_append_text(message, "r=");
	buffer_append_span(message, buffer_span(&sasl->scram.nonce));
	buffer_append_text(message, ",s=");
	base64_encode(span_make(answer->salt, AUTH_SALT_LEN), message);
	buffer_printf(message, ",i=%u", answer->iterations);
	if (message->failed)
		fail(sasl, SASL_UNAVAILABLE, "no-resources");
	else
		sasl_challenge(sasl, span_skip(buffer_span(message), start));
}

/* RFC 5802 §6: "The server MUST always validate the client's c= field". */
static bool binding_ok(const struct scram *scram, struct span text)
{
	const struct buffer *want = &scram->binding;
	struct buffer decoded;
	bool ok;

	buffer_init(&decoded, SCRAM_FINAL_MAX);
	ok = base64_decode(text, &decoded) && decoded.len == want->len &&
	     secret_equal(decoded.data, want->data, want->len);
	buffer_free(&decoded);
	return ok;
}

static void take_final(struct sasl *sasl, struct span message)
{
	struct scram *scram = &sasl->scram;
	struct scram_final final;
	const char *wrong = scram_parse_final(message, &final);

	if (wrong != NULL) {
		fail(sasl, SASL_MALFORMED, wrong);
		return;
	}
	if (!binding_ok(scram, final.channel_binding)) {
		fail(sasl, SASL_WRONG, "channel-bindings-dont-match");
		return;
	}
	if (!span_equal(final.nonce, buffer_span(&scram->nonce))) {
		fail(sasl, SASL_WRONG, "other-error"); /* an old message again (RFC 5802 §5.1, "r:") */
		return;
	}
	buffer_append_char(&scram->auth_message, ',');
	if (!buffer_append_span(&scram->auth_message, final.without_proof))
		fail(sasl, SASL_MALFORMED, "invalid-encoding");
	else
		sasl_ask_scram_final(
		        sasl, buffer_span(&scram->username), buffer_span(&scram->auth_message), final.proof);
}

/* server-final-message; success is told after the client has acknowledged it with an empty message (sasl.h). */
static void send_final(struct sasl *sasl, const struct auth_answer *answer)
{
	struct buffer *verifier = &sasl->scram.verifier;

	if (answer->status != AUTH_OK) {
		sasl_finish_with(sasl, answer, SPAN("e=invalid-proof"));
		return;
	}
	sasl->answer = *answer;
	buffer_append_text(verifier, "v=");
	base64_encode(span_make(answer->server_signature, AUTH_SIGNATURE_LEN), verifier);
	if (verifier->failed)
		fail(sasl, SASL_UNAVAILABLE, "no-resources");
	else
		sasl_challenge(sasl, buffer_span(verifier));
}

static void scram_respond(struct sasl *sasl, struct span message)
{
	if (sasl->step == 1)
		take_first(sasl, message);
	else if (sasl->step == 2)
		take_final(sasl, message);
	else
		sasl_finish(sasl, message.len == 0 ? SASL_OK : SASL_MALFORMED, SPAN_EMPTY);
}

static void scram_answered(struct sasl *sasl, const struct auth_answer *answer)
{
	if (sasl->step == 1)
		send_first(sasl, answer);
	else
		send_final(sasl, answer);
}

const struct mechanism scram_sha_256_mechanism = {
	.name = "SCRAM-SHA-256",
	.invitation = "", /* the client speaks first (RFC 5802 §5) */
	.respond = scram_respond,
	.answered = scram_answered,
	.release = scram_release,
};

const struct mechanism scram_sha_256_plus_mechanism = {
	.name = "SCRAM-SHA-256-PLUS",
	.binds = true,
	.invitation = "",
	.respond = scram_respond,
	.answered = scram_answered,
	.release = scram_release,
};
