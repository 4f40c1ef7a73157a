/* common/message/subject.h — the base subject of RFC 5256 §2.1, for SORT and THREAD. Any thread. */
#ifndef MESSAGE_SUBJECT_H
#define MESSAGE_SUBJECT_H

#include "base/buffer.h"

#define SUBJECT_SOURCE_MAX (8 * KIB) /* octets of a Subject: value that are looked at */

/* Appends the base subject of a raw value as UTF-8. *is_reply: a reply or forward mark was taken off. False when out is full. */
bool subject_base(struct span value, struct buffer *out, bool *is_reply);

#endif
