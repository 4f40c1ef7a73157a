/* smtpd/outbound/relay.h — what the parts of the relay share. Owner: main.c. Thread: the loop's, but for what says otherwise. */
#ifndef SMTPD_OUTBOUND_RELAY_H
#define SMTPD_OUTBOUND_RELAY_H

#include "net/dial.h"
#include "net/worker.h"
#include "smtpd/outbound/id_set.h"
#include "smtpd/outbound/route.h"
#include "smtpd/outbound/schedule.h"
#include "smtpd/outbound/settings.h"
#include "smtpd/outbound/source.h"
#include "smtpd/outbound/sts_find.h"
#include "storage/directory.h"
#include "storage/events.h"
#include "storage/queue.h"
#include "storage/relay_store.h"
#include "storage/store.h"

struct finisher;
struct scheduler;

struct relay {
	const struct relay_settings *settings;
	uv_loop_t *loop;
	struct worker_pool *pool;
	/* blocking: worker threads only */
	struct queue *queue;
	struct store *store;
	struct directory *directory;
	struct relay_store *routes;
	struct event_log *events; /* event_note() on the loop */
	/* the network */
	struct dns *dns;
	struct tls_client *tls;
	struct sources *sources;
	struct sts_fetcher *fetcher;
	struct sts_finder *sts;
	struct router *router;
	/* our own */
	struct relay_clock clock;
	struct id_set under_way; /* recipients in memory: not to be taken again */
	struct finisher *finisher;
	struct scheduler *scheduler;
};

#endif
