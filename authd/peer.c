#include "authd/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define IPV6_PREFIX_BYTES 8

enum peer_family { PEER_UNKNOWN, PEER_IPV4, PEER_IPV6 };

static void set(struct table_key *out, enum peer_family family, const void *bytes, size_t len)
{
	memset(out, 0, sizeof(*out));
	out->bytes[0] = (uint8_t)family;
	memcpy(out->bytes + 1, bytes, len);
}

void peer_key(struct span address, struct table_key *out)
{
	char text[INET6_ADDRSTRLEN];
	struct in_addr v4;
	struct in6_addr v6;
	size_t zone;

	if (span_find(address, '%', &zone))
		address = span_first(address, zone);
	if (!span_copy(address, text, sizeof(text)))
		text[0] = '\0';
	if (inet_pton(AF_INET, text, &v4) == 1)
		set(out, PEER_IPV4, &v4, sizeof(v4));
	else if (inet_pton(AF_INET6, text, &v6) != 1)
		set(out, PEER_UNKNOWN, "", 0);
	else if (IN6_IS_ADDR_V4MAPPED(&v6))
		set(out, PEER_IPV4, &v6.s6_addr[12], sizeof(v4));
	else
		set(out, PEER_IPV6, &v6, IPV6_PREFIX_BYTES);
}
