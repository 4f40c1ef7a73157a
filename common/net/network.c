#include "net/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define MAPPED_BITS 96 /* ::ffff:0:0/96, RFC 4291 §2.5.5.2 */

static void set_mapped(const struct in_addr *in4, uint8_t out[NETWORK_KEY_LEN])
{
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, in4, 4);
}

void network_address(const struct sockaddr *address, uint8_t out[NETWORK_KEY_LEN])
{
	memset(out, 0, NETWORK_KEY_LEN);
	if (address->sa_family == AF_INET)
		set_mapped(&((const struct sockaddr_in *)(const void *)address)->sin_addr, out);
	else if (address->sa_family == AF_INET6)
		memcpy(out, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, NETWORK_KEY_LEN);
}

void network_key(const struct sockaddr *address, uint8_t out[NETWORK_KEY_LEN])
{
	network_address(address, out);
	if (address->sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)out))
		memset(out + 8, 0, 8);
}

static bool parse_address(struct span text, struct network *out, unsigned *max_bits)
{
	char copy[INET6_ADDRSTRLEN];
	struct in_addr in4;

	if (!span_copy(text, copy, sizeof(copy)))
		return false;
	*max_bits = 32;
	if (inet_pton(AF_INET, copy, &in4) == 1) {
		set_mapped(&in4, out->address);
		return true;
	}
	*max_bits = 128;
	return inet_pton(AF_INET6, copy, out->address) == 1;
}

static bool parse_network(struct span text, struct network *out)
{
	struct span address = text;
	unsigned max_bits;
	uint64_t bits;
	size_t slash;

	if (span_find(text, '/', &slash))
		address = span_first(text, slash);
	if (!parse_address(address, out, &max_bits))
		return false;
	bits = max_bits;
	if (address.len < text.len && !span_number(span_skip(text, address.len + 1), max_bits, &bits))
		return false;
	out->bits = (unsigned)bits + (max_bits == 32 ? MAPPED_BITS : 0);
	return true;
}

bool network_parse_list(struct span text, struct network *out, size_t *count, struct error *err)
{
	*count = 0;
	for (text = span_trim(text); text.len > 0; text = span_trim(text)) {
		struct span word = text;
		size_t blank;

		if (span_find(text, ' ', &blank))
			word = span_first(text, blank);
		if (*count == NETWORKS_MAX)
			return error_set(err, ERR_TOO_LONG, "more than %d networks", NETWORKS_MAX);
		if (!parse_network(word, &out[*count]))
			return error_set(err, ERR_BAD_VALUE, "not a network: %.*s", SPAN_FMT(span_first(word, 60)));
		++*count;
		text = span_skip(text, word.len);
	}
	return true;
}

static bool in_network(const struct network *network, const uint8_t address[NETWORK_KEY_LEN])
{
	unsigned whole = network->bits / 8, rest = network->bits % 8;
	uint8_t mask = (uint8_t)(0xff00 >> rest);

	if (memcmp(network->address, address, whole) != 0)
		return false;
	return rest == 0 || ((network->address[whole] ^ address[whole]) & mask) == 0;
}

bool network_contains(const struct network *networks, size_t count, const uint8_t address[NETWORK_KEY_LEN])
{
	for (size_t i = 0; i < count; i++)
		if (in_network(&networks[i], address))
			return true;
	return false;
}
