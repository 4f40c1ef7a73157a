#include "fixture.h"

#include "base/log.h"
#include "net/conn_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* --- the session ------------------------------------------------------------------------------------------------ */

static void send_more(struct recorder *r)
{
	static const char block[8192];

	while (r->to_send > 0 && !conn_full(r->conn)) {
		size_t len = r->to_send < sizeof(block) ? (size_t)r->to_send : sizeof(block);

		conn_write(r->conn, block, len);
		r->to_send -= len;
	}
}

static void obey(struct recorder *r, struct span line)
{
	struct span in = line;
	uint64_t n;

	if (span_take_word(&in, "BYTES ") && span_number(in, UINT64_MAX, &r->bytes_left))
		conn_set_mode(r->conn, CONN_BYTES);
	else if (span_take_word(&in, "WANT ") && span_number(in, UINT64_MAX, &r->wanted))
		conn_set_mode(r->conn, CONN_BYTES);
	else if (span_take_word(&in, "SEND ") && span_number(in, UINT64_MAX, &n)) {
		r->to_send += n;
		send_more(r);
	} else if (span_take_word(&in, "SAY ")) {
		conn_printf(r->conn, "%.*s\r\n", SPAN_FMT(in));
	} else if (span_equal(line, SPAN("PAUSE"))) {
		conn_pause(r->conn);
	} else if (span_equal(line, SPAN("QUIT"))) {
		conn_write_text(r->conn, "bye\r\n");
		conn_finish(r->conn);
	} else if (span_equal(line, SPAN("CLOSE"))) {
		conn_close(r->conn);
		conn_close(r->conn);
	} else if (span_equal(line, SPAN("STARTTLS"))) {
		conn_write_text(r->conn, "go\r\n");
		if (!conn_start_tls(r->conn))
			buffer_append_text(&r->seen, "!refused");
	} else if (span_equal(line, SPAN("ECHO"))) {
		r->echo = true;
		conn_set_mode(r->conn, CONN_BYTES);
	}
}

static void on_line(void *session, struct span line, enum line_end end)
{
	struct recorder *r = session;

	buffer_append_char(&r->seen, end == LINE_END_CRLF ? '<' : '[');
	buffer_append_span(&r->seen, line);
	buffer_append_char(&r->seen, end == LINE_END_CRLF ? '>' : ']');
	obey(r, line);
}

static void on_line_too_long(void *session)
{
	buffer_append_text(&((struct recorder *)session)->seen, "!long");
}

static size_t on_bytes(void *session, struct span bytes)
{
	struct recorder *r = session;

	if (r->echo) {
		conn_write(r->conn, bytes.ptr, bytes.len);
		r->received += bytes.len;
		return bytes.len;
	}
	if (r->wanted > 0) {
		if (bytes.len < r->wanted)
			return 0;
		bytes = span_first(bytes, r->wanted);
		r->wanted = 0;
		conn_set_mode(r->conn, CONN_LINES);
	} else {
		bytes = span_first(bytes, r->bytes_left);
		r->bytes_left -= bytes.len;
		if (r->bytes_left == 0)
			conn_set_mode(r->conn, CONN_LINES);
	}
	r->received += bytes.len;
	if (!r->quiet) {
		buffer_append_char(&r->seen, '{');
		buffer_append_span(&r->seen, bytes);
		buffer_append_char(&r->seen, '}');
	}
	return bytes.len;
}

static void note(struct recorder *r, const char *what)
{
	buffer_append_text(&r->seen, what);
}

static void on_tls(void *session)
{
	note(session, "!tls");
}

static void on_drained(void *session)
{
	if (((struct recorder *)session)->to_send == 0)
		note(session, "!drained");
	send_more(session);
}

static void on_timeout(void *session)
{
	struct recorder *r = session;

	note(r, "!timeout");
	conn_write_text(r->conn, "late\r\n");
	conn_finish(r->conn);
}

static void on_evict(void *session)
{
	struct recorder *r = session;

	note(r, "!evict");
	conn_write_text(r->conn, "others wait\r\n");
}

static void on_closed(void *session, enum conn_end why)
{
	struct recorder *r = session;

	assert_false(r->closed); /* once */
	r->closed = true;
	r->why = why;
	buffer_printf(&r->seen, "!closed %d", why);
}

const struct conn_handler recorder_handler = {
	.on_line = on_line,
	.on_line_too_long = on_line_too_long,
	.on_bytes = on_bytes,
	.on_tls = on_tls,
	.on_drained = on_drained,
	.on_timeout = on_timeout,
	.on_evict = on_evict,
	.on_closed = on_closed,
};

const struct conn_handler recorder_bare_handler = {
	.on_line = on_line,
	.on_line_too_long = on_line_too_long,
	.on_bytes = on_bytes,
	.on_tls = on_tls,
	.on_closed = on_closed,
};

/* --- both ends -------------------------------------------------------------------------------------------------- */

void net_test_open(struct net_test *t)
{
	memset(t, 0, sizeof(*t));
	t->peer = -1;
	log_set_level(LOG_ERROR);
	assert_int_equal(uv_loop_init(&t->loop), 0);
}

void net_test_close(struct net_test *t)
{
	if (t->recorder.conn != NULL && !t->recorder.closed) {
		conn_close(t->recorder.conn);
		turn_until(t, &t->recorder.closed);
	}
	peer_drop_tls(t);
	if (t->peer >= 0)
		close(t->peer);
	turn(t);
	buffer_free(&t->recorder.seen);
	assert_int_equal(uv_loop_close(&t->loop), 0); /* UV_EBUSY: a handle was left open */
}

static void wire(
        struct net_test *t, int ours, int peer, const struct sockaddr *from, struct tls_context *tls, bool implicit)
{
	struct conn_origin origin = { .fd = ours, .peer = from, .tls = tls, .implicit_tls = implicit };

	t->peer = peer;
	buffer_free(&t->recorder.seen);
	t->recorder = (struct recorder) { .conn = conn_new(&t->loop, &origin) };
	buffer_init(&t->recorder.seen, 8 * MIB);
	assert_non_null(t->recorder.conn);
}

void net_test_connect(struct net_test *t, struct tls_context *tls, bool implicit_tls)
{
	struct sockaddr from = { .sa_family = AF_UNIX };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	wire(t, pair[0], pair[1], &from, tls, implicit_tls);
}

void net_test_connect_tcp(struct net_test *t, struct tls_context *tls, bool implicit_tls)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in from;
	socklen_t len = sizeof(address);
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ours;

	assert_int_equal(bind(listening, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(listening, 1), 0);
	assert_int_equal(getsockname(listening, (struct sockaddr *)&address, &len), 0);
	assert_int_equal(connect(peer, (struct sockaddr *)&address, len), 0);
	ours = accept4(listening, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(ours >= 0);
	close(listening);
	fcntl(peer, F_SETFL, O_NONBLOCK);
	wire(t, ours, peer, (struct sockaddr *)&from, tls, implicit_tls);
}

void net_test_start(struct net_test *t, const struct conn_handler *handler, size_t line_limit)
{
	conn_start(t->recorder.conn, handler, &t->recorder, line_limit);
	turn(t);
}

void turn(struct net_test *t)
{
	for (int i = 0; i < 6; i++)
		uv_run(&t->loop, UV_RUN_NOWAIT);
}

void turn_for(struct net_test *t, unsigned milliseconds)
{
	for (unsigned i = 0; i < milliseconds; i += 2) {
		turn(t);
		usleep(2000);
	}
	turn(t);
}

void turn_until(struct net_test *t, const bool *flag)
{
	for (int i = 0; i < 5000 && !*flag; i++) {
		turn(t);
		if (!*flag)
			usleep(1000);
	}
	assert_true(*flag);
}

void peer_send(struct net_test *t, const void *bytes, size_t len)
{
	const char *from = bytes;

	for (int stuck = 0; len > 0 && stuck < 1000;) {
		int done = t->client != NULL ? SSL_write(t->client, from, (int)(len < 16384 ? len : 16384))
		                             : (int)send(t->peer, from, len, MSG_NOSIGNAL);

		if (done > 0) {
			from += done;
			len -= (size_t)done;
			stuck = 0;
		} else {
			turn(t);
			stuck++;
		}
	}
	assert_int_equal(len, 0);
	turn(t);
}

void peer_say(struct net_test *t, const char *text)
{
	peer_send(t, text, strlen(text));
}

bool peer_read(struct net_test *t, struct buffer *out)
{
	char chunk[65536];

	for (;;) {
		int got = t->client != NULL ? SSL_read(t->client, chunk, sizeof(chunk))
		                            : (int)recv(t->peer, chunk, sizeof(chunk), 0);

		if (got > 0) {
			buffer_append(out, chunk, (size_t)got);
			continue;
		}
		if (t->client != NULL)
			return SSL_get_error(t->client, got) == SSL_ERROR_WANT_READ;
		return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
	}
}

void expect_seen(struct net_test *t, const char *seen)
{
	assert_string_equal(buffer_text(&t->recorder.seen), seen);
	buffer_clear(&t->recorder.seen);
}

void expect_reply(struct net_test *t, const char *reply)
{
	struct buffer got;

	buffer_init(&got, MIB);
	for (int i = 0; i < 2000 && got.len < strlen(reply); i++) {
		turn(t);
		if (!peer_read(t, &got))
			break;
		if (got.len < strlen(reply))
			usleep(1000);
	}
	turn(t);
	(void)peer_read(t, &got);
	assert_string_equal(buffer_text(&got), reply);
	buffer_free(&got);
}

/* --- TLS -------------------------------------------------------------------------------------------------------- */

SSL_CTX *client_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	assert_non_null(ctx);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	return ctx;
}

bool peer_handshake(struct net_test *t, SSL_CTX *ctx, const char *server_name, const char *alpn, SSL_SESSION *session)
{
	uint8_t offer[64];
	int result = 0;

	t->client = SSL_new(ctx);
	SSL_set_fd(t->client, t->peer);
	if (server_name != NULL)
		SSL_set_tlsext_host_name(t->client, server_name);
	if (session != NULL)
		SSL_set_session(t->client, session);
	if (alpn != NULL) {
		offer[0] = (uint8_t)strlen(alpn);
		memcpy(offer + 1, alpn, offer[0]);
		SSL_set_alpn_protos(t->client, offer, offer[0] + 1u);
	}
	for (int i = 0; i < 2000; i++) {
		result = SSL_connect(t->client);
		if (result == 1 || SSL_get_error(t->client, result) != SSL_ERROR_WANT_READ)
			break;
		turn(t);
	}
	turn(t);
	ERR_clear_error();
	return result == 1;
}

void peer_drop_tls(struct net_test *t)
{
	SSL_free(t->client);
	t->client = NULL;
}

static void add_names(X509 *certificate, const char *names)
{
	struct span rest = span_of(names), name;
	GENERAL_NAMES *list = GENERAL_NAMES_new();

	while (rest.len > 0) {
		GENERAL_NAME *item = GENERAL_NAME_new();
		ASN1_IA5STRING *text = ASN1_IA5STRING_new();

		if (!span_take_until(&rest, ' ', &name)) {
			name = rest;
			rest = SPAN_EMPTY;
		}
		ASN1_STRING_set(text, name.ptr, (int)name.len);
		GENERAL_NAME_set0_value(item, GEN_DNS, text);
		sk_GENERAL_NAME_push(list, item);
	}
	X509_add1_ext_i2d(certificate, NID_subject_alt_name, list, 0, 0);
	GENERAL_NAMES_free(list);
}

static FILE *create(const char *path, const char *ending)
{
	char name[512];
	FILE *file;

	snprintf(name, sizeof(name), "%s.%s", path, ending);
	file = fopen(name, "w");
	assert_non_null(file);
	return file;
}

void make_pair(const char *path, const char *names)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	FILE *file;

	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_set_pubkey(certificate, key);
	if (names[0] != '\0')
		add_names(certificate, names);
	else
		X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
		        (const unsigned char *)"common.example", -1, -1, 0);
	X509_sign(certificate, key, EVP_sha256());
	file = create(path, "crt");
	PEM_write_X509(file, certificate);
	fclose(file);
	file = create(path, "key");
	PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
	fclose(file);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

void temporary_folder(char *out, size_t size)
{
	snprintf(out, size, "%s/posthouse-net-XXXXXX", getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	assert_non_null(mkdtemp(out));
}
