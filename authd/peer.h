/* authd/peer.h — whom an address stands for: one IPv4 address, or the /64 that one IPv6 customer gets. Any thread. */
#ifndef AUTHD_PEER_H
#define AUTHD_PEER_H

#include "authd/table.h"
#include "base/span.h"

/* The text of an address, a zone ("%eth0") allowed; IPv4 in IPv6 is IPv4. All texts that are no address are one peer. */
void peer_key(struct span address, struct table_key *out);

#endif
