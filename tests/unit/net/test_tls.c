/* TLS on a conn, and the contexts behind it: STARTTLS, SNI, ALPN, tickets, live reload. The client is OpenSSL's own. */
#include "fixture.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "net/conn_internal.h"
#include "net/tls_internal.h"
#include "net/worker.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[256];
static const uint8_t secret[32] = { 1, 2, 3 };

static char *in_folder(const char *name)
{
	static char paths[8][512];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static struct tls_context *context_of(
        const char *const *names, size_t count, const uint8_t *with_secret, const char *alpn)
{
	struct tls_pair pairs[4];
	char paths[8][512];
	struct tls_settings settings = { .pairs = pairs, .pair_count = count, .secret = with_secret, .alpn = alpn };
	struct tls_context *context = NULL;
	struct error err;

	for (size_t i = 0; i < count; i++) {
		snprintf(paths[2 * i], sizeof(paths[0]), "%s/%s.crt", folder, names[i]);
		snprintf(paths[2 * i + 1], sizeof(paths[0]), "%s/%s.key", folder, names[i]);
		pairs[i] = (struct tls_pair) { paths[2 * i], paths[2 * i + 1] };
	}
	if (!tls_context_new(&settings, &context, &err))
		fail_msg("%s %s", err.reason, err.detail);
	return context;
}

static struct tls_context *simple_context(void)
{
	return context_of((const char *[]) { "first" }, 1, secret, NULL);
}

static int make_files(void **state)
{
	temporary_folder(folder, sizeof(folder));
	make_pair(in_folder("first"), "mail.first.example MX.first.example");
	make_pair(in_folder("second"), "*.second.example second.example");
	make_pair(in_folder("third"), "");
	return 0;
}

static int remove_files(void **state)
{
	static const char *const names[] = { "first.crt", "first.key", "second.crt", "second.key", "third.crt",
		"third.key", "live.crt", "live.key", "live2.crt", "live2.key" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unlink(in_folder(names[i]));
	return rmdir(folder);
}

/* --- the stream ------------------------------------------------------------------------------------------------- */

static void start_implicit(struct net_test *t, struct tls_context *context)
{
	net_test_open(t);
	net_test_connect(t, context, true);
	net_test_start(t, &recorder_handler, 100);
}

/* What a proxy says comes in clear, before the handshake, and perhaps in one packet with its first octets. */
static void implicit_tls_can_be_held(void **state)
{
	struct tls_context *context = simple_context();
	SSL_CTX *client = client_context();
	struct net_test t;

	net_test_open(&t);
	net_test_connect(&t, context, true);
	conn_hold_tls(t.recorder.conn);
	net_test_start(&t, &recorder_handler, 100);
	peer_say(&t, "a header\r\n");
	expect_seen(&t, "<a header>");
	assert_true(conn_can_start_tls(t.recorder.conn) && conn_start_tls(t.recorder.conn));
	assert_true(peer_handshake(&t, client, "mail.first.example", NULL, NULL));
	expect_seen(&t, "!tls");
	peer_drop_tls(&t);
	net_test_close(&t);
	SSL_CTX_free(client);
	tls_context_free(&context);
}

/* RFC 5929 §4: the client hashes the certificate it was shown. */
static void expect_end_point(struct net_test *t)
{
	uint8_t ours[CONN_BINDING_MAX], theirs[EVP_MAX_MD_SIZE];
	X509 *certificate = SSL_get1_peer_certificate(t->client);
	unsigned len;

	assert_int_equal(X509_digest(certificate, EVP_sha256(), theirs, &len), 1);
	assert_int_equal(conn_channel_binding(t->recorder.conn, "tls-server-end-point", ours), len);
	assert_memory_equal(ours, theirs, len);
	X509_free(certificate);
}

/* RFC 5929 §3: the first Finished, which is the server's when a session was resumed. */
static void expect_unique(struct net_test *t)
{
	uint8_t ours[CONN_BINDING_MAX], theirs[CONN_BINDING_MAX];
	size_t len = SSL_session_reused(t->client) ? SSL_get_peer_finished(t->client, theirs, sizeof(theirs))
	                                           : SSL_get_finished(t->client, theirs, sizeof(theirs));

	assert_true(len >= 12);
	assert_int_equal(conn_channel_binding(t->recorder.conn, "tls-unique", ours), len);
	assert_memory_equal(ours, theirs, len);
}

static void implicit_tls_carries_lines_and_bytes(void **state)
{
	struct tls_context *context = simple_context();
	SSL_CTX *client = client_context();
	uint8_t binding[CONN_BINDING_MAX], theirs[32];
	struct net_test t;

	start_implicit(&t, context);
	assert_true(peer_handshake(&t, client, "mail.first.example", NULL, NULL));
	expect_seen(&t, "!tls");
	peer_say(&t, "SAY a\r\nSAY b\r\nWANT 3\r\nxyzSAY c\r\n");
	expect_seen(&t, "<SAY a><SAY b><WANT 3>{xyz}<SAY c>");
	expect_reply(&t, "a\r\nb\r\nc\r\n");
	assert_true(conn_has_tls(t.recorder.conn));
	assert_string_equal(conn_tls_version(t.recorder.conn), "TLSv1.3");
	assert_string_equal(conn_tls_cipher(t.recorder.conn), SSL_get_cipher_name(t.client));
	assert_int_equal(conn_channel_binding(t.recorder.conn, "tls-exporter", binding), 32);
	SSL_export_keying_material(t.client, theirs, 32, "EXPORTER-Channel-Binding", 24, NULL, 0, 0);
	assert_memory_equal(binding, theirs, 32);
	expect_end_point(&t);
	assert_int_equal(conn_channel_binding(t.recorder.conn, "tls-unique", binding), 0);
	assert_null(t.recorder.conn->in.data);
	assert_null(t.recorder.conn->out.data);
	assert_null(t.recorder.conn->cipher.data);
	net_test_close(&t);
	SSL_CTX_free(client);
	tls_context_free(&context);
}

static void tls12_works_and_tls11_does_not(void **state)
{
	struct tls_context *context = simple_context();
	SSL_CTX *client = client_context();
	uint8_t binding[CONN_BINDING_MAX];
	struct net_test t;

	SSL_CTX_set_max_proto_version(client, TLS1_2_VERSION);
	start_implicit(&t, context);
	assert_true(peer_handshake(&t, client, NULL, NULL, NULL));
	peer_say(&t, "SAY hello\r\n");
	expect_reply(&t, "hello\r\n");
	assert_string_equal(conn_tls_version(t.recorder.conn), "TLSv1.2");
	assert_int_equal(conn_channel_binding(t.recorder.conn, "tls-exporter", binding), 0);
	expect_unique(&t);
	expect_end_point(&t);
	net_test_close(&t);

	SSL_CTX_set_options(client, SSL_OP_NO_EXTENDED_MASTER_SECRET);
	start_implicit(&t, context);
	assert_true(peer_handshake(&t, client, NULL, NULL, NULL));
	expect_seen(&t, "!tls");
	assert_int_equal(conn_channel_binding(t.recorder.conn, "tls-unique", binding), 0);
	net_test_close(&t);

	SSL_CTX_set_security_level(client, 0);
	SSL_CTX_set_min_proto_version(client, TLS1_1_VERSION);
	SSL_CTX_set_max_proto_version(client, TLS1_1_VERSION);
	start_implicit(&t, context);
	assert_false(peer_handshake(&t, client, NULL, NULL, NULL));
	expect_seen(&t, "!closed 3");
	net_test_close(&t);
	SSL_CTX_free(client);
	tls_context_free(&context);
}

/* `size` octets out and back, over a client that reads little at a time. */
static void large_amounts_in_both_directions(void **state)
{
	struct tls_context *context = simple_context();
	SSL_CTX *client = client_context();
	size_t size = 3 * MIB;
	char *bytes = malloc(size);
	struct buffer got;
	struct net_test t;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 31 >> 3);
	buffer_init(&got, 8 * MIB);
	start_implicit(&t, context);
	assert_true(peer_handshake(&t, client, NULL, NULL, NULL));
	peer_say(&t, "ECHO\r\n");
	for (size_t at = 0; at < size; at += 65536) {
		peer_send(&t, bytes + at, 65536);
		if (at % (128 * KIB) == 0) /* seldom enough for the conn to run full meanwhile */
			assert_true(peer_read(&t, &got));
	}
	for (int i = 0; i < 5000 && got.len < size; i++) {
		assert_true(peer_read(&t, &got));
		turn(&t);
	}
	assert_int_equal(got.len, size);
	assert_memory_equal(got.data, bytes, size);
	buffer_free(&got);
	free(bytes);
	net_test_close(&t);
	SSL_CTX_free(client);
	tls_context_free(&context);
}

static void a_tls_peer_that_does_not_read_stops_the_session(void **state)
{
	struct tls_context *context = simple_context();
	SSL_CTX *client = client_context();
	struct buffer got;
	struct net_test t;

	buffer_init(&got, 16 * MIB);
	start_implicit(&t, context);
	assert_true(peer_handshake(&t, client, NULL, NULL, NULL));
	peer_say(&t, "SEND 8388608\r\nafter\r\n");
	turn_for(&t, 20);
	assert_true(conn_full(t.recorder.conn));
	assert_true(conn_queued(t.recorder.conn) < CONN_OUTPUT_FULL + CONN_CIPHER + 8192);
	expect_seen(&t, "!tls<SEND 8388608>");
	for (int i = 0; i < 10000 && got.len < 8388608; i++) {
		assert_true(peer_read(&t, &got));
		turn(&t);
	}
	assert_int_equal(got.len, 8388608);
	turn(&t);
	expect_seen(&t, "<after>");
	buffer_free(&got);
	net_test_close(&t);
	SSL_CTX_free(client);
	tls_context_free(&context);
}

static void a_pause_holds_decrypted_input_too(void **state)
{
	struct tls_context *context = simple_context();
	SSL_CTX *client = client_context();
	struct net_test t;

	start_implicit(&t, context);
	assert_true(peer_handshake(&t, client, NULL, NULL, NULL));
	conn_set_read_size(t.recorder.conn, 8); /* so that most of the record stays inside OpenSSL */
	peer_say(&t, "PAUSE\r\none\r\ntwo\r\nthree\r\nfour\r\n");
	turn_for(&t, 10);
	expect_seen(&t, "!tls<PAUSE>");
	conn_resume(t.recorder.conn);
	turn_for(&t, 10);
	expect_seen(&t, "<one><two><three><four>");
	net_test_close(&t);
	SSL_CTX_free(client);
	tls_context_free(&context);
}

static void a_finish_says_close_notify(void **state)
{
	struct tls_context *context = simple_context();
	SSL_CTX *client = client_context();
	struct net_test t;
	char chunk[16];

	start_implicit(&t, context);
	assert_true(peer_handshake(&t, client, NULL, NULL, NULL));
	peer_say(&t, "QUIT\r\n");
	assert_int_equal(SSL_read(t.client, chunk, sizeof(chunk)), 5);
	assert_int_equal(SSL_get_error(t.client, SSL_read(t.client, chunk, sizeof(chunk))), SSL_ERROR_ZERO_RETURN);
	peer_drop_tls(&t);
	close(t.peer);
	t.peer = -1;
	turn_until(&t, &t.recorder.closed);
	assert_int_equal(t.recorder.why, CONN_END_LOCAL);
	net_test_close(&t);
	SSL_CTX_free(client);
	tls_context_free(&context);
}

/* The client's last record and its close_notify come in one packet, and it waits for ours. */
static void a_close_notify_right_behind_a_command_is_seen(void **state)
{
	struct tls_context *context = simple_context();
	SSL_CTX *client = client_context();
	struct net_test t;

	start_implicit(&t, context);
	assert_true(peer_handshake(&t, client, NULL, NULL, NULL));
	assert_int_equal(SSL_write(t.client, "SAY x\r\n", 7), 7);
	SSL_shutdown(t.client);
	turn_until(&t, &t.recorder.closed);
	expect_seen(&t, "!tls<SAY x>!closed 1");
	net_test_close(&t);
	SSL_CTX_free(client);
	tls_context_free(&context);
}

static void rubbish_instead_of_a_handshake_ends_the_conn(void **state)
{
	static const char *const rubbish[] = { "EHLO not.tls\r\n", "GET / HTTP/1.1\r\n\r\n",
		"\x16\x03\x01\xff\xff rubbish" };
	struct tls_context *context = simple_context();
	struct net_test t;

	for (size_t i = 0; i < ARRAY_LEN(rubbish); i++) {
		start_implicit(&t, context);
		peer_say(&t, rubbish[i]);
		turn_for(&t, 5);
		shutdown(t.peer, SHUT_WR);
		turn_until(&t, &t.recorder.closed);
		assert_int_equal(t.recorder.why, CONN_END_TLS);
		net_test_close(&t);
	}
	tls_context_free(&context);
}

static void a_silent_handshake_times_out(void **state)
{
	struct tls_context *context = simple_context();
	struct conn_waits waits = conn_waits;
	struct net_test t;

	conn_waits.handshake = 40;
	start_implicit(&t, context);
	turn_for(&t, 10);
	assert_false(t.recorder.closed);
	turn_until(&t, &t.recorder.closed);
	expect_seen(&t, "!closed 2");
	conn_waits = waits;
	net_test_close(&t);
	tls_context_free(&context);
}

/* --- STARTTLS --------------------------------------------------------------------------------------------------- */

static void starttls_switches(void **state)
{
	struct tls_context *context = simple_context();
	SSL_CTX *client = client_context();
	struct net_test t;

	net_test_open(&t);
	net_test_connect(&t, context, false);
	net_test_start(&t, &recorder_handler, 100);
	assert_true(conn_can_start_tls(t.recorder.conn));
	peer_say(&t, "SAY clear\r\nSTARTTLS\r\n");
	expect_reply(&t, "clear\r\ngo\r\n");
	conn_write_text(t.recorder.conn, "never in clear\r\n");
	turn(&t);
	assert_true(peer_handshake(&t, client, NULL, NULL, NULL));
	peer_say(&t, "SAY secret\r\nSTARTTLS\r\n");
	expect_seen(&t, "<SAY clear><STARTTLS>!tls<SAY secret><STARTTLS>!refused");
	assert_false(conn_can_start_tls(t.recorder.conn));
	net_test_close(&t);
	SSL_CTX_free(client);
	tls_context_free(&context);
}

/* CVE-2011-0411: nothing that came in clear may be taken for something that came inside TLS. */
static void pipelined_plaintext_after_starttls_closes(void **state)
{
	static const char *const injected[] = { "STARTTLS\r\nSAY evil\r\n", "STARTTLS\r\nx", "STARTTLS\r\n\r\n" };
	struct tls_context *context = simple_context();
	struct net_test t;

	for (size_t i = 0; i < ARRAY_LEN(injected); i++) {
		net_test_open(&t);
		net_test_connect(&t, context, false);
		net_test_start(&t, &recorder_handler, 100);
		peer_say(&t, injected[i]);
		turn(&t);
		expect_seen(&t, "<STARTTLS>!refused!closed 3");
		net_test_close(&t);
	}
	/* In a packet of its own it is read by the handshake, which it spoils. */
	net_test_open(&t);
	net_test_connect(&t, context, false);
	net_test_start(&t, &recorder_handler, 100);
	peer_say(&t, "STARTTLS\r\n");
	peer_say(&t, "SAY evil\r\n");
	turn_for(&t, 5);
	expect_seen(&t, "<STARTTLS>!closed 3");
	net_test_close(&t);
	tls_context_free(&context);
}

static void starttls_after_a_pause_sees_what_came_meanwhile(void **state)
{
	struct tls_context *context = simple_context();
	struct net_test t;

	net_test_open(&t);
	net_test_connect(&t, context, false);
	net_test_start(&t, &recorder_handler, 100);
	peer_say(&t, "PAUSE\r\nSAY evil\r\n");
	assert_false(conn_start_tls(t.recorder.conn));
	turn_until(&t, &t.recorder.closed);
	expect_seen(&t, "<PAUSE>!closed 3");
	net_test_close(&t);
	tls_context_free(&context);
}

static void no_context_no_starttls(void **state)
{
	struct net_test t;

	net_test_open(&t);
	net_test_connect(&t, NULL, false);
	net_test_start(&t, &recorder_handler, 100);
	assert_false(conn_can_start_tls(t.recorder.conn));
	peer_say(&t, "STARTTLS\r\nSAY on\r\n");
	expect_seen(&t, "<STARTTLS>!refused<SAY on>");
	net_test_close(&t);
}

/* --- names ------------------------------------------------------------------------------------------------------ */

static const struct name_case {
	const char *name;
	const char *san; /* the first name in the certificate that answers */
} name_cases[] = {
	{ NULL, "mail.first.example" },
	{ "mail.first.example", "mail.first.example" },
	{ "mx.first.example", "mail.first.example" },
	{ "unknown.example", "mail.first.example" },
	{ "second.example", "*.second.example" },
	{ "SECOND.Example", "*.second.example" },
	{ "second.example.", "*.second.example" }, /* Outlook's cloud */
	{ "imap.second.example", "*.second.example" },
	{ "imap.second.example.", "*.second.example" },
	{ "a.b.second.example", "mail.first.example" }, /* one label only */
	{ ".second.example", "mail.first.example" },
	{ "*.second.example", "*.second.example" }, /* is one label, too */
	{ "common.example", "" },                   /* third: no subjectAltName */
	{ "../first.key", "mail.first.example" },
	{ "%s%n", "mail.first.example" },
};

static void first_name(SSL *ssl, char *out, size_t size)
{
	X509 *certificate = SSL_get1_peer_certificate(ssl);
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

	out[0] = '\0';
	if (names != NULL) {
		ASN1_STRING *name = sk_GENERAL_NAME_value(names, 0)->d.dNSName;

		snprintf(out, size, "%.*s", ASN1_STRING_length(name), (const char *)ASN1_STRING_get0_data(name));
	}
	GENERAL_NAMES_free(names);
	X509_free(certificate);
}

static void the_certificate_follows_the_name(void **state)
{
	struct tls_context *context = context_of((const char *[]) { "first", "second", "third" }, 3, secret, NULL);
	SSL_CTX *client = client_context();
	struct net_test t;
	char name[300];

	for (size_t i = 0; i < ARRAY_LEN(name_cases); i++) {
		start_implicit(&t, context);
		assert_true(peer_handshake(&t, client, name_cases[i].name, NULL, NULL));
		expect_end_point(&t);
		first_name(t.client, name, sizeof(name));
		assert_string_equal(name, name_cases[i].san);
		net_test_close(&t);
	}
	SSL_CTX_free(client);
	tls_context_free(&context);
}

static const struct alpn_case {
	const char *ours, *offered;
	bool good;
} alpn_cases[] = {
	{ "imap", NULL, true },
	{ "imap", "imap", true },
	{ "imap", "http/1.1", false },
	{ "imap", "pop3", false },
	{ NULL, NULL, true },
	{ NULL, "h2", false },
	{ "pop3", "pop3", true },
};

static void alpn_is_strict(void **state)
{
	SSL_CTX *client = client_context();
	struct net_test t;

	for (size_t i = 0; i < ARRAY_LEN(alpn_cases); i++) {
		const struct alpn_case *c = &alpn_cases[i];
		struct tls_context *context = context_of((const char *[]) { "first", "second" }, 2, secret, c->ours);
		const unsigned char *chosen;
		unsigned len;

		start_implicit(&t, context);
		assert_int_equal(peer_handshake(&t, client, "second.example", c->offered, NULL), c->good);
		if (c->good && c->offered != NULL) {
			SSL_get0_alpn_selected(t.client, &chosen, &len);
			assert_int_equal(len, strlen(c->ours));
		}
		if (!c->good)
			assert_int_equal(t.recorder.why, CONN_END_TLS);
		net_test_close(&t);
		tls_context_free(&context);
	}
	SSL_CTX_free(client);
}

/* --- tickets ---------------------------------------------------------------------------------------------------- */

static SSL_SESSION *session_from(struct tls_context *context, SSL_CTX *client)
{
	struct net_test t;
	SSL_SESSION *session;

	start_implicit(&t, context);
	assert_true(peer_handshake(&t, client, "mail.first.example", NULL, NULL));
	peer_say(&t, "SAY x\r\n");
	expect_reply(&t, "x\r\n"); /* a ticket of TLS 1.3 comes after the handshake */
	session = SSL_get1_session(t.client);
	/* Unless both sides shut down, OpenSSL takes the session for broken. */
	SSL_shutdown(t.client);
	net_test_close(&t);
	return session;
}

static bool resumes(struct tls_context *context, SSL_CTX *client, SSL_SESSION *session)
{
	struct net_test t;
	bool reused;

	start_implicit(&t, context);
	assert_true(peer_handshake(&t, client, "mail.first.example", NULL, session));
	reused = SSL_session_reused(t.client) == 1;
	if (SSL_version(t.client) == TLS1_2_VERSION)
		expect_unique(&t);
	SSL_shutdown(t.client);
	net_test_close(&t);
	return reused;
}

static void tickets_go_to_any_worker_with_the_secret(void **state)
{
	static const uint8_t other_secret[32] = { 9 };
	struct tls_context *one = simple_context(), *two = simple_context();
	struct tls_context *stranger = context_of((const char *[]) { "first" }, 1, other_secret, NULL);
	struct tls_context *renewed = context_of((const char *[]) { "third" }, 1, secret, NULL);
	int64_t hour = 3600 * 1000, now = clock_wall_ms() / (12 * hour) * (12 * hour) + hour;

	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_CTX *client = client_context();
		SSL_SESSION *session;

		SSL_CTX_set_max_proto_version(client, version);
		clock_set_for_test(-1, now);
		session = session_from(one, client);
		assert_true(resumes(two, client, session));
		assert_false(resumes(stranger, client, session));
		assert_false(resumes(renewed, client, session)); /* the client would bind to the certificate of then */
		clock_set_for_test(-1, now + 12 * hour);
		assert_true(resumes(two, client, session)); /* the previous key */
		clock_set_for_test(-1, now + 24 * hour);
		assert_false(resumes(two, client, session));
		SSL_SESSION_free(session);
		SSL_CTX_free(client);
	}
	clock_set_for_test(-1, -1);
	tls_context_free(&one);
	tls_context_free(&two);
	tls_context_free(&stranger);
	tls_context_free(&renewed);
}

/* --- files ------------------------------------------------------------------------------------------------------ */

static void copy_file(const char *from, const char *to)
{
	struct buffer text;
	struct error err;

	buffer_init(&text, MIB);
	assert_true(file_read_path(in_folder(from), &text, &err));
	assert_true(file_replace(in_folder(to), buffer_span(&text), 0600, &err));
	buffer_free(&text);
}

static void bad_files_are_named(void **state)
{
	struct tls_pair pair = { in_folder("first.crt"), in_folder("second.key") };
	struct tls_settings settings = { .pairs = &pair, .pair_count = 1, .secret = secret };
	struct tls_context *context = NULL;
	struct error err;

	assert_false(tls_context_new(&settings, &context, &err));
	assert_int_equal(err.code, ERR_BAD_VALUE);
	assert_non_null(strstr(err.detail, "second.key"));
	pair.certificate_path = in_folder("none.crt");
	assert_false(tls_context_new(&settings, &context, &err));
	assert_non_null(strstr(err.detail, "none.crt"));
	pair.certificate_path = in_folder("first.key");
	assert_false(tls_context_new(&settings, &context, &err));
	assert_int_equal(err.code, ERR_BAD_VALUE);
	assert_null(context);
}

static void name_now(struct tls_context *context, SSL_CTX *client, char *name, size_t size)
{
	struct net_test t;

	start_implicit(&t, context);
	assert_true(peer_handshake(&t, client, NULL, NULL, NULL));
	first_name(t.client, name, size);
	net_test_close(&t);
}

static void expect_certificate(struct net_test *t, struct tls_context *context, SSL_CTX *client, const char *wanted)
{
	char name[300] = "";

	for (int i = 0; i < 200 && strcmp(name, wanted) != 0; i++) {
		turn_for(t, 10);
		name_now(context, client, name, sizeof(name));
	}
	assert_string_equal(name, wanted);
}

/* A session lives through all of it. */
static void new_files_are_taken_live_and_bad_ones_are_not(void **state)
{
	struct worker_pool *pool;
	struct tls_context *context;
	SSL_CTX *client = client_context();
	struct net_test t;
	struct error err;

	copy_file("first.crt", "live.crt");
	copy_file("first.key", "live.key");
	context = context_of((const char *[]) { "live" }, 1, secret, NULL);
	net_test_open(&t);
	assert_true(worker_pool_new(&t.loop, 2, &pool, &err));
	assert_true(tls_context_watch(context, &t.loop, pool, &err));
	net_test_connect(&t, context, true);
	net_test_start(&t, &recorder_handler, 100);
	assert_true(peer_handshake(&t, client, NULL, NULL, NULL));

	copy_file("second.crt", "live.crt"); /* does not match the key yet */
	turn_for(&t, 500);
	expect_certificate(&t, context, client, "mail.first.example");
	copy_file("second.key", "live.key");
	expect_certificate(&t, context, client, "*.second.example");

	assert_int_equal(unlink(in_folder("live.crt")), 0);
	tls_context_reload(context);
	turn_for(&t, 50);
	expect_certificate(&t, context, client, "*.second.example");
	copy_file("first.crt", "live.crt");
	copy_file("first.key", "live.key");
	tls_context_reload(context);
	tls_context_reload(context);
	expect_certificate(&t, context, client, "mail.first.example");

	peer_say(&t, "SAY still here\r\n");
	expect_reply(&t, "still here\r\n");
	tls_context_reload(context); /* a job under way when everything goes */
	tls_context_free(&context);
	worker_pool_free(&pool);
	peer_say(&t, "SAY and now\r\n");
	expect_reply(&t, "and now\r\n");
	net_test_close(&t);
	SSL_CTX_free(client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(implicit_tls_carries_lines_and_bytes),
		cmocka_unit_test(tls12_works_and_tls11_does_not),
		cmocka_unit_test(large_amounts_in_both_directions),
		cmocka_unit_test(a_tls_peer_that_does_not_read_stops_the_session),
		cmocka_unit_test(a_pause_holds_decrypted_input_too),
		cmocka_unit_test(a_finish_says_close_notify),
		cmocka_unit_test(a_close_notify_right_behind_a_command_is_seen),
		cmocka_unit_test(rubbish_instead_of_a_handshake_ends_the_conn),
		cmocka_unit_test(a_silent_handshake_times_out),
		cmocka_unit_test(starttls_switches),
		cmocka_unit_test(implicit_tls_can_be_held),
		cmocka_unit_test(pipelined_plaintext_after_starttls_closes),
		cmocka_unit_test(starttls_after_a_pause_sees_what_came_meanwhile),
		cmocka_unit_test(no_context_no_starttls),
		cmocka_unit_test(the_certificate_follows_the_name),
		cmocka_unit_test(alpn_is_strict),
		cmocka_unit_test(tickets_go_to_any_worker_with_the_secret),
		cmocka_unit_test(bad_files_are_named),
		cmocka_unit_test(new_files_are_taken_live_and_bad_ones_are_not),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}
