#include "sasl/sasl.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/secret.h"
#include "sasl/auth_client_later.h"
#include "sasl/mechanism.h"

#include <stdlib.h>

#define TEXT_MAX (SCRAM_FIRST_MAX * 2) /* base64 of our longest challenge: SCRAM's nonce, salt and count */

static void tell(struct sasl *sasl)
{
	/* The callback may free the sasl: nothing of it is touched afterwards. */
	sasl->callback(
	        sasl->arg, sasl->outcome, buffer_span(&sasl->text), sasl->outcome == SASL_OK ? &sasl->answer : NULL);
}

static void run_later(struct later *later)
{
	tell(container_of(later, struct sasl, later));
}

/* Every outcome takes this way, so none comes from inside the daemon's call. */
static void set_outcome(struct sasl *sasl, enum sasl_state state, enum sasl_outcome outcome, struct span message)
{
	CHECK(sasl->state == SASL_BUSY);
	sasl->state = state;
	sasl->outcome = outcome;
	buffer_clear(&sasl->text);
	if (!base64_encode(message, &sasl->text)) {
		sasl->state = SASL_DONE;
		sasl->outcome = SASL_UNAVAILABLE;
	}
	later_call(auth_client_later(sasl->client), &sasl->later);
}

void sasl_challenge(struct sasl *sasl, struct span message)
{
	set_outcome(sasl, SASL_IDLE, SASL_CHALLENGE, message);
}

void sasl_finish(struct sasl *sasl, enum sasl_outcome outcome, struct span message)
{
	set_outcome(sasl, SASL_DONE, outcome, message);
}

void sasl_finish_with(struct sasl *sasl, const struct auth_answer *answer, struct span failure)
{
	static const enum sasl_outcome outcomes[] = {
		[AUTH_OK] = SASL_OK,
		[AUTH_WRONG] = SASL_WRONG,
		[AUTH_DISABLED] = SASL_DISABLED,
		[AUTH_THROTTLED] = SASL_THROTTLED,
		[AUTH_UNAVAILABLE] = SASL_UNAVAILABLE,
	};

	sasl->answer = *answer;
	sasl_finish(sasl, outcomes[answer->status], answer->status == AUTH_OK ? SPAN_EMPTY : failure);
}

static void on_answer(void *arg, const struct auth_answer *answer)
{
	struct sasl *sasl = arg;

	sasl->request = NULL;
	sasl->mechanism->answered(sasl, answer);
}

static void asked(struct sasl *sasl, struct auth_request *request)
{
	sasl->request = request;
	if (request == NULL)
		sasl_finish(sasl, SASL_UNAVAILABLE, SPAN_EMPTY);
}

void sasl_ask_password(struct sasl *sasl, struct span login, struct span password)
{
	asked(sasl, auth_password(sasl->client, &sasl->peer, login, password, on_answer, sasl));
}

void sasl_ask_scram_first(struct sasl *sasl, struct span login)
{
	asked(sasl, auth_scram_first(sasl->client, &sasl->peer, login, on_answer, sasl));
}

void sasl_ask_scram_final(
        struct sasl *sasl, struct span login, struct span auth_message, const uint8_t proof[AUTH_PROOF_LEN])
{
	asked(sasl, auth_scram_final(sasl->client, &sasl->peer, login, auth_message, proof, on_answer, sasl));
}

bool sasl_new(struct auth_client *client, const struct auth_peer *peer, struct span mechanism,
        const struct sasl_channel *channel, sasl_callback *callback, void *arg, struct sasl **out, struct error *err)
{
	const struct mechanism *found = mechanism_find(mechanism, channel);
	struct sasl *sasl;

	if (!channel->secure)
		return error_set(err, ERR_TLS_REQUIRED, "use TLS first");
	if (found == NULL)
		return error_set(err, ERR_UNSUPPORTED, "no such authentication mechanism");
	sasl = calloc(1, sizeof(*sasl));
	if (sasl == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	sasl->mechanism = found;
	sasl->client = client;
	sasl->channel = *channel;
	sasl->callback = callback;
	sasl->arg = arg;
	sasl->later.run = run_later;
	/* An address that is too long for us is no address: all such are counted together. */
	(void)span_copy(span_of(peer->address), sasl->address, sizeof(sasl->address));
	sasl->peer = (struct auth_peer) { .service = peer->service, .address = sasl->address };
	buffer_init(&sasl->text, TEXT_MAX);
	*out = sasl;
	return true;
}

static void feed(struct sasl *sasl, struct span line)
{
	struct buffer message;

	buffer_init(&message, SASL_MESSAGE_MAX / 4 * 3);
	sasl->step++;
	/* All the room at once: growing would leave copies of a password behind. */
	if (line.len > SASL_MESSAGE_MAX)
		sasl_finish(sasl, SASL_MALFORMED, SPAN_EMPTY);
	else if (!buffer_reserve(&message, line.len / 4 * 3))
		sasl_finish(sasl, SASL_UNAVAILABLE, SPAN_EMPTY);
	else if (!base64_decode(line, &message))
		sasl_finish(sasl, SASL_MALFORMED, SPAN_EMPTY);
	else
		sasl->mechanism->respond(sasl, buffer_span(&message));
	secret_buffer_free(&message);
}

void sasl_start(struct sasl *sasl, bool has_initial, struct span initial)
{
	CHECK(sasl->state == SASL_IDLE && sasl->step == 0);
	sasl->state = SASL_BUSY;
	if (!has_initial)
		sasl_challenge(sasl, span_of(sasl->mechanism->invitation));
	else if (span_equal(initial, SPAN("="))) /* RFC 4954 §4: an empty initial response */
		feed(sasl, SPAN_EMPTY);
	else if (initial.len == 0)
		feed(sasl, SPAN("=")); /* "AUTH PLAIN " and nothing: not base64 of anything that a client may mean */
	else
		feed(sasl, initial);
}

void sasl_step(struct sasl *sasl, struct span line)
{
	CHECK(sasl->state == SASL_IDLE && !sasl->later.waiting);
	sasl->state = SASL_BUSY;
	if (span_equal(line, SPAN("*"))) /* RFC 4954 §4, RFC 5034 §4, RFC 9051 §6.2.2 */
		sasl_finish(sasl, SASL_CANCELLED, SPAN_EMPTY);
	else
		feed(sasl, line);
}

void sasl_free(struct sasl **sasl_)
{
	struct sasl *sasl = *sasl_;

	*sasl_ = NULL;
	if (sasl == NULL)
		return;
	auth_cancel(&sasl->request);
	if (sasl->later.waiting)
		later_cancel(auth_client_later(sasl->client), &sasl->later);
	if (sasl->step > 0 && sasl->mechanism->release != NULL)
		sasl->mechanism->release(sasl);
	buffer_free(&sasl->text);
	free(sasl);
}
