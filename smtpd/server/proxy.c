/* PROXY protocol, version 2: where [smtp] proxy_networks connect, the first octets say who the client is. Anything else there ends the
 * connection without a word: a client that got round its proxy, or a proxy that was not told. Not one octet more than the header is
 * read, so the handshake of implicit TLS, which may have come right behind it, is still in the socket. */
#include "smtpd/server/commands.h"

#include "base/log.h"

#define PROXY_WAIT_MS 5000 /* for the whole header; a proxy sends it as it connects */

static void hang_up(struct smtp_session *s, const char *why)
{
	LOG(LOG_WARNING, "smtp.bad_proxy_header", LOG_NUMBER("session", s->id),
	        LOG_TEXT("peer", conn_peer_text(s->conn)), LOG_TEXT("why", why));
	s->ended = true;
	conn_close(s->conn);
}

static void on_wait_over(uv_timer_t *timer)
{
	struct smtp_session *s = container_of(timer, struct smtp_session, timer);

	if (!s->ended && !s->closing)
		hang_up(s, "it did not come in time");
}

void proxy_await(struct smtp_session *s)
{
	proxy_reader_init(&s->proxy);
	conn_set_mode(s->conn, CONN_BYTES);
	conn_set_read_size(s->conn, proxy_wants(&s->proxy));
	session_set_timer(s, PROXY_WAIT_MS, on_wait_over);
}

/* The session begins. */
static void header_is_over(struct smtp_session *s)
{
	session_stop_timer(s);
	s->awaits_proxy = false;
	conn_set_mode(s->conn, CONN_LINES);
	conn_set_read_size(s->conn, COMMAND_READ_SIZE);
	session_peer_known(s);
	if (s->port == PORT_SUBMIT_TLS && !conn_start_tls(s->conn))
		s->ended = true;
}

static void take_client(struct smtp_session *s)
{
	struct sockaddr_storage client;
	struct error err;

	proxy_client(&s->proxy, &client);
	if (conn_set_peer(s->conn, (struct sockaddr *)&client, &err)) {
		header_is_over(s);
	} else {
		s->awaits_proxy = s->port == PORT_SUBMIT_TLS; /* there only a handshake could carry it */
		session_reply(s, 421, "4.7.0", "too many connections, try again later");
	}
}

void proxy_receive(struct smtp_session *s, struct span bytes)
{
	switch (proxy_read(&s->proxy, bytes)) {
	case PROXY_MORE: conn_set_read_size(s->conn, proxy_wants(&s->proxy)); return;
	case PROXY_BAD: hang_up(s, "this is none"); return;
	case PROXY_CLIENT: take_client(s); return;
	case PROXY_UNKNOWN:
		s->peer_unproven = true;
		header_is_over(s);
		return;
	case PROXY_OWN: header_is_over(s); return;
	}
}
