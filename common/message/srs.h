/* common/message/srs.h — Sender Rewriting Scheme: what we forward leaves with an envelope sender of ours, and bounces find back.
 * (Meng Weng Wong, "SRS", 2004; as in libsrs2.) "SRS0=HHHH=TT=example.org=alice@ours" and, of what was rewritten before, "SRS1=HHHH=first=...".
 * Any thread. */
#ifndef MESSAGE_SRS_H
#define MESSAGE_SRS_H

#include "base/error.h"
#include "base/span.h"

#include <stdint.h>

#define SRS_SECRET_LEN 32
#define SRS_DAYS       21 /* how long a bounce finds back */

/* sender: an address (not empty). out: at least 513 octets; ERR_TOO_LONG when the local part would exceed 256; ERR_BAD_ADDRESS:
 * no domain, or a quoted local part. */
bool srs_forward(const uint8_t secret[SRS_SECRET_LEN], struct span sender, struct span our_domain, int64_t unix_seconds,
        char *out, size_t size, struct error *err);
bool srs_is_ours(struct span local_part); /* begins with SRS0 or SRS1 and a separator, in any case */
/* To whom a bounce to that local part goes. ERR_BAD_ADDRESS: no such form; ERR_DENIED: the hash is wrong; ERR_TIMEOUT: too old. The hash is
 * compared without regard to case, in constant time: some servers change case. */
bool srs_reverse(const uint8_t secret[SRS_SECRET_LEN], struct span local_part, int64_t unix_seconds, char *out,
        size_t size, struct error *err);

#endif
