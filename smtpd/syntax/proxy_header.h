/* smtpd/syntax/proxy_header.h — the header with which a proxy begins a connection: PROXY protocol, version 2 (HAProxy's proxy-protocol.txt,
 * §2.2). It says where the client really is.
 *
 * Fed with no more octets than it wants, it never takes one that belongs to the client. What it keeps is the fixed part and two
 * addresses; TLVs are counted and thrown away (also a checksum: TCP has one). Version 1, which is text, is not known. Any thread. */
#ifndef SMTPD_SYNTAX_PROXY_HEADER_H
#define SMTPD_SYNTAX_PROXY_HEADER_H

#include "base/span.h"

#include <stdint.h>
#include <sys/socket.h>

#define PROXY_FIXED     16   /* signature, version and command, family, length */
#define PROXY_ADDRESSES 36   /* of TCP over IPv6; the longest that is read */
#define PROXY_MORE_MAX  4096 /* octets behind the fixed part: addresses and TLVs; a sender's own limit is 520 */

enum proxy_found {
	PROXY_MORE,
	PROXY_BAD,     /* no such header, or one that must not be: the connection is to be dropped */
	PROXY_OWN,     /* LOCAL: the proxy itself has something to say (a health check) */
	PROXY_UNKNOWN, /* the client is there, but what it comes from has no address that we know */
	PROXY_CLIENT   /* proxy_client() */
};

struct proxy_reader {
	uint8_t kept[PROXY_FIXED + PROXY_ADDRESSES];
	size_t have;
};

void proxy_reader_init(struct proxy_reader *reader);
/* How many octets may be given now: more of the header than this cannot be known to follow. */
size_t proxy_wants(const struct proxy_reader *reader);
/* Takes all of `octets`; not after anything but PROXY_MORE. */
enum proxy_found proxy_read(struct proxy_reader *reader, struct span octets);
/* After PROXY_CLIENT: address and port. */
void proxy_client(const struct proxy_reader *reader, struct sockaddr_storage *out);

#endif
