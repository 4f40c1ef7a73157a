/* common/message/summary_parts.h — the parts blob of a summary, see message_parts_read() in summary.h. Any thread. */
#ifndef MESSAGE_SUMMARY_PARTS_H
#define MESSAGE_SUMMARY_PARTS_H

#include "message/summary.h"

bool summary_parts_write(const struct mime_part *parts, size_t count, struct buffer *out);

#endif
