/* posthouse/sockets.h — the listening sockets: opened (or inherited) once by the supervisor, kept while workers come and go.
 *
 * One socket for each worker, address and port (SO_REUSEPORT): each worker has a queue of waiting clients of its own, and
 * that queue stays while the worker is replaced. Sockets inherited from systemd are shared by all workers of the service.
 * Owner: whoever holds the struct, until sockets_close(). Thread: the supervisor's only one. */
#ifndef POSTHOUSE_SOCKETS_H
#define POSTHOUSE_SOCKETS_H

#include "base/error.h"
#include "config/settings.h"

#include <sys/types.h>

#define SOCKETS_BACKLOG     1024
#define SOCKETS_ALL         UINT32_MAX /* worker of an inherited socket */
#define SOCKETS_WAIT_MS     2000       /* for the processes of a supervisor that was killed to let go of a port */
#define SOCKETS_INHERIT_MAX 64

struct socket_entry {
	int fd;
	enum settings_port service;
	uint32_t worker; /* or SOCKETS_ALL */
	uint32_t port;
	char address[64];
};

struct sockets {
	struct socket_entry *entries;
	size_t count;
	size_t room;
};

/* What systemd passed (LISTEN_FDS); known by name, or by the port number in the settings. Clears the environment. */
bool sockets_inherit(const struct settings *settings, struct sockets *out, struct error *err);
/* Everything that the settings ask for. Entries of *old that are still wanted are used again (moved; their fd in *old becomes
 * -1), so nobody who waits in them is lost. On failure *out is empty and *old as it was.
 * ERR_BUSY: a port is taken, ERR_DENIED: a port needs root; reason names it. */
bool sockets_open(const struct settings *settings, struct sockets *old, struct sockets *out, struct error *err);
void sockets_close(struct sockets *sockets);

/* A listening Unix socket (SOCK_STREAM, SOCK_SEQPACKET) that may be connected to as mode says; takes the place of one that a killed supervisor
 * left. The caller holds the pid file's lock. -1 on failure. */
int sockets_open_unix(const char *path, int type, mode_t mode, struct error *err);

/* Is this port free on all its addresses, now? For `config check`. */
bool sockets_port_free(const struct settings *settings, enum settings_port service, struct error *err);

#endif
