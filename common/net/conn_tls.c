#include "net/conn_internal.h"

#include "base/log.h"
#include "net/tls_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/socket.h>

/* --- the BIO: reads from the socket straight into OpenSSL, gathers records for one send -------------------------- */

static int bio_read(BIO *bio, char *out, int size)
{
	struct conn *conn = BIO_get_data(bio);
	ssize_t got;

	BIO_clear_retry_flags(bio);
	do
		got = recv(conn->fd, out, (size_t)size, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		BIO_set_retry_read(bio);
	if (got == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	return (int)got;
}

static int bio_write(BIO *bio, const char *bytes, int len)
{
	struct conn *conn = BIO_get_data(bio);
	struct conn_hub *hub = conn->hub;

	BIO_clear_retry_flags(bio);
	if ((size_t)len > sizeof(hub->cipher) - hub->cipher_len)
		return -1; /* cannot be: there is room for a record before each call into OpenSSL */
	memcpy(hub->cipher + hub->cipher_len, bytes, (size_t)len);
	hub->cipher_len += (size_t)len;
	return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *ptr)
{
	switch (command) {
	case BIO_CTRL_FLUSH: return 1;
	case BIO_CTRL_EOF: return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	default: return 0;
	}
}

static BIO_METHOD *bio_method(struct conn_hub *hub)
{
	BIO_METHOD *method = hub->bio_method;

	if (method != NULL)
		return method;
	method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "conn");
	if (method != NULL) {
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_ctrl(method, bio_ctrl);
	}
	hub->bio_method = method;
	return method;
}

/* Sends what OpenSSL has written meanwhile; what the socket does not take waits in conn->cipher, always in order. */
static bool push_records(struct conn *conn)
{
	struct conn_hub *hub = conn->hub;
	struct buffer fresh = { .data = hub->cipher, .len = hub->cipher_len };
	size_t sent = 0;
	bool ok = true;

	hub->cipher_len = 0;
	if (conn->closing)
		return false;
	if (conn->cipher.len > 0)
		ok = conn_send_plain(conn, &conn->cipher, &conn->cipher_sent);
	if (ok && conn->cipher.len > 0 && conn->cipher_sent == conn->cipher.len) {
		buffer_free(&conn->cipher);
		conn->cipher_sent = 0;
	}
	if (ok && conn->cipher.len == 0)
		ok = conn_send_plain(conn, &fresh, &sent);
	if (ok && sent < fresh.len && !buffer_append(&conn->cipher, fresh.data + sent, fresh.len - sent)) {
		conn_end(conn, CONN_END_NO_MEMORY);
		return false;
	}
	return ok;
}

/* --- failure --------------------------------------------------------------------------------------------------- */

static void fail(struct conn *conn, const char *event)
{
	char words[128];

	tls_openssl_words(words, sizeof(words));
	LOG(LOG_INFO, event, LOG_NUMBER("session", conn->id), LOG_TEXT("peer", conn->peer_text),
	        LOG_TEXT("reason", conn_client_failed(conn, words)));
}

/* The alert that OpenSSL has written tells the peer why; whether it arrives changes nothing for us. */
static void send_alert(struct conn *conn)
{
	struct conn_hub *hub = conn->hub;

	if (hub->cipher_len > 0 && conn->cipher.len == 0)
		(void)send(conn->fd, hub->cipher, hub->cipher_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	hub->cipher_len = 0;
}

/* What an SSL_*() call that returned `result` means. OpenSSL may have an alert to send. */
static long read_failure(struct conn *conn, int result)
{
	int why = SSL_get_error(conn->ssl, result);

	if (why == SSL_ERROR_SSL) {
		fail(conn, conn->tls_state == CONN_TLS_HANDSHAKE ? "tls.handshake_failed" : "tls.failed");
		send_alert(conn);
		conn_end(conn, CONN_END_TLS);
		return CONN_IO_ENDED;
	}
	if (!push_records(conn))
		return CONN_IO_ENDED;
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
		return CONN_IO_AGAIN;
	if (conn->tls_state == CONN_TLS_HANDSHAKE) {
		LOG(LOG_DEBUG, "tls.handshake_left", LOG_NUMBER("session", conn->id),
		        LOG_TEXT("peer", conn->peer_text));
		conn_end(conn, CONN_END_TLS);
	}
	ERR_clear_error();
	conn_flush(conn);
	conn_end(conn, CONN_END_PEER);
	return CONN_IO_ENDED;
}

/* --- the handshake --------------------------------------------------------------------------------------------- */

bool conn_tls_attach(struct conn *conn, SSL *ssl)
{
	BIO_METHOD *method = ssl == NULL ? NULL : bio_method(conn->hub);
	BIO *bio = method == NULL ? NULL : BIO_new(method);

	if (bio == NULL) {
		SSL_free(ssl);
		ERR_clear_error();
		return false;
	}
	BIO_set_data(bio, conn);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	conn->ssl = ssl;
	conn_tls_wipe_input(conn);
	return true;
}

static bool attach_server(struct conn *conn)
{
	if (!conn_tls_attach(conn, tls_context_ssl(conn->tls)))
		return false;
	SSL_set_accept_state(conn->ssl);
	return true;
}

void conn_tls_wipe_input(struct conn *conn)
{
	if (conn->secret_input)
		SSL_set_options(conn->ssl, SSL_OP_CLEANSE_PLAINTEXT);
	else
		SSL_clear_options(conn->ssl, SSL_OP_CLEANSE_PLAINTEXT);
}

/* A client has its SSL already, and speaks first. */
bool conn_tls_begin(struct conn *conn)
{
	if (conn->ssl == NULL && !attach_server(conn)) {
		conn_end(conn, CONN_END_NO_MEMORY);
		return false;
	}
	if (conn->client != NULL)
		conn_poll_for(conn, UV_WRITABLE, 0);
	conn->tls_state = CONN_TLS_HANDSHAKE;
	conn_set_deadline(conn, conn_waits.handshake);
	return true;
}

static void handshake_done(struct conn *conn)
{
	conn->tls_state = CONN_TLS_ESTABLISHED;
	conn_set_deadline(conn, 0);
	conn_touch(conn);
	if (conn->out.len > 0 || conn->cipher.len > 0)
		conn_make_dirty(conn);
	if (conn->client != NULL)
		conn_client_established(conn);
	LOG(LOG_DEBUG, "tls.established", LOG_NUMBER("session", conn->id), LOG_TEXT("peer", conn->peer_text),
	        LOG_TEXT("version", SSL_get_version(conn->ssl)), LOG_TEXT("cipher", SSL_get_cipher_name(conn->ssl)),
	        LOG_NUMBER("resumed", SSL_session_reused(conn->ssl)));
	if (conn->handler->on_tls != NULL)
		conn->handler->on_tls(conn->session);
	if (conn_wants_input(conn) && conn_tls_has_input(conn))
		conn_make_ready(conn);
}

void conn_tls_handshake(struct conn *conn)
{
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(conn->ssl);
	if (result == 1) {
		if (push_records(conn))
			handshake_done(conn);
		return;
	}
	if (read_failure(conn, result) == CONN_IO_AGAIN)
		conn_poll_for(conn, conn->cipher.len > 0 ? UV_READABLE | UV_WRITABLE : UV_READABLE,
		        conn->cipher.len > 0 ? 0 : UV_WRITABLE);
}

bool conn_start_tls(struct conn *conn)
{
	return !conn->closing && conn_can_start_tls(conn) && conn_tls_switch(conn);
}

bool conn_tls_switch(struct conn *conn)
{
	/* CVE-2011-0411: what was sent in clear would be taken as if it had come inside TLS */
	if (conn_input_left(conn) > 0) {
		(void)conn_client_failed(conn, "more came behind the answer to STARTTLS, in clear");
		LOG(LOG_WARNING, "tls.injection", LOG_NUMBER("session", conn->id), LOG_TEXT("peer", conn->peer_text));
		conn_end(conn, CONN_END_TLS);
		return false;
	}
	if (!conn_tls_begin(conn))
		return false;
	conn->tls_state = CONN_TLS_FLUSHING;
	conn_flush(conn);
	return !conn->closing;
}

/* --- the stream ------------------------------------------------------------------------------------------------ */

bool conn_tls_has_input(const struct conn *conn)
{
	return conn->tls_state == CONN_TLS_ESTABLISHED && (conn->tls_input_over || SSL_has_pending(conn->ssl));
}

/* As many records as are there already and fit. */
long conn_tls_read(struct conn *conn, char *out, size_t size)
{
	size_t have = 0;
	int got = 0;

	ERR_clear_error();
	while (have < size && (have == 0 || SSL_has_pending(conn->ssl))) {
		got = SSL_read(conn->ssl, out + have, (int)(size - have));
		if (got <= 0)
			break;
		have += (size_t)got;
	}
	if (have == 0)
		return read_failure(conn, got);
	/* A failure behind the bytes shows again at the next read, for which no socket event may come. */
	conn->tls_input_over = got <= 0 && SSL_get_error(conn->ssl, got) != SSL_ERROR_WANT_READ;
	ERR_clear_error();
	return push_records(conn) ? (long)have : CONN_IO_ENDED;
}

/* One record of what is queued; false when OpenSSL failed. */
static bool encrypt_record(struct conn *conn)
{
	size_t len = conn->out.len - conn->out_sent;
	int done;

	if (len > CONN_RECORD)
		len = CONN_RECORD;
	done = SSL_write(conn->ssl, conn->out.data + conn->out_sent, (int)len);
	if (done > 0) {
		conn->out_sent += (size_t)done;
		return true;
	}
	fail(conn, "tls.failed");
	conn_end(conn, CONN_END_TLS);
	return false;
}

void conn_tls_flush(struct conn *conn)
{
	struct conn_hub *hub = conn->hub;

	ERR_clear_error();
	if (!push_records(conn))
		return;
	while (conn->out_sent < conn->out.len && conn->cipher.len == 0) {
		if (!encrypt_record(conn))
			return;
		if (hub->cipher_len + CONN_RECORD + CONN_RECORD_FRAME > sizeof(hub->cipher) && !push_records(conn))
			return;
	}
	(void)push_records(conn);
}

/* RFC 8446 §6.1: close_notify, so that the peer knows that nothing was cut off. Its own is not waited for. */
void conn_tls_goodbye(struct conn *conn)
{
	ERR_clear_error();
	if ((SSL_get_shutdown(conn->ssl) & SSL_SENT_SHUTDOWN) == 0)
		(void)SSL_shutdown(conn->ssl);
	ERR_clear_error();
	(void)push_records(conn);
}

/* --- what the session asks ------------------------------------------------------------------------------------- */

bool conn_has_tls(const struct conn *conn)
{
	return conn->tls_state == CONN_TLS_ESTABLISHED;
}

bool conn_can_start_tls(const struct conn *conn)
{
	return conn->tls != NULL && conn->tls_state == CONN_TLS_NONE && !conn->finishing;
}

const char *conn_tls_version(const struct conn *conn)
{
	return conn_has_tls(conn) ? SSL_get_version(conn->ssl) : NULL;
}

const char *conn_tls_cipher(const struct conn *conn)
{
	return conn_has_tls(conn) ? SSL_get_cipher_name(conn->ssl) : NULL;
}
