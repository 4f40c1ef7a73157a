/* common/net/service.h — what every daemon process has in common: inherited sockets, the supervisor's control socket,
 * signals, drain, and the end.
 *
 * The parent (supervisor, or systemd for a single daemon) passes descriptors from 3 on, named in LISTEN_FDNAMES
 * (sd_listen_fds(3)): listening sockets by service name, "control" (SOCK_SEQPACKET to the supervisor), "secret" (a memfd
 * of 32 random bytes). Over control: 'p' in both directions (ping, answered by the event loop), 'd' drain, 'r' reload to
 * us; 'R' (ready) from us. End of file on control, SIGTERM and SIGINT mean drain as well; SIGHUP means reload.
 * Thread: the loop's. */
#ifndef NET_SERVICE_H
#define NET_SERVICE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define SERVICE_FDS_MAX    64
#define SERVICE_SECRET_LEN 32
#define SERVICE_DRAIN_MS   25000 /* sessions that are not done by then are closed; before the supervisor kills (30 s) */

struct service;

struct service_events {
	/* Stop accepting, let sessions end (tell them), call service_done() when the last one has. */
	void (*on_drain)(void *arg);
	/* SERVICE_DRAIN_MS after on_drain: close what is left, then service_done(). */
	void (*on_drain_over)(void *arg);
	void (*on_reload)(void *arg);
};

/* Reads the environment and takes the descriptors (close-on-exec from here on). */
bool service_new(
        uv_loop_t *loop, const struct service_events *events, void *arg, struct service **out, struct error *err);
/* The next listening socket of this name, or -1 when there is no further one. The caller owns it. */
int service_take_socket(struct service *service, const char *name);
/* The shared secret; random (this process only) when none was passed. */
const uint8_t *service_secret(const struct service *service);
void service_ready(struct service *service); /* tells the supervisor (or systemd by sd_notify's socket) */
bool service_is_draining(const struct service *service);
void service_done(struct service *service); /* closes the service's handles so that uv_run() can return */
void service_free(struct service **service);

#endif
