/* common/net/network.h — addresses and networks as bytes: IPv4 as IPv4-mapped IPv6, so that there is one form. Any thread. */
#ifndef NET_NETWORK_H
#define NET_NETWORK_H

#include "base/error.h"
#include "base/span.h"

#include <sys/socket.h>

#define NETWORK_KEY_LEN 16
#define NETWORKS_MAX    64

struct network {
	uint8_t address[NETWORK_KEY_LEN];
	unsigned bits; /* of address that count, 0..128 */
};

/* The bytes of an address; all zero for other families than IPv4 and IPv6 (a Unix socket). */
void network_address(const struct sockaddr *address, uint8_t out[NETWORK_KEY_LEN]);
/* The same, for counting: of an IPv6 address the /64 that one customer has. */
void network_key(const struct sockaddr *address, uint8_t out[NETWORK_KEY_LEN]);
/* "192.0.2.0/24", "2001:db8::/32"; without a slash one address. Blank-separated; ERR_BAD_VALUE names the bad one. */
bool network_parse_list(struct span text, struct network *out, size_t *count, struct error *err);
bool network_contains(const struct network *networks, size_t count, const uint8_t address[NETWORK_KEY_LEN]);

#endif
