/* authd/service.h — the socket that the daemons ask (sasl/auth_protocol.h), and what one daemon process may do there.
 *
 * Only processes of our own user, or root, are listened to (SO_PEERCRED). A process has at most AUTH_PENDING_MAX questions open;
 * one that takes no replies is not read from until it does; one that sends what is no question is cut off. When a process
 * goes, its questions are cancelled. Thread: the loop's. */
#ifndef AUTHD_SERVICE_H
#define AUTHD_SERVICE_H

#include "authd/attempt.h"

#define AUTH_PROCESSES_MAX 256
#define AUTH_READS_A_TURN  64 /* packets of one process before another's turn */

struct auth_service_socket;

struct auth_service_settings {
	const char *path;            /* made anew, mode 0600, when listener is -1 */
	int listener;                /* an inherited one, or -1 */
	void (*on_quiet)(void *arg); /* after auth_service_drain(): the last question is answered; called once */
	void *arg;
};

/* Takes no process before auth_service_start(). */
bool auth_service_new(uv_loop_t *loop, struct attempts *attempts, const struct auth_service_settings *settings,
        struct auth_service_socket **out, struct error *err);
void auth_service_start(struct auth_service_socket *service);
/* Takes no further process and no further question: what is left unread, the clients ask the next authd. */
void auth_service_drain(struct auth_service_socket *service);
/* Cuts off everybody, closes the handles; the memory goes with auth_service_free(), after the loop has ended. */
void auth_service_close(struct auth_service_socket *service);
void auth_service_free(struct auth_service_socket **service);

#endif
