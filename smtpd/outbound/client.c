#include "smtpd/outbound/client_internal.h"

#include "base/check.h"
#include "base/macros.h"
#include "base/secret.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_MAX (2 * KIB)

void client_check(const struct client *client)
{
	CHECK((client->message != NULL) == ((client->state & CLIENT_HAS_MESSAGE) != 0) || client->state == CLIENT_OVER);
	CHECK(client->state == CLIENT_OVER || client->conn != NULL);
}

/* ---- the end ---- */

static void client_free(struct client *client)
{
	auth_free(client);
	body_free(client);
	free(client->envelope.replies);
	secret_wipe(client->texts, client->texts_len);
	free(client->texts);
	free(client);
}

void client_hold(struct client *client)
{
	client->holds++;
}

/* The one place where a client ends: the conn, the timer and every job have been given back. */
void client_release(struct client *client)
{
	CHECK(client->holds > 0);
	if (--client->holds > 0)
		return;
	if (client->message != NULL)
		envelope_end(client, client->lost);
	client->events->on_closed(client->arg, &client->why, client->tls_failed);
	client_free(client);
}

static void on_timer_closed(uv_handle_t *handle)
{
	client_release(container_of((uv_timer_t *)handle, struct client, timer));
}

void client_over(struct client *client)
{
	if (client->state == CLIENT_OVER)
		return;
	/* RFC 5321 §4.5.5, RFC 1047: nobody can tell whether it was taken */
	client->lost = client->body.all_sent && client->state == CLIENT_ENDING && !client->envelope.complete;
	client->state = CLIENT_OVER;
	uv_close((uv_handle_t *)&client->timer, on_timer_closed);
	if (client->conn != NULL)
		conn_close(client->conn);
}

void client_fail(struct client *client, const char *format, ...)
{
	va_list args;

	if (client->state == CLIENT_OVER)
		return;
	memset(&client->why, 0, sizeof(client->why));
	va_start(args, format);
	(void)vsnprintf(client->why.text, sizeof(client->why.text), format, args);
	va_end(args);
	client_over(client);
}

void client_refused(struct client *client)
{
	const struct client_reply *reply = &client->reader.reply;

	/* what sounds like success, but answers nothing, must not be taken for one */
	if (reply->code >= 200 && reply->code < 400)
		reply_local(&client->why, "the other server answered out of turn: %.400s", reply->text);
	else
		client->why = *reply;
	client_over(client);
}

/* ---- waiting ---- */

static const char *what_for(enum client_state state)
{
	switch (state) {
	case CLIENT_GREETING: return "its greeting";
	case CLIENT_HANDSHAKE: return "the TLS handshake";
	case CLIENT_BODY: return "it to take the message";
	case CLIENT_ENDING: return "its answer to the message";
	default: return "its answer";
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct client *client = container_of(timer, struct client, timer);

	if (client->state == CLIENT_QUITTING) { /* its last word is of no interest */
		client_over(client);
		return;
	}
	if (client->state == CLIENT_HANDSHAKE)
		client->tls_failed = true;
	client_fail(client, "the other server kept us waiting too long for %s", what_for(client->state));
}

void client_wait(struct client *client, unsigned milliseconds)
{
	uint64_t wait = (uint64_t)milliseconds * client->settings.time_percent / 100;

	if (client->state == CLIENT_OVER)
		return;
	if (milliseconds == 0)
		(void)uv_timer_stop(&client->timer);
	else
		(void)uv_timer_start(&client->timer, on_timer, wait > 0 ? wait : 1, 0);
}

void client_printf(struct client *client, const char *format, ...)
{
	char line[COMMAND_MAX];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line) - 2, format, args);
	va_end(args);
	CHECK(len >= 0 && (size_t)len < sizeof(line) - 2); /* the parts have limits */
	line[len++] = '\r';
	line[len++] = '\n';
	(void)conn_write(client->conn, line, (size_t)len);
	secret_wipe(line, (size_t)len); /* AUTH goes this way too */
}

void client_ready(struct client *client)
{
	client->state = CLIENT_READY;
	client_wait(client, 0);
	if (client->ready_told)
		return;
	client->ready_told = true;
	client->events->on_ready(client->arg, &client->offer);
}

/* ---- what comes ---- */

/* Everybody has his answer by now. Who does not take RSET, or goes, gets no further message. */
static void reset_reply(struct client *client, const struct client_reply *reply)
{
	if (reply->code / 100 == 2)
		envelope_end(client, false);
	else
		client_refused(client);
}

static void take_reply(struct client *client)
{
	const struct client_reply *reply = &client->reader.reply;

	switch (client->state) {
	case CLIENT_GREETING:
	case CLIENT_HELLO:
	case CLIENT_STARTTLS: hello_reply(client, reply); break;
	case CLIENT_AUTH: auth_reply(client, reply); break;
	case CLIENT_ENVELOPE: envelope_reply(client, reply); break;
	case CLIENT_ENDING: ending_reply(client, reply); break;
	case CLIENT_RSETTING: reset_reply(client, reply); break;
	case CLIENT_BODY: /* it does not want to hear the end of it */
	case CLIENT_READY: /* 421, most likely */ client_refused(client); break;
	default: /* QUITTING: the last word; HANDSHAKE: no lines come */ client_over(client); break;
	}
}

static void on_line(void *session, struct span line, enum line_end end)
{
	struct client *client = session;
	enum reply_state state;

	(void)end;
	if (client->state == CLIENT_OVER)
		return;
	state = reply_line(&client->reader, line);
	if (state == REPLY_GARBAGE) {
		client_refused(client);
		return;
	}
	if (client->state == CLIENT_HELLO)
		hello_line(client, line);
	if (state == REPLY_MORE)
		return;
	take_reply(client);
	reply_begin(&client->reader);
	if (client->state != CLIENT_OVER)
		client_check(client);
}

static void on_line_too_long(void *session)
{
	client_fail(session, "what the other server sent is not SMTP: a line without end");
}

static size_t on_bytes(void *session, struct span bytes)
{
	(void)session;
	return bytes.len; /* never: lines are read */
}

static void on_tls(void *session)
{
	struct client *client = session;

	if (client->state == CLIENT_OVER)
		return;
	client->has_tls = true;
	if (client->settings.implicit_tls) {
		client->state = CLIENT_GREETING;
		client_wait(client, CLIENT_GREETING_MS);
	} else {
		hello_begin(client);
	}
}

static void on_drained(void *session)
{
	struct client *client = session;

	if (client->state == CLIENT_BODY)
		body_write(client);
}

static const char *end_text(const struct client *client, enum conn_end why)
{
	const char *failure;

	switch (why) {
	case CONN_END_TLS:
		failure = conn_tls_failure(client->conn);
		return failure != NULL ? failure : "the TLS handshake failed";
	case CONN_END_NO_MEMORY: return "out of memory";
	default: return "the other server closed the connection";
	}
}

static void on_closed(void *session, enum conn_end why)
{
	struct client *client = session;

	if (client->state != CLIENT_OVER) {
		if (why == CONN_END_TLS && client->state == CLIENT_HANDSHAKE)
			client->tls_failed = true;
		if (client->state != CLIENT_QUITTING)
			reply_local(&client->why, "%s", end_text(client, why));
	}
	client->conn = NULL;
	client_over(client);
	client_release(client);
}

static const struct conn_handler handler = {
	.on_line = on_line,
	.on_line_too_long = on_line_too_long,
	.on_bytes = on_bytes,
	.on_tls = on_tls,
	.on_drained = on_drained,
	.on_closed = on_closed,
};

/* ---- the beginning ---- */

static size_t text_len(const char *text)
{
	return text == NULL ? 0 : strlen(text) + 1;
}

static const char *put_text(char **at, const char *text)
{
	char *start = *at;

	if (text == NULL)
		return NULL;
	memcpy(start, text, strlen(text) + 1);
	*at += strlen(text) + 1;
	return start;
}

static size_t texts_of(const struct client_settings *settings)
{
	const struct tls_client_request *tls = &settings->tls;
	size_t size = text_len(settings->hostname) + text_len(settings->user) + text_len(settings->password) +
	              text_len(tls->server_name);

	for (size_t i = 0; i < tls->name_count; i++)
		size += text_len(tls->names[i]);
	for (size_t i = 0; i < tls->tlsa_count; i++)
		size += tls->tlsa[i].len;
	return size;
}

/* Everything that the settings point to, in one block. */
static bool copy_settings(struct client *client, const struct client_settings *from)
{
	struct client_settings *to = &client->settings;
	const struct tls_client_request *tls = &from->tls;
	char *at;

	*to = *from;
	if (tls->name_count > TLS_CLIENT_NAMES_MAX || tls->tlsa_count > CLIENT_TLSA_MAX)
		return false;
	client->texts_len = texts_of(from);
	client->texts = malloc(client->texts_len > 0 ? client->texts_len : 1);
	if (client->texts == NULL)
		return false;
	at = client->texts;
	to->hostname = put_text(&at, from->hostname);
	to->user = put_text(&at, from->user);
	to->password = put_text(&at, from->password);
	to->tls.server_name = put_text(&at, tls->server_name);
	for (size_t i = 0; i < tls->name_count; i++)
		client->names[i] = put_text(&at, tls->names[i]);
	for (size_t i = 0; i < tls->tlsa_count; i++) {
		memcpy(at, tls->tlsa[i].ptr, tls->tlsa[i].len);
		client->tlsa[i] = span_make(at, tls->tlsa[i].len);
		at += tls->tlsa[i].len;
	}
	to->tls.names = client->names;
	to->tls.tlsa = client->tlsa;
	if (to->time_percent == 0)
		to->time_percent = 100;
	return true;
}

static void begin(struct client *client)
{
	if (client->settings.implicit_tls) {
		client->state = CLIENT_HANDSHAKE;
		client_wait(client, CLIENT_TLS_MS);
		(void)conn_start_tls_client(client->conn, &client->settings.tls); /* false: on_closed() comes */
	} else {
		client->state = CLIENT_GREETING;
		client_wait(client, CLIENT_GREETING_MS);
	}
	conn_start(client->conn, &handler, client, CLIENT_LINE_MAX);
	conn_set_read_size(client->conn, CLIENT_READ_SIZE);
	conn_set_timeout(client->conn, 0); /* every wait has a time of its own, here */
}

struct client *client_new(
        struct conn *conn, const struct client_settings *settings, const struct client_events *events, void *arg)
{
	struct client *client = calloc(1, sizeof(*client));

	if (client == NULL || !copy_settings(client, settings)) {
		free(client);
		conn_close(conn);
		return NULL;
	}
	client->conn = conn;
	client->events = events;
	client->arg = arg;
	buffer_init(&client->auth_challenge, CLIENT_REPLY_MAX);
	buffer_init(&client->auth_answer, CLIENT_REPLY_MAX);
	(void)uv_timer_init(conn_loop(conn), &client->timer);
	client->holds = 2; /* the conn and the timer */
	begin(client);
	return client;
}

bool client_is_ready(const struct client *client)
{
	return client->state == CLIENT_READY;
}

const struct client_offer *client_offer(const struct client *client)
{
	return &client->offer;
}

const struct conn *client_conn(const struct client *client)
{
	return client->conn;
}

void client_send(struct client *client, const struct client_message *message)
{
	CHECK(client->state == CLIENT_READY && message->message->recipient_count > 0);
	client->copy = *message;
	client->message = &client->copy;
	client->state = CLIENT_ENVELOPE;
	envelope_begin(client);
	client_check(client);
}

bool client_took_nothing(const struct client *client)
{
	return client->state == CLIENT_OVER && client->envelope.answered == 0;
}

void client_quit(struct client *client)
{
	if (client->state != CLIENT_READY) {
		client_abort(client);
		return;
	}
	client->state = CLIENT_QUITTING;
	client_printf(client, "QUIT");
	client_wait(client, CLIENT_QUIT_MS);
}

void client_abort(struct client *client)
{
	client_fail(client, "the session was ended here");
}
