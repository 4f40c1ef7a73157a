/* storage/mailbox_name.h — names of mailboxes: UTF-8 in NFC, '/' between levels (RFC 9051 §5.1). They are rows, never paths. */
#ifndef STORAGE_MAILBOX_NAME_H
#define STORAGE_MAILBOX_NAME_H

#include "base/buffer.h"
#include "base/error.h"
#include "storage/mailbox.h"

struct mailbox_name {
	char text[MAILBOX_NAME_MAX + 1];
	size_t len;
};

/* The name as it is stored. ERR_BAD_VALUE: empty, an empty level, control characters, not UTF-8; ERR_TOO_LONG: octets or depth. */
bool mailbox_name_parse(struct span in, struct mailbox_name *out, struct error *err);
struct span mailbox_name_span(const struct mailbox_name *name);
bool mailbox_name_is_inbox(struct span name);

#endif
