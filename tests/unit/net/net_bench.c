/* By hand, not a test: what net costs. Usage: net_bench [plain|tls|small|hop|idle|idle-tls]...   (default: all)
 * The client is a thread with blocking sockets; both share the machine's cores. */
#include "fixture.h"

#include "base/clock.h"
#include "net/conn_internal.h"
#include "net/worker.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#define BIG   (2048ull * MIB)
#define SMALL 100000
#define IDLE  2000
#define HOPS  20000

struct bench {
	struct net_test base;
	struct tls_context *tls;
	struct limiter *limiter;
	struct listener *listener;
	struct sockaddr_in address;
	size_t accepted, closed, established;
	double client_seconds;
	bool use_tls;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu(int who)
{
	struct rusage r;

	getrusage(who, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

/* --- the server: "SEND N" and "NOOP" ------------------------------------------------------------------------------ */

struct bench_session {
	struct bench *bench;
	struct conn *conn;
	uint64_t left;
};

static void send_more(struct bench_session *s)
{
	static const char block[65536];

	while (s->left > 0 && !conn_full(s->conn)) {
		size_t len = s->left < sizeof(block) ? (size_t)s->left : sizeof(block);

		conn_write(s->conn, block, len);
		s->left -= len;
	}
}

static void on_line(void *session, struct span line, enum line_end end)
{
	struct bench_session *s = session;

	if (span_take_word(&line, "SEND ") && span_number(line, UINT64_MAX, &s->left))
		send_more(s);
	else
		conn_write_text(s->conn, "+OK\r\n");
}

static void on_drained(void *session)
{
	send_more(session);
}

static void on_tls(void *session)
{
	((struct bench_session *)session)->bench->established++;
}

static void on_closed(void *session, enum conn_end why)
{
	struct bench_session *s = session;

	s->bench->closed++;
	free(s);
}

static const struct conn_handler handler = {
	.on_line = on_line, .on_drained = on_drained, .on_tls = on_tls, .on_closed = on_closed
};

static void on_accept(void *arg, struct conn *conn)
{
	struct bench *bench = arg;
	struct bench_session *s = calloc(1, sizeof(*s));

	s->bench = bench;
	s->conn = conn;
	bench->accepted++;
	conn_start(conn, &handler, s, 1000);
	conn_set_timeout(conn, 600000);
}

static void open_bench(struct bench *b, bool use_tls)
{
	static const uint8_t secret[32] = { 1 };
	struct limiter_settings limits = { 0, 20000, SPAN_EMPTY };
	socklen_t len = sizeof(b->address);
	struct error err;
	char path[300], folder[256];
	char crt[320], key[320];
	struct tls_pair pair = { crt, key };
	struct tls_settings tls = { .pairs = &pair, .pair_count = 1, .secret = secret };
	struct listener_settings settings = {
		.name = "bench", .on_accept = on_accept, .arg = b, .implicit_tls = use_tls
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(b, 0, sizeof(*b));
	b->use_tls = use_tls;
	net_test_open(&b->base);
	temporary_folder(folder, sizeof(folder));
	snprintf(path, sizeof(path), "%s/bench", folder);
	snprintf(crt, sizeof(crt), "%s.crt", path);
	snprintf(key, sizeof(key), "%s.key", path);
	make_pair(path, "bench.example");
	assert_true(tls_context_new(&tls, &b->tls, &err));
	unlink(crt);
	unlink(key);
	rmdir(folder);
	settings.tls = b->tls;
	b->address = (struct sockaddr_in) { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)&b->address, len), 0);
	assert_int_equal(listen(fd, 4096), 0);
	getsockname(fd, (struct sockaddr *)&b->address, &len);
	assert_true(limiter_new(&limits, &b->limiter, &err));
	assert_true(listener_new(&b->base.loop, fd, &settings, b->limiter, &b->listener, &err));
}

static void close_bench(struct bench *b)
{
	listener_free(&b->listener);
	while (b->closed < b->accepted)
		uv_run(&b->base.loop, UV_RUN_ONCE);
	limiter_free(&b->limiter);
	tls_context_free(&b->tls);
	net_test_close(&b->base);
}

/* --- clients ------------------------------------------------------------------------------------------------------ */

static int dial(const struct bench *b)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	assert_int_equal(connect(fd, (const struct sockaddr *)&b->address, sizeof(b->address)), 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static long get(SSL *ssl, int fd, char *out, size_t size)
{
	return ssl != NULL ? SSL_read(ssl, out, (int)size) : read(fd, out, size);
}

static void put(SSL *ssl, int fd, const char *text)
{
	(void)!(ssl != NULL ? SSL_write(ssl, text, (int)strlen(text)) : write(fd, text, strlen(text)));
}

static SSL *dial_tls(int fd, SSL_CTX *ctx)
{
	SSL *ssl = SSL_new(ctx);

	SSL_set_fd(ssl, fd);
	return SSL_connect(ssl) == 1 ? ssl : NULL;
}

static void *big_client(void *arg)
{
	static char chunk[262144];
	struct bench *b = arg;
	SSL_CTX *ctx = client_context();
	int fd = dial(b);
	SSL *ssl = b->use_tls ? dial_tls(fd, ctx) : NULL;
	uint64_t got = 0;
	char command[64];

	snprintf(command, sizeof(command), "SEND %llu\r\n", BIG);
	put(ssl, fd, command);
	while (got < BIG)
		got += (uint64_t)get(ssl, fd, chunk, sizeof(chunk));
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	return NULL;
}

static void *small_client(void *arg)
{
	struct bench *b = arg;
	SSL_CTX *ctx = client_context();
	int fd = dial(b);
	SSL *ssl = b->use_tls ? dial_tls(fd, ctx) : NULL;
	char chunk[64];

	for (int i = 0; i < SMALL; i++) {
		put(ssl, fd, "NOOP\r\n");
		get(ssl, fd, chunk, sizeof(chunk));
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	return NULL;
}

static void serve(struct bench *b, void *(*client)(void *), double *seconds, double *server_cpu)
{
	pthread_t thread;
	double start, before;

	pthread_create(&thread, NULL, client, b);
	start = now();
	before = cpu(RUSAGE_THREAD);
	while (b->accepted == 0 || b->closed < b->accepted)
		uv_run(&b->base.loop, UV_RUN_ONCE);
	*server_cpu = cpu(RUSAGE_THREAD) - before;
	*seconds = now() - start;
	pthread_join(thread, NULL);
}

static void big(bool use_tls)
{
	struct bench b;
	double seconds, server;

	open_bench(&b, use_tls);
	serve(&b, big_client, &seconds, &server);
	printf("%-6s large reply: %6.0f MiB/s, server CPU %.2f s (%.0f MiB per CPU second)\n",
	        use_tls ? "tls" : "plain", (double)BIG / MIB / seconds, server, (double)BIG / MIB / server);
	close_bench(&b);
}

static void small(bool use_tls)
{
	struct bench b;
	double seconds, server;

	open_bench(&b, use_tls);
	serve(&b, small_client, &seconds, &server);
	printf("%-6s small replies: %6.0f/s, server CPU %.1f us each\n", use_tls ? "tls" : "plain", SMALL / seconds,
	        server / SMALL * 1e6);
	close_bench(&b);
}

static void idle(bool use_tls)
{
	static int fds[IDLE];
	static SSL *ssls[IDLE];
	SSL_CTX *ctx = client_context();
	struct bench b;
	size_t before, after, clients = 0;

	open_bench(&b, use_tls);
	/* One at a time, so that the client's share of each can be told apart: it is taken away again below. */
	before = mallinfo2().uordblks;
	for (size_t i = 0; i < IDLE; i++) {
		fds[i] = dial(&b);
		fcntl(fds[i], F_SETFL, O_NONBLOCK);
		while (b.accepted < i + 1)
			uv_run(&b.base.loop, UV_RUN_NOWAIT);
		if (!use_tls)
			continue;
		b.base.peer = fds[i];
		assert_true(peer_handshake(&b.base, ctx, NULL, NULL, NULL));
		ssls[i] = b.base.client;
		b.base.client = NULL;
	}
	turn(&b.base);
	after = mallinfo2().uordblks;
	for (size_t i = 0; i < IDLE; i++)
		SSL_free(ssls[i]);
	clients = after - mallinfo2().uordblks;
	printf("%-6s idle connection: %.2f KiB of memory of ours\n", use_tls ? "tls" : "plain",
	        (double)(after - before - clients) / IDLE / 1024);
	b.base.peer = -1;
	for (size_t i = 0; i < IDLE; i++)
		close(fds[i]);
	SSL_CTX_free(ctx);
	close_bench(&b);
}

/* --- the hop to a worker and back ----------------------------------------------------------------------------------- */

static unsigned hops;
static struct worker_pool *pool;

static void run_nothing(struct worker_job *job)
{
	(void)job;
}

static void hop_again(struct worker_job *job)
{
	if (++hops < HOPS)
		worker_submit(pool, job);
}

static void hop(void)
{
	struct worker_job job = { .run = run_nothing, .done = hop_again };
	uv_loop_t loop;
	struct error err;
	double start;

	uv_loop_init(&loop);
	assert_true(worker_pool_new(&loop, 4, &pool, &err));
	start = now();
	worker_submit(pool, &job);
	uv_run(&loop, UV_RUN_DEFAULT);
	printf("worker hop and back: %.1f us\n", (now() - start) / HOPS * 1e6);
	worker_pool_free(&pool);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
}

static bool asked(int argc, char **argv, const char *what)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], what) == 0)
			return true;
	return argc == 1;
}

int main(int argc, char **argv)
{
	struct rlimit files = { 8192, 8192 };

	setrlimit(RLIMIT_NOFILE, &files);
	if (asked(argc, argv, "plain"))
		big(false);
	if (asked(argc, argv, "tls"))
		big(true);
	if (asked(argc, argv, "small")) {
		small(false);
		small(true);
	}
	if (asked(argc, argv, "hop"))
		hop();
	if (asked(argc, argv, "idle"))
		idle(false);
	if (asked(argc, argv, "idle-tls"))
		idle(true);
	return 0;
}
