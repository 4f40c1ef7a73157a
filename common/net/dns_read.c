#include "net/dns.h"

#include "net/dns_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define LABEL_MAX 63
#define NAME_WIRE 255 /* RFC 1035 §3.1, the root's length octet included */

static bool take_byte(struct span *in, unsigned *out)
{
	if (in->len == 0)
		return false;
	*out = (unsigned char)in->ptr[0];
	*in = span_skip(*in, 1);
	return true;
}

static bool take_16(struct span *in, unsigned *out)
{
	if (in->len < 2)
		return false;
	*out = (unsigned)(unsigned char)in->ptr[0] << 8 | (unsigned char)in->ptr[1];
	*in = span_skip(*in, 2);
	return true;
}

/* --- names ----------------------------------------------------------------------------------------------------- */

/* RFC 1123 §2.1, and the underscore of service names ("_25._tcp", "_mta-sts"). */
static bool is_name_char(char c)
{
	return ascii_is_alnum((unsigned char)c) || c == '-' || c == '_';
}

static bool is_label(struct span label)
{
	if (label.len == 0 || label.len > LABEL_MAX || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
		return false;
	for (size_t i = 0; i < label.len; i++)
		if (!is_name_char(label.ptr[i]))
			return false;
	return true;
}

static bool is_all_digits(struct span label)
{
	for (size_t i = 0; i < label.len; i++)
		if (!ascii_is_digit((unsigned char)label.ptr[i]))
			return false;
	return true;
}

bool dns_clean_name(struct span name, char out[DNS_NAME_MAX + 1])
{
	struct span rest, label = SPAN_EMPTY;

	if (name.len > 0 && name.ptr[name.len - 1] == '.')
		name.len--;
	if (name.len == 0 || name.len > NAME_WIRE - 2 || !span_copy(name, out, DNS_NAME_MAX + 1))
		return false;
	rest = name;
	for (bool more = true; more;) {
		more = span_take_until(&rest, '.', &label);
		if (!is_label(more ? label : rest))
			return false;
	}
	if (is_all_digits(rest)) /* an address, or nothing that could be asked for */
		return false;
	for (size_t i = 0; i < name.len; i++)
		out[i] = ascii_lower(out[i]);
	return true;
}

/* One label behind the others; false for one that no host has, and for compression: there is none in what libunbound hands out
 * (RFC 3597 §4). */
static bool take_label(struct span *in, unsigned len, char *out, size_t *used)
{
	if (len > LABEL_MAX || in->len < len || *used + (*used > 0) + len > NAME_WIRE - 2)
		return false;
	if (*used > 0)
		out[(*used)++] = '.';
	for (unsigned i = 0; i < len; i++) {
		if (!is_name_char(in->ptr[i]))
			return false;
		out[(*used)++] = ascii_lower(in->ptr[i]);
	}
	*in = span_skip(*in, len);
	return true;
}

static bool take_name(struct span *in, char out[DNS_NAME_MAX + 1])
{
	struct span rest = *in;
	size_t used = 0;
	unsigned len;

	for (;;) {
		if (!take_byte(&rest, &len))
			return false;
		if (len == 0)
			break;
		if (!take_label(&rest, len, out, &used))
			return false;
	}
	out[used] = '\0';
	*in = rest;
	return true;
}

bool dns_read_name(struct span rdata, char out[DNS_NAME_MAX + 1])
{
	return take_name(&rdata, out) && rdata.len == 0;
}

/* --- records --------------------------------------------------------------------------------------------------- */

bool dns_read_mx(struct span rdata, struct dns_mx *out)
{
	unsigned preference;

	if (!take_16(&rdata, &preference) || !dns_read_name(rdata, out->host))
		return false;
	out->preference = (uint16_t)preference;
	return true;
}

bool dns_read_tlsa(struct span rdata, struct dns_tlsa *out)
{
	if (rdata.len < 4) /* RFC 6698 §2.1: and some data */
		return false;
	out->usage = (uint8_t)rdata.ptr[0];
	out->selector = (uint8_t)rdata.ptr[1];
	out->matching = (uint8_t)rdata.ptr[2];
	out->data = span_skip(rdata, 3);
	return true;
}

bool dns_read_address(struct span rdata, uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	memset(out, 0, sizeof(*out));
	if (rdata.len == sizeof(in4.sin_addr)) {
		memcpy(&in4.sin_addr, rdata.ptr, rdata.len);
		memcpy(out, &in4, sizeof(in4));
	} else if (rdata.len == sizeof(in6.sin6_addr)) {
		memcpy(&in6.sin6_addr, rdata.ptr, rdata.len);
		memcpy(out, &in6, sizeof(in6));
	} else {
		return false;
	}
	return true;
}

bool dns_read_txt(struct span rdata, char *out, size_t size)
{
	size_t used = 0;
	unsigned len;

	if (rdata.len == 0 || size == 0) /* RFC 1035 §3.3.14: one or more strings */
		return false;
	while (take_byte(&rdata, &len)) {
		if (len > rdata.len || len >= size - used || memchr(rdata.ptr, '\0', len) != NULL)
			return false;
		memcpy(out + used, rdata.ptr, len);
		used += len;
		rdata = span_skip(rdata, len);
	}
	out[used] = '\0';
	return true;
}

/* --- addresses backwards --------------------------------------------------------------------------------------- */

static void reverse_4(const uint8_t bytes[4], char out[DNS_NAME_MAX + 1])
{
	snprintf(out, DNS_NAME_MAX + 1, "%u.%u.%u.%u.in-addr.arpa", bytes[3], bytes[2], bytes[1], bytes[0]);
}

static void reverse_6(const uint8_t bytes[16], char out[DNS_NAME_MAX + 1])
{
	static const char digits[] = "0123456789abcdef";
	size_t used = 0;

	for (int i = 15; i >= 0; i--) {
		out[used++] = digits[bytes[i] & 0xf];
		out[used++] = '.';
		out[used++] = digits[bytes[i] >> 4];
		out[used++] = '.';
	}
	snprintf(out + used, DNS_NAME_MAX + 1 - used, "ip6.arpa"); /* RFC 3596 §2.5 */
}

bool dns_reverse_name(const struct sockaddr *address, char out[DNS_NAME_MAX + 1])
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)(const void *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;

	if (address->sa_family == AF_INET)
		reverse_4((const uint8_t *)&in4->sin_addr, out);
	else if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
		reverse_4(in6->sin6_addr.s6_addr + 12, out);
	else if (address->sa_family == AF_INET6)
		reverse_6(in6->sin6_addr.s6_addr, out);
	else
		return false;
	return true;
}

/* --- a whole answer -------------------------------------------------------------------------------------------- */

#define HEADER_LEN 12
#define TYPE_CNAME 5

/* RFC 1035 §4.1.4: labels up to the root or a pointer, which is not followed. */
static bool skip_name(struct span *in)
{
	struct span rest = *in;
	unsigned len;

	for (;;) {
		if (!take_byte(&rest, &len))
			return false;
		if (len >= 0xc0) {
			*in = span_skip(rest, 1);
			return rest.len > 0;
		}
		if (len > LABEL_MAX || len > rest.len)
			return false;
		if (len == 0)
			break;
		rest = span_skip(rest, len);
	}
	*in = rest;
	return true;
}

static bool skip_record(struct span *in, unsigned *type)
{
	struct span rest = *in;
	unsigned len;

	if (!skip_name(&rest) || !take_16(&rest, type) || rest.len < 6)
		return false;
	rest = span_skip(rest, 6); /* class, TTL */
	if (!take_16(&rest, &len) || len > rest.len)
		return false;
	*in = span_skip(rest, len);
	return true;
}

bool dns_count_cnames(struct span packet, size_t *count)
{
	struct span counts = span_skip(packet, 4), rest = span_skip(packet, HEADER_LEN);
	unsigned questions, answers, type;

	*count = 0;
	if (packet.len < HEADER_LEN || !take_16(&counts, &questions) || !take_16(&counts, &answers))
		return false;
	for (; questions > 0; questions--) {
		if (!skip_name(&rest) || rest.len < 4)
			return false;
		rest = span_skip(rest, 4);
	}
	for (; answers > 0; answers--) {
		if (!skip_record(&rest, &type))
			return false;
		*count += type == TYPE_CNAME;
	}
	return true;
}
