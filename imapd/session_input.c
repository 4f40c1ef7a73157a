/* What a session reads, and when (imapd/session.h): the conn's bytes, inflated where COMPRESS is active, go to the reader one command
 * at a time. */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "imapd/compress.h"
#include "imapd/reader.h"
#include "imapd/session_private.h"

#define INFLATE_TURN_MAX (64 * KIB) /* inflated in one turn of the loop: a bomb does not keep other sessions waiting */
#define TURN_MS          5          /* of pipelined commands in one turn: neither do these */

bool session_reads(const struct imap_session *s)
{
	if (s->closing || s->ended || s->held || s->starts_tls || s->is_parked || session_full(s))
		return false;
	return s->request == NULL || s->on_line != NULL || reader_in_message(s->reader);
}

/* A command that has begun must get on, and who asked for much must take it; between commands there is all the time of RFC 9051 §5.4. */
static enum session_pace pace_now(const struct imap_session *s)
{
	if (session_full(s))
		return PACE_STALLED;
	return session_reads(s) && reader_is_partial(s->reader) ? PACE_COMMAND : PACE_IDLE;
}

static void set_pace(struct imap_session *s)
{
	static const unsigned timeouts[] = { [PACE_COMMAND] = COMMAND_TIMEOUT_MS, [PACE_STALLED] = STALL_TIMEOUT_MS };
	enum session_pace pace =
	        s->state == NOT_AUTHENTICATED ? s->pace : pace_now(s); /* before login a timer bounds it all */

	if (pace == s->pace || s->ended)
		return;
	s->pace = pace;
	conn_set_timeout(s->conn, pace == PACE_IDLE ? s->server->settings.idle_timeout_ms : timeouts[pace]);
	conn_set_min_rate(s->conn, pace == PACE_COMMAND ? COMMAND_MIN_RATE : 0);
}

void session_update_input(struct imap_session *s)
{
	if (s->closing || s->ended)
		return;
	if (!session_reads(s) && !session_full(s)) /* a full conn holds its input back by itself */
		conn_pause(s->conn);
	else if (s->compress != NULL)
		session_busy(s); /* zlib may hold something: see server_on_turn() */
	else
		conn_resume(s->conn);
	set_pace(s);
}

void session_take_lines(struct imap_session *s, bool (*on_line)(struct imap_session *s, struct span line))
{
	CHECK(s->request != NULL);
	s->on_line = on_line;
	session_update_input(s);
}

void session_hold_input(struct imap_session *s)
{
	s->held = true;
	session_update_input(s);
}

void session_release_input(struct imap_session *s)
{
	s->held = false;
	session_update_input(s);
}

/* --- compressed --- */

static size_t feed_compressed(struct imap_session *s, struct span bytes)
{
	size_t used = 0, inflated = 0;

	while (s->compress != NULL && session_reads(s)) {
		struct span plain = compress_waiting(s->compress);
		size_t taken;

		if (plain.len > 0) {
			compress_taken(s->compress, reader_feed(s->reader, plain));
			continue;
		}
		if (inflated >= INFLATE_TURN_MAX) {
			conn_pause(s->conn); /* take_turn() resumes, and then what is left over comes again */
			session_busy(s);
			break;
		}
		if (!compress_inflate(s->compress, span_skip(bytes, used), &taken)) {
			session_bye(s, NULL, "the compressed stream is damaged"); /* RFC 4978 §3 */
			return bytes.len;
		}
		used += taken;
		inflated += compress_waiting(s->compress).len;
		if (compress_waiting(s->compress).len == 0 && taken == 0)
			break;
	}
	return used;
}

/* --- plain --- */

/* RFC 9051 §6.2.1; CVE-2011-0411: nothing that came in clear is taken for what comes inside TLS. */
static void start_tls(struct imap_session *s, size_t behind)
{
	s->starts_tls = false;
	if (behind > 0) {
		LOG(LOG_WARNING, "tls.injection", LOG_NUMBER("session", s->id),
		        LOG_TEXT("peer", conn_peer_text(s->conn)));
		s->ended = true;
		conn_close(s->conn);
		return;
	}
	session_forget_client(s);
	reader_forget(s->reader);
	s->login_failures = 0;
	if (conn_start_tls(s->conn))
		session_begin_handshake(s);
}

/* What was left over is offered again only when the session says so: a command may have begun to wait in the midst of it. */
static void after_feed(struct imap_session *s, size_t left)
{
	if (left > 0)
		session_update_input(s);
	else
		set_pace(s);
}

/* Commands one after the other, until they have to wait or have had their turn. *yields: the rest is for the next one. */
static size_t feed_plain(struct imap_session *s, struct span bytes, bool *yields)
{
	int64_t until = clock_mono_ms() + TURN_MS;
	size_t used = 0;

	*yields = false;
	while (used < bytes.len && s->compress == NULL && session_reads(s) && !*yields) {
		used += reader_feed(s->reader, span_skip(bytes, used));
		*yields = used < bytes.len && clock_mono_ms() >= until;
	}
	*yields = *yields && s->compress == NULL && session_reads(s);
	return used;
}

size_t session_on_bytes(void *session, struct span bytes)
{
	struct imap_session *s = session;
	size_t used;
	bool yields;

	if (s->ended)
		return bytes.len;
	s->last_command_ms = (int64_t)uv_now(s->server->loop);
	if (s->compress != NULL) {
		used = feed_compressed(s, bytes);
		after_feed(s, bytes.len - used);
		return used;
	}
	used = feed_plain(s, bytes, &yields);
	if (yields) {
		conn_pause(s->conn); /* take_turn() resumes */
		session_busy(s);
		return used;
	}
	if (s->starts_tls)
		start_tls(s, bytes.len - used);
	else if (s->compress != NULL) /* COMPRESS was among them; what came behind it in one packet is not told again */
		used += feed_compressed(s, span_skip(bytes, used));
	after_feed(s, bytes.len - used);
	return s->ended ? bytes.len : used;
}

/* --- turns --- */

void session_busy(struct imap_session *s)
{
	struct imap_server *server = s->server;

	if (s->is_busy || s->closing)
		return;
	s->is_busy = true;
	s->busy_next = server->busy;
	server->busy = s;
	if (!uv_is_active((uv_handle_t *)&server->turn))
		uv_idle_start(&server->turn, server_on_turn);
}

void session_not_busy(struct imap_session *s)
{
	struct imap_session **link = &s->server->busy;

	if (!s->is_busy)
		return;
	while (*link != s)
		link = &(*link)->busy_next;
	*link = s->busy_next;
	s->is_busy = false;
}

/* The idle phase comes before the conns send (net/conn_internal.h). */
static void take_turn(struct imap_session *s)
{
	if (s->closing || s->ended)
		return;
	if (s->compress == NULL) {
		session_update_input(s);
		return;
	}
	(void)feed_compressed(s, SPAN_EMPTY);
	if (s->ended)
		return;
	compress_flush(s->compress, s->conn);
	if (s->on_line != NULL)
		compress_rest(s->compress); /* IDLE: there is little to say for a while */
	set_pace(s);
	if (session_reads(s) && !s->is_busy)
		conn_resume(s->conn);
	else if (!session_full(s))
		conn_pause(s->conn); /* a new turn comes first, or the command's end */
}

void server_on_turn(uv_idle_t *turn)
{
	struct imap_server *server = turn->data;
	struct imap_session *busy = server->busy, *s;

	server->busy = NULL;
	for (s = busy; s != NULL; s = s->busy_next)
		session_hold(s);
	while ((s = busy) != NULL) {
		busy = s->busy_next;
		s->is_busy = false;
		take_turn(s);
		session_release(s);
	}
	if (server->busy == NULL)
		uv_idle_stop(turn);
}

void session_on_drained(void *session)
{
	struct imap_session *s = session;
	void (*on_room)(struct imap_session *) = s->on_room;

	if (s->ended)
		return;
	s->on_room = NULL;
	set_pace(s);
	if (on_room != NULL)
		on_room(s);
	else if (s->compress != NULL)
		session_busy(s);
	session_update_input(
	        s); /* the conn delivers again from here on: not to a session that is still at its command */
}
