/* PROXY protocol, version 2 (proxy-protocol.txt §2.2), in pieces of every size. */
#include "smtpd/syntax/proxy_header.h"

#include "base/macros.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEADER "\r\n\r\n\0\r\nQUIT\n"
#define IN4    "\xc6\x33\x64\x07\xc0\0\x02\x01\xd4\x31\0\x19"
#define IN6_A  "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09"
#define IN6    IN6_A IN6_A "\xd4\x31\0\x19"
#define TEN    "\0\0\0\0\0\0\0\0\0\0"
#define UNIX   TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "\0\0\0\0\0\0"

static const struct header_case {
	const char *name;
	struct span header;
	enum proxy_found want;
	const char *address;
} cases[] = {
	{ "TCP over IPv4", SPAN(HEADER "\x21\x11\0\x0c" IN4), PROXY_CLIENT, "198.51.100.7" },
	{ "with a TLV (§2.2.3, NOOP)", SPAN(HEADER "\x21\x11\0\x10" IN4 "\x04\0\x01x"), PROXY_CLIENT, "198.51.100.7" },
	{ "with a broken TLV, which nobody looks at", SPAN(HEADER "\x21\x11\0\x0d" IN4 "\x04"), PROXY_CLIENT,
	        "198.51.100.7" },
	{ "TCP over IPv6", SPAN(HEADER "\x21\x21\0\x24" IN6), PROXY_CLIENT, "2001:db8::9" },
	{ "LOCAL", SPAN(HEADER "\x20\0\0\0"), PROXY_OWN, NULL },
	{ "LOCAL, whatever else it says", SPAN(HEADER "\x20\x77\0\x03xyz"), PROXY_OWN, NULL },
	{ "UNSPEC", SPAN(HEADER "\x21\0\0\0"), PROXY_UNKNOWN, NULL },
	{ "UNSPEC and more", SPAN(HEADER "\x21\0\0\x02xy"), PROXY_UNKNOWN, NULL },
	{ "a Unix socket", SPAN(HEADER "\x21\x31\0\xd8" UNIX), PROXY_UNKNOWN, NULL },
	{ "UDP over IPv4", SPAN(HEADER "\x21\x12\0\x0c"), PROXY_BAD, NULL },
	{ "a Unix datagram", SPAN(HEADER "\x21\x32\0\xd8"), PROXY_BAD, NULL },
	{ "a family that is none", SPAN(HEADER "\x21\x41\0\0"), PROXY_BAD, NULL },
	{ "a protocol that is none", SPAN(HEADER "\x21\x13\0\x0c"), PROXY_BAD, NULL },
	{ "too short for its addresses", SPAN(HEADER "\x21\x11\0\x0b"), PROXY_BAD, NULL },
	{ "the same, IPv6", SPAN(HEADER "\x21\x21\0\x23"), PROXY_BAD, NULL },
	{ "longer than anybody's", SPAN(HEADER "\x21\x11\x10\x01"), PROXY_BAD, NULL },
	{ "version 1 of the header's version", SPAN(HEADER "\x11\x11\0\x0c"), PROXY_BAD, NULL },
	{ "a command that is none", SPAN(HEADER "\x22\x11\0\x0c"), PROXY_BAD, NULL },
	{ "version 1", SPAN("P"), PROXY_BAD, NULL },
	{ "SMTP", SPAN("EHLO"), PROXY_BAD, NULL },
	{ "nearly the signature", SPAN("\r\n\r\n\0\r\nQUIT\r"), PROXY_BAD, NULL },
};

static enum proxy_found read_in_pieces(struct proxy_reader *reader, struct span in, size_t piece)
{
	enum proxy_found found = PROXY_MORE;

	proxy_reader_init(reader);
	while (found == PROXY_MORE && in.len > 0) {
		size_t wanted = proxy_wants(reader), now = wanted < piece ? wanted : piece;
		struct span part = span_first(in, now);
		char *copy = malloc(part.len); /* as long as it is, so that a step too far is seen */

		assert_true(wanted > 0);
		memcpy(copy, part.ptr, part.len);
		found = proxy_read(reader, span_make(copy, part.len));
		free(copy);
		in = span_skip(in, part.len);
	}
	if (found != PROXY_BAD)
		assert_int_equal(in.len, 0);
	return found;
}

static void test_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (size_t piece = 1; piece <= 64; piece++) {
			struct sockaddr_storage client;
			struct proxy_reader reader;
			char text[INET6_ADDRSTRLEN];

			if (read_in_pieces(&reader, cases[i].header, piece) != cases[i].want)
				fail_msg("%s, by %zu", cases[i].name, piece);
			if (cases[i].address == NULL)
				continue;
			proxy_client(&reader, &client);
			assert_non_null(inet_ntop(client.ss_family,
			        client.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&client)->sin_addr
			                                    : (void *)&((struct sockaddr_in6 *)&client)->sin6_addr,
			        text, sizeof(text)));
			assert_string_equal(text, cases[i].address);
			assert_int_equal(ntohs(((struct sockaddr_in *)&client)->sin_port), 54321);
		}
}

/* However much follows, what is kept stays. */
static void test_the_longest(void **state)
{
	static char header[PROXY_FIXED + PROXY_MORE_MAX] = HEADER "\x21\x21\x10\0" IN6;
	struct sockaddr_storage client;
	struct proxy_reader reader;

	(void)state;
	memset(header + PROXY_FIXED + PROXY_ADDRESSES, 'x', PROXY_MORE_MAX - PROXY_ADDRESSES);
	assert_int_equal(read_in_pieces(&reader, span_make(header, sizeof(header)), 1000), PROXY_CLIENT);
	proxy_client(&reader, &client);
	assert_memory_equal(&((struct sockaddr_in6 *)&client)->sin6_addr, IN6_A, 16);
	assert_int_equal(read_in_pieces(&reader, span_make(header, sizeof(header) - 1), 1000), PROXY_MORE);
	assert_int_equal(proxy_wants(&reader), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_the_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
