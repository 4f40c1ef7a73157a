/* tests/unit/net/name_server.h — zones on loopback, some signed, served by NSD (packages nsd and ldnsutils). */
#ifndef TESTS_NET_NAME_SERVER_H
#define TESTS_NET_NAME_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum zone_kind {
	ZONE_PLAIN,
	ZONE_SIGNED,   /* its key is in the trust anchor; so it is for those below */
	ZONE_FORGED,   /* signed, and then 192.0.2.66 became 192.0.2.67 */
	ZONE_EXPIRED,  /* its signatures were good in the year 2001 */
	ZONE_STRIPPED, /* served without signatures */
};

struct zone {
	const char *name; /* "signed.test" */
	enum zone_kind kind;
	void (*write)(void *file); /* more than SOA and NS, to a FILE */
};

struct name_server {
	char folder[256];
	char anchor[300]; /* trust anchor file */
	char forward[64]; /* "127.0.0.1@5301" */
	uint16_t port;
	pid_t pid;
};

void name_server_start(struct name_server *server, const struct zone *zones, size_t count);
void name_server_stop(struct name_server *server);

#endif
