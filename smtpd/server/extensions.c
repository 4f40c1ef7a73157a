#include "smtpd/server/commands.h"

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
	{ "SMTPUTF8", always, NULL },                  /* RFC 6531 */
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
