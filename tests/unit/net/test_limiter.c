/* Networks, and who may come in and who goes. */
#include "base/buffer.h"
#include "net/limiter.h"
#include "net/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct sockaddr *address(const char *text)
{
	static union {
		struct sockaddr any;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} made;

	memset(&made, 0, sizeof(made));
	if (inet_pton(AF_INET, text, &made.in4.sin_addr) == 1)
		made.any.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &made.in6.sin6_addr) == 1)
		made.any.sa_family = AF_INET6;
	else
		made.any.sa_family = AF_UNIX;
	return &made.any;
}

static const struct network_case {
	const char *networks, *address;
	bool inside;
} network_cases[] = {
	{ "127.0.0.0/8 ::1/128", "127.9.8.7", true },
	{ "127.0.0.0/8 ::1/128", "128.0.0.1", false },
	{ "127.0.0.0/8 ::1/128", "::1", true },
	{ "127.0.0.0/8 ::1/128", "::2", false },
	{ "127.0.0.0/8", "::ffff:127.0.0.1", true },
	{ "192.0.2.1", "192.0.2.1", true },
	{ "192.0.2.1", "192.0.2.2", false },
	{ "  10.0.0.0/9  ", "10.127.0.1", true },
	{ "10.0.0.0/9", "10.128.0.1", false },
	{ "2001:db8::/33", "2001:db8:7fff::1", true },
	{ "2001:db8::/33", "2001:db8:8000::1", false },
	{ "0.0.0.0/0", "203.0.113.9", true },
	{ "0.0.0.0/0", "2001:db8::1", false },
	{ "::/0", "203.0.113.9", true },
	{ "", "127.0.0.1", false },
};

static void networks_contain(void **state)
{
	struct network list[NETWORKS_MAX];
	uint8_t bytes[NETWORK_KEY_LEN];
	struct error err;
	size_t count;

	for (size_t i = 0; i < ARRAY_LEN(network_cases); i++) {
		assert_true(network_parse_list(span_of(network_cases[i].networks), list, &count, &err));
		network_address(address(network_cases[i].address), bytes);
		if (network_contains(list, count, bytes) != network_cases[i].inside)
			fail_msg("%s in %s", network_cases[i].address, network_cases[i].networks);
	}
}

static void bad_networks_are_refused(void **state)
{
	static const char *const bad[] = { "127.0.0.0/33", "::/129", "127.0.0.0/", "localhost", "1.2.3", "1.2.3.4/-1",
		"/8", "10.0.0.0/8,::1", "10.0.0.0/08x" };
	struct network list[NETWORKS_MAX];
	struct error err;
	size_t count;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(network_parse_list(span_of(bad[i]), list, &count, &err));
		assert_int_equal(err.code, ERR_BAD_VALUE);
	}
}

/* --- the limiter ------------------------------------------------------------------------------------------------ */

/* A script: "+A" a session from address A comes in; "-N" session N (from 1) goes; "!N" it logs in; "*N" it is sheltered; "^N" no
 * longer. What is said to a "+":
 * "." in; "<N" in and session N has to go for it; "L" too many from there; "B" all places are taken. */
static const struct limiter_case {
	unsigned per_address, total;
	const char *script;
	const char *said;
} limiter_cases[] = {
	{ 2, 100, "+a +a +a +b", ". . L ." },
	{ 2, 100, "+a +a !1 +a +a", ". . . L" }, /* who is logged in does not count */
	{ 2, 100, "+a +a -1 +a +a", ". . . L" }, { 2, 100, "+l +l +l +l", ". . . ." }, /* exempt */
	{ 0, 100, "+a +a +a +a", ". . . ." },
	{ 9, 3, "+a +b +a +c", ". . . <1" },                                      /* a is the greediest, 1 its oldest */
	{ 9, 3, "+a +b +b +b", ". . . <2" }, { 9, 3, "+b +a +c +d", ". . . <1" }, /* all alike: the oldest of all */
	{ 9, 3, "+a +b +c !1 !2 !3 +d", ". . . B" }, { 9, 3, "+a +b +c !1 !3 +d +d", ". . . <2 <4" },
	{ 9, 3, "+a +a +b +c +c", ". . . <1 <2" }, /* a chosen one counts no more, though it is not gone yet */
	{ 9, 3, "+a +a +b +c -1 +c", ". . . <1 <2" }, { 9, 3, "+a +a +b -1 +c +d", ". . . . <2" },
	{ 9, 3, "+a +a +b *1 +c", ". . . <2" }, { 9, 3, "+a +a +b *1 *2 *3 +c", ". . . B" }, /* sheltered */
	{ 9, 3, "+a +a +b *1 *2 +c", ". . . <3" }, { 9, 3, "+a +a +b *1 ^1 +c", ". . . <2" },
	{ 2, 9, "+a +a *1 +a *2 +a -1 +a +a", ". . L L . L" },
	{ 9, 3, "+a +b +c *1 !1 ^1 *2 *3 +d ^3 +d", ". . . B <3" },
	{ 9, 2, "+a +a +b *1 ^1 +c", ". . <1 <2" }, /* too late: 1 was chosen before */
	/* =1l: the first is another address's, as a proxy said */
	{ 2, 9, "+a +a =1b +a +b +b", ". . = . . L" }, { 2, 9, "+a +a +b =1b +b +a", ". . . = L ." },
	{ 2, 9, "+a +b +b =1b +a +a", ". . . X . L" }, { 2, 9, "+b +b +a !3 =3b", ". . . =" },
	{ 2, 9, "+a *1 =1b +b +b ^1", ". = . L" }, { 9, 3, "+a +b +c =1c +d", ". . . = <3" },
	{ 2, 9, "+a =1a +a +a", ". = . L" }, { 1, 9, "+l +a =2l", ". . =" }, { 9, 2, "+a +b +c =1d", ". . <1 =" },
	{ 1, 3, "+u +u +u +a", ". . . <1" }, /* programs of this machine: not limited, but they go first */
	{ 1, 2, "+6 +7 +8", ". L ." },       /* 6 and 7 are of one /64, 8 of another */
};

static const char *address_of(char name)
{
	switch (name) {
	case 'l': return "127.0.0.1";
	case 'u': return "a Unix socket";
	case '6': return "2001:db8::1";
	case '7': return "2001:db8::ffff:1";
	case '8': return "2001:db8:0:1::1";
	default: {
		static char text[32];

		snprintf(text, sizeof(text), "192.0.2.%d", name);
		return text;
	}
	}
}

static void add(struct limiter *limiter, const char *from, struct limiter_slot **slot, void *owner, struct buffer *said)
{
	struct error err;
	void *evict;

	if (said->len > 0)
		buffer_append_char(said, ' ');
	if (!limiter_add(limiter, address(from), owner, slot, &evict, &err))
		buffer_append_char(said, err.code == ERR_LIMIT ? 'L' : err.code == ERR_BUSY ? 'B' : '?');
	else if (evict == NULL)
		buffer_append_char(said, '.');
	else
		buffer_printf(said, "<%zu", (size_t)evict);
}

static void move(struct limiter *limiter, const char *to, struct limiter_slot *slot, struct buffer *said)
{
	struct error err;

	buffer_append_text(said, limiter_move(limiter, slot, address(to), &err) ? " =" : " X");
}

static void run_script(const struct limiter_case *c)
{
	struct limiter_settings settings = { c->per_address, c->total, SPAN("127.0.0.0/8 ::1/128") };
	struct limiter_slot *slots[32] = { 0 };
	struct limiter *limiter;
	struct error err;
	struct buffer said;
	size_t count = 0;

	buffer_init(&said, KIB);
	assert_true(limiter_new(&settings, &limiter, &err));
	for (const char *p = c->script; *p != '\0'; p += p[0] == '=' ? 3 : 2, p += *p == ' ') {
		size_t number = (size_t)(p[1] - '0');

		if (p[0] == '+') {
			count++;
			add(limiter, address_of(p[1]), &slots[count], (void *)count, &said);
		} else if (p[0] == '=') {
			move(limiter, address_of(p[2]), slots[number], &said);
		} else if (p[0] == '-') {
			limiter_remove(limiter, &slots[number]);
		} else if (p[0] == '*') {
			limiter_shelter(limiter, slots[number]);
		} else if (p[0] == '^') {
			limiter_unshelter(limiter, slots[number]);
		} else {
			limiter_logged_in(limiter, slots[number]);
		}
	}
	assert_string_equal(buffer_text(&said), c->said);
	for (size_t i = 0; i < ARRAY_LEN(slots); i++)
		limiter_remove(limiter, &slots[i]);
	assert_int_equal(limiter_count(limiter), 0);
	limiter_free(&limiter);
	buffer_free(&said);
}

static void who_comes_in_and_who_goes(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(limiter_cases); i++)
		run_script(&limiter_cases[i]);
}

/* Against a plain model: after any history the one to go is the oldest of the greediest. */
#define PLACES    200
#define ADDRESSES 23

static size_t expected_eviction(const size_t *from, const bool *waits, size_t count)
{
	size_t held[ADDRESSES] = { 0 }, oldest[ADDRESSES] = { 0 }, best = ADDRESSES;

	for (size_t i = 1; i <= count; i++)
		if (waits[i]) {
			if (held[from[i]]++ == 0)
				oldest[from[i]] = i;
		}
	for (size_t a = 0; a < ADDRESSES; a++)
		if (held[a] > 0 && (best == ADDRESSES || held[a] > held[best] ||
		                           (held[a] == held[best] && oldest[a] < oldest[best])))
			best = a;
	return best == ADDRESSES ? 0 : oldest[best];
}

static void the_model_agrees(void **state)
{
	enum { STEPS = 4000 };
	struct limiter_settings settings = { 0, PLACES, SPAN_EMPTY };
	struct limiter_slot **slots = calloc(STEPS + 1, sizeof(struct limiter_slot *));
	size_t *from = calloc(STEPS + 1, sizeof(size_t)), count = 0, evictions = 0;
	bool *waits = calloc(STEPS + 1, sizeof(bool));
	struct limiter *limiter;
	struct error err;

	srand(7);
	assert_true(limiter_new(&settings, &limiter, &err));
	while (count < STEPS) {
		size_t some = count == 0 ? 0 : (size_t)rand() % count + 1;
		char text[32];
		void *evict;

		if (some > 0 && rand() % 4 == 0 && slots[some] != NULL) {
			limiter_remove(limiter, &slots[some]);
			waits[some] = false;
		} else if (some > 0 && rand() % 9 == 0 && slots[some] != NULL) {
			limiter_logged_in(limiter, slots[some]);
			waits[some] = false;
		} else {
			size_t expected = expected_eviction(from, waits, count);
			bool full = limiter_count(limiter) >= PLACES;

			count++;
			from[count] = (size_t)rand() % ADDRESSES;
			snprintf(text, sizeof(text), "198.51.100.%zu", from[count]);
			if (!limiter_add(limiter, address(text), (void *)count, &slots[count], &evict, &err)) {
				assert_true(full && expected == 0);
				continue;
			}
			waits[count] = true;
			assert_int_equal((size_t)evict, full ? expected : 0);
			if (evict != NULL) {
				waits[(size_t)evict] = false;
				limiter_remove(limiter, &slots[(size_t)evict]);
				evictions++;
			}
		}
	}
	assert_true(evictions > 100);
	for (size_t i = 1; i <= count; i++)
		limiter_remove(limiter, &slots[i]);
	limiter_free(&limiter);
	free(slots);
	free(from);
	free(waits);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(networks_contain),
		cmocka_unit_test(bad_networks_are_refused),
		cmocka_unit_test(who_comes_in_and_who_goes),
		cmocka_unit_test(the_model_agrees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
