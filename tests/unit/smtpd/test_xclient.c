/* The arguments of XCLIENT (Postfix's XCLIENT_README), as a table. */
#include "smtpd/syntax/xclient.h"

#include "base/macros.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define A50  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A255 A50 A50 A50 A50 A50 "aaaaa"

/* "name=n addr=198.51.100.7 port=25 esmtp helo=x login=y"; "?" where it is not available. */
static const struct xclient_case {
	const char *input;
	const char *want; /* NULL: refused */
} cases[] = {
	{ "NAME=spike.porcupine.org ADDR=168.100.189.2", "name=spike.porcupine.org addr=168.100.189.2" },
	{ "name=x addr=192.0.2.1 Port=25 proto=esmtp helo=h login=l",
	        "name=x addr=192.0.2.1 port=25 esmtp helo=h login=l" },
	{ "PROTO=SMTP", "smtp" },
	{ "ADDR=IPV6:2001:DB8::1", "addr=2001:db8::1" },
	{ "ADDR=ipv6:::ffff:192.0.2.1", "addr=::ffff:192.0.2.1" },
	{ "ADDR=[UNAVAILABLE] PORT=[unavailable] PROTO=[UNAVAILABLE] HELO=[TEMPUNAVAIL] LOGIN=[UNAVAILABLE] NAME=[TEMPUNAVAIL]",
	        "name=? addr=? port=? ?proto helo=? login=?" },
	{ "HELO=a+3Db+2Bc", "helo=a=b+c" },
	{ "HELO=" A255, "helo=" A255 },
	{ "  PORT=0  ", "port=0" },
	{ "DESTADDR=192.0.2.9", NULL }, /* what is not announced is not taken */
	{ "REVERSE_NAME=[UNAVAILABLE]", NULL },
	{ "NAME=", NULL },
	{ "", NULL },
	{ "NAME", NULL },
	{ "=x", NULL },
	{ "FOO=x", NULL },
	{ "ADDR=", NULL },
	{ "ADDR=2001:db8::1", NULL },
	{ "ADDR=IPV6:192.0.2.1", NULL },
	{ "ADDR=192.0.2.256", NULL },
	{ "ADDR=192.0.2.1x", NULL },
	{ "PORT=65536", NULL },
	{ "PORT=-1", NULL },
	{ "PORT=", NULL },
	{ "PROTO=HTTP", NULL },
	{ "HELO=", NULL },
	{ "HELO=a+20b", NULL },
	{ "HELO=a+0D+0Ab", NULL },
	{ "HELO=a+00b", NULL },
	{ "HELO=a+7f", NULL },
	{ "HELO=a+FFb", NULL }, /* no UTF-8 */
	{ "HELO=a+3", NULL },
	{ "HELO=" A255 "a", NULL },
	{ "LOGIN=" A255 A255, NULL },
	{ "NAME=" A255 A255 A255, NULL },
	{ "HELO=a HELO=b", NULL },
	{ "name=a NAME=a", NULL },
};

static size_t add(char *out, size_t at, size_t size, const char *name, enum xclient_said said, const char *value)
{
	if (said == XCLIENT_NOT_SAID)
		return at;
	at += (size_t)snprintf(
	        out + at, size - at, "%s%s%s", at > 0 ? " " : "", name, said == XCLIENT_UNAVAILABLE ? "?" : value);
	assert_true(at < size);
	return at;
}

static void tell(const struct xclient_args *args, char *out, size_t size)
{
	bool in4 = args->address.ss_family == AF_INET;
	const void *bytes = in4 ? (const void *)&((const struct sockaddr_in *)&args->address)->sin_addr
	                        : (const void *)&((const struct sockaddr_in6 *)&args->address)->sin6_addr;
	char address[INET6_ADDRSTRLEN] = "", port[8];
	size_t at = 0;

	out[0] = '\0';
	if (args->address_said == XCLIENT_SAID)
		assert_non_null(inet_ntop(args->address.ss_family, bytes, address, sizeof(address)));
	snprintf(port, sizeof(port), "%u", args->port);
	at = add(out, at, size, "name=", args->name.said, args->name.value);
	at = add(out, at, size, "addr=", args->address_said, address);
	at = add(out, at, size, "port=", args->port_said, port);
	if (args->proto_said == XCLIENT_SAID)
		at = add(out, at, size, "", XCLIENT_SAID, args->esmtp ? "esmtp" : "smtp");
	else if (args->proto_said == XCLIENT_UNAVAILABLE)
		at = add(out, at, size, "", XCLIENT_SAID, "?proto");
	at = add(out, at, size, "helo=", args->helo.said, args->helo.value);
	(void)add(out, at, size, "login=", args->login.said, args->login.value);
}

static void test_arguments(void **state)
{
	struct xclient_args args;
	struct error err;
	char told[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool ok = xclient_parse(span_of(cases[i].input), &args, &err);

		if (ok != (cases[i].want != NULL))
			fail_msg("%s: %s", cases[i].input, ok ? "taken" : err.reason);
		if (!ok)
			continue;
		tell(&args, told, sizeof(told));
		assert_string_equal(told, cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_arguments) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
