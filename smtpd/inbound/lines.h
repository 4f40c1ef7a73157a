/* smtpd/inbound/lines.h — a message that came as BODY=BINARYMIME (RFC 3030 §3) becomes one of lines: binary parts become base64.
 *
 * Here and not at its way out: POP3 and most IMAP clients can be given no NUL and no bare line end, and nothing behind this has to know of
 * binary messages. Waits for the disk: worker threads only. */
#ifndef SMTPD_INBOUND_LINES_H
#define SMTPD_INBOUND_LINES_H

#include "storage/spool.h"

/* Replaces *spool where that is needed. ERR_UNSUPPORTED: a signed part is binary (RFC 3030 §3: then it is refused); ERR_SYNTAX:
 * a bare CR, bare LF or NUL where nothing can be encoded (a header, between parts); ERR_TOO_LARGE: it grew past limit; what a spool says. On failure *spool is as it was.
 * in_file: what it becomes leaves memory (spool.h). */
bool lines_make(struct store *store, uint64_t limit, bool in_file, struct spool **spool, struct error *err);

#endif
