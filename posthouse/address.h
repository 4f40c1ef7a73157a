/* posthouse/address.h — addresses that an admin may give to users and aliases. Any thread. */
#ifndef POSTHOUSE_ADDRESS_H
#define POSTHOUSE_ADDRESS_H

#include "base/error.h"
#include "base/span.h"

#define LOCAL_PART_MAX 64 /* RFC 5321 §4.5.3.1.1 */

/* Dot-string "@" Domain (RFC 5321 §4.1.2), UTF-8 allowed (RFC 6531 §3.3). Quoted local parts are not: what needs them, many
 * clients cannot write to. The domain is the directory's to judge. ERR_BAD_ADDRESS. */
bool address_check(struct span address, struct error *err);
/* The same, or "*@domain". */
bool address_check_alias(struct span address, struct error *err);

#endif
