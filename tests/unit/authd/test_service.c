/* authd as its daemons know it: the real socket, a store of the test's own, and hashes that are counted (fake_hashes.h): what is said
 * of time here is said in numbers of hashes, which do not depend on how busy the machine is. */
#include "authd/service.h"
#include "base/base64.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "fake_credentials.h"
#include "fake_hashes.h"
#include "sasl/password.h"
#include "sasl/scram_keys.h"

#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define STRANGER_UID 65534

static uv_loop_t loop;
static char data_dir[] = "/tmp/posthouse-authd-XXXXXX";
static char socket_path[64];
static struct attempts *attempts;
static struct auth_service_socket *service;
static struct auth_client *client;
static bool quiet;

static void on_quiet(void *arg)
{
	quiet = true;
}

static void start_authd(void)
{
	struct attempts_settings settings = { .data_dir = data_dir,
		.remember_ms = 600000,
		.checks_at_once = 2,
		.tries_per_minute = 10,
		.longest_delay_ms = 15000 };
	struct auth_service_settings socket = { .path = socket_path, .listener = -1, .on_quiet = on_quiet };
	struct error err;

	quiet = false;
	assert_true(attempts_new(&loop, &settings, &attempts, &err));
	assert_true(auth_service_new(&loop, attempts, &socket, &service, &err));
	assert_true(attempts_start(attempts, &err));
	auth_service_start(service);
}

static void stop_authd(void)
{
	auth_service_close(service);
	attempts_close(attempts);
	/* Handles close in the next turns; the client's stay open. */
	for (int i = 0; i < 3; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	auth_service_free(&service);
	attempts_free(&attempts);
}

static int set_up_all(void **state)
{
	log_open("test", LOG_ERROR);
	snprintf(socket_path, sizeof(socket_path), "%s/authd.sock", mkdtemp(data_dir));
	return 0;
}

static int tear_down_all(void **state)
{
	char path[96];

	unlink(socket_path);
	snprintf(path, sizeof(path), "%s/auth.key", data_dir);
	unlink(path);
	return rmdir(data_dir);
}

static int set_up(void **state)
{
	struct error err;

	fake_credentials_reset();
	fake_credentials_set(1, "alice@example.test", "alice's");
	fake_credentials_set(2, "bob@example.test", "bob's");
	uv_loop_init(&loop);
	start_authd();
	return !auth_client_new(&loop, socket_path, &client, &err);
}

static int tear_down(void **state)
{
	auth_client_close(&client);
	stop_authd();
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	return 0;
}

struct outcome {
	bool done;
	struct auth_answer answer;
	struct auth_request *request;
};

static int64_t now_us(void)
{
	return (int64_t)(uv_hrtime() / 1000);
}

static void on_answer(void *arg, const struct auth_answer *answer)
{
	struct outcome *outcome = arg;

	outcome->done = true;
	outcome->answer = *answer;
	outcome->request = NULL;
}

static void ask(struct outcome *outcome, const char *address, const char *login, const char *password)
{
	struct auth_peer peer = { .service = AUTH_IMAP, .address = address };

	*outcome = (struct outcome) { 0 };
	outcome->request = auth_password(client, &peer, span_of(login), span_of(password), on_answer, outcome);
	assert_non_null(outcome->request);
}

static void on_alarm(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

static void run_for(uint64_t ms)
{
	bool over = false;
	uv_timer_t timer;

	uv_timer_init(&loop, &timer);
	timer.data = &over;
	uv_timer_start(&timer, on_alarm, ms, 0);
	while (!over)
		uv_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&timer, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
}

static enum auth_status wait_for(struct outcome *outcome)
{
	while (!outcome->done)
		uv_run(&loop, UV_RUN_ONCE); /* the client ends it after a minute at the latest */
	return outcome->answer.status;
}

static enum auth_status login(const char *address, const char *name, const char *password)
{
	struct outcome outcome;

	ask(&outcome, address, name, password);
	return wait_for(&outcome);
}

static void right_and_wrong(void **state)
{
	struct outcome outcome;

	ask(&outcome, "192.0.2.1", "Alice@Example.Test", "alice's");
	assert_int_equal(wait_for(&outcome), AUTH_OK);
	assert_int_equal(outcome.answer.account_id, 1);
	assert_string_equal(outcome.answer.login, "alice@example.test");
	assert_int_equal(login("192.0.2.1", "alice@example.test", "bob's"), AUTH_WRONG);
	assert_int_equal(login("192.0.2.1", "nobody@example.test", "alice's"), AUTH_WRONG);
	assert_int_equal(login("192.0.2.1", "", ""), AUTH_WRONG);
	assert_int_equal(login("", "bob@example.test", "bob's"), AUTH_OK);
}

/* With hashes that libsodium made and checks. */
static void real_hashes(void **state)
{
	fake_hashes_real(true);
	fake_credentials_set(1, "alice@example.test", "alice's, hashed");
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's, hashed"), AUTH_OK);
	assert_int_equal(login("192.0.2.1", "alice@example.test", "bob's"), AUTH_WRONG);
	assert_int_equal(login("192.0.2.1", "nobody@example.test", "alice's, hashed"), AUTH_WRONG);
	fake_hashes_real(false);
}

static void disabled(void **state)
{
	fake_credentials_disable(1, true);
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_DISABLED);
	assert_int_equal(login("192.0.2.1", "alice@example.test", "wrong"), AUTH_WRONG); /* says nothing to strangers */
	fake_credentials_disable(1, false);
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_OK);
}

static void unreadable(void **state)
{
	fake_credentials_break(true);
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_UNAVAILABLE);
	fake_credentials_break(false);
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_OK);
	fake_credentials_break(true);
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_UNAVAILABLE); /* remembered or not */
	fake_credentials_break(false);
	for (int i = 0; i < 30; i++) /* none of these were tries */
		assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_OK);
}

static void remembered_until_changed(void **state)
{
	unsigned finds, hashes;

	hashes = fake_hashes_checked();
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_OK);
	assert_int_equal(fake_hashes_checked(), hashes + 1);
	finds = fake_credentials_finds();
	for (int i = 0; i < 100; i++)
		assert_int_equal(login("198.51.100.7", "alice@example.test", "alice's"), AUTH_OK); /* from anywhere */
	assert_int_equal(fake_credentials_finds(), finds);                                         /* no row was read */

	fake_credentials_set(2, "bob@example.test", "bob's new"); /* somebody else's change */
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_OK);
	assert_int_equal(fake_credentials_finds(), finds + 1); /* looked */
	assert_int_equal(fake_hashes_checked(), hashes + 1);   /* and no hash was computed in all this */

	fake_credentials_set(1, "alice@example.test", "alice's new");
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_WRONG); /* at once */
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's new"), AUTH_OK);
	fake_credentials_disable(1, true);
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's new"), AUTH_DISABLED);
	fake_credentials_reset();
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's new"), AUTH_WRONG); /* removed */
}

static void assert_costs_one_hash(const char *name, const char *password, const char *cost)
{
	unsigned before = fake_hashes_checked();
	char last[64];

	assert_int_equal(login("10.0.0.1", name, password), AUTH_WRONG);
	assert_int_equal(fake_hashes_checked(), before + 1);
	fake_hashes_last_cost(last, sizeof(last));
	assert_string_equal(last, cost);
}

/* By the time it takes nobody can tell who exists: each wrong answer costs one hash of the same figures. */
static void unknown_takes_as_long_as_wrong(void **state)
{
	static const char cost[] = "m=65536,t=2,p=1";

	assert_costs_one_hash("alice@example.test", "wrong", cost);
	assert_costs_one_hash("nobody@example.test", "wrong", cost);
	assert_costs_one_hash("", "", cost);
	assert_costs_one_hash("alice@example.test", "", cost);
	fake_credentials_disable(1, true);
	assert_costs_one_hash("alice@example.test", "wrong", cost);
}

/* Twenty connections of one client start at once: not twenty hashes. */
static void many_at_once(void **state)
{
	struct outcome outcomes[20];
	unsigned before = fake_hashes_checked();

	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		ask(&outcomes[i], "192.0.2.1", "alice@example.test", "alice's");
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		assert_int_equal(wait_for(&outcomes[i]), AUTH_OK);
	print_message("twenty at once cost %u hashes\n", fake_hashes_checked() - before);
	assert_in_range(fake_hashes_checked() - before, 1, 8);
	assert_int_equal(login("192.0.2.1", "carol@example.test", "x"), AUTH_WRONG); /* and they were no tries */
}

/* How many of a row of wrong tries may have been let through after so long: the free ones (twice ten for an address with a good
 * login), then one after a second, one after two more, four more ... */
static unsigned let_through(int64_t us)
{
	unsigned count = 20;

	for (int64_t step = 1000000, due = step; due <= us; step *= 2, due += step)
		count++;
	return count;
}

static unsigned count_of(const struct outcome *guesses, size_t count, enum auth_status status)
{
	unsigned sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += guesses[i].done && guesses[i].answer.status == status;
	return sum;
}

/* Many guesses at once from one address: the others wait, and those that are too many are sent away. Somebody who logged in from
 * there before passes by, and so does everybody from elsewhere: they do not wait until the guesses had their turns. */
static void guesser_is_slowed_down(void **state)
{
	static struct outcome guesses[200];
	int64_t start;
	unsigned wrong;

	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_OK);
	fake_credentials_set(
	        1, "alice@example.test", "alice's other"); /* so that it is not the memory that lets her pass */
	start = now_us();
	for (size_t i = 0; i < ARRAY_LEN(guesses); i++)
		ask(&guesses[i], "192.0.2.1", "bob@example.test", "guess");
	run_for(1200);
	wrong = count_of(guesses, ARRAY_LEN(guesses), AUTH_WRONG);
	print_message("of 200 guesses at once, after 1.2 s: %u checked\n", wrong);
	assert_in_range(wrong, 1, let_through(now_us() - start)); /* a busy machine gets less far */
	assert_int_equal(
	        count_of(guesses, ARRAY_LEN(guesses), AUTH_THROTTLED), ARRAY_LEN(guesses) - 20 - ATTEMPT_PARKED_EACH);

	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's other"), AUTH_OK);
	assert_int_equal(login("192.0.2.2", "bob@example.test", "bob's"), AUTH_OK); /* his account is not locked */
	wrong = count_of(guesses, ARRAY_LEN(guesses), AUTH_WRONG);
	assert_in_range(wrong, 1, let_through(now_us() - start));
	for (size_t i = 0; i < ARRAY_LEN(guesses); i++)
		auth_cancel(&guesses[i].request);
}

static struct outcome guessers[200];
static char guesser_addresses[200][32];
static unsigned guesses_checked;

static void keep_guessing(void *arg, const struct auth_answer *answer)
{
	struct outcome *outcome = arg;
	size_t i = (size_t)(outcome - guessers);
	struct auth_peer peer = { .service = AUTH_IMAP, .address = guesser_addresses[i] };
	char password[32];

	assert_int_not_equal(answer->status, AUTH_OK);
	outcome->done = true;
	guesses_checked += answer->status == AUTH_WRONG;
	snprintf(password, sizeof(password), "guess %u", (unsigned)uv_hrtime());
	outcome->request =
	        auth_password(client, &peer, SPAN("alice@example.test"), span_of(password), keep_guessing, outcome);
}

static bool all_addresses_answered(int addresses)
{
	for (int i = 0; i < addresses; i++) {
		bool any = false;

		for (size_t k = (size_t)i; k < ARRAY_LEN(guessers); k += (size_t)addresses)
			any |= guessers[k].done;
		if (!any)
			return false;
	}
	return true;
}

static void start_guessers(size_t round, int addresses)
{
	static const struct auth_answer first = { .status = AUTH_WRONG };

	for (size_t i = 0; i < ARRAY_LEN(guessers); i++) {
		snprintf(guesser_addresses[i], sizeof(guesser_addresses[i]), "10.%zu.0.%d", round, (int)i % addresses);
		keep_guessing(&guessers[i], &first);
		guessers[i].done = false;
	}
	while (!all_addresses_answered(addresses))
		uv_run(&loop, UV_RUN_ONCE);
}

/* 200 guessers that never rest, from 20 addresses or from 200; then good logins from addresses never seen. Until each guesser's
 * address has had its first wrong answer nothing tells it from an honest one, and all wait in turn: that is the start, not the test. */
#define GOOD_LOGINS 5

static void log_in_among_guessers(size_t round)
{
	char address[32], password[32];

	for (int i = 0; i < GOOD_LOGINS; i++) {
		unsigned before;

		snprintf(password, sizeof(password), "bob's %zu.%d", round, i); /* never remembered */
		snprintf(address, sizeof(address), "198.51.%zu.%d", 100 + round, i);
		fake_credentials_set(2, "bob@example.test", password);
		before = guesses_checked;
		assert_int_equal(login(address, "bob@example.test", password), AUTH_OK);
		print_message("%u ", guesses_checked - before);
		/* Who waits in turn behind them waits for all; a few get in while his question is on its way on a busy machine. */
		assert_in_range(guesses_checked - before, 0, ARRAY_LEN(guessers) / 4);
	}
}

static void good_login_among_guessers(void **state)
{
	static const int addresses[] = { 20, 200 };

	for (size_t round = 0; round < ARRAY_LEN(addresses); round++) {
		start_guessers(round, addresses[round]);
		log_in_among_guessers(round);
		print_message("guesses went before good logins among 200 guessers at %d addresses\n", addresses[round]);
		for (size_t i = 0; i < ARRAY_LEN(guessers); i++)
			auth_cancel(&guessers[i].request);
		run_for(100);
	}
}

static void notes_are_written_at_the_end(void **state)
{
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_OK);
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_OK);
	assert_int_equal(login("192.0.2.1", "bob@example.test", "bob's"), AUTH_OK);
	assert_int_equal(fake_credentials_notes(), 0);
	stop_authd();
	assert_int_equal(fake_credentials_notes(), 2); /* the last of each */
	start_authd();
}

/* --- SCRAM ----------------------------------------------------------------------------------------------------- */

static struct auth_answer scram_first(const char *name)
{
	struct auth_peer peer = { .service = AUTH_POP3, .address = "192.0.2.1" };
	struct outcome outcome = { 0 };

	assert_non_null(auth_scram_first(client, &peer, span_of(name), on_answer, &outcome));
	assert_int_equal(wait_for(&outcome), AUTH_OK);
	return outcome.answer;
}

static void hmac(const uint8_t *key, const char *text, uint8_t out[32])
{
	crypto_auth_hmacsha256_state state;

	crypto_auth_hmacsha256_init(&state, key, 32);
	crypto_auth_hmacsha256_update(&state, (const uint8_t *)text, strlen(text));
	crypto_auth_hmacsha256_final(&state, out);
}

/* The client's part of RFC 5802 §3, written apart from ours: by OpenSSL-free PBKDF2 of libsodium's HMAC. */
static void client_proof(const char *password, const struct auth_answer *first, const char *message, uint8_t proof[32])
{
	uint8_t u[32], salted[32], client_key[32], stored_key[32], signature[32];
	crypto_auth_hmacsha256_state state;

	for (uint32_t i = 0; i < first->iterations; i++) {
		crypto_auth_hmacsha256_init(&state, (const uint8_t *)password, strlen(password));
		crypto_auth_hmacsha256_update(&state, i == 0 ? first->salt : u, i == 0 ? 16 : 32);
		if (i == 0)
			crypto_auth_hmacsha256_update(&state, (const uint8_t *)"\0\0\0\1", 4);
		crypto_auth_hmacsha256_final(&state, u);
		for (size_t k = 0; k < 32; k++)
			salted[k] = i == 0 ? u[k] : salted[k] ^ u[k];
	}
	hmac(salted, "Client Key", client_key);
	crypto_hash_sha256(stored_key, client_key, 32);
	hmac(stored_key, message, signature);
	for (size_t k = 0; k < 32; k++)
		proof[k] = client_key[k] ^ signature[k];
}

static enum auth_status scram(const char *name, const char *password, struct outcome *outcome)
{
	struct auth_peer peer = { .service = AUTH_POP3, .address = "192.0.2.1" };
	struct auth_answer first = scram_first(name);
	uint8_t proof[32];

	client_proof(password, &first, "auth,message", proof);
	*outcome = (struct outcome) { 0 };
	assert_non_null(
	        auth_scram_final(client, &peer, span_of(name), SPAN("auth,message"), proof, on_answer, outcome));
	return wait_for(outcome);
}

static void scram_both_ways(void **state)
{
	static const uint8_t nothing[32];
	struct outcome outcome;

	assert_int_equal(scram("alice@example.test", "alice's", &outcome), AUTH_OK);
	assert_int_equal(outcome.answer.account_id, 1);
	assert_memory_not_equal(outcome.answer.server_signature, nothing, 32);
	assert_int_equal(scram("alice@example.test", "bob's", &outcome), AUTH_WRONG);
	assert_memory_equal(outcome.answer.server_signature, nothing, 32);
	assert_int_equal(scram("nobody@example.test", "alice's", &outcome), AUTH_WRONG);
	fake_credentials_disable(1, true);
	assert_int_equal(scram("alice@example.test", "alice's", &outcome), AUTH_DISABLED);
	assert_memory_equal(outcome.answer.server_signature, nothing, 32);
}

/* An unknown user's salt: the same each time, also after a restart, in any case, and not another's. */
static void scram_unknown_user(void **state)
{
	struct auth_answer known = scram_first("alice@example.test");
	struct auth_answer first = scram_first("nobody@example.test");
	struct auth_answer second = scram_first("Nobody@example.test");
	struct auth_answer other = scram_first("nobody.else@example.test");

	assert_int_equal(known.iterations, first.iterations);
	assert_memory_equal(first.salt, second.salt, 16);
	assert_memory_not_equal(first.salt, other.salt, 16);
	assert_int_equal(first.account_id, 0);
	assert_int_equal(known.account_id, 0);
	stop_authd();
	start_authd();
	second = scram_first("nobody@example.test");
	assert_memory_equal(first.salt, second.salt, 16);
}

static void wait_for_keys(unsigned asked, unsigned added)
{
	unsigned added_now;

	for (int i = 0; i < 200 && fake_credentials_keys(&added_now) < asked; i++)
		run_for(10);
	assert_int_equal(fake_credentials_keys(&added_now), asked);
	assert_int_equal(added_now, added);
}

/* Imported with a hash: nobody to SCRAM until the first password, and in the salt one never sees the difference. */
static void imported_user_gets_scram_keys(void **state)
{
	struct outcome outcome;
	struct auth_answer before, after;

	fake_credentials_import(3, "carol@example.test", "carol's");
	before = scram_first("carol@example.test");
	assert_int_equal(before.iterations, SCRAM_ITERATIONS);
	assert_int_equal(scram("carol@example.test", "carol's", &outcome), AUTH_WRONG);
	assert_int_equal(login("192.0.2.1", "carol@example.test", "wrong"), AUTH_WRONG);
	wait_for_keys(0, 0);
	assert_int_equal(login("192.0.2.1", "Carol@example.test", "carol's"), AUTH_OK);
	wait_for_keys(1, 1);
	after = scram_first("carol@example.test");
	assert_memory_equal(before.salt, after.salt, 16);
	assert_int_equal(before.iterations, after.iterations);
	assert_int_equal(scram("carol@example.test", "carol's", &outcome), AUTH_OK);
	assert_int_equal(outcome.answer.account_id, 3);
	assert_int_equal(scram("carol@example.test", "wrong", &outcome), AUTH_WRONG);
	assert_int_equal(login("192.0.2.1", "carol@example.test", "carol's"), AUTH_OK); /* remembered */
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_OK); /* has keys */
	wait_for_keys(1, 1);
}

/* The password changes while the old one is being checked: the keys of the old one are not written. */
static void changed_password_keeps_its_keys(void **state)
{
	static void (*const change[])(
	        int64_t, const char *, const char *) = { fake_credentials_set, fake_credentials_import };
	static const char *const names[] = { "carol@example.test", "dave@example.test" };
	struct outcome outcome;

	for (unsigned i = 0; i < ARRAY_LEN(change); i++) {
		unsigned finds = fake_credentials_finds();

		fake_credentials_import(3 + i, names[i], "old");
		ask(&outcome, "192.0.2.1", names[i], "old");
		while (fake_credentials_finds() == finds) /* auth.db is read: it is the old hash that is checked */
			uv_run(&loop, UV_RUN_NOWAIT);
		change[i](3 + i, names[i], "new");
		assert_int_equal(wait_for(&outcome), AUTH_OK);
		wait_for_keys(i + 1, 0);
		assert_int_equal(scram(names[i], "old", &outcome), AUTH_WRONG);
	}
	assert_int_equal(scram(names[0], "new", &outcome), AUTH_OK);
	assert_int_equal(scram(names[1], "new", &outcome), AUTH_WRONG); /* imported: once more */
	assert_int_equal(login("192.0.2.1", names[1], "new"), AUTH_OK);
	wait_for_keys(3, 1);
	assert_int_equal(scram(names[1], "new", &outcome), AUTH_OK);
}

/* A full disk costs the keys, not the login; nobody who is disabled gets any. */
static void keys_that_cannot_be_written(void **state)
{
	struct outcome outcome;

	fake_credentials_import(3, "carol@example.test", "carol's");
	fake_credentials_disable(3, true);
	assert_int_equal(login("192.0.2.1", "carol@example.test", "carol's"), AUTH_DISABLED);
	fake_credentials_disable(3, false);
	fake_credentials_break_writes(true);
	assert_int_equal(login("192.0.2.1", "carol@example.test", "carol's"), AUTH_OK);
	wait_for_keys(1, 0);
	assert_int_equal(
	        login("192.0.2.1", "carol@example.test", "carol's"), AUTH_OK); /* remembered: not tried again */
	wait_for_keys(1, 0);
	assert_int_equal(scram("carol@example.test", "carol's", &outcome), AUTH_WRONG);
	fake_credentials_break_writes(false);
	stop_authd(); /* and with it what is remembered */
	start_authd();
	assert_int_equal(login("192.0.2.1", "carol@example.test", "carol's"), AUTH_OK);
	wait_for_keys(2, 1);
	assert_int_equal(scram("carol@example.test", "carol's", &outcome), AUTH_OK);
}

/* --- the socket ------------------------------------------------------------------------------------------------ */

static int connect_raw(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(span_copy(span_of(socket_path), address.sun_path, sizeof(address.sun_path)));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

#define PATIENCE_TURNS 3000 /* of 10 ms: against hanging */

/* Takes what comes until the end; false when the connection stays. */
static bool is_cut_off(int fd)
{
	char reply[AUTH_REPLY_MAX];
	ssize_t got = -1;

	for (int i = 0; i < PATIENCE_TURNS && got != 0; i++) {
		got = recv(fd, reply, sizeof(reply), 0);
		if (got < 0)
			run_for(10);
	}
	return got == 0;
}

static void nonsense_is_cut_off(void **state)
{
	static const struct span cases[] = { SPAN("x"), SPAN("\1\1\0\0abcdefgh"), SPAN("\2\4\0\0abcdefgh"),
		SPAN("\1\4\0\0abcdefghi") };
	int fd;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fd = connect_raw();
		assert_int_equal(send(fd, cases[i].ptr, cases[i].len, MSG_NOSIGNAL), cases[i].len);
		assert_true(is_cut_off(fd));
		close(fd);
	}
	fd = connect_raw();
	assert_int_equal(send(fd, "\1\4\0\0abcdefgh", 12, MSG_NOSIGNAL), 12); /* a cancellation of nothing is fine */
	run_for(50);
	assert_int_equal(recv(fd, &(char) { 0 }, 1, 0), -1);
	close(fd);
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_OK); /* the others notice nothing */
}

static void send_question(int fd, uint64_t id)
{
	uint8_t packet[AUTH_QUESTION_MAX];
	struct auth_question question = { .kind = AUTH_ASK_SCRAM_FIRST, .id = id, .login = SPAN("x") };
	size_t len = auth_question_encode(&question, packet, sizeof(packet));

	while (send(fd, packet, len, MSG_NOSIGNAL) < 0)
		uv_run(&loop, UV_RUN_NOWAIT);
}

static void same_id_twice_is_cut_off(void **state)
{
	int fd = connect_raw();

	send_question(fd, 7);
	send_question(fd, 7 + AUTH_PENDING_MAX);
	assert_true(is_cut_off(fd)); /* at most the first was answered before */
	close(fd);
}

/* A process that asks and takes no replies is not read from: neither memory nor anybody else suffers. */
static void deaf_process(void **state)
{
	uint8_t reply[AUTH_REPLY_MAX];
	int fd = connect_raw();
	unsigned sent = 0, got = 0;
	uint8_t packet[AUTH_QUESTION_MAX];
	struct auth_question question = { .kind = AUTH_ASK_SCRAM_FIRST, .login = SPAN("x") };

	for (int idle = 0; idle < 20 && sent < 100000;) {
		size_t len = auth_question_encode(&question, packet, sizeof(packet));

		if (send(fd, packet, len, MSG_NOSIGNAL) > 0) {
			sent++;
			question.id++;
			idle = 0;
		} else {
			run_for(10);
			idle++;
		}
	}
	print_message("a deaf process could ask %u questions\n", sent);
	assert_true(sent < 20000);
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_OK);
	while (got < sent) { /* all are answered in the end */
		if (recv(fd, reply, sizeof(reply), 0) > 0)
			got++;
		else
			uv_run(&loop, UV_RUN_NOWAIT);
	}
	close(fd);
}

static void strangers_are_cut_off(void **state)
{
	int status;
	pid_t child, ended = 0;

	if (geteuid() != 0) {
		print_message("only root can be somebody else: skipped\n");
		skip();
	}
	assert_int_equal(chmod(data_dir, 0755), 0);
	assert_int_equal(chmod(socket_path, 0777), 0);
	child = fork();
	if (child == 0) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };
		int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
		char byte;

		(void)span_copy(span_of(socket_path), address.sun_path, sizeof(address.sun_path));
		if (setuid(STRANGER_UID) != 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
			_exit(2);
		_exit(recv(fd, &byte, 1, 0) == 0 ? 0 : 1);
	}
	for (int i = 0; i < PATIENCE_TURNS && ended == 0; i++) {
		run_for(10);
		ended = waitpid(child, &status, WNOHANG);
	}
	assert_int_equal(ended, child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void process_that_goes(void **state)
{
	uint8_t packet[AUTH_QUESTION_MAX];
	struct auth_question question = { .kind = AUTH_ASK_PASSWORD,
		.login = SPAN("bob@example.test"),
		.password = SPAN("x"),
		.address = SPAN("10.9.9.9") };

	for (int round = 0; round < 3; round++) { /* gone while it waits, while it is looked up, while it is hashed */
		int fd = connect_raw();

		for (question.id = 0; question.id < 40; question.id++)
			assert_true(send(fd, packet, auth_question_encode(&question, packet, sizeof(packet)),
			                    MSG_NOSIGNAL) > 0);
		run_for((uint64_t)round * 20 + 1);
		close(fd);
		run_for(20);
	}
	assert_int_equal(login("192.0.2.1", "alice@example.test", "alice's"), AUTH_OK);
}

/* authd is replaced while questions are open: it answers those, and the others are asked again. */
static void drained_and_replaced(void **state)
{
	struct outcome before[6], after;

	for (size_t i = 0; i < ARRAY_LEN(before); i++)
		ask(&before[i], "192.0.2.1", i % 2 == 0 ? "alice@example.test" : "bob@example.test",
		        i % 2 == 0 ? "alice's" : "bob's");
	run_for(10);
	auth_service_drain(service);
	ask(&after, "192.0.2.1", "alice@example.test", "alice's");
	while (!quiet)
		uv_run(&loop, UV_RUN_ONCE);
	stop_authd();
	start_authd();
	for (size_t i = 0; i < ARRAY_LEN(before); i++)
		assert_int_equal(wait_for(&before[i]), AUTH_OK);
	assert_int_equal(wait_for(&after), AUTH_OK);
}

/* An office, after authd was restarted: a hundred clients behind one address reconnect with good passwords. */
static void office_is_not_kept(void **state)
{
	static struct outcome outcomes[100];
	char login_text[64], password[32];
	unsigned before = fake_hashes_checked();

	for (int i = 0; i < 20; i++) {
		snprintf(login_text, sizeof(login_text), "user%d@example.test", i);
		snprintf(password, sizeof(password), "password %d", i);
		fake_credentials_set(100 + i, login_text, password);
	}
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
		snprintf(login_text, sizeof(login_text), "user%d@example.test", (int)i % 20);
		snprintf(password, sizeof(password), "password %d", (int)i % 20);
		ask(&outcomes[i], "192.0.2.1", login_text, password);
	}
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		assert_int_equal(wait_for(&outcomes[i]), AUTH_OK);
	print_message("100 logins of 20 users from one address cost %u hashes\n", fake_hashes_checked() - before);
	assert_in_range(fake_hashes_checked() - before, 20,
	        100); /* and none of them was sent away or waited a minute for a turn */
}

/* authd is killed in the middle. */
static void killed_and_replaced(void **state)
{
	struct outcome outcomes[30];

	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		ask(&outcomes[i], "192.0.2.1", "alice@example.test", "alice's");
	run_for(30);
	stop_authd();
	start_authd();
	for (size_t i = 0; i < ARRAY_LEN(outcomes); i++)
		assert_int_equal(wait_for(&outcomes[i]), AUTH_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(right_and_wrong),
		TEST(real_hashes),
		TEST(disabled),
		TEST(unreadable),
		TEST(remembered_until_changed),
		TEST(unknown_takes_as_long_as_wrong),
		TEST(many_at_once),
		TEST(guesser_is_slowed_down),
		TEST(good_login_among_guessers),
		TEST(notes_are_written_at_the_end),
		TEST(scram_both_ways),
		TEST(scram_unknown_user),
		TEST(imported_user_gets_scram_keys),
		TEST(changed_password_keeps_its_keys),
		TEST(keys_that_cannot_be_written),
		TEST(nonsense_is_cut_off),
		TEST(same_id_twice_is_cut_off),
		TEST(deaf_process),
		TEST(strangers_are_cut_off),
		TEST(process_that_goes),
		TEST(drained_and_replaced),
		TEST(office_is_not_kept),
		TEST(killed_and_replaced),
	};

	return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
