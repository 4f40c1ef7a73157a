#include "posthouse/route.h"

#include "base/macros.h"
#include "config/value.h"
#include "storage/address_key.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define FROM        SPAN("from:")
#define LMTP        SPAN("lmtp:")
#define PORT_MAX    65535
#define SOCKET_PATH 107 /* unix(7) */

static const char *const tls_names[] = {
	[ROUTE_TLS_DEFAULT] = "default",
	[ROUTE_TLS_NONE] = "none",
	[ROUTE_TLS_MAY] = "may",
	[ROUTE_TLS_ENCRYPT] = "encrypt",
	[ROUTE_TLS_VERIFY] = "verify",
};

const char *route_tls_name(enum route_tls tls)
{
	return tls_names[tls];
}

bool route_tls(struct span word, enum route_tls *out, struct error *err)
{
	for (int i = ROUTE_TLS_NONE; i < (int)ARRAY_LEN(tls_names); i++) {
		if (span_equal_nocase(word, span_of(tls_names[i]))) {
			*out = (enum route_tls)i;
			return true;
		}
	}
	return error_set(
	        err, ERR_SYNTAX, "--tls %.40s: expected none, may, encrypt or verify", word.len > 0 ? word.ptr : "");
}

bool route_match(struct span word, char *out, size_t size, struct error *err)
{
	char domain[DOMAIN_MAX + 1];
	const char *prefix = "";
	size_t at;

	if (span_equal(word, SPAN("*")))
		return span_copy(word, out, size);
	if (span_starts_nocase(word, FROM)) {
		prefix = "from:";
		word = span_skip(word, FROM.len);
	} else if (span_take_char(&word, '.')) {
		prefix = ".";
	}
	if (span_find(word, '@', &at))
		return error_set(err, ERR_SYNTAX, "a route is for a domain, not for an address");
	if (!domain_key(word, domain, sizeof(domain), err))
		return error_set(err, ERR_SYNTAX, "expected DOMAIN, .DOMAIN, from:DOMAIN or '*'");
	if (snprintf(out, size, "%s%s", prefix, domain) >= (int)size)
		return error_set(err, ERR_TOO_LONG, "the domain is too long");
	return true;
}

/* ---- --via ---- */

static bool is_address(struct span text, int family)
{
	char copy[INET6_ADDRSTRLEN], out[sizeof(struct in6_addr)];

	return span_copy(text, copy, sizeof(copy)) && inet_pton(family, copy, out) == 1;
}

/* Cuts ":PORT" off. A bare IPv6 address is full of colons and has no port. */
static bool take_port(struct span *host, uint16_t *port)
{
	uint64_t number;
	size_t colon;

	*port = 0;
	if (is_address(*host, AF_INET6) || !span_find_last(*host, ':', &colon))
		return true;
	if (host->ptr[0] == '[' && host->ptr[host->len - 1] == ']')
		return true;
	if (!span_number(span_skip(*host, colon + 1), PORT_MAX, &number) || number == 0)
		return false;
	*port = (uint16_t)number;
	*host = span_first(*host, colon);
	return true;
}

static bool is_host(struct span host)
{
	return value_is_hostname(host) || is_address(host, AF_INET) || is_address(host, AF_INET6);
}

static bool put_host(struct span host, struct route *out)
{
	if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		host = span_first(span_skip(host, 1), host.len - 2);
	if (!is_host(host) || !span_copy(host, out->host, sizeof(out->host)))
		return false;
	for (char *c = out->host; *c != '\0'; c++)
		*c = ascii_lower(*c);
	return true;
}

bool route_via(struct span word, struct route *out, struct error *err)
{
	struct span host = word;

	out->kind = ROUTE_SMTP;
	out->host[0] = '\0';
	out->port = 0;
	if (span_equal_nocase(word, SPAN("mx"))) {
		out->kind = ROUTE_MX;
		return true;
	}
	if (span_starts_nocase(word, LMTP)) {
		out->kind = ROUTE_LMTP;
		host = span_skip(word, LMTP.len);
	}
	if (out->kind == ROUTE_LMTP && host.len > 1 && host.ptr[0] == '/') {
		if (host.len <= SOCKET_PATH && span_copy(host, out->host, sizeof(out->host)))
			return true;
		return error_set(err, ERR_TOO_LONG, "a socket's path has at most %d octets", SOCKET_PATH);
	}
	if (host.len == 0 || !take_port(&host, &out->port) || !put_host(host, out))
		return error_set(err, ERR_SYNTAX, "--via %.40s: expected mx, HOST[:PORT], lmtp:HOST:PORT or lmtp:/PATH",
		        word.len > 0 ? word.ptr : "");
	/* RFC 2033 §5: LMTP has no port of its own, and must not be spoken to 25. */
	if (out->kind == ROUTE_LMTP && out->port == 0)
		return error_set(err, ERR_SYNTAX, "LMTP has no port of its own: say lmtp:HOST:PORT");
	return true;
}
