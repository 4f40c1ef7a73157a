/* ENABLE (RFC 9051 §6.3.1, RFC 5161) and COMPRESS (RFC 4978). */
#include "base/check.h"
#include "imapd/capability.h"
#include "imapd/command.h"
#include "imapd/compress.h"

static const struct extension {
	struct span name;
	unsigned bit, implied; /* enum imap_enabled */
} extensions[] = {
	{ SPAN("CONDSTORE"), ENABLED_CONDSTORE, 0 },             /* RFC 7162 §3.1 */
	{ SPAN("QRESYNC"), ENABLED_QRESYNC, ENABLED_CONDSTORE }, /* RFC 7162 §3.2.3 */
	{ SPAN("UTF8=ACCEPT"), ENABLED_UTF8, 0 },                /* RFC 6855 §3 */
	{ SPAN("IMAP4rev2"), ENABLED_REV2, 0 },                  /* RFC 9051 §6.3.1 */
};

/* What is not announced is ignored, as is what is not known (RFC 9051 §6.3.1). */
static const struct extension *find(const struct imap_session *s, struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(extensions); i++) {
		if (span_equal_nocase(name, extensions[i].name))
			return capability_is_announced(s, name) ? &extensions[i] : NULL;
	}
	return NULL;
}

void cmd_enable(struct imap_session *s, struct imap_request *req)
{
	struct span_list names;

	if (!parse_atom_list(&req->parser, &names)) {
		command_refuse(s, &req->error);
		return;
	}
	session_write_text(s, "* ENABLED"); /* also when there is none (RFC 9051 §6.3.1) */
	for (size_t i = 0; i < names.count; i++) {
		const struct extension *extension = find(s, names.items[i]);

		if (extension == NULL || (s->enabled & extension->bit))
			continue;
		s->enabled |= extension->bit | extension->implied;
		session_printf(s, " %.*s", SPAN_FMT(extension->name));
	}
	session_write_text(s, "\r\n");
	command_ok(s, NULL, "done");
}

static void begin_compression(struct imap_session *s)
{
	s->compress = compress_new();
	if (s->compress == NULL)
		conn_close(s->conn); /* OK is said, and what follows must be compressed */
}

void cmd_compress(struct imap_session *s, struct imap_request *req)
{
	struct span mechanism;

	if (!parse_space(&req->parser) || !parse_atom(&req->parser, &mechanism) || !parse_end(&req->parser)) {
		command_refuse(s, &req->error);
	} else if (!span_equal_nocase(mechanism, SPAN("DEFLATE"))) {
		command_no(s, "CANNOT", "there is only DEFLATE");
	} else if (s->compress != NULL) {
		command_no(s, "COMPRESSIONACTIVE", "it is active already"); /* RFC 4978 §3 */
	} else {
		req->after = begin_compression;
		command_ok(s, NULL, "DEFLATE active");
	}
}
