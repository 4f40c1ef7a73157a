/* common/sasl/auth_client_later.h — for sasl.c only: the client's queue of calls to make from the loop. */
#ifndef SASL_AUTH_CLIENT_LATER_H
#define SASL_AUTH_CLIENT_LATER_H

#include "sasl/auth_client.h"
#include "sasl/later.h"

struct later_queue *auth_client_later(struct auth_client *client);

#endif
