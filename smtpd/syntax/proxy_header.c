#include "smtpd/syntax/proxy_header.h"

#include "base/check.h"
#include "base/macros.h"

#include <netinet/in.h>
#include <string.h>

/* Offsets in the header (§2.2). */
#define AT_COMMAND 12
#define AT_FAMILY  13
#define AT_LENGTH  14

static const uint8_t signature[AT_COMMAND] = "\r\n\r\n\0\r\nQUIT\n";

enum proxy_command { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 }; /* with the version, 2 */

/* What a PROXY command may come with. Other values must be dropped (§2.2), and so is UDP: mail does not come by it. */
static const struct family {
	uint8_t value;
	size_t length; /* of its addresses */
	enum proxy_found found;
} families[] = {
	{ 0x00, 0, PROXY_UNKNOWN },   /* UNSPEC */
	{ 0x11, 12, PROXY_CLIENT },   /* TCP over IPv4 */
	{ 0x21, 36, PROXY_CLIENT },   /* TCP over IPv6 */
	{ 0x31, 216, PROXY_UNKNOWN }, /* a Unix socket of the proxy's machine */
};

void proxy_reader_init(struct proxy_reader *reader)
{
	reader->have = 0;
}

static size_t length_of(const struct proxy_reader *reader)
{
	return (size_t)reader->kept[AT_LENGTH] << 8 | reader->kept[AT_LENGTH + 1];
}

static size_t whole(const struct proxy_reader *reader)
{
	return reader->have < PROXY_FIXED ? PROXY_FIXED : PROXY_FIXED + length_of(reader);
}

size_t proxy_wants(const struct proxy_reader *reader)
{
	return whole(reader) - reader->have;
}

static const struct family *family_of(const struct proxy_reader *reader)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if (families[i].value == reader->kept[AT_FAMILY])
			return &families[i];
	return NULL;
}

/* The fixed part is there. */
static bool is_good(const struct proxy_reader *reader)
{
	const struct family *family = family_of(reader);

	if (length_of(reader) > PROXY_MORE_MAX)
		return false;
	if (reader->kept[AT_COMMAND] == COMMAND_LOCAL) /* whatever else it says is to be ignored */
		return true;
	return reader->kept[AT_COMMAND] == COMMAND_PROXY && family != NULL && length_of(reader) >= family->length;
}

static void keep(struct proxy_reader *reader, struct span octets)
{
	if (reader->have < sizeof(reader->kept) && octets.len > 0)
		memcpy(reader->kept + reader->have, octets.ptr,
		        span_first(octets, sizeof(reader->kept) - reader->have).len);
	reader->have += octets.len;
}

enum proxy_found proxy_read(struct proxy_reader *reader, struct span octets)
{
	CHECK(octets.len <= proxy_wants(reader));
	keep(reader, octets);
	if (memcmp(reader->kept, signature, reader->have < AT_COMMAND ? reader->have : AT_COMMAND) != 0)
		return PROXY_BAD; /* at the first wrong octet: nobody waits for the rest of a mistake */
	if (reader->have < PROXY_FIXED)
		return PROXY_MORE;
	if (!is_good(reader))
		return PROXY_BAD;
	if (proxy_wants(reader) > 0)
		return PROXY_MORE;
	return reader->kept[AT_COMMAND] == COMMAND_LOCAL ? PROXY_OWN : family_of(reader)->found;
}

/* The source comes first, then the destination; then both ports. */
void proxy_client(const struct proxy_reader *reader, struct sockaddr_storage *out)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	const uint8_t *addresses = reader->kept + PROXY_FIXED;

	memset(out, 0, sizeof(*out));
	if (reader->kept[AT_FAMILY] == 0x11) {
		in4->sin_family = AF_INET;
		memcpy(&in4->sin_addr, addresses, 4);
		memcpy(&in4->sin_port, addresses + 8, 2);
	} else {
		in6->sin6_family = AF_INET6;
		memcpy(&in6->sin6_addr, addresses, 16);
		memcpy(&in6->sin6_port, addresses + 32, 2);
	}
}
