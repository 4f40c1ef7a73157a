#include "smtpd/outbound/outcome.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define REPLY_TOO_MANY   452 /* RFC 5321 §4.5.3.1.10 */
#define REPLY_TOO_MANY_5 552 /* the same, of old servers */
#define REPLY_CLOSING    421 /* RFC 5321 §3.8 */
#define REPLY_NO_MAIL    521 /* RFC 7504 */

void outcome_set(struct outcome *out, enum outcome_kind kind, const char *status, const char *format, ...)
{
	va_list args;

	*out = (struct outcome) { .kind = kind, .ours = true };
	(void)snprintf(out->status, sizeof(out->status), "%s", status);
	va_start(args, format);
	(void)vsnprintf(out->text, sizeof(out->text), format, args);
	va_end(args);
}

/* Replies without an enhanced code, or with one of another class. */
static const struct {
	unsigned code;
	const char *status;
} plain_status[] = {
	{ 421, "4.3.2" },
	{ 450, "4.2.0" },
	{ 451, "4.3.0" },
	{ 452, "4.3.1" },
	{ 454, "4.7.0" },
	{ 521, "5.3.2" },
	{ 530, "5.7.0" },
	{ 535, "5.7.8" },
	{ 550, "5.1.1" },
	{ 551, "5.1.6" },
	{ 552, "5.2.2" },
	{ 553, "5.1.3" },
	{ 554, "5.0.0" },
	{ 555, "5.5.4" },
	{ 556, "5.1.10" },
};

static void take_status(struct outcome *out, const struct client_reply *reply, char class)
{
	if (reply->enhanced[0] == class && reply->enhanced[1] == '.') {
		(void)snprintf(out->status, sizeof(out->status), "%s", reply->enhanced);
		return;
	}
	(void)snprintf(out->status, sizeof(out->status), "%c.0.0", class);
	for (size_t i = 0; i < sizeof(plain_status) / sizeof(plain_status[0]); i++)
		if (plain_status[i].code == reply->code && plain_status[i].status[0] == class)
			(void)snprintf(out->status, sizeof(out->status), "%s", plain_status[i].status);
}

static void take_text(struct outcome *out, const struct client_reply *reply)
{
	out->ours = reply->code == 0;
	(void)snprintf(out->text, sizeof(out->text), "%s", reply->text); /* with its code, as it came */
}

static bool is_about_auth(unsigned code)
{
	return code == 530 || code == 534 || code == 535 || code == 538; /* RFC 4954 */
}

static bool is_too_many(const struct client_reply *reply)
{
	const char *detail = reply->enhanced[0] != '\0' ? reply->enhanced + 1 : "";

	if (reply->code == REPLY_TOO_MANY)
		return detail[0] == '\0' || strcmp(detail, ".5.3") == 0;
	return reply->code == REPLY_TOO_MANY_5 && strcmp(detail, ".5.3") == 0;
}

void outcome_of_reply(const struct client_reply *reply, bool with_auth, struct outcome *out)
{
	unsigned class = reply->code / 100;

	*out = (struct outcome) { .kind = OUTCOME_AGAIN };
	take_text(out, reply);
	out->many = is_too_many(reply);
	out->stale = reply->code == 0 || reply->code == REPLY_CLOSING;
	if (reply->code == 0) {
		out->effect = EFFECT_SHRINK;
		(void)snprintf(out->status, sizeof(out->status), "4.4.2");
	} else if (class == 2) {
		out->kind = OUTCOME_DONE;
		out->effect = EFFECT_GROW;
		take_status(out, reply, '2');
	} else if (class == 5 && !out->many && !(with_auth && is_about_auth(reply->code))) {
		out->kind = OUTCOME_FAILED;
		out->effect = EFFECT_GROW; /* it works: it says no */
		take_status(out, reply, '5');
	} else {
		out->effect = reply->code == REPLY_CLOSING ? EFFECT_SHRINK : EFFECT_NONE;
		take_status(out, reply, '4');
	}
}

void outcome_of_dial(const struct error *err, const char *host, const char *address, struct outcome *out)
{
	const char *what = err->code == ERR_TIMEOUT  ? "no answer from"
	                   : err->code == ERR_CLOSED ? "cannot connect to"
	                                             : "cannot open a connection to";

	outcome_set(out, OUTCOME_AGAIN, "4.4.1", "%s %s [%s]%s%s", what, host, address,
	        err->detail[0] != '\0' ? ": " : "", err->detail);
	out->effect = EFFECT_SHRINK;
}

void outcome_of_end(const struct client_reply *why, bool tls_failed, bool must_tls, bool with_auth, struct outcome *out)
{
	*out = (struct outcome) { .kind = OUTCOME_AGAIN, .effect = EFFECT_SHRINK };
	take_text(out, why);
	if (tls_failed) {
		(void)snprintf(out->status, sizeof(out->status), must_tls ? "4.7.5" : "4.7.0");
		out->effect = EFFECT_NONE;
	} else if (why->code == 0) {
		(void)snprintf(out->status, sizeof(out->status), "4.4.2");
	} else if (why->code == REPLY_NO_MAIL) {
		/* RFC 7504: no mail here, ever; when all hosts say so it is for good */
		out->kind = OUTCOME_FAILED;
		out->effect = EFFECT_NONE;
		take_status(out, why, '5');
	} else {
		/* A 5yz before MAIL is about us or the host (a block list, a full disk), not about the recipients: another host, or later. */
		take_status(out, why, '4');
		if (with_auth && is_about_auth(why->code))
			(void)snprintf(out->status, sizeof(out->status), "4.7.8");
	}
}

void outcome_of_route(const struct route_result *result, struct outcome *out)
{
	bool again = result->code == ERR_TEMPORARY || result->code == ERR_TIMEOUT || result->code == ERR_NO_MEMORY ||
	             result->code == ERR_LIMIT || result->code == ERR_BUSY || result->code == ERR_IO;

	outcome_set(out, again ? OUTCOME_AGAIN : OUTCOME_FAILED,
	        result->status != NULL ? result->status
	        : again                ? "4.4.3"
	                               : "5.4.4",
	        "%s", result->why);
}

const struct outcome *outcome_worse(const struct outcome *first, const struct outcome *later)
{
	if (first->kind == later->kind)
		return later;
	return first->kind == OUTCOME_AGAIN ? first : later;
}

void outcome_expire(struct outcome *outcome, const char *status, const char *why)
{
	char text[sizeof(outcome->text)];

	(void)snprintf(text, sizeof(text), "%s", outcome->text);
	if (outcome->ours)
		(void)snprintf(outcome->text, sizeof(outcome->text), "%s; at last: %.400s", why, text);
	outcome->kind = OUTCOME_FAILED;
	(void)snprintf(outcome->status, sizeof(outcome->status), "%s", status);
}
