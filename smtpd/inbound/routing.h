/* smtpd/inbound/routing.h — where an address leads: to accounts of ours, to another server, or, by an alias, to both.
 *
 *   ours            storage/directory.h: accounts, aliases (also to addresses elsewhere), subaddresses, postmaster, catch-all
 *   SRS0=..@ours    a bounce for a message that we forwarded: goes to its original sender, for the null sender only
 *   somebody else's another server, for who may relay: logged in, in relay_networks, or a program on this machine
 *
 * Blocking, but for what says otherwise: worker threads. */
#ifndef SMTPD_INBOUND_ROUTING_H
#define SMTPD_INBOUND_ROUTING_H

#include "smtpd/syntax/path.h"
#include "storage/directory.h"
#include "storage/queue.h"

struct routing {
	struct resolution resolution;      /* count 0 and remote_count 0 when `remote` is set */
	char remote[PATH_MAILBOX_MAX + 1]; /* the address at another server; "" when it is ours */
	char domain[QUEUE_DOMAIN_MAX + 1]; /* of remote, as the queue groups it */
	bool returned;                     /* remote was found in an SRS address */
};

struct routing_request {
	const struct smtp_path *recipient;
	bool may_relay;
	bool null_sender;
	int64_t unix_seconds;
};

/* Fills *out. ERR_NO_SUCH_DOMAIN: not ours, and this client may not relay. ERR_NO_SUCH_ADDRESS, ERR_DENIED, ERR_TEMPORARY, ... */
bool routing_find(
        struct directory *directory, const struct routing_request *request, struct routing *out, struct error *err);

/* What routing_find() says of a domain that is not ours, for who may relay. Looks at no file: any thread. */
bool routing_elsewhere(const struct smtp_path *path, struct routing *out, struct error *err);

/* The name that the queue groups by: A-labels, lower case, without a dot at the end; a literal in lower case. ERR_BAD_ADDRESS. */
bool routing_domain(struct span domain, char out[QUEUE_DOMAIN_MAX + 1], struct error *err);

#endif
