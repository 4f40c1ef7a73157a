/* authd/new_keys.h — SCRAM keys for a user who was imported with a ready hash, which nobody can make them from: they are made
 * when the right password is there, at a login by PLAIN or LOGIN (verify.h), and written here.
 *
 * The write waits for nobody and nobody for it. What is stored meanwhile wins: only the hash that was checked gets keys
 * (credentials_add_scram). A write that fails is logged and forgotten; the next check of the password makes them again.
 * Thread: the loop's. */
#ifndef AUTHD_NEW_KEYS_H
#define AUTHD_NEW_KEYS_H

#include "authd/writer.h"
#include "sasl/password.h"

#define NEW_KEYS_MAX 256 /* writes that wait; more are left for a later login */

struct new_keys {
	struct writer *writer;
	unsigned waiting;
};

/* `keys` are of the password that credential->password_hash was checked against; both are copied. */
void new_keys_add(struct new_keys *new_keys, const struct credential *credential, const struct password_keys *keys);

#endif
