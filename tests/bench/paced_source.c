/* tests/bench/paced_source.c — hands in messages at given times, and notes when each 250 came, for tests/harness/volume.py.
 *
 *    paced_source PORT SESSIONS START < plan > accepted
 *
 * START: microseconds of CLOCK_MONOTONIC, so that two of these begin together. plan: a line for each message, in order: microseconds after
 * the start, its mark, its recipients. accepted: the same clock's microseconds when its 250 came, and the mark. One thread and one connection a session, each takes the next line of all; who is late does not wait: times that are all 0 are a burst.
 * Sender alice@example.test, a message of 4 KiB. Anything but the answers of success ends the program with 1. */
#include "base/span.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SESSIONS_MAX 100
#define LINE         1024
#define BUFFER       8192
#define OCTETS       4096
#define SENDER       "alice@example.test"

struct entry {
	int64_t at_us;
	char *text; /* mark and recipients */
	int64_t accepted_us;
};

struct session {
	pthread_t thread;
	int fd;
	char in[BUFFER];
	size_t filled;
};

static struct entry *plan;
static size_t plan_count, plan_capacity;
static _Atomic size_t next_entry;
static int64_t start_us;
static uint16_t port;
static char body[OCTETS];

static _Noreturn void die(const char *what)
{
	(void)fprintf(stderr, "paced_source: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void make_body(void)
{
	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'm';
}

/* --- octets ------------------------------------------------------------------------------------------------------ */

static void send_all(struct session *session, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t sent = send(session->fd, data, len, MSG_NOSIGNAL);

		if (sent <= 0)
			die("send");
		data += sent;
		len -= (size_t)sent;
	}
}

/* The next reply, the last line of it when it has several; dies when it does not begin with code. */
static void expect(struct session *session, const char *code)
{
	for (;;) {
		char *end = memchr(session->in, '\n', session->filled);
		size_t len = end != NULL ? (size_t)(end - session->in) + 1 : 0;
		bool last = len > 4 && session->in[3] == ' ';
		ssize_t got;

		if (len > 0 && memcmp(session->in, code, 3) != 0) {
			(void)fprintf(stderr, "paced_source: %.*s", (int)len, session->in);
			exit(1);
		}
		memmove(session->in, session->in + len, session->filled - len);
		session->filled -= len;
		if (last)
			return;
		if (len > 0)
			continue;
		got = recv(session->fd, session->in + session->filled, sizeof(session->in) - session->filled, 0);
		if (got <= 0)
			die("recv");
		session->filled += (size_t)got;
	}
}

static void open_session(struct session *session)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
	};
	int on = 1;

	session->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (session->fd < 0 || connect(session->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("connect");
	(void)setsockopt(session->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	expect(session, "220");
	send_all(session, "EHLO source.example\r\n", 21);
	expect(session, "250");
}

/* --- one message ------------------------------------------------------------------------------------------------- */

static void wait_until(int64_t us)
{
	struct timespec until = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

/* MAIL, RCPTs and DATA in one go (RFC 2920); how many answers with 250 they get. */
static size_t send_envelope(struct session *session, struct span recipients)
{
	char text[4 * LINE];
	int len = snprintf(text, sizeof(text), "MAIL FROM:<" SENDER ">\r\n");
	size_t count = 1;
	struct span address;

	while (recipients.len > 0) {
		if (!span_take_until(&recipients, ' ', &address)) {
			address = recipients;
			recipients = SPAN_EMPTY;
		}
		len += snprintf(text + len, sizeof(text) - (size_t)len, "RCPT TO:<%.*s>\r\n", SPAN_FMT(address));
		count++;
	}
	len += snprintf(text + len, sizeof(text) - (size_t)len, "DATA\r\n");
	send_all(session, text, (size_t)len);
	return count;
}

static void hand_in(struct session *session, struct entry *entry)
{
	char text[LINE + OCTETS + 256];
	struct span mark, rest = span_of(entry->text);
	struct timespec t;
	int len;

	if (!span_take_until(&rest, ' ', &mark))
		die(entry->text);
	for (size_t count = send_envelope(session, rest); count > 0; count--)
		expect(session, "250");
	expect(session, "354");
	len = snprintf(text, sizeof(text), "From: " SENDER "\r\nX-Mark: %.*s\r\nSubject: volume\r\n\r\n%.*s.\r\n",
	        SPAN_FMT(mark), (int)sizeof(body), body);
	send_all(session, text, (size_t)len);
	expect(session, "250");
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	entry->accepted_us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void *run(void *arg)
{
	struct session *session = arg;
	size_t at;

	while ((at = next_entry++) < plan_count) {
		wait_until(start_us + plan[at].at_us);
		hand_in(session, &plan[at]);
	}
	send_all(session, "QUIT\r\n", 6);
	expect(session, "221");
	(void)close(session->fd);
	return NULL;
}

/* --- the plan ---------------------------------------------------------------------------------------------------- */

static void add_entry(struct span line)
{
	uint64_t at_us;

	if (plan_count == plan_capacity) {
		plan_capacity = plan_capacity == 0 ? 1024 : 2 * plan_capacity;
		plan = realloc(plan, plan_capacity * sizeof(*plan));
		if (plan == NULL)
			die("memory");
	}
	if (!span_take_number64(&line, INT64_MAX, &at_us) || !span_take_char(&line, ' ')) {
		(void)fprintf(stderr, "paced_source: what is %.*s\n", SPAN_FMT(line));
		exit(1);
	}
	plan[plan_count++] = (struct entry) { .at_us = (int64_t)at_us, .text = strndup(line.ptr, line.len) };
}

int main(int argc, char **argv)
{
	static struct session sessions[SESSIONS_MAX];
	char line[LINE];
	uint64_t port_number, count, start;

	if (argc != 4 || !span_number(span_of(argv[1]), UINT16_MAX, &port_number) ||
	        !span_number(span_of(argv[2]), SESSIONS_MAX, &count) ||
	        !span_number(span_of(argv[3]), INT64_MAX, &start)) {
		(void)fprintf(stderr, "paced_source PORT SESSIONS START < plan > accepted\n");
		return 2;
	}
	start_us = (int64_t)start;
	port = (uint16_t)port_number;
	make_body();
	while (fgets(line, sizeof(line), stdin) != NULL)
		add_entry(span_trim(span_of(line)));
	for (size_t i = 0; i < count; i++)
		open_session(&sessions[i]);
	for (size_t i = 0; i < count; i++)
		if (pthread_create(&sessions[i].thread, NULL, run, &sessions[i]) != 0)
			die("thread");
	for (size_t i = 0; i < count; i++)
		(void)pthread_join(sessions[i].thread, NULL);
	for (size_t i = 0; i < plan_count; i++)
		(void)printf(
		        "%lld %.*s\n", (long long)plan[i].accepted_us, (int)strcspn(plan[i].text, " "), plan[i].text);
	return 0;
}
