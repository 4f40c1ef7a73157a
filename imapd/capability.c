#include "imapd/capability.h"

#include "base/check.h"
#include "imapd/command.h"

#include <stdio.h>

static bool starts_tls(const struct imap_session *s)
{
	return conn_can_start_tls(s->conn);
}

static bool refuses_login(const struct imap_session *s)
{
	return !session_is_private(s);
}

static bool may_compress(const struct imap_session *s)
{
	return s->compress == NULL;
}

static uint64_t message_size_max(const struct imap_session *s)
{
	return s->server->settings.message_size_max;
}

#define BEFORE_LOGIN NOT_AUTHENTICATED
#define AFTER_LOGIN  (AUTHENTICATED | SELECTED)
#define ALWAYS       (BEFORE_LOGIN | AFTER_LOGIN)

/* Few before login: a client must ask again afterwards, or is told with the tagged OK (RFC 9051 §6.2.2, §6.2.3). */
static const struct capability {
	const char *name;
	unsigned states;
	bool (*applies)(const struct imap_session *s);   /* NULL: yes */
	uint64_t (*value)(const struct imap_session *s); /* NULL: none; else "NAME=value" */
} capabilities[] = {
	{ "IMAP4rev1", ALWAYS, NULL, NULL },                     /* RFC 3501; first, as old clients expect */
	{ "IMAP4rev2", ALWAYS, NULL, NULL },                     /* RFC 9051 */
	{ "LITERAL+", ALWAYS, NULL, NULL },                      /* RFC 7888 */
	{ "SASL-IR", BEFORE_LOGIN, NULL, NULL },                 /* RFC 4959 */
	{ "ID", ALWAYS, NULL, NULL },                            /* RFC 2971 */
	{ "ENABLE", ALWAYS, NULL, NULL },                        /* RFC 5161 */
	{ "STARTTLS", BEFORE_LOGIN, starts_tls, NULL },          /* RFC 9051 §6.2.1 */
	{ "LOGINDISABLED", BEFORE_LOGIN, refuses_login, NULL },  /* RFC 9051 §6.2.3 */
	{ "NAMESPACE", AFTER_LOGIN, NULL, NULL },                /* RFC 2342 */
	{ "CHILDREN", AFTER_LOGIN, NULL, NULL },                 /* RFC 3348 */
	{ "LIST-EXTENDED", AFTER_LOGIN, NULL, NULL },            /* RFC 5258 */
	{ "LIST-STATUS", AFTER_LOGIN, NULL, NULL },              /* RFC 5819 */
	{ "STATUS=SIZE", AFTER_LOGIN, NULL, NULL },              /* RFC 8438 */
	{ "SPECIAL-USE", AFTER_LOGIN, NULL, NULL },              /* RFC 6154 */
	{ "CREATE-SPECIAL-USE", AFTER_LOGIN, NULL, NULL },       /* RFC 6154 §3 */
	{ "QUOTA", AFTER_LOGIN, NULL, NULL },                    /* RFC 9208 */
	{ "QUOTA=RES-STORAGE", AFTER_LOGIN, NULL, NULL },        /* RFC 9208 §5.1 */
	{ "QUOTA=RES-MESSAGE", AFTER_LOGIN, NULL, NULL },        /* RFC 9208 §5.2 */
	{ "OBJECTID", AFTER_LOGIN, NULL, NULL },                 /* RFC 8474 */
	{ "MULTIAPPEND", AFTER_LOGIN, NULL, NULL },              /* RFC 3502 */
	{ "APPENDLIMIT", AFTER_LOGIN, NULL, message_size_max },  /* RFC 7889 */
	{ "ESEARCH", AFTER_LOGIN, NULL, NULL },                  /* RFC 4731 */
	{ "SEARCHRES", AFTER_LOGIN, NULL, NULL },                /* RFC 5182 */
	{ "WITHIN", AFTER_LOGIN, NULL, NULL },                   /* RFC 5032 */
	{ "SORT", AFTER_LOGIN, NULL, NULL },                     /* RFC 5256 */
	{ "THREAD=ORDEREDSUBJECT", AFTER_LOGIN, NULL, NULL },    /* RFC 5256 */
	{ "THREAD=REFERENCES", AFTER_LOGIN, NULL, NULL },        /* RFC 5256 */
	{ "IDLE", AFTER_LOGIN, NULL, NULL },                     /* RFC 2177 */
	{ "UNSELECT", AFTER_LOGIN, NULL, NULL },                 /* RFC 3691 */
	{ "UIDPLUS", AFTER_LOGIN, NULL, NULL },                  /* RFC 4315 */
	{ "MOVE", AFTER_LOGIN, NULL, NULL },                     /* RFC 6851 */
	{ "CONDSTORE", AFTER_LOGIN, NULL, NULL },                /* RFC 7162 §3.1 */
	{ "QRESYNC", AFTER_LOGIN, NULL, NULL },                  /* RFC 7162 §3.2 */
	{ "BINARY", AFTER_LOGIN, NULL, NULL },                   /* RFC 3516 */
	{ "SAVEDATE", AFTER_LOGIN, NULL, NULL },                 /* RFC 8514 */
	{ "PREVIEW", AFTER_LOGIN, NULL, NULL },                  /* RFC 8970 */
	{ "UTF8=ACCEPT", AFTER_LOGIN, NULL, NULL },              /* RFC 6855 */
	{ "COMPRESS=DEFLATE", AFTER_LOGIN, may_compress, NULL }, /* RFC 4978 */
};

static bool applies(const struct imap_session *s, const struct capability *row)
{
	return (row->states & s->state) != 0 && (row->applies == NULL || row->applies(s));
}

/* AUTH=PLAIN ..., as many as sasl offers here. */
static void put_mechanisms(const struct imap_session *s, struct buffer *out)
{
	const struct sasl_channel channel = auth_channel(s);
	struct span names = span_of(sasl_mechanism_names(&channel)), name;

	while (names.len > 0) {
		if (!span_take_until(&names, ' ', &name)) {
			name = names;
			names = SPAN_EMPTY;
		}
		(void)buffer_printf(out, " AUTH=%.*s", SPAN_FMT(name));
	}
}

void capability_list(const struct imap_session *s, char out[CAPABILITIES_MAX])
{
	struct buffer text;

	buffer_init(&text, CAPABILITIES_MAX - 1);
	for (size_t i = 0; i < ARRAY_LEN(capabilities); i++) {
		const struct capability *row = &capabilities[i];

		if (!applies(s, row))
			continue;
		(void)buffer_printf(&text, "%s%s", text.len == 0 ? "" : " ", row->name);
		if (row->value != NULL)
			(void)buffer_printf(&text, "=%llu", (unsigned long long)row->value(s));
	}
	if (s->state == NOT_AUTHENTICATED)
		put_mechanisms(s, &text);
	CHECK(!text.failed || text.data == NULL); /* the table fits, unless memory is out */
	(void)snprintf(out, CAPABILITIES_MAX, "%s", text.failed ? "IMAP4rev1" : buffer_text(&text));
	buffer_free(&text);
}

bool capability_is_announced(const struct imap_session *s, struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(capabilities); i++) {
		if (span_equal_nocase(name, span_of(capabilities[i].name)))
			return applies(s, &capabilities[i]);
	}
	return false;
}
