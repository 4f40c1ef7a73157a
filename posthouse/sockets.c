#include "posthouse/sockets.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FIRST_INHERITED 3 /* SD_LISTEN_FDS_START, sd_listen_fds(3) */
#define PROBE_PAUSE_MS  20
#define UNIX_BACKLOG    64

struct endpoint {
	struct sockaddr_storage address;
	socklen_t length;
	uid_t owner; /* of the sockets; (uid_t)-1: us */
};

/* SO_REUSEPORT joins sockets of one user only. Those of a start by root and those that a reload adds, when root is long gone,
 * must belong together: all are the service user's. */
static uid_t owner_of_sockets(const struct settings *settings)
{
	const struct passwd *user = geteuid() == 0 ? getpwnam(settings->server.user) : NULL;

	return user != NULL ? user->pw_uid : (uid_t)-1;
}

static int socket_owned_by(uid_t owner, int family)
{
	int fd, saved;

	if (owner != (uid_t)-1 && seteuid(owner) != 0)
		return -1;
	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	saved = errno;
	if (owner != (uid_t)-1 && seteuid(0) != 0)
		check_failed("seteuid(0)", __FILE__, __LINE__);
	errno = saved;
	return fd;
}

static bool endpoint_make(const struct settings *settings, const char *address, uint32_t port, struct endpoint *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&out->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->address;

	memset(out, 0, sizeof(*out));
	out->owner = owner_of_sockets(settings);
	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		out->length = sizeof(*v4);
		return true;
	}
	if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		out->length = sizeof(*v6);
		return true;
	}
	return false;
}

static bool add(struct sockets *sockets, const struct socket_entry *entry, struct error *err)
{
	if (sockets->count == sockets->room) {
		size_t room = sockets->room * 2 + 16;
		struct socket_entry *grown = realloc(sockets->entries, room * sizeof(*grown));
		if (grown == NULL)
			return error_set(err, ERR_NO_MEMORY, "out of memory");
		sockets->entries = grown;
		sockets->room = room;
	}
	sockets->entries[sockets->count++] = *entry;
	return true;
}

void sockets_close(struct sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (sockets->entries[i].fd >= 0)
			(void)close(sockets->entries[i].fd);
	}
	free(sockets->entries);
	memset(sockets, 0, sizeof(*sockets));
}

/* ---- opening ---- */

static bool bind_error(int errnum, const char *address, uint32_t port, struct error *err)
{
	if (errnum == EADDRINUSE)
		return error_set(err, ERR_BUSY, "port %u on %s is in use by another program", port, address);
	if (errnum == EACCES)
		return error_set(err, ERR_DENIED, "port %u on %s needs root: ports below 1024 do", port, address);
	if (errnum == EADDRNOTAVAIL)
		return error_set(err, ERR_BAD_VALUE, "%s is not an address of this machine", address);
	return error_set(err, ERR_IO, "port %u on %s: %s", port, address, strerror(errnum));
}

/* -1 and errno. reuse_port false: fails when anybody listens there, whatever options they have set. */
static int open_bound(const struct endpoint *where, bool reuse_port)
{
	int on = 1, saved;
	int fd = socket_owned_by(where->owner, where->address.ss_family);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	        (!reuse_port || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0) &&
	        (where->address.ss_family != AF_INET6 ||
	                setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
	        bind(fd, (const struct sockaddr *)&where->address, where->length) == 0)
		return fd;
	saved = errno;
	(void)close(fd);
	errno = saved;
	return -1;
}

/* With SO_REUSEPORT a second site on the same ports would not fail but take half of the clients. So ask without it first.
 * Bound is not yet listening: the kernel looks for listeners at listen(). */
static bool probe(const struct endpoint *where, int64_t wait_ms)
{
	int64_t until = clock_mono_ms() + wait_ms;

	for (;;) {
		int fd = open_bound(where, false), saved = errno;
		bool ours = fd >= 0 && listen(fd, 1) == 0;
		if (fd >= 0) {
			saved = errno;
			(void)close(fd);
		}
		if (ours)
			return true;
		errno = saved;
		if (saved != EADDRINUSE || clock_mono_ms() >= until)
			return false;
		(void)nanosleep(&(struct timespec) { .tv_nsec = PROBE_PAUSE_MS * 1000000 }, NULL);
	}
}

/* A machine without IPv6 is not an error as long as there is another address. */
static bool no_ipv6(int errnum, const char *address, uint32_t port)
{
	bool absent = strchr(address, ':') != NULL &&
	              (errnum == EAFNOSUPPORT ||
	                      (errnum == EADDRNOTAVAIL && (strcmp(address, "::") == 0 || strcmp(address, "::1") == 0)));

	if (absent)
		LOG(LOG_WARNING, "serve.no_ipv6", LOG_TEXT("address", address), LOG_NUMBER("port", port));
	return absent;
}

static bool open_entry(const struct endpoint *where, struct socket_entry *entry, struct error *err)
{
	entry->fd = open_bound(where, true);
	if (entry->fd < 0)
		return bind_error(errno, entry->address, entry->port, err);
	if (listen(entry->fd, SOCKETS_BACKLOG) == 0)
		return true;
	(void)bind_error(errno, entry->address, entry->port, err);
	(void)close(entry->fd);
	return false;
}

/* ---- using old ones again ---- */

static struct socket_entry *find(struct sockets *old, const struct socket_entry *wanted, bool any_worker)
{
	for (size_t i = 0; i < old->count; i++) {
		struct socket_entry *e = &old->entries[i];
		if (e->fd >= 0 && e->service == wanted->service && e->port == wanted->port &&
		        (e->worker == wanted->worker || any_worker) && strcmp(e->address, wanted->address) == 0)
			return e;
	}
	return NULL;
}

static bool has_inherited(const struct sockets *sockets, enum settings_port service)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (sockets->entries[i].service == service && sockets->entries[i].worker == SOCKETS_ALL)
			return true;
	}
	return false;
}

/* All workers' sockets of one address and port; entries that *old has are put down with their fd, and taken later. */
static bool open_address(const struct settings *settings, struct socket_entry *entry, struct sockets *old,
        struct sockets *out, struct error *err)
{
	struct endpoint where;
	bool ours;

	if (!endpoint_make(settings, entry->address, entry->port, &where))
		return error_set(err, ERR_BAD_VALUE, "%s is not an address", entry->address);
	entry->worker = 0;
	ours = find(old, entry, true) != NULL;
	if (!ours && !probe(&where, SOCKETS_WAIT_MS))
		return no_ipv6(errno, entry->address, entry->port) ||
		       bind_error(errno, entry->address, entry->port, err);
	for (entry->worker = 0; entry->worker < settings->server.workers; entry->worker++) {
		struct socket_entry *there = find(old, entry, false);
		if (there != NULL)
			entry->fd = there->fd;
		else if (!open_entry(&where, entry, err))
			return false;
		if (!add(out, entry, err)) {
			if (there == NULL)
				(void)close(entry->fd);
			return false;
		}
	}
	return true;
}

static bool open_service(const struct settings *settings, enum settings_port service, struct sockets *old,
        struct sockets *out, struct error *err)
{
	struct span rest = span_of(settings->listen.addresses), item;
	struct socket_entry entry = { .service = service, .port = settings->listen.ports[service] };

	if (has_inherited(old, service)) {
		for (size_t i = 0; i < old->count; i++) {
			if (old->entries[i].service == service && !add(out, &old->entries[i], err))
				return false;
		}
		return true;
	}
	while (settings_take_item(&rest, &item)) {
		if (!span_copy(item, entry.address, sizeof(entry.address)))
			return error_set(err, ERR_BAD_VALUE, "an address is too long");
		if (!open_address(settings, &entry, old, out, err))
			return false;
	}
	return true;
}

static bool held_by(const struct sockets *sockets, int fd)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (sockets->entries[i].fd == fd)
			return true;
	}
	return false;
}

bool sockets_open(const struct settings *settings, struct sockets *old, struct sockets *out, struct error *err)
{
	bool ok = true;

	memset(out, 0, sizeof(*out));
	for (int service = 0; ok && service < PORT_COUNT; service++) {
		if (settings->listen.ports[service] != 0)
			ok = open_service(settings, (enum settings_port)service, old, out, err);
	}
	if (ok && out->count == 0)
		ok = error_set(err, ERR_BAD_VALUE, "no port to listen on: see [listen] in the config file");
	/* The loser gives up what both hold. */
	for (size_t i = 0; !ok && i < out->count; i++) {
		if (held_by(old, out->entries[i].fd))
			out->entries[i].fd = -1;
	}
	for (size_t i = 0; ok && i < old->count; i++) {
		if (held_by(out, old->entries[i].fd))
			old->entries[i].fd = -1;
	}
	if (!ok)
		sockets_close(out);
	return ok;
}

bool sockets_port_free(const struct settings *settings, enum settings_port service, struct error *err)
{
	struct span rest = span_of(settings->listen.addresses), item;
	struct endpoint where;
	char address[64];
	uint32_t port = settings->listen.ports[service];

	while (settings_take_item(&rest, &item)) {
		if (!span_copy(item, address, sizeof(address)) || !endpoint_make(settings, address, port, &where))
			return error_set(err, ERR_BAD_VALUE, "%.*s is not an address", SPAN_FMT(span_first(item, 60)));
		if (!probe(&where, 0) && !no_ipv6(errno, address, port))
			return bind_error(errno, address, port, err);
	}
	return true;
}

int sockets_open_unix(const char *path, int type, mode_t mode, struct error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (!span_copy(span_of(path), address.sun_path, sizeof(address.sun_path))) {
		(void)error_detail(err, ERR_BAD_VALUE, "%s is too long for a socket's name", path);
		return -1;
	}
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		(void)error_errno(err, errno, "socket");
		return -1;
	}
	(void)unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || chmod(path, mode) != 0 ||
	        listen(fd, UNIX_BACKLOG) != 0) {
		(void)error_errno(err, errno, path);
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* ---- inherited (sd_listen_fds(3)) ---- */

static uint32_t local_port(int fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &length) != 0)
		return 0;
	if (address.ss_family == AF_INET)
		return ntohs(((struct sockaddr_in *)&address)->sin_port);
	return address.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&address)->sin6_port) : 0;
}

static bool known_service(const struct settings *settings, struct span name, uint32_t port, enum settings_port *service)
{
	for (int i = 0; i < PORT_COUNT; i++) {
		if (span_equal(name, span_of(settings_port_name((enum settings_port)i)))) {
			*service = (enum settings_port)i;
			return true;
		}
	}
	for (int i = 0; i < PORT_COUNT; i++) {
		if (port != 0 && settings->listen.ports[i] == port) {
			*service = (enum settings_port)i;
			return true;
		}
	}
	return false;
}

static uint64_t number_of(const char *variable)
{
	uint64_t number = 0;
	const char *text = getenv(variable);

	return text != NULL && span_number(span_of(text), INT32_MAX, &number) ? number : 0;
}

bool sockets_inherit(const struct settings *settings, struct sockets *out, struct error *err)
{
	const char *all_names = getenv("LISTEN_FDNAMES");
	struct span names = span_of(all_names), name;
	uint64_t count = number_of("LISTEN_PID") == (uint64_t)getpid() ? number_of("LISTEN_FDS") : 0;
	bool ok = true;

	memset(out, 0, sizeof(*out));
	if (count > SOCKETS_INHERIT_MAX)
		return error_set(err, ERR_LIMIT, "more than %d inherited sockets", SOCKETS_INHERIT_MAX);
	for (int fd = FIRST_INHERITED; ok && fd < FIRST_INHERITED + (int)count; fd++) {
		struct socket_entry entry = { .fd = fd, .worker = SOCKETS_ALL, .port = local_port(fd) };
		if (!span_take_until(&names, ':', &name)) {
			name = names;
			names = SPAN_EMPTY;
		}
		(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
		if (!known_service(settings, name, entry.port, &entry.service))
			ok = error_set(err, ERR_BAD_VALUE,
			        "inherited socket %d (%.*s) is of no service in the config file", fd,
			        SPAN_FMT(span_first(name, 40)));
		else
			ok = add(out, &entry, err);
	}
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	if (!ok)
		sockets_close(out);
	return ok;
}
