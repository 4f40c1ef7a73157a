/* tests/bench/far_ends.c — many SMTP servers in one small process, each with one behaviour, for tests/harness/volume.py.
 *
 *    far_ends PORT < servers > taken        servers: a line "127.1.0.1 take" each; "ready" on the standard error output when all listen
 *
 *    take            takes everything at once
 *    slow MS         the same, each answer MS milliseconds after the one before it (the others do not wait for that)
 *    silent          accepts the connection and never says anything
 *    refuse, later   550, 451 to each RCPT
 *    drop            closes the connection in the middle of the message
 *
 * taken: a line for each message, when its end of data has come: microseconds (CLOCK_MONOTONIC), the server's address, the value of
 * X-Mark, the recipients. One thread, epoll. SMTP just far enough for a client that is right (RFC 5321, 2920), for servers that are not. */
#include "base/clock.h"
#include "base/span.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SERVERS_MAX  1000
#define BUFFER       16384
#define ANSWERS      4096 /* of one turn */
#define RECIPIENTS   4096 /* their text */
#define MARK         64
#define BACKLOG      4096
#define EVENTS       256
#define FLUSH_MS     50
#define DELAY_MAX_MS 600000
#define ADDRESS_TEXT INET_ADDRSTRLEN
#define EHLO_ANSWER                                                                                                    \
	"250-far.example\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"
#define CODE(text) (text "\r\n")

enum behaviour { TAKE, SLOW, SILENT, REFUSE, LATER, DROP };

struct session;

struct server {
	char address[ADDRESS_TEXT];
	enum behaviour behaviour;
	int64_t delay_ms;
	int fd;
	struct session *first,
	        **end; /* sessions whose next answer is due later, the earliest first: the delay is the same for all */
};

enum state { COMMANDS, HEADER, BODY };

struct session {
	struct server *server;
	struct session *next;
	int fd;
	enum state state;
	int64_t due_ms;
	bool closing;      /* after its answer */
	char pending[512]; /* the answer that is due */
	char mark[MARK];
	char recipients[RECIPIENTS];
	size_t recipients_len;
	char out[ANSWERS];
	size_t out_len;
	char in[BUFFER];
	size_t at, filled;
};

static struct server servers[SERVERS_MAX];
static size_t server_count;
static int poller;
static volatile sig_atomic_t ending;

static _Noreturn void die(const char *what)
{
	(void)fprintf(stderr, "far_ends: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- sessions ---------------------------------------------------------------------------------------------------- */

static void close_session(struct session *session)
{
	(void)close(session->fd);
	free(session);
}

static void watch(struct session *session, int operation)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = session };

	if (epoll_ctl(poller, operation, session->fd, &event) != 0)
		die("epoll_ctl");
}

/* Now, or in the server's own time; then nothing more is read before it went out. */
static void answer(struct session *session, const char *text)
{
	struct server *server = session->server;
	size_t len = strlen(text);

	if (server->behaviour == SLOW) {
		(void)snprintf(session->pending, sizeof(session->pending), "%s", text);
		session->due_ms = clock_mono_ms() + server->delay_ms;
		session->next = NULL;
		*server->end = session;
		server->end = &session->next;
	} else if (session->out_len + len <= sizeof(session->out)) {
		memcpy(session->out + session->out_len, text, len);
		session->out_len += len;
	} else {
		session->closing = true;
	}
}

static bool is_waiting(const struct session *session)
{
	return session->due_ms != 0;
}

/* False: gone. Answers are short, and the relay reads: what does not fit into the socket is a session given up. */
static bool send_answers(struct session *session)
{
	size_t len = session->out_len;

	session->out_len = 0;
	return len == 0 || send(session->fd, session->out, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static void note_taken(const struct session *session)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	(void)printf("%lld %s %s%s\n", (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000, session->server->address,
	        session->mark[0] != '\0' ? session->mark : "-", session->recipients);
}

/* --- commands ---------------------------------------------------------------------------------------------------- */

static bool add_recipient(struct session *session, struct span argument)
{
	struct span address;
	int len;

	if (!span_take_word(&argument, "TO:<") || !span_take_until(&argument, '>', &address))
		return false;
	len = snprintf(session->recipients + session->recipients_len, RECIPIENTS - session->recipients_len, " %.*s",
	        SPAN_FMT(address));
	if (len < 0 || (size_t)len >= RECIPIENTS - session->recipients_len)
		return false;
	session->recipients_len += (size_t)len;
	return true;
}

static void forget(struct session *session)
{
	session->mark[0] = '\0';
	session->recipients[0] = '\0';
	session->recipients_len = 0;
}

static const char *on_rcpt(struct session *session, struct span argument)
{
	switch (session->server->behaviour) {
	case REFUSE: return CODE("550 5.1.1 nobody of that name");
	case LATER: return CODE("451 4.3.0 later");
	default: return add_recipient(session, argument) ? CODE("250 2.1.5 ok") : CODE("501 5.1.3 what?");
	}
}

static const char *on_data(struct session *session)
{
	if (session->recipients_len == 0)
		return CODE("503 5.5.1 no recipients");
	session->state = HEADER;
	return CODE("354 go on");
}

static const char *on_command(struct session *session, struct span line)
{
	if (span_take_word(&line, "RCPT "))
		return on_rcpt(session, line);
	if (span_equal_nocase(line, SPAN("DATA")))
		return on_data(session);
	if (span_starts_nocase(line, SPAN("EHLO "))) {
		forget(session);
		return EHLO_ANSWER;
	}
	if (span_equal_nocase(line, SPAN("QUIT"))) {
		session->closing = true;
		return CODE("221 2.0.0 bye");
	}
	if (span_starts_nocase(line, SPAN("MAIL ")) || span_equal_nocase(line, SPAN("RSET"))) {
		forget(session);
		return CODE("250 2.0.0 ok");
	}
	return CODE("500 5.5.1 what?");
}

static void on_message_line(struct session *session, struct span line)
{
	if (session->server->behaviour == DROP) {
		session->closing = true;
	} else if (span_equal(line, SPAN("."))) {
		note_taken(session);
		forget(session);
		session->state = COMMANDS;
		answer(session, CODE("250 2.0.0 taken"));
	} else if (session->state == HEADER && span_take_word(&line, "X-Mark: ")) {
		(void)snprintf(session->mark, sizeof(session->mark), "%.*s", SPAN_FMT(line));
	} else if (line.len == 0) {
		session->state = BODY;
	}
}

static bool take_line(struct session *session, struct span *line)
{
	const char *begin = session->in + session->at;
	const char *end = memchr(begin, '\n', session->filled - session->at);

	if (end == NULL)
		return false;
	*line = span_make(begin, (size_t)(end - begin));
	session->at += line->len + 1;
	if (line->len > 0 && line->ptr[line->len - 1] == '\r')
		line->len--;
	return true;
}

static void work_on_input(struct session *session)
{
	struct span line;

	while (!is_waiting(session) && !session->closing && take_line(session, &line)) {
		if (session->state == COMMANDS)
			answer(session, on_command(session, line));
		else
			on_message_line(session, line);
	}
	memmove(session->in, session->in + session->at, session->filled - session->at);
	session->filled -= session->at;
	session->at = 0;
}

/* After whatever has happened to it. watched: the poller has it. */
static void go_on(struct session *session, bool watched)
{
	work_on_input(session);
	if (is_waiting(session)) {
		if (watched)
			watch(session, EPOLL_CTL_DEL);
	} else if (!send_answers(session) || session->closing || session->filled == BUFFER) {
		close_session(session);
	} else if (!watched) {
		watch(session, EPOLL_CTL_ADD);
	}
}

static void on_readable(struct session *session)
{
	ssize_t got = read(session->fd, session->in + session->filled, BUFFER - session->filled);

	if (got > 0) {
		session->filled += (size_t)got;
		go_on(session, true);
	} else if (got == 0 || errno != EAGAIN) {
		close_session(session);
	}
}

static void on_accept(struct server *server)
{
	int fd, on = 1;

	while ((fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct session *session = calloc(1, sizeof(*session));

		if (session == NULL)
			die("memory");
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		session->server = server;
		session->fd = fd;
		if (server->behaviour == SILENT) {
			watch(session, EPOLL_CTL_ADD);
			continue;
		}
		answer(session, CODE("220 far.example ESMTP"));
		go_on(session, false);
	}
}

/* --- slow ones --------------------------------------------------------------------------------------------------- */

static void answer_due(struct server *server, int64_t now)
{
	while (server->first != NULL && server->first->due_ms <= now) {
		struct session *session = server->first;

		server->first = session->next;
		if (server->first == NULL)
			server->end = &server->first;
		session->due_ms = 0;
		session->out_len = strlen(session->pending);
		memcpy(session->out, session->pending, session->out_len);
		if (send_answers(session))
			go_on(session, false);
		else
			close_session(session);
	}
}

/* What is due; milliseconds until something is again. */
static int look_at_clock(void)
{
	int64_t now = clock_mono_ms(), wait = FLUSH_MS;

	for (size_t i = 0; i < server_count; i++) {
		answer_due(&servers[i], now);
		if (servers[i].first != NULL && servers[i].first->due_ms - now < wait)
			wait = servers[i].first->due_ms - now;
	}
	return wait > 0 ? (int)wait : 0;
}

/* --- birth ------------------------------------------------------------------------------------------------------- */

static bool parse_server(struct span line, struct server *server)
{
	static const char *const names[] = { "take", "slow ", "silent", "refuse", "later", "drop" };
	struct span address;
	uint32_t delay = 0;

	if (!span_take_until(&line, ' ', &address) || !span_copy(address, server->address, sizeof(server->address)))
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (span_take_word(&line, names[i])) {
			server->behaviour = (enum behaviour)i;
			if (i == SLOW && !span_take_number(&line, DELAY_MAX_MS, &delay))
				return false;
			server->delay_ms = delay;
			return line.len == 0;
		}
	return false;
}

static void listen_on(struct server *server, uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = server };
	int on = 1;

	server->end = &server->first;
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (server->fd < 0 || inet_pton(AF_INET, server->address, &to.sin_addr) != 1 ||
	        setsockopt(server->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	        bind(server->fd, (struct sockaddr *)&to, sizeof(to)) != 0 || listen(server->fd, BACKLOG) != 0 ||
	        epoll_ctl(poller, EPOLL_CTL_ADD, server->fd, &event) != 0)
		die(server->address);
}

static void read_servers(uint16_t port)
{
	char text[128];

	while (fgets(text, sizeof(text), stdin) != NULL) {
		if (server_count == SERVERS_MAX || !parse_server(span_trim(span_of(text)), &servers[server_count])) {
			(void)fprintf(stderr, "far_ends: what is %s", text);
			exit(1);
		}
		listen_on(&servers[server_count++], port);
	}
}

static bool is_server(const void *it)
{
	const struct server *server = it;

	return server >= servers && server < servers + SERVERS_MAX;
}

static void serve(void)
{
	struct epoll_event events[EVENTS];
	int64_t flushed = 0;

	while (!ending) {
		int count = epoll_wait(poller, events, EVENTS, look_at_clock());

		for (int i = 0; i < count; i++)
			if (is_server(events[i].data.ptr))
				on_accept(events[i].data.ptr);
			else
				on_readable(events[i].data.ptr);
		if (clock_mono_ms() - flushed >= FLUSH_MS) {
			(void)fflush(stdout);
			flushed = clock_mono_ms();
		}
	}
}

static void on_signal(int number)
{
	ending = 1;
}

int main(int argc, char **argv)
{
	struct rlimit files;
	struct span text = span_of(argc == 2 ? argv[1] : NULL);
	uint32_t port;

	if (!span_take_number(&text, UINT16_MAX, &port) || text.len > 0) {
		(void)fprintf(stderr, "far_ends PORT < servers > taken\n");
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	(void)signal(SIGTERM, on_signal);
	poller = epoll_create1(EPOLL_CLOEXEC);
	if (poller < 0)
		die("epoll");
	read_servers((uint16_t)port);
	(void)fprintf(stderr, "ready\n");
	serve();
	return 0;
}
