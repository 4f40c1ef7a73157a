/* common/net/foreign.h — first words of protocols that we do not speak where they come: somebody makes a browser, or a mail server, talk to us
 * (cross-protocol attacks, ALPACA 2021). Pure; any thread. */
#ifndef NET_FOREIGN_H
#define NET_FOREIGN_H

#include "base/span.h"

enum foreign_speech { FOREIGN_HTTP = 1 << 0, FOREIGN_SMTP = 1 << 1, FOREIGN_POP3 = 1 << 2 };

/* Is it the first word of one of these (a set of enum foreign_speech)? Case does not matter. */
bool is_foreign_word(struct span word, unsigned speeches);

#endif
