/* By hand: how many logins a running authd answers. logins SOCKET ADDRESS PASSWORD [IN-FLIGHT [SECONDS]] */
#include "base/log.h"
#include "sasl/auth_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct auth_client *client;
static uv_loop_t loop;
static struct span login, password;
static uint64_t good, bad;
static bool over;

static void ask(void);

static void on_answer(void *arg, const struct auth_answer *answer)
{
	if (answer->status == AUTH_OK)
		good++;
	else
		bad++;
	if (!over)
		ask();
}

static void ask(void)
{
	struct auth_peer peer = { .service = AUTH_IMAP, .address = "127.0.0.1" };

	if (auth_password(client, &peer, login, password, on_answer, NULL) == NULL)
		abort();
}

static uint64_t argument(int argc, char **argv, int at, uint64_t otherwise)
{
	uint64_t value = otherwise;

	if (argc > at && !span_number(span_of(argv[at]), 4096, &value))
		value = otherwise;
	return value;
}

int main(int argc, char **argv)
{
	struct error err;
	uint64_t in_flight = argument(argc, argv, 4, 16), seconds = argument(argc, argv, 5, 3), start, took;

	log_open("logins", LOG_ERROR);
	uv_loop_init(&loop);
	if (argc < 4 || !auth_client_new(&loop, argv[1], &client, &err)) {
		fprintf(stderr, "usage: logins SOCKET ADDRESS PASSWORD [IN-FLIGHT [SECONDS]]\n");
		return 2;
	}
	login = span_of(argv[2]);
	password = span_of(argv[3]);
	ask();
	while (good + bad == 0)
		uv_run(&loop, UV_RUN_ONCE); /* this one is computed, the others are remembered */
	for (uint64_t i = 1; i < in_flight; i++)
		ask();
	start = uv_hrtime();
	good = bad = 0;
	while (uv_hrtime() - start < seconds * 1000000000)
		uv_run(&loop, UV_RUN_ONCE);
	took = uv_hrtime() - start;
	printf("%llu in flight: %.0f good, %.0f bad per second\n", (unsigned long long)in_flight,
	        (double)good * 1e9 / (double)took, (double)bad * 1e9 / (double)took);
	over = true;
	auth_client_close(&client);
	uv_run(&loop, UV_RUN_DEFAULT);
	return bad > 0;
}
