/* smtpd/outbound/client_hello.c — from the greeting to READY: EHLO, STARTTLS, AUTH. */
#include "smtpd/outbound/client_internal.h"

#include "base/check.h"
#include "base/macros.h"
#include "base/secret.h"

#include <string.h>

/* ---- EHLO ---- */

void hello_begin(struct client *client)
{
	memset(&client->offer, 0, sizeof(client->offer)); /* RFC 3207 §4.2: what was said before TLS is forgotten */
	client->hello_lines = 0;
	client->state = CLIENT_HELLO;
	client_printf(client, "%s %s",
	        client->settings.lmtp ? "LHLO"
	        : client->said_helo   ? "HELO"
	                              : "EHLO",
	        client->settings.hostname);
	client_wait(client, CLIENT_COMMAND_MS);
}

void hello_line(struct client *client, struct span line)
{
	if (client->hello_lines++ > 0 && !client->said_helo && line.len > 4)
		offer_line(&client->offer, span_skip(line, 4)); /* the first has only its name */
}

static void auth_begin(struct client *client);

static void hello_done(struct client *client)
{
	if (!client->has_tls && client->settings.use_starttls && client->offer.starttls) {
		client->state = CLIENT_STARTTLS;
		client_printf(client, "STARTTLS");
		client_wait(client, CLIENT_COMMAND_MS);
	} else if (!client->has_tls && client->settings.must_tls) {
		client->tls_failed = true;
		client_fail(client, "TLS is required here, and the other server does not offer STARTTLS");
	} else if (client->settings.user != NULL) {
		auth_begin(client);
	} else {
		client_ready(client);
	}
}

/* RFC 5321 §3.2: who does not know EHLO may know HELO. */
static void hello_refused(struct client *client, const struct client_reply *reply)
{
	if (reply->code < 500 || client->said_helo || client->settings.lmtp || client->settings.must_tls) {
		client_refused(client);
		return;
	}
	client->said_helo = true;
	hello_begin(client);
}

static void starttls_reply(struct client *client, const struct client_reply *reply)
{
	if (reply->code == 220) {
		client->state = CLIENT_HANDSHAKE;
		client_wait(client, CLIENT_TLS_MS);
		(void)conn_start_tls_client(client->conn, &client->settings.tls); /* false: on_closed() comes */
	} else if (client->settings.must_tls || reply->code == 421) {
		client->tls_failed = true;
		client_refused(client);
	} else { /* RFC 3207 §4: the client may go on without, and nobody demanded more */
		client->settings.use_starttls = false;
		hello_done(client);
	}
}

void hello_reply(struct client *client, const struct client_reply *reply)
{
	if (client->state == CLIENT_STARTTLS)
		starttls_reply(client, reply);
	else if (client->state == CLIENT_GREETING && reply->code == 220)
		hello_begin(client);
	else if (client->state == CLIENT_GREETING)
		client_refused(client);
	else if (reply->code / 100 == 2)
		hello_done(client);
	else
		hello_refused(client, reply);
}

/* ---- AUTH (RFC 4954) ---- */

void auth_free(struct client *client)
{
	sasl_client_free(&client->sasl);
	secret_buffer_free(&client->auth_answer);
	buffer_free(&client->auth_challenge);
}

static bool choose(const struct client *client, enum sasl_client_mechanism *out)
{
	const struct client_offer *offer = &client->offer;

	if (offer->auth_scram && client->settings.pool != NULL)
		*out = SASL_CLIENT_SCRAM;
	else if (offer->auth_plain)
		*out = SASL_CLIENT_PLAIN;
	else if (offer->auth_login)
		*out = SASL_CLIENT_LOGIN;
	else
		return false;
	return true;
}

static void auth_send_first(struct client *client)
{
	buffer_clear(&client->auth_answer);
	if (sasl_client_initial(client->sasl, &client->auth_answer))
		client_printf(client, "AUTH %s %s", sasl_client_name(client->sasl), buffer_text(&client->auth_answer));
	else
		client_printf(client, "AUTH %s", sasl_client_name(client->sasl));
	client_wait(client, CLIENT_COMMAND_MS);
}

static void auth_begin(struct client *client)
{
	enum sasl_client_mechanism mechanism;

	if (!client->has_tls && !conn_peer_is_loopback(client->conn)) {
		client->tls_failed = true;
		client_fail(client, "a login is set for this server, which offers no TLS to send the password over");
		return;
	}
	if (!choose(client, &mechanism)) {
		client_fail(client, "a login is set for this server, which offers no way to log in that we have");
		return;
	}
	client->sasl = sasl_client_new(mechanism, span_of(client->settings.user), span_of(client->settings.password));
	if (client->sasl == NULL) {
		client_fail(client, "the login for this server is too long, or there is no memory");
		return;
	}
	client->state = CLIENT_AUTH;
	auth_send_first(client);
}

static void auth_run(struct worker_job *job)
{
	struct client *client = container_of(job, struct client, auth_job);

	client->auth_ok = sasl_client_step(
	        client->sasl, buffer_span(&client->auth_challenge), &client->auth_answer, &client->auth_error);
}

static void auth_answered(struct client *client)
{
	if (!client->auth_ok) {
		client_fail(client, "%s", client->auth_error.reason);
		return;
	}
	client_printf(client, "%s", buffer_text(&client->auth_answer));
	client_wait(client, CLIENT_COMMAND_MS);
}

static void auth_computed(struct worker_job *job)
{
	struct client *client = container_of(job, struct client, auth_job);

	client->auth_running = false;
	if (client->state == CLIENT_AUTH)
		auth_answered(client);
	client_release(client);
}

static void auth_challenge(struct client *client, const struct client_reply *reply)
{
	struct span text = span_skip(span_of(reply->text), 4);

	if (client->auth_running || client->auth_steps++ >= CLIENT_AUTH_STEPS) {
		client_fail(client, "the other server does not come to an end with the login");
		return;
	}
	buffer_clear(&client->auth_challenge);
	secret_buffer_free(&client->auth_answer);
	if (!buffer_append_span(&client->auth_challenge, span_trim(text))) {
		client_fail(client, "out of memory");
		return;
	}
	client_wait(client, 0);
	client->auth_job = (struct worker_job) { .run = auth_run, .done = auth_computed, .lane = WORKER_READ };
	if (client->settings.pool == NULL) {
		auth_run(&client->auth_job); /* PLAIN, LOGIN: nothing to compute */
		auth_answered(client);
		return;
	}
	client->auth_running = true;
	client_hold(client);
	worker_submit(client->settings.pool, &client->auth_job);
}

void auth_reply(struct client *client, const struct client_reply *reply)
{
	if (reply->code == 334) {
		auth_challenge(client, reply);
	} else if (reply->code == 235 && !client->auth_running && sasl_client_done(client->sasl)) {
		auth_free(client); /* the session may live for long: without what it logged in with */
		client_ready(client);
	} else if (reply->code == 235) {
		client_fail(client, "the other server does not prove that it knows the password");
	} else {
		client_refused(client);
	}
}
