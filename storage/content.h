/* storage/content.h — how the octets of a message lie in a row of `content` (schema/mail-1.sql). For storage/ only. */
#ifndef STORAGE_CONTENT_H
#define STORAGE_CONTENT_H

#include "base/macros.h"

#define CONTENT_HEAD_MAX (128 * KIB) /* of the header block; what is longer goes on in the blob */

/* Bits of message.traits. */
#define TRAIT_REPLY      1
#define TRAIT_ATTACHMENT 2

enum content_class { CONTENT_ROW = 0, CONTENT_FILE = 1 };

#endif
