/* Connections that we open: what dialling ends in, and the TLS client: who verifies, who does not, and in which words. Both ends
 * are in this thread: the far one is a conn as a server has it, or a bare socket where a server must misbehave. */
#include "authority.h"
#include "fixture.h"

#include "base/log.h"
#include "net/conn_internal.h"
#include "net/dial.h"
#include "net/tls_client.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[256];

static const struct certificate_kind kinds[] = {
	{ "ca", "", "Test CA", NULL, true, -10, 10 },
	{ "other_ca", "", "Other CA", NULL, true, -10, 10 },
	{ "good", "mx.example.org second.example.org", NULL, "ca", false, -1, 10 },
	{ "expired", "mx.example.org", NULL, "ca", false, -5, -1 },
	{ "early", "mx.example.org", NULL, "ca", false, 2, 5 },
	{ "wild", "*.wild.example", NULL, "ca", false, -1, 10 },
	{ "partial", "m*.example.org", NULL, "ca", false, -1, 10 },
	{ "cn_only", "", "mx.example.org", "ca", false, -1, 10 },
	{ "cn_beside", "elsewhere.example.org", "mx.example.org", "ca", false, -1, 10 },
	{ "self", "mx.example.org", NULL, NULL, false, -1, 10 },
	{ "self_expired", "else.example.net", NULL, NULL, false, -5, -1 },
	{ "stranger", "mx.example.org", NULL, "other_ca", false, -1, 10 },
	{ "leaf_as_ca", "mx.example.org", NULL, "good", false, -1, 10 },
};

static const char *in_folder(const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static int make_files(void **state)
{
	temporary_folder(folder, sizeof(folder));
	authority_make(folder, kinds, ARRAY_LEN(kinds));
	log_set_level(LOG_ERROR);
	return 0;
}

static int remove_files(void **state)
{
	char path[300];

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		snprintf(path, sizeof(path), "%s/%s.crt", folder, kinds[i].file);
		unlink(path);
		snprintf(path, sizeof(path), "%s/%s.key", folder, kinds[i].file);
		unlink(path);
	}
	unlink(in_folder("socket"));
	return rmdir(folder);
}

/* --- both ends -------------------------------------------------------------------------------------------------- */

struct world {
	uv_loop_t loop;
	int listening;
	struct sockaddr_in address;
	struct dial *dial;
	bool told; /* dial_done came */
	struct error err;
	struct conn *conn; /* ours */
	const struct tls_client_request *request;
	bool implicit, refused;
	bool tls, closed;
	enum conn_end why;
	char failure[128], subject[256];
	struct buffer lines;
	struct recorder far; /* the server, when it is a conn */
};

static void near_line(void *session, struct span line, enum line_end end)
{
	struct world *w = session;

	buffer_printf(&w->lines, "<%.*s>", SPAN_FMT(line));
	if (span_equal(line, SPAN("go")) && w->request != NULL)
		w->refused = !conn_start_tls_client(w->conn, w->request);
}

static void near_tls(void *session)
{
	((struct world *)session)->tls = true;
}

static void near_closed(void *session, enum conn_end why)
{
	struct world *w = session;
	const char *failure = conn_tls_failure(w->conn), *subject = conn_tls_subject(w->conn);

	assert_false(conn_tls_verified(w->conn) && failure != NULL);
	assert_false(w->closed);
	w->closed = true;
	w->why = why;
	snprintf(w->failure, sizeof(w->failure), "%s", failure == NULL ? "" : failure);
	snprintf(w->subject, sizeof(w->subject), "%s", subject == NULL ? "" : subject);
}

static const struct conn_handler near_handler = { .on_line = near_line, .on_tls = near_tls, .on_closed = near_closed };

static void on_done(void *arg, struct conn *conn, const struct error *err)
{
	struct world *w = arg;

	assert_false(w->told);
	assert_true((conn == NULL) == (err != NULL));
	w->told = true;
	w->dial = NULL;
	w->conn = conn;
	if (err != NULL) {
		w->err = *err;
		return;
	}
	if (w->implicit)
		w->refused = !conn_start_tls_client(conn, w->request);
	conn_start(conn, &near_handler, w, 200);
}

static void open_world(struct world *w)
{
	socklen_t len = sizeof(w->address);

	memset(w, 0, sizeof(*w));
	buffer_init(&w->lines, MIB);
	assert_int_equal(uv_loop_init(&w->loop), 0);
	w->address = (struct sockaddr_in) { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	w->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(w->listening, (struct sockaddr *)&w->address, len), 0);
	assert_int_equal(getsockname(w->listening, (struct sockaddr *)&w->address, &len), 0);
}

static void turns(struct world *w)
{
	for (int i = 0; i < 6; i++)
		uv_run(&w->loop, UV_RUN_NOWAIT);
}

static void turns_until(struct world *w, const bool *flag)
{
	for (int i = 0; i < 5000 && !*flag; i++) {
		turns(w);
		if (!*flag)
			usleep(1000);
	}
	assert_true(*flag);
}

static void close_world(struct world *w)
{
	if (w->conn != NULL && !w->closed) {
		conn_close(w->conn);
		turns_until(w, &w->closed);
	}
	if (w->far.conn != NULL && !w->far.closed) {
		conn_close(w->far.conn);
		turns_until(w, &w->far.closed);
	}
	if (w->listening >= 0)
		close(w->listening);
	turns(w);
	buffer_free(&w->lines);
	buffer_free(&w->far.seen);
	assert_int_equal(uv_loop_close(&w->loop), 0);
}

static void dial(struct world *w, struct tls_client *tls)
{
	struct dial_request request = {
		.loop = &w->loop, .to = (struct sockaddr *)&w->address, .timeout_ms = 5000, .tls = tls
	};

	w->dial = dial_start(&request, on_done, w);
	assert_non_null(w->dial);
	assert_false(w->told);
}

/* A bare socket at the far end. */
static int accept_bare(struct world *w)
{
	int fd = accept4(w->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void accept_conn(struct world *w, struct tls_context *context, bool implicit)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	struct conn_origin origin = { .peer = (struct sockaddr *)&from, .tls = context, .implicit_tls = implicit };

	origin.fd = accept4(w->listening, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(origin.fd >= 0);
	w->far = (struct recorder) { .conn = conn_new(&w->loop, &origin) };
	buffer_init(&w->far.seen, MIB);
	conn_start(w->far.conn, &recorder_handler, &w->far, 200);
}

/* --- dialling --------------------------------------------------------------------------------------------------- */

static void a_connection_carries_lines(void **state)
{
	struct world w;

	open_world(&w);
	assert_int_equal(listen(w.listening, 5), 0);
	dial(&w, NULL);
	accept_conn(&w, NULL, false);
	turns_until(&w, &w.told);
	assert_non_null(w.conn);
	assert_string_equal(conn_peer_text(w.conn), "127.0.0.1");
	assert_false(conn_tls_verified(w.conn));
	assert_null(conn_tls_failure(w.conn));
	assert_null(conn_tls_subject(w.conn));
	conn_write_text(w.conn, "SAY hello\r\n");
	for (int i = 0; i < 1000 && w.lines.len == 0; i++)
		turns(&w);
	assert_string_equal(buffer_text(&w.lines), "<hello>");
	close_world(&w);
}

static void a_refusal_is_told(void **state)
{
	struct world w;

	open_world(&w); /* bound, not listening */
	dial(&w, NULL);
	turns_until(&w, &w.told);
	assert_null(w.conn);
	assert_int_equal(w.err.code, ERR_CLOSED);
	assert_non_null(strstr(w.err.detail, "refused"));
	close_world(&w);
}

/* A queue of one that nobody accepts from: the kernel drops what else asks. */
static void silence_is_a_timeout(void **state)
{
	struct dial_request request;
	int fillers[4];
	struct world w;

	open_world(&w);
	assert_int_equal(listen(w.listening, 0), 0);
	for (size_t i = 0; i < ARRAY_LEN(fillers); i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(fillers[i], (struct sockaddr *)&w.address, sizeof(w.address));
	}
	request = (struct dial_request) { .loop = &w.loop, .to = (struct sockaddr *)&w.address, .timeout_ms = 20 };
	w.dial = dial_start(&request, on_done, &w);
	turns_until(&w, &w.told);
	assert_null(w.conn);
	assert_int_equal(w.err.code, ERR_TIMEOUT);
	for (size_t i = 0; i < ARRAY_LEN(fillers); i++)
		close(fillers[i]);
	close_world(&w);
}

static void the_source_address_is_ours_to_choose(void **state)
{
	struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1) };
	struct dial_request request;
	struct world w;

	open_world(&w);
	assert_int_equal(listen(w.listening, 5), 0);
	request = (struct dial_request) { .loop = &w.loop,
		.to = (struct sockaddr *)&w.address,
		.from = (struct sockaddr *)&from,
		.timeout_ms = 5000 };
	w.dial = dial_start(&request, on_done, &w);
	accept_conn(&w, NULL, false);
	turns_until(&w, &w.told);
	assert_string_equal(conn_peer_text(w.far.conn), "127.0.0.2");
	assert_string_equal(conn_local_text(w.conn), "127.0.0.2");
	close_world(&w);

	open_world(&w);
	assert_int_equal(listen(w.listening, 5), 0);
	assert_int_equal(inet_pton(AF_INET, "192.0.2.77", &from.sin_addr), 1);
	request.to = (struct sockaddr *)&w.address;
	w.dial = dial_start(&request, on_done, &w);
	assert_false(w.told);
	turns_until(&w, &w.told);
	assert_int_equal(w.err.code, ERR_BAD_VALUE);
	close_world(&w);
}

static void without_descriptors_it_is_a_limit(void **state)
{
	struct rlimit before, none;
	struct world w;
	int next;

	open_world(&w);
	assert_int_equal(listen(w.listening, 5), 0);
	turns(&w); /* libuv has opened its own */
	next = dup(w.listening);
	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit) { .rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	dial(&w, NULL);
	turns_until(&w, &w.told);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(w.err.code, ERR_LIMIT);
	close_world(&w);
}

static void a_cancelled_dial_says_nothing(void **state)
{
	struct dial *none = NULL;
	struct world w;

	dial_cancel(&none);
	for (int stage = 0; stage < 3; stage++) {
		open_world(&w);
		if (stage < 2)
			assert_int_equal(listen(w.listening, 5), 0);
		dial(&w, NULL); /* 2: refused, not yet told */
		if (stage == 1)
			close(accept_bare(&w)); /* connected, and ended, before the loop looked */
		dial_cancel(&w.dial);
		assert_null(w.dial);
		turns(&w);
		assert_false(w.told);
		close_world(&w);
	}
}

static void unix_sockets_work_the_same(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct dial_request request;
	struct world w;

	snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/socket", folder);
	open_world(&w);
	close(w.listening);
	w.listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(w.listening, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(w.listening, 5), 0);
	request = (struct dial_request) { .loop = &w.loop, .to = (struct sockaddr *)&address, .timeout_ms = 5000 };
	w.dial = dial_start(&request, on_done, &w);
	turns_until(&w, &w.told);
	assert_non_null(w.conn);
	assert_true(conn_peer_is_loopback(w.conn));
	close_world(&w);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", in_folder("no-such-socket"));
	open_world(&w);
	request.loop = &w.loop;
	w.dial = dial_start(&request, on_done, &w);
	assert_false(w.told);
	turns_until(&w, &w.told);
	assert_int_equal(w.err.code, ERR_CLOSED);
	close_world(&w);
}

/* --- certificates ----------------------------------------------------------------------------------------------- */

#define MX "mx.example.org"

struct wanted_tlsa {
	const char *of; /* NULL: no more */
	uint8_t usage, selector, matching;
};

static const struct verify_case {
	const char *server; /* its certificate */
	enum tls_verify verify;
	const char *names[3];
	struct wanted_tlsa tlsa[3];
	bool connects, verified;
	const char *failure; /* a part of it; NULL: none */
} verify_cases[] = {
	/* a CA that we know, for a name that we want */
	{ "good", TLS_VERIFY_NAMES, { MX }, { { NULL } }, true, true, NULL },
	{ "good", TLS_VERIFY_NAMES, { "MX.Example.ORG" }, { { NULL } }, true, true, NULL },
	{ "good", TLS_VERIFY_NAMES, { "no.example.org", "second.example.org" }, { { NULL } }, true, true, NULL },
	{ "good", TLS_VERIFY_NAMES, { "no.example.org" }, { { NULL } }, false, false, "hostname mismatch" },
	{ "good", TLS_VERIFY_NAMES, { "example.org" }, { { NULL } }, false, false, "hostname mismatch" },
	{ "good", TLS_VERIFY_NAMES, { NULL }, { { NULL } }, false, false, "no name to verify" },
	{ "good", TLS_VERIFY_NAMES, { "" }, { { NULL } }, false, false, "cannot be asked for" },
	{ "good", TLS_VERIFY_NAMES, { MX, "" }, { { NULL } }, false, false, "cannot be verified" },
	{ "good", TLS_VERIFY_NONE, { MX, "" }, { { NULL } }, false, false, "cannot be verified" },
	{ "expired", TLS_VERIFY_NAMES, { MX }, { { NULL } }, false, false, "certificate has expired" },
	{ "early", TLS_VERIFY_NAMES, { MX }, { { NULL } }, false, false, "not yet valid" },
	{ "self", TLS_VERIFY_NAMES, { MX }, { { NULL } }, false, false, "self-signed certificate" },
	{ "stranger", TLS_VERIFY_NAMES, { MX }, { { NULL } }, false, false, "self-signed certificate in" },
	{ "leaf_as_ca", TLS_VERIFY_NAMES, { MX }, { { NULL } }, false, false, "invalid CA certificate" },
	/* one label, and all of it: RFC 8461 §4.2 */
	{ "wild", TLS_VERIFY_NAMES, { "a.wild.example" }, { { NULL } }, true, true, NULL },
	{ "wild", TLS_VERIFY_NAMES, { "a.b.wild.example" }, { { NULL } }, false, false, "hostname mismatch" },
	{ "wild", TLS_VERIFY_NAMES, { "wild.example" }, { { NULL } }, false, false, "hostname mismatch" },
	{ "partial", TLS_VERIFY_NAMES, { MX }, { { NULL } }, false, false, "hostname mismatch" },
	{ "cn_only", TLS_VERIFY_NAMES, { MX }, { { NULL } }, false, false, "hostname mismatch" },
	/* opportunistic: always, but we know what it was */
	{ "good", TLS_VERIFY_NONE, { MX }, { { NULL } }, true, true, NULL },
	{ "good", TLS_VERIFY_NONE, { "no.example.org" }, { { NULL } }, true, false, "hostname mismatch" },
	{ "good", TLS_VERIFY_NONE, { NULL }, { { NULL } }, true, false, "no name to verify" },
	{ "expired", TLS_VERIFY_NONE, { MX }, { { NULL } }, true, false, "certificate has expired" },
	{ "self", TLS_VERIFY_NONE, { MX }, { { NULL } }, true, false, "self-signed" },
	{ "self_expired", TLS_VERIFY_NONE, { MX }, { { NULL } }, true, false, "self-signed" },
	/* DANE-EE: the key and nothing else, RFC 7672 §3.1.1 */
	{ "self", TLS_VERIFY_DANE, { MX }, { { "self", 3, 1, 1 } }, true, true, NULL },
	{ "self", TLS_VERIFY_DANE, { MX }, { { "self", 3, 0, 1 } }, true, true, NULL },
	{ "self", TLS_VERIFY_DANE, { MX }, { { "self", 3, 1, 2 } }, true, true, NULL },
	{ "self", TLS_VERIFY_DANE, { MX }, { { "self", 3, 1, 0 } }, true, true, NULL },
	{ "self", TLS_VERIFY_DANE, { MX }, { { "self", 3, 0, 0 } }, true, true, NULL },
	{ "self_expired", TLS_VERIFY_DANE, { MX }, { { "self_expired", 3, 1, 1 } }, true, true, NULL },
	{ "good", TLS_VERIFY_DANE, { "no.example.org" }, { { "good", 3, 1, 1 } }, true, true, NULL },
	{ "self", TLS_VERIFY_DANE, { MX }, { { "good", 3, 1, 1 } }, false, false, "no matching DANE" },
	{ "good", TLS_VERIFY_DANE, { MX }, { { "self", 3, 1, 1 } }, false, false, "no matching DANE" },
	{ "self", TLS_VERIFY_DANE, { MX }, { { "good", 3, 1, 1 }, { "self", 3, 1, 1 } }, true, true, NULL },
	/* DANE-TA: that CA, the name, the dates */
	{ "good", TLS_VERIFY_DANE, { MX }, { { "ca", 2, 0, 1 } }, true, true, NULL },
	{ "good", TLS_VERIFY_DANE, { MX }, { { "ca", 2, 1, 2 } }, true, true, NULL },
	{ "good", TLS_VERIFY_DANE, { MX }, { { "ca", 2, 0, 0 } }, true, true, NULL },
	{ "stranger", TLS_VERIFY_DANE, { MX }, { { "other_ca", 2, 0, 1 } }, true, true, NULL },
	{ "good", TLS_VERIFY_DANE, { "no.example.org", MX }, { { "ca", 2, 0, 1 } }, true, true, NULL },
	{ "good", TLS_VERIFY_DANE, { "no.example.org" }, { { "ca", 2, 0, 1 } }, false, false, "hostname mismatch" },
	{ "expired", TLS_VERIFY_DANE, { MX }, { { "ca", 2, 0, 1 } }, false, false, "certificate has expired" },
	{ "good", TLS_VERIFY_DANE, { MX }, { { "other_ca", 2, 0, 1 } }, false, false, "" },
	{ "cn_only", TLS_VERIFY_DANE, { MX }, { { "ca", 2, 0, 1 } }, true, true, NULL },
	{ "cn_beside", TLS_VERIFY_DANE, { MX }, { { "ca", 2, 0, 1 } }, false, false, "hostname mismatch" },
	/* what must not count, RFC 7672 §3.1.3 */
	{ "good", TLS_VERIFY_DANE, { MX }, { { "good", 1, 1, 1 }, { "ca", 0, 0, 1 } }, false, false, "no usable" },
	{ "good", TLS_VERIFY_DANE, { MX }, { { NULL } }, false, false, "no usable" },
	{ "good", TLS_VERIFY_DANE, { NULL }, { { "good", 3, 1, 1 } }, false, false, "no name to verify" },
	{ "self", TLS_VERIFY_DANE, { MX }, { { "good", 1, 1, 1 }, { "self", 3, 1, 1 } }, true, true, NULL },
};

static struct tls_context *server_context(const char *const *files, size_t count)
{
	static const uint8_t secret[32] = { 7 };
	char paths[4][2][512];
	struct tls_pair pairs[4];
	struct tls_settings settings = { .pairs = pairs, .pair_count = count, .secret = secret };
	struct tls_context *context;
	struct error err;

	for (size_t i = 0; i < count; i++) {
		snprintf(paths[i][0], 512, "%s/%s.crt", folder, files[i]);
		snprintf(paths[i][1], 512, "%s/%s.key", folder, files[i]);
		pairs[i] = (struct tls_pair) { paths[i][0], paths[i][1] };
	}
	if (!tls_context_new(&settings, &context, &err))
		fail_msg("%s", err.detail);
	return context;
}

static struct tls_client *new_client(void)
{
	struct tls_client *client = NULL;
	struct error err;

	if (!tls_client_new(in_folder("ca.crt"), &client, &err))
		fail_msg("%s", err.detail);
	return client;
}

static void expect_outcome(const struct world *w, const struct verify_case *c, size_t row)
{
	const char *failure = w->closed ? w->failure : conn_tls_failure(w->conn);

	if (w->tls != c->connects)
		fail_msg("row %zu: connects %d, \"%s\"", row, w->tls, failure == NULL ? "" : failure);
	if (!c->connects)
		assert_int_equal(w->why, CONN_END_TLS);
	else if (conn_tls_verified(w->conn) != c->verified)
		fail_msg("row %zu: verified %d", row, conn_tls_verified(w->conn));
	if (c->failure == NULL ? failure != NULL : failure == NULL || strstr(failure, c->failure) == NULL)
		fail_msg("row %zu: \"%s\"", row, failure == NULL ? "(none)" : failure);
}

static void verify_one(const struct verify_case *c, size_t row, struct tls_client *client, bool implicit)
{
	struct tls_context *context = server_context(&c->server, 1);
	uint8_t rdata[3][TLSA_MAX];
	struct span tlsa[3];
	struct tls_client_request request = {
		.server_name = c->names[0], .verify = c->verify, .names = c->names, .tlsa = tlsa
	};
	struct world w;

	while (request.name_count < 3 && c->names[request.name_count] != NULL)
		request.name_count++;
	for (; request.tlsa_count < 3 && c->tlsa[request.tlsa_count].of != NULL; request.tlsa_count++) {
		const struct wanted_tlsa *wanted = &c->tlsa[request.tlsa_count];

		tlsa[request.tlsa_count] = tlsa_of(folder, wanted->of, wanted->usage, wanted->selector,
		        wanted->matching, rdata[request.tlsa_count]);
	}
	open_world(&w);
	w.request = &request;
	w.implicit = implicit;
	assert_int_equal(listen(w.listening, 5), 0);
	dial(&w, client);
	accept_conn(&w, context, implicit);
	turns_until(&w, &w.told);
	if (!implicit)
		conn_write_text(w.conn, "STARTTLS\r\n");
	for (int i = 0; i < 5000 && !w.tls && !w.closed; i++) {
		turns(&w);
		if (i > 100)
			usleep(1000);
	}
	expect_outcome(&w, c, row);
	if (w.tls) {
		buffer_clear(&w.lines);
		conn_write_text(w.conn, "SAY secret\r\n");
		for (int i = 0; i < 1000 && w.lines.len == 0; i++)
			turns(&w);
		assert_string_equal(buffer_text(&w.lines), "<secret>");
	}
	close_world(&w);
	tls_context_free(&context);
}

static void certificates_verify_or_not_and_we_say_why(void **state)
{
	struct tls_client *client = new_client();

	for (size_t i = 0; i < ARRAY_LEN(verify_cases); i++) {
		verify_one(&verify_cases[i], i, client, true);
		verify_one(&verify_cases[i], i, client, false);
	}
	tls_client_free(&client);
}

static const struct usable_case {
	const char *rdata;
	size_t len;
	bool usable;
} usable_cases[] = {
#define D32 "0123456789abcdef0123456789abcdef"
	{ "\3\1\1" D32, 35, true },
	{ "\3\0\1" D32, 35, true },
	{ "\2\0\1" D32, 35, true },
	{ "\2\1\2" D32 D32, 67, true },
	{ "\0\1\1" D32, 35, false },     /* PKIX-TA, RFC 7672 §3.1.3 */
	{ "\1\1\1" D32, 35, false },     /* PKIX-EE */
	{ "\4\1\1" D32, 35, false },     /* unassigned */
	{ "\377\1\1" D32, 35, false },   /* private use */
	{ "\3\2\1" D32, 35, false },     /* selector */
	{ "\3\1\3" D32, 35, false },     /* matching */
	{ "\3\1\1" D32, 34, false },     /* short */
	{ "\3\1\1" D32 "x", 36, false }, /* long */
	{ "\3\1\2" D32, 35, false },     /* SHA-512 of 32 octets */
	{ "\3\1\0" D32, 35, false },     /* no key */
	{ "\2\0\0" D32, 35, false },     /* no certificate */
	{ "\3\1\1", 3, false },
	{ "", 0, false },
};

static void unusable_records_are_left_out(void **state)
{
	uint8_t rdata[TLSA_MAX];
	struct span whole;

	for (size_t i = 0; i < ARRAY_LEN(usable_cases); i++) {
		const struct usable_case *c = &usable_cases[i];
		struct span record = span_make(c->rdata, c->len);

		if (tls_usable_tlsa(&record, 1) != c->usable)
			fail_msg("row %zu", i);
	}
	whole = tlsa_of(folder, "good", 3, 1, 0, rdata);
	assert_int_equal(tls_usable_tlsa(&whole, 1), 1);
	whole.len--; /* cut off */
	assert_int_equal(tls_usable_tlsa(&whole, 1), 0);
	assert_int_equal(tls_usable_tlsa(NULL, 0), 0);
}

/* The name in SNI decides which certificate is shown; an address is never sent (RFC 6066 §3). */
static void the_server_is_told_the_name(void **state)
{
	static const struct {
		const char *name, *subject;
	} cases[] = { { "a.wild.example", "*.wild.example" }, { MX, MX }, { "127.0.0.1", MX }, { NULL, MX } };
	struct tls_context *context = server_context((const char *[]) { "good", "wild" }, 2);
	struct tls_client *client = new_client();

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct tls_client_request request = { .server_name = cases[i].name, .verify = TLS_VERIFY_NONE };
		struct world w;

		open_world(&w);
		w.request = &request;
		w.implicit = true;
		assert_int_equal(listen(w.listening, 5), 0);
		dial(&w, client);
		accept_conn(&w, context, true);
		turns_until(&w, &w.tls);
		assert_string_equal(conn_tls_subject(w.conn), cases[i].subject);
		assert_string_equal(conn_tls_version(w.conn), "TLSv1.3");
		close_world(&w);
	}
	tls_client_free(&client);
	tls_context_free(&context);
}

static void a_refused_certificate_is_named(void **state)
{
	struct tls_context *context = server_context((const char *[]) { "wild" }, 1);
	struct tls_client *client = new_client();
	const char *names[] = { MX };
	struct tls_client_request request = {
		.server_name = MX, .verify = TLS_VERIFY_NAMES, .names = names, .name_count = 1
	};
	struct world w;

	open_world(&w);
	w.request = &request;
	w.implicit = true;
	assert_int_equal(listen(w.listening, 5), 0);
	dial(&w, client);
	accept_conn(&w, context, true);
	turns_until(&w, &w.closed);
	assert_string_equal(w.subject, "*.wild.example");
	close_world(&w);
	tls_client_free(&client);
	tls_context_free(&context);
}

/* --- servers that misbehave ------------------------------------------------------------------------------------- */

static const struct tls_client_request any_certificate = { .verify = TLS_VERIFY_NONE };

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static int begin_bare(struct world *w, struct tls_client *client, bool implicit)
{
	int fd;

	open_world(w);
	w->request = &any_certificate;
	w->implicit = implicit;
	assert_int_equal(listen(w->listening, 5), 0);
	dial(w, client);
	fd = accept_bare(w);
	turns_until(w, &w->told);
	assert_non_null(w->conn);
	return fd;
}

/* CVE-2021-38084 and its like: what a man in the middle appends to "220" must not be read as the server's. */
static void bytes_behind_the_answer_to_starttls_end_it(void **state)
{
	static const char *const injected[] = { "go\r\n250 evil\r\n", "go\r\n2", "go\r\n\r\n", "go\r\n\x16\x03\x03" };
	struct tls_client *client = new_client();
	struct world w;
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(injected); i++) {
		fd = begin_bare(&w, client, false);
		say(fd, injected[i]);
		turns_until(&w, &w.closed);
		assert_true(w.refused);
		assert_int_equal(w.why, CONN_END_TLS);
		assert_string_equal(w.failure, "more came behind the answer to STARTTLS, in clear");
		assert_string_equal(buffer_text(&w.lines), "<go>");
		close(fd);
		close_world(&w);
	}
	fd = begin_bare(&w, client, false);
	say(fd, "go\r\n");
	turns(&w);
	say(fd, "250 evil\r\n"); /* in a packet of its own: the handshake reads it, and ends */
	turns_until(&w, &w.closed);
	assert_false(w.refused);
	assert_int_equal(w.why, CONN_END_TLS);
	assert_string_not_equal(w.failure, "");
	assert_string_equal(buffer_text(&w.lines), "<go>");
	close(fd);
	close_world(&w);
	tls_client_free(&client);
}

static void a_handshake_may_fail_in_many_ways(void **state)
{
	static const struct {
		const char *text; /* NULL: silence */
		bool closes;
		enum conn_end why;
		const char *failure;
	} cases[] = {
		{ "220 mx.example.org ESMTP\r\n", false, CONN_END_TLS, "" },
		{ NULL, true, CONN_END_TLS, "the connection was closed during the handshake" },
		{ "\x16\x03", true, CONN_END_TLS, "" },
		{ "\x16\x03\x03", false, CONN_END_TIMEOUT, "the handshake took too long" },
		{ NULL, false, CONN_END_TIMEOUT, "the handshake took too long" },
		{ "\x15\x03\x03\x00\x02\x02\x28", false, CONN_END_TLS, "handshake failure" }, /* an alert */
	};
	static const char nul_length[] = "\x15\x03\x03\x00\x02\x02\x28";
	struct tls_client *client = new_client();
	unsigned before = conn_waits.handshake;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct world w;
		int fd;

		conn_waits.handshake = cases[i].why == CONN_END_TIMEOUT ? 30 : before;
		fd = begin_bare(&w, client, true);
		if (i == 5)
			assert_int_equal(send(fd, nul_length, 7, MSG_NOSIGNAL), 7);
		else if (cases[i].text != NULL)
			say(fd, cases[i].text);
		if (cases[i].closes)
			shutdown(fd, SHUT_WR);
		turns_until(&w, &w.closed);
		assert_false(w.tls);
		if (w.why != cases[i].why || strstr(w.failure, cases[i].failure) == NULL || w.failure[0] == '\0')
			fail_msg("row %zu: %d \"%s\"", i, w.why, w.failure);
		close(fd);
		close_world(&w);
	}
	conn_waits.handshake = before;
	tls_client_free(&client);
}

static void tls11_is_too_old(void **state)
{
	struct tls_client *client = new_client();
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	struct world w;
	int fd = begin_bare(&w, client, true);
	SSL *ssl;

	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(ctx, TLS1_1_VERSION);
	assert_int_equal(SSL_CTX_use_certificate_file(ctx, in_folder("good.crt"), SSL_FILETYPE_PEM), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, in_folder("good.key"), SSL_FILETYPE_PEM), 1);
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	for (int i = 0; i < 5000 && !w.closed; i++) {
		(void)SSL_accept(ssl);
		turns(&w);
	}
	assert_true(w.closed);
	assert_false(w.tls);
	assert_int_equal(w.why, CONN_END_TLS);
	ERR_clear_error();
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	close_world(&w);
	tls_client_free(&client);
}

static void a_reset_in_the_handshake_has_words(void **state)
{
	static const struct linger at_once = { .l_onoff = 1 };
	struct tls_client *client = new_client();
	struct world w;
	int fd = begin_bare(&w, client, true);

	turns(&w); /* our hello is on its way */
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(fd);
	turns_until(&w, &w.closed);
	assert_true(w.why == CONN_END_TLS || w.why == CONN_END_PEER);
	assert_string_equal(w.failure, "the connection was closed during the handshake");
	close_world(&w);
	tls_client_free(&client);
}

/* In the first turns, with nothing from the server, or in the middle of the handshake. */
static void a_conn_may_be_closed_at_any_stage(void **state)
{
	struct tls_context *context = server_context((const char *[]) { "good" }, 1);
	struct tls_client *client = new_client();

	for (int stage = 0; stage < 12; stage++) {
		struct world w;

		open_world(&w);
		w.request = &any_certificate;
		w.implicit = true;
		assert_int_equal(listen(w.listening, 5), 0);
		dial(&w, client);
		accept_conn(&w, context, true);
		while (!w.told)
			uv_run(&w.loop, UV_RUN_NOWAIT);
		for (int i = 0; i < stage; i++)
			uv_run(&w.loop, UV_RUN_NOWAIT);
		conn_close(w.conn);
		turns_until(&w, &w.closed);
		assert_int_equal(w.why, CONN_END_LOCAL);
		close_world(&w);
	}
	tls_client_free(&client);
	tls_context_free(&context);
}

static void files_of_cas_are_checked(void **state)
{
	struct tls_client *client = NULL;
	struct error err;

	assert_false(tls_client_new(in_folder("no-such-file"), &client, &err));
	assert_int_equal(err.code, ERR_BAD_VALUE);
	assert_non_null(strstr(err.detail, "no-such-file"));
	assert_false(tls_client_new(in_folder("ca.key"), &client, &err));
	assert_null(client);
	assert_true(tls_client_new(NULL, &client, &err)); /* the system's */
	tls_client_free(&client);
	tls_client_free(&client);
	assert_true(tls_client_new("", &client, &err));
	tls_client_free(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_carries_lines),
		cmocka_unit_test(a_refusal_is_told),
		cmocka_unit_test(silence_is_a_timeout),
		cmocka_unit_test(the_source_address_is_ours_to_choose),
		cmocka_unit_test(without_descriptors_it_is_a_limit),
		cmocka_unit_test(a_cancelled_dial_says_nothing),
		cmocka_unit_test(unix_sockets_work_the_same),
		cmocka_unit_test(certificates_verify_or_not_and_we_say_why),
		cmocka_unit_test(unusable_records_are_left_out),
		cmocka_unit_test(the_server_is_told_the_name),
		cmocka_unit_test(a_refused_certificate_is_named),
		cmocka_unit_test(bytes_behind_the_answer_to_starttls_end_it),
		cmocka_unit_test(a_handshake_may_fail_in_many_ways),
		cmocka_unit_test(a_reset_in_the_handshake_has_words),
		cmocka_unit_test(tls11_is_too_old),
		cmocka_unit_test(a_conn_may_be_closed_at_any_stage),
		cmocka_unit_test(files_of_cas_are_checked),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
