#include "smtpd/server/commands.h"

#include "base/clock.h"

static bool always(const struct smtp_session *s)
{
	(void)s;
	return true;
}

static void size_value(const struct smtp_session *s, struct buffer *out)
{
	buffer_printf(out, " %llu", (unsigned long long)s->server->settings.max_message_size);
}

static void auth_value(const struct smtp_session *s, struct buffer *out)
{
	const struct sasl_channel channel = auth_channel(s);

	buffer_printf(out, " %s", sasl_mechanism_names(&channel));
}

/* RFC 8689 §2: only where the session has TLS. */
static bool has_tls(const struct smtp_session *s)
{
	return conn_has_tls(s->conn);
}

static bool is_submission(const struct smtp_session *s)
{
	return s->port != PORT_MX && s->port != PORT_DELIVER;
}

/* What LMTP delivers is delivered when it is answered (RFC 2033 §3): reports, waiting and hurry are the business of who has the queue. */
static bool has_queue(const struct smtp_session *s)
{
	return s->port != PORT_DELIVER;
}

static bool may_xclient(const struct smtp_session *s)
{
	return s->may_xclient;
}

static void xclient_value(const struct smtp_session *s, struct buffer *out)
{
	(void)s;
	buffer_append_text(out, " " XCLIENT_ATTRIBUTES);
}

/* RFC 4865 §3: the longest, in seconds, and the moment that it comes to. */
static void future_release_value(const struct smtp_session *s, struct buffer *out)
{
	(void)s;
	buffer_printf(out, " %d ", SMTP_HOLD_MAX);
	date_time_write(clock_wall_ms() / 1000 + SMTP_HOLD_MAX, out);
}

/* RFC 2852 §2: the soonest that can be promised. */
static void deliver_by_value(const struct smtp_session *s, struct buffer *out)
{
	(void)s;
	buffer_printf(out, " %d", SMTP_BY_RETURN_MIN);
}

/* RFC 9422 §3 */
static void limits_value(const struct smtp_session *s, struct buffer *out)
{
	buffer_printf(out, " RCPTMAX=%u", s->server->settings.max_recipients);
}

/* One row per EHLO keyword. */
static const struct smtp_extension {
	const char *keyword;
	bool (*offered)(const struct smtp_session *s);
	void (*value)(const struct smtp_session *s, struct buffer *out); /* or NULL */
} extensions[] = {
	{ "PIPELINING", always, NULL },                /* RFC 2920 */
	{ "SIZE", always, size_value },                /* RFC 1870 */
	{ "STARTTLS", session_offers_starttls, NULL }, /* RFC 3207 */
	{ "AUTH", session_offers_auth, auth_value },   /* RFC 4954 */
	{ "8BITMIME", always, NULL },                  /* RFC 6152 */
	{ "ENHANCEDSTATUSCODES", always, NULL },       /* RFC 2034 */
	{ "HELP", always, NULL },                      /* RFC 5321 §4.1.1.1: all commands that are not required */
	{ "EXPN", session_offers_expn, NULL },
	{ "ETRN", session_offers_etrn, NULL },                    /* RFC 1985 §5 */
	{ "SMTPUTF8", always, NULL },                             /* RFC 6531 */
	{ "DSN", has_queue, NULL },                               /* RFC 3461 */
	{ "CHUNKING", always, NULL },                             /* RFC 3030 §2 */
	{ "BINARYMIME", always, NULL },                           /* RFC 3030 §3 */
	{ "REQUIRETLS", has_tls, NULL },                          /* RFC 8689 */
	{ "FUTURERELEASE", is_submission, future_release_value }, /* RFC 4865 §4.2: nowhere else */
	{ "DELIVERBY", has_queue, deliver_by_value },             /* RFC 2852 */
	{ "MT-PRIORITY", has_queue, NULL },                       /* RFC 6710 */
	{ "LIMITS", always, limits_value },                       /* RFC 9422 */
	{ "XCLIENT", may_xclient, xclient_value },
};

void extensions_list(const struct smtp_session *s, struct buffer *out)
{
	for (size_t i = 0; i < ARRAY_LEN(extensions); i++) {
		if (!extensions[i].offered(s))
			continue;
		buffer_printf(out, "\n%s", extensions[i].keyword);
		if (extensions[i].value != NULL)
			extensions[i].value(s, out);
	}
}

struct smtp_offers extensions_offers(const struct smtp_session *s)
{
	return (struct smtp_offers) {
		.extended = s->extended,
		.auth = is_submission(s),
		.requiretls = has_tls(s),
		.future_release = is_submission(s),
		.no_queue = !has_queue(s),
		.now_ms = clock_wall_ms(),
	};
}
