/* Records as they come from the network: what is read, and what is refused. */
#include "net/dns_internal.h"

#include "base/macros.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define WIRE(literal) literal, sizeof(literal) - 1
#define L63           "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabc"

static const struct name_case {
	const char *rdata;
	size_t len;
	const char *name; /* NULL: refused */
} name_cases[] = {
	{ WIRE("\2mx\7example\3org\0"), "mx.example.org" },
	{ WIRE("\2MX\7eXample\3ORG\0"), "mx.example.org" },
	{ WIRE("\0"), "" },
	{ WIRE("\4_dmt\3org\0"), "_dmt.org" },
	{ WIRE("\77" L63 "\0"), L63 },
	{ WIRE("\77" L63 "\77" L63 "\77" L63 "\75abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghija\0"),
	        L63 "." L63 "." L63
	            ".abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghija" }, /* 255 on the wire */
	{ WIRE("\77" L63 "\77" L63 "\77" L63 "\76abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghijab\0"),
	        NULL },
	{ WIRE("\77" L63 "\77" L63 "\77" L63 "\77" L63 "\77" L63 "\0"), NULL },
	{ WIRE(""), NULL },
	{ WIRE("\2mx"), NULL },           /* no root */
	{ WIRE("\2m"), NULL },            /* cut off */
	{ WIRE("\2mx\7exam"), NULL },     /* cut off */
	{ WIRE("\2mx\0x"), NULL },        /* more behind it */
	{ WIRE("\300\14"), NULL },        /* compression */
	{ WIRE("\2mx\300\14"), NULL },    /* compression */
	{ WIRE("\100" L63 "a\0"), NULL }, /* a label of 64 */
	{ WIRE("\3a.b\0"), NULL },        /* a dot inside a label */
	{ WIRE("\3a b\0"), NULL },
	{ WIRE("\3a\0b\0"), NULL },
	{ WIRE("\3a\nb\0"), NULL },
	{ WIRE("\3a\303b\0"), NULL },
};

static void names_are_read(void **state)
{
	char name[DNS_NAME_MAX + 1], mx_rdata[400];
	struct dns_mx mx;

	for (size_t i = 0; i < ARRAY_LEN(name_cases); i++) {
		const struct name_case *c = &name_cases[i];

		if (dns_read_name(span_make(c->rdata, c->len), name) != (c->name != NULL))
			fail_msg("row %zu", i);
		if (c->name != NULL)
			assert_string_equal(name, c->name);
		memcpy(mx_rdata, "\1\2", 2);
		memcpy(mx_rdata + 2, c->rdata, c->len);
		assert_int_equal(dns_read_mx(span_make(mx_rdata, c->len + 2), &mx), c->name != NULL);
		if (c->name != NULL) {
			assert_string_equal(mx.host, c->name);
			assert_int_equal(mx.preference, 0x102);
		}
	}
	assert_false(dns_read_mx(span_make("\0\12", 2), &mx));
	assert_false(dns_read_mx(span_make("\0", 1), &mx));
	assert_false(dns_read_mx(SPAN_EMPTY, &mx));
	assert_true(dns_read_mx(span_make("\377\377\0", 3), &mx)); /* RFC 7505 */
	assert_int_equal(mx.preference, 65535);
	assert_string_equal(mx.host, "");
}

static const struct ask_case {
	const char *name;
	const char *clean; /* NULL: not asked for */
} ask_cases[] = {
	{ "example.org", "example.org" },
	{ "Example.ORG.", "example.org" },
	{ "_25._tcp.mx.example.org", "_25._tcp.mx.example.org" },
	{ "1.2.0.192.in-addr.arpa", "1.2.0.192.in-addr.arpa" },
	{ "xn--bcher-kva.example", "xn--bcher-kva.example" },
	{ "r3---sn-4g.example", "r3---sn-4g.example" },
	{ "localhost", "localhost" },
	{ L63 ".example", L63 ".example" },
	{ L63 "a.example", NULL },
	{ "", NULL },
	{ ".", NULL },
	{ "..", NULL },
	{ "example..org", NULL },
	{ ".example.org", NULL },
	{ "example.org..", NULL },
	{ "-a.example", NULL },
	{ "a-.example", NULL },
	{ "a b.example", NULL },
	{ "b\303\274cher.example", NULL },
	{ "[192.0.2.1]", NULL },
	{ "192.0.2.1", NULL },
	{ "2001:db8::1", NULL },
	{ "123", NULL },
	{ "a.12345678901234567890123", NULL },
	{ "a/b.example", NULL },
	{ "a\\.b.example", NULL },
	{ "$(id).example", NULL },
	{ "a.\n", NULL },
};

static void only_names_of_hosts_are_asked_for(void **state)
{
	char clean[DNS_NAME_MAX + 1], label[] = L63 ".", name[400];

	for (size_t i = 0; i < ARRAY_LEN(ask_cases); i++) {
		if (dns_clean_name(span_of(ask_cases[i].name), clean) != (ask_cases[i].clean != NULL))
			fail_msg("row %zu: %s", i, ask_cases[i].name);
		if (ask_cases[i].clean != NULL)
			assert_string_equal(clean, ask_cases[i].clean);
	}
	snprintf(name, sizeof(name), "%s%s%s%.61s", label, label, label, L63);
	assert_int_equal(strlen(name), 253);
	assert_true(dns_clean_name(span_of(name), clean));
	snprintf(name, sizeof(name), "%s%s%s%.62s", label, label, label, L63);
	assert_false(dns_clean_name(span_of(name), clean));
	assert_false(dns_clean_name(span_make("a\0b.example", 11), clean));
}

static const struct txt_case {
	const char *rdata;
	size_t len;
	size_t size;
	const char *text;
} txt_cases[] = {
	{ WIRE("\5hello"), 100, "hello" },
	{ WIRE("\5hello\6 world"), 100, "hello world" }, /* RFC 7208 §3.3: nothing between them */
	{ WIRE("\0"), 100, "" },
	{ WIRE("\0\0\1a\0"), 100, "a" },
	{ WIRE("\5hello"), 6, "hello" },
	{ WIRE("\5hello"), 5, NULL },
	{ WIRE("\3hel\2lo"), 5, NULL },
	{ WIRE("\0"), 1, "" },
	{ WIRE(""), 100, NULL },
	{ WIRE("\6hello"), 100, NULL },
	{ WIRE("\5hello\1"), 100, NULL },
	{ WIRE("\3a\0b"), 100, NULL },
	{ WIRE("\377"), 300, NULL },
};

static void texts_are_read(void **state)
{
	char text[300];

	for (size_t i = 0; i < ARRAY_LEN(txt_cases); i++) {
		const struct txt_case *c = &txt_cases[i];

		if (dns_read_txt(span_make(c->rdata, c->len), text, c->size) != (c->text != NULL))
			fail_msg("row %zu", i);
		if (c->text != NULL)
			assert_string_equal(text, c->text);
	}
	assert_false(dns_read_txt(span_make("\0", 1), text, 0));
}

static void tlsa_is_read(void **state)
{
	struct dns_tlsa tlsa;

	assert_true(dns_read_tlsa(span_make("\3\1\2abc", 6), &tlsa));
	assert_int_equal(tlsa.usage, 3);
	assert_int_equal(tlsa.selector, 1);
	assert_int_equal(tlsa.matching, 2);
	assert_true(span_equal(tlsa.data, SPAN("abc")));
	assert_true(dns_read_tlsa(span_make("\377\377\377a", 4), &tlsa));
	assert_int_equal(tlsa.usage, 255);
	assert_false(dns_read_tlsa(span_make("\3\1\2", 3), &tlsa));
	assert_false(dns_read_tlsa(SPAN_EMPTY, &tlsa));
}

static const struct address_case {
	const char *rdata;
	size_t len;
	const char *text, *reverse;
} address_cases[] = {
	{ WIRE("\300\0\2\1"), "192.0.2.1", "1.2.0.192.in-addr.arpa" },
	{ WIRE("\377\377\377\377"), "255.255.255.255", "255.255.255.255.in-addr.arpa" },
	{ WIRE("\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0\1"), "2001:db8::1",
	        "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa" },
	{ WIRE("\0\0\0\0\0\0\0\0\0\0\377\377\300\0\2\1"), "::ffff:192.0.2.1", "1.2.0.192.in-addr.arpa" },
	{ WIRE(""), NULL, NULL },
	{ WIRE("\300\0\2"), NULL, NULL },
	{ WIRE("\300\0\2\1\1"), NULL, NULL },
	{ WIRE("\40\1\15\270\0\0\0\0\0\0\0\0\0\0\0"), NULL, NULL },
};

static void addresses_are_read_and_turned_round(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(address_cases); i++) {
		const struct address_case *c = &address_cases[i];
		struct sockaddr_storage address;
		char text[INET6_ADDRSTRLEN], reverse[DNS_NAME_MAX + 1];
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;
		const struct sockaddr_in *in4 = (const struct sockaddr_in *)&address;

		assert_int_equal(dns_read_address(span_make(c->rdata, c->len), 25, &address), c->text != NULL);
		if (c->text == NULL)
			continue;
		if (address.ss_family == AF_INET)
			inet_ntop(AF_INET, &in4->sin_addr, text, sizeof(text));
		else
			inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		assert_string_equal(text, c->text);
		assert_int_equal(ntohs(address.ss_family == AF_INET ? in4->sin_port : in6->sin6_port), 25);
		assert_true(dns_reverse_name((struct sockaddr *)&address, reverse));
		assert_string_equal(reverse, c->reverse);
		assert_true(dns_clean_name(span_of(reverse), reverse));
	}
	assert_false(dns_reverse_name(&(struct sockaddr) { .sa_family = AF_UNIX }, (char[DNS_NAME_MAX + 1]) { 0 }));
}

#define HEAD(questions, answers) "\0\0\0\0\0" questions "\0" answers "\0\0\0\0"
#define QUESTION                 "\1a\0\0\1\0\1"
#define ALIAS                    "\300\14\0\5\0\1\0\0\0\0\0\3\1b\0"
#define ADDRESS                  "\1b\0\0\1\0\1\0\0\0\0\0\4\1\2\3\4"

static const struct packet_case {
	const char *packet;
	size_t len;
	int cnames; /* -1: malformed */
} packet_cases[] = {
	{ WIRE(HEAD("\0", "\0")), 0 },
	{ WIRE(HEAD("\1", "\0") QUESTION), 0 },
	{ WIRE(HEAD("\1", "\1") QUESTION ALIAS), 1 },
	{ WIRE(HEAD("\1", "\3") QUESTION ALIAS ALIAS ADDRESS), 2 },
	{ WIRE(HEAD("\1", "\1") QUESTION ADDRESS ALIAS), 0 }, /* the second is not in the answer section */
	{ WIRE(HEAD("\0", "\1") ALIAS), 1 },
	{ WIRE(HEAD("\1", "\2") QUESTION ALIAS), -1 },
	{ WIRE(HEAD("\2", "\1") QUESTION), -1 },
	{ WIRE(HEAD("\1", "\1") QUESTION "\300"), -1 },
	{ WIRE(HEAD("\1", "\1") QUESTION "\300\14\0\5\0\1\0\0\0\0\0\4\1b\0"), -1 }, /* longer than all */
	{ WIRE(HEAD("\1", "\1") QUESTION "\300\14\0\5\0\1\0\0\0\0\0"), -1 },
	{ WIRE(HEAD("\1", "\1") QUESTION "\100a\0"), -1 },
	{ WIRE(HEAD("\1", "\1") QUESTION "\5abc"), -1 },
	{ WIRE("\0\0\0\0\0\0\0\0\0\0\0"), -1 },
	{ WIRE(""), -1 },
};

static void aliases_of_an_answer_are_counted(void **state)
{
	size_t count;

	for (size_t i = 0; i < ARRAY_LEN(packet_cases); i++) {
		const struct packet_case *c = &packet_cases[i];
		bool good = dns_count_cnames(span_make(c->packet, c->len), &count);

		if (good != (c->cnames >= 0) || (good && count != (size_t)c->cnames))
			fail_msg("row %zu: %d, %zu", i, good, count);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_read),
		cmocka_unit_test(only_names_of_hosts_are_asked_for),
		cmocka_unit_test(texts_are_read),
		cmocka_unit_test(tlsa_is_read),
		cmocka_unit_test(addresses_are_read_and_turned_round),
		cmocka_unit_test(aliases_of_an_answer_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
