/* imapd/capability.h — the one table of what is announced (RFC 9051 §6.1.1, §7.2.2): in the greeting, on CAPABILITY, with the tagged OK
 * of a login. A row stands there only when all of its RFC is done; docs/imap.md lists them and a test compares. Thread: the loop's. */
#ifndef IMAPD_CAPABILITY_H
#define IMAPD_CAPABILITY_H

#include "imapd/session.h"

#define CAPABILITIES_MAX 1500

/* "IMAP4rev1 LITERAL+ ..." as it is for this session now. */
void capability_list(const struct imap_session *s, char out[CAPABILITIES_MAX]);
/* Is it announced to this session now? For ENABLE. */
bool capability_is_announced(const struct imap_session *s, struct span name);

#endif
