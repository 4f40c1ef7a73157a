/* tests/bench/load.c — a small load generator for one's own site: deliveries, RETR, logins, fresh submissions.
 *
 * One thread a session, blocking sockets, TCP_NODELAY. Prints one line: operations, seconds, per second, p50, p99 and max in
 * microseconds. Started by tests/bench/run; by hand: load --help. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_LEN 8192
#define SESSIONS_MAX 1024

enum tls { PLAIN, IMPLICIT, START };

struct options {
	const char *work;
	unsigned port, sessions, count, users, first_user, size, window;
	enum tls tls;
	bool login;
};

struct link {
	int fd;
	SSL *ssl;
	char buffer[65536];
	size_t at, end;
};

struct session {
	pthread_t thread;
	unsigned number;
	double *took; /* seconds, one for each operation */
	size_t done;
};

static struct options options = { .sessions = 16, .count = 2000, .users = 100, .size = 4096, .window = 1 };
static SSL_CTX *tls_context;
static char *message;
static _Atomic unsigned next_operation;

static _Noreturn void die(const char *what)
{
	(void)fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void send_all(struct link *link, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t sent = link->ssl != NULL ? SSL_write(link->ssl, bytes, (int)len)
		                                 : send(link->fd, bytes, len, MSG_NOSIGNAL);
		if (sent <= 0)
			die("send");
		bytes += sent;
		len -= (size_t)sent;
	}
}

__attribute__((format(printf, 2, 3))) static void say(struct link *link, const char *format, ...)
{
	char line[LINE_MAX_LEN];
	va_list arguments;

	va_start(arguments, format);
	int len = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	send_all(link, line, (size_t)len);
}

static char *read_line(struct link *link)
{
	for (size_t look = link->at;;) {
		char *end = memchr(link->buffer + look, '\n', link->end - look);
		if (end != NULL) {
			char *line = link->buffer + link->at;
			*end = '\0';
			link->at = (size_t)(end - link->buffer) + 1;
			return line;
		}
		if (link->at > 0) {
			memmove(link->buffer, link->buffer + link->at, link->end - link->at);
			link->end -= link->at;
			link->at = 0;
		}
		look = link->end;
		if (link->end == sizeof(link->buffer))
			die("a line is too long");
		ssize_t got =
		        link->ssl != NULL
		                ? SSL_read(link->ssl, link->buffer + link->end, (int)(sizeof(link->buffer) - link->end))
		                : recv(link->fd, link->buffer + link->end, sizeof(link->buffer) - link->end, 0);
		if (got <= 0)
			die("the server closed the connection");
		link->end += (size_t)got;
	}
}

static void expect(struct link *link, const char *want)
{
	char *line;

	do
		line = read_line(link);
	while (want[0] != '+' && line[0] != '\0' && line[3] == '-');
	if (strncmp(line, want, strlen(want)) != 0) {
		(void)fprintf(stderr, "load: wanted %s, got %s\n", want, line);
		exit(1);
	}
}

static void handshake(struct link *link)
{
	link->ssl = SSL_new(tls_context);
	if (link->ssl == NULL || SSL_set_fd(link->ssl, link->fd) != 1 || SSL_connect(link->ssl) != 1)
		die("TLS handshake");
}

static void open_link(struct link *link, bool pop3)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)options.port) };
	int one = 1;

	memset(link, 0, sizeof(*link));
	(void)inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
	link->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (link->fd < 0 || connect(link->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
		die("connect");
	(void)setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (options.tls == IMPLICIT)
		handshake(link);
	expect(link, pop3 ? "+OK" : "220");
	if (!pop3) {
		say(link, "EHLO load.example\r\n");
		expect(link, "250");
	}
	if (options.tls == START) {
		say(link, pop3 ? "STLS\r\n" : "STARTTLS\r\n");
		expect(link, pop3 ? "+OK" : "220");
		handshake(link);
		if (!pop3) {
			say(link, "EHLO load.example\r\n");
			expect(link, "250");
		}
	}
}

static void close_link(struct link *link)
{
	SSL_free(link->ssl);
	(void)close(link->fd);
}

static void log_in(struct link *link, bool pop3, unsigned user)
{
	char token[128], text[128];
	int len = snprintf(text, sizeof(text), "%cu%04u@bench.example%csecret", 0, user, 0);

	(void)EVP_EncodeBlock((unsigned char *)token, (unsigned char *)text, len);
	say(link, "AUTH PLAIN %s\r\n", token);
	expect(link, pop3 ? "+OK" : "235");
}

static void submit(struct link *link, unsigned operation, unsigned sender)
{
	unsigned user = options.first_user + operation % options.users;

	if (options.login)
		say(link, "MAIL FROM:<u%04u@bench.example>\r\n", sender);
	else
		say(link, "MAIL FROM:<load@remote.example>\r\n");
	expect(link, "250");
	say(link, "RCPT TO:<u%04u@bench.example>\r\n", user);
	expect(link, "250");
	say(link, "DATA\r\n");
	expect(link, "354");
	if (options.login)
		say(link, "From: <u%04u@bench.example>\r\n", sender);
	send_all(link, message, strlen(message));
	expect(link, "250");
}

static bool take_operation(unsigned *operation)
{
	*operation = next_operation++;
	return *operation < options.count;
}

static void note(struct session *session, double began)
{
	session->took[session->done++] = now() - began;
}

/* One connection, message after message. */
static void work_deliver(struct session *session, struct link *link)
{
	unsigned operation;

	open_link(link, false);
	while (take_operation(&operation)) {
		double began = now();
		submit(link, operation, 0);
		note(session, began);
	}
	close_link(link);
}

/* A fresh connection with TLS and login for each message, until its 250. */
static void work_submit(struct session *session, struct link *link)
{
	unsigned operation;

	while (take_operation(&operation)) {
		double began = now();
		open_link(link, false);
		log_in(link, false, session->number);
		submit(link, operation, session->number);
		note(session, began);
		close_link(link);
	}
}

static void work_login(struct session *session, struct link *link)
{
	unsigned operation;

	while (take_operation(&operation)) {
		double began = now();
		open_link(link, true);
		log_in(link, true, session->number);
		note(session, began);
		say(link, "QUIT\r\n");
		expect(link, "+OK");
		close_link(link);
	}
}

/* RETR of all messages of one user each, `window` commands in flight. */
static void work_retr(struct session *session, struct link *link)
{
	unsigned asked = 0, got = 0;

	open_link(link, true);
	log_in(link, true, options.first_user + session->number);
	while (got < options.count) {
		for (; asked < options.count && asked - got < options.window; asked++)
			say(link, "RETR %u\r\n", asked + 1);
		double began = now();
		expect(link, "+OK");
		while (strcmp(read_line(link), ".\r") != 0)
			;
		got++;
		note(session, began);
	}
	close_link(link);
}

static const struct work {
	const char *name;
	void (*run)(struct session *session, struct link *link);
} works[] = { { "deliver", work_deliver }, { "submit", work_submit }, { "login", work_login }, { "retr", work_retr } };
#define WORKS (sizeof(works) / sizeof(works[0]))

static void *run_session(void *arg)
{
	struct session *session = arg;
	struct link *link = malloc(sizeof(*link));

	session->took = calloc(options.count, sizeof(double));
	if (link == NULL || session->took == NULL)
		die("memory");
	for (size_t i = 0; i < WORKS; i++)
		if (strcmp(works[i].name, options.work) == 0)
			works[i].run(session, link);
	free(link);
	return NULL;
}

static int by_time(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void make_message(void)
{
	/* From: comes before it where it matters: whoever submits may use only addresses of their own. */
	static const char head[] = "To: you@bench.example\r\nSubject: load\r\n\r\n";
	size_t len = sizeof(head) - 1;

	message = malloc(options.size + sizeof(head) + 128);
	if (message == NULL)
		die("memory");
	memcpy(message, head, sizeof(head));
	while (len + 78 < options.size) {
		memset(message + len, 'x', 76);
		len += 76;
		message[len++] = '\r';
		message[len++] = '\n';
	}
	(void)snprintf(message + len, 8, ".\r\n");
}

static void usage(void)
{
	(void)fprintf(stderr,
	        "usage: load deliver|submit|login|retr PORT SESSIONS COUNT USERS FIRST_USER SIZE WINDOW plain|tls|starttls\n"
	        "users are u0000@bench.example and on, password secret; COUNT operations in all (retr: for each session)\n");
	exit(2);
}

static unsigned number(const char *text)
{
	unsigned value;

	if (sscanf(text, "%u", &value) != 1)
		usage();
	return value;
}

static void read_options(int argc, char **argv)
{
	if (argc != 10)
		usage();
	options.work = argv[1];
	unsigned *const numbers[] = { &options.port, &options.sessions, &options.count, &options.users,
		&options.first_user, &options.size, &options.window };
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		*numbers[i] = number(argv[2 + i]);
	options.tls = strcmp(argv[9], "tls") == 0 ? IMPLICIT : strcmp(argv[9], "starttls") == 0 ? START : PLAIN;
	options.login = strcmp(options.work, "submit") == 0;
	if (options.sessions == 0 || options.sessions > SESSIONS_MAX || options.users == 0)
		usage();
}

int main(int argc, char **argv)
{
	static struct session sessions[SESSIONS_MAX];
	size_t done = 0;

	read_options(argc, argv);
	make_message();
	tls_context = SSL_CTX_new(TLS_client_method()); /* unverified: it measures our own site on loopback */
	double began = now();
	for (unsigned i = 0; i < options.sessions; i++) {
		sessions[i].number = i;
		if (pthread_create(&sessions[i].thread, NULL, run_session, &sessions[i]) != 0)
			die("thread");
	}
	for (unsigned i = 0; i < options.sessions; i++) {
		(void)pthread_join(sessions[i].thread, NULL);
		done += sessions[i].done;
	}
	double seconds = now() - began, *all = calloc(done + 1, sizeof(double));
	size_t at = 0;
	for (unsigned i = 0; i < options.sessions; i++) {
		if (all != NULL && sessions[i].done > 0)
			memcpy(all + at, sessions[i].took, sessions[i].done * sizeof(double));
		at += sessions[i].done;
		free(sessions[i].took);
	}
	if (all == NULL || done == 0)
		die("nothing was done");
	qsort(all, done, sizeof(double), by_time);
	(void)printf("%zu %.3f %.0f %.0f %.0f %.0f\n", done, seconds, (double)done / seconds, all[done / 2] * 1e6,
	        all[done * 99 / 100] * 1e6, all[done - 1] * 1e6);
	free(all);
	free(message);
	SSL_CTX_free(tls_context);
	return 0;
}
