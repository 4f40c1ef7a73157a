#include "sasl/client.h"

#include "base/base64.h"
#include "base/random.h"
#include "base/secret.h"
#include "sasl/scram_keys.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_OCTETS 320
#define PASSWORD_MAX    256
#define NONCE_BYTES     18
#define MESSAGE_MAX     2048
#define CHALLENGE_MAX   (4 * KIB)
#define SALT_MAX        256

/*  SCRAM:  FIRST --server-first--> FINAL --server-final--> DONE
 *  LOGIN:  FIRST --"Username:"--> FINAL --"Password:"--> DONE        PLAIN: DONE at once */
enum step { STEP_FIRST, STEP_FINAL, STEP_DONE };

struct sasl_client {
	enum sasl_client_mechanism mechanism;
	enum step step;
	char user[NAME_MAX_OCTETS + 1];
	char password[PASSWORD_MAX + 1];
	struct buffer auth_message; /* SCRAM: client-first-bare, then all of it */
	char nonce[2 * NONCE_BYTES + 1];
	uint8_t server_signature[SCRAM_HASH_LEN];
};

static const char *const names[] = {
	[SASL_CLIENT_SCRAM] = "SCRAM-SHA-256",
	[SASL_CLIENT_PLAIN] = "PLAIN",
	[SASL_CLIENT_LOGIN] = "LOGIN",
};

struct sasl_client *sasl_client_new(enum sasl_client_mechanism mechanism, struct span user, struct span password)
{
	struct sasl_client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		return NULL;
	client->mechanism = mechanism;
	buffer_init(&client->auth_message, CHALLENGE_MAX + MESSAGE_MAX);
	if (!span_copy(user, client->user, sizeof(client->user)) ||
	        !span_copy(password, client->password, sizeof(client->password)))
		sasl_client_free(&client);
	return client;
}

void sasl_client_free(struct sasl_client **client)
{
	if (*client == NULL)
		return;
	secret_buffer_free(&(*client)->auth_message);
	secret_wipe(*client, sizeof(**client));
	free(*client);
	*client = NULL;
}

const char *sasl_client_name(const struct sasl_client *client)
{
	return names[client->mechanism];
}

bool sasl_client_done(const struct sasl_client *client)
{
	return client->step == STEP_DONE;
}

/* RFC 5802 §5.1: "," and "=" in a name are written as "=2C" and "=3D". */
static bool put_name(struct buffer *out, const char *name)
{
	for (; *name != '\0'; name++) {
		if (*name == ',' || *name == '=')
			(void)buffer_append_text(out, *name == ',' ? "=2C" : "=3D");
		else
			(void)buffer_append_char(out, *name);
	}
	return !out->failed;
}

static void make_nonce(struct sasl_client *client)
{
	uint8_t bytes[NONCE_BYTES];
	struct buffer text;

	random_bytes(bytes, sizeof(bytes));
	buffer_init(&text, sizeof(client->nonce));
	(void)base64_encode(span_make(bytes, sizeof(bytes)), &text); /* its alphabet has no comma */
	(void)span_copy(buffer_span(&text), client->nonce, sizeof(client->nonce));
	buffer_free(&text);
}

static bool plain_initial(struct sasl_client *client, struct buffer *message)
{
	(void)buffer_append_char(message, '\0');
	(void)buffer_append_text(message, client->user);
	(void)buffer_append_char(message, '\0');
	client->step = STEP_DONE;
	return buffer_append_text(message, client->password);
}

static bool scram_initial(struct sasl_client *client, struct buffer *message)
{
	make_nonce(client);
	(void)buffer_append_text(&client->auth_message, "n=");
	(void)put_name(&client->auth_message, client->user);
	(void)buffer_printf(&client->auth_message, ",r=%s", client->nonce);
	(void)buffer_append_text(message, "n,,");
	return !client->auth_message.failed && buffer_append_span(message, buffer_span(&client->auth_message));
}

bool sasl_client_initial(struct sasl_client *client, struct buffer *out)
{
	struct buffer message;
	bool ok;

	if (client->mechanism == SASL_CLIENT_LOGIN)
		return false;
	buffer_init(&message, MESSAGE_MAX);
	ok = client->mechanism == SASL_CLIENT_PLAIN ? plain_initial(client, &message) : scram_initial(client, &message);
	ok = ok && base64_encode(buffer_span(&message), out);
	secret_buffer_free(&message);
	return ok;
}

/* ---- SCRAM ---- */

struct server_first {
	struct span nonce, salt;
	uint32_t iterations;
};

static bool take_attribute(struct span *in, char name, struct span *value)
{
	struct span rest = *in;

	if (!span_take_char(&rest, name) || !span_take_char(&rest, '='))
		return false;
	if (!span_take_until(&rest, ',', value)) {
		*value = rest;
		rest = SPAN_EMPTY;
	}
	*in = rest;
	return true;
}

/* RFC 5802 §7 server-first-message, without mandatory extensions. */
static bool parse_first(const struct sasl_client *client, struct span in, struct server_first *out)
{
	struct span count;
	uint64_t iterations;

	if (!take_attribute(&in, 'r', &out->nonce) || !take_attribute(&in, 's', &out->salt) ||
	        !take_attribute(&in, 'i', &count))
		return false;
	if (!span_number(count, SASL_CLIENT_ITERATIONS_MAX, &iterations) || iterations < 1)
		return false;
	out->iterations = (uint32_t)iterations;
	return span_starts(out->nonce, span_of(client->nonce)) && out->nonce.len > strlen(client->nonce);
}

static bool make_proof(struct sasl_client *client, struct span salt, uint32_t iterations, uint8_t proof[SCRAM_HASH_LEN])
{
	struct scram_keys keys;

	scram_make_proof(span_of(client->password), salt, iterations, buffer_span(&client->auth_message), proof, &keys);
	scram_sign(keys.server_key, buffer_span(&client->auth_message), client->server_signature);
	secret_wipe(&keys, sizeof(keys));
	return true;
}

static bool scram_first(struct sasl_client *client, struct span challenge, struct buffer *message, struct error *err)
{
	uint8_t proof[SCRAM_HASH_LEN];
	struct server_first first;
	struct buffer salt;
	bool ok;

	if (!parse_first(client, challenge, &first))
		return error_set(err, ERR_SYNTAX, "the server's SCRAM challenge is malformed");
	(void)buffer_printf(message, "c=biws,r=%.*s", SPAN_FMT(first.nonce));
	(void)buffer_append_char(&client->auth_message, ',');
	(void)buffer_append_span(&client->auth_message, challenge);
	(void)buffer_append_char(&client->auth_message, ',');
	(void)buffer_append_span(&client->auth_message, buffer_span(message));
	buffer_init(&salt, SALT_MAX);
	ok = !client->auth_message.failed && base64_decode(first.salt, &salt) &&
	     make_proof(client, buffer_span(&salt), first.iterations, proof);
	buffer_free(&salt);
	if (!ok)
		return error_set(err, ERR_SYNTAX, "the server's SCRAM challenge is malformed");
	(void)buffer_append_text(message, ",p=");
	(void)base64_encode(span_make(proof, sizeof(proof)), message);
	client->step = STEP_FINAL;
	return !message->failed || error_set(err, ERR_NO_MEMORY, "out of memory");
}

/* A server that has not the keys is not the one that we want to give mail to. */
static bool scram_final(struct sasl_client *client, struct span challenge, struct error *err)
{
	struct buffer signature;
	struct span text;
	bool right;

	buffer_init(&signature, SALT_MAX);
	right = take_attribute(&challenge, 'v', &text) && base64_decode(text, &signature) &&
	        signature.len == SCRAM_HASH_LEN &&
	        secret_equal(signature.data, client->server_signature, SCRAM_HASH_LEN);
	buffer_free(&signature);
	if (!right)
		return error_set(err, ERR_AUTH_FAILED, "the server does not prove that it knows the password");
	client->step = STEP_DONE;
	return true;
}

/* ---- the door ---- */

static bool answer(struct sasl_client *client, struct span challenge, struct buffer *message, struct error *err)
{
	if (client->step == STEP_DONE)
		return error_set(err, ERR_SYNTAX, "the server asks for more than the mechanism has");
	if (client->mechanism == SASL_CLIENT_LOGIN) {
		(void)buffer_append_text(message, client->step == STEP_FIRST ? client->user : client->password);
		client->step = client->step == STEP_FIRST ? STEP_FINAL : STEP_DONE;
		return true;
	}
	return client->step == STEP_FIRST ? scram_first(client, challenge, message, err)
	                                  : scram_final(client, challenge, err);
}

bool sasl_client_step(struct sasl_client *client, struct span challenge, struct buffer *out, struct error *err)
{
	struct buffer plain, message;
	bool ok;

	buffer_init(&plain, CHALLENGE_MAX);
	buffer_init(&message, CHALLENGE_MAX + MESSAGE_MAX);
	ok = base64_decode(challenge, &plain) || client->mechanism == SASL_CLIENT_LOGIN ||
	     error_set(err, ERR_SYNTAX, "the server's challenge is not base64");
	ok = ok && answer(client, buffer_span(&plain), &message, err);
	if (ok && !base64_encode(buffer_span(&message), out))
		ok = error_set(err, ERR_NO_MEMORY, "out of memory");
	buffer_free(&plain);
	secret_buffer_free(&message);
	return ok;
}
