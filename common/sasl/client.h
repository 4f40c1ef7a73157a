/* common/sasl/client.h — the client's side of PLAIN, LOGIN and SCRAM-SHA-256 (RFC 4616, RFC 5802, RFC 7677), for the relay.
 *
 * Text in base64 goes in and out, as in sasl.h. Pure but for the random nonce. sasl_client_step() of SCRAM computes PBKDF2 (some 10 ms at
 * 16,384 rounds): on a worker thread. Owner: the caller of sasl_client_new(), until sasl_client_free(), which wipes the password. */
#ifndef SASL_CLIENT_H
#define SASL_CLIENT_H

#include "base/buffer.h"
#include "base/error.h"

#define SASL_CLIENT_ITERATIONS_MAX 200000 /* what a server may ask of us */

struct sasl_client;
enum sasl_client_mechanism { SASL_CLIENT_SCRAM, SASL_CLIENT_PLAIN, SASL_CLIENT_LOGIN };

/* NULL: out of memory, or a name or password that is too long. Copied. */
struct sasl_client *sasl_client_new(enum sasl_client_mechanism mechanism, struct span user, struct span password);
void sasl_client_free(struct sasl_client **client);
const char *sasl_client_name(const struct sasl_client *client); /* "SCRAM-SHA-256" */
/* The initial response; empty and false: there is none (LOGIN). */
bool sasl_client_initial(struct sasl_client *client, struct buffer *out);
/* The answer to one challenge. False: *err says what is wrong with it (ERR_AUTH_FAILED: the server does not know the password either). */
bool sasl_client_step(struct sasl_client *client, struct span challenge, struct buffer *out, struct error *err);
/* May success be believed now? SCRAM: only after the server has shown its signature. */
bool sasl_client_done(const struct sasl_client *client);

#endif
