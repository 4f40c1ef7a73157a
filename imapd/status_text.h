/* imapd/status_text.h — the STATUS response (RFC 9051 §7.3.5), for STATUS and for LIST (RFC 5819). Pure, any thread. */
#ifndef IMAPD_STATUS_TEXT_H
#define IMAPD_STATUS_TEXT_H

#include "imapd/parse.h"
#include "storage/mailbox.h"

/* items: enum status_item. False when out is full. */
bool status_put(struct buffer *out, bool utf8, struct span name, const struct mailbox_info *info, unsigned items,
        uint64_t append_limit);

#endif
