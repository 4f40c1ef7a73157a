/* common/message/mime_fields.h — the Content-* fields of one header block into a struct mime_part. For mime.c. */
#ifndef MESSAGE_MIME_FIELDS_H
#define MESSAGE_MIME_FIELDS_H

#include "message/mime.h"

/* Fills type to location of *part, copied into the arena. digest: the default is message/rfc822 (RFC 2046 §5.1.5), not
 * text/plain. *fields: how many fields were seen. Sets kind to what the type says; a multipart's boundary goes to
 * *boundary, and without a usable one it is text/plain. False only when out of memory. */
bool mime_fields_parse(struct arena *arena, struct span block, bool digest, struct mime_part *part,
        struct span *boundary, unsigned *fields);

/* Makes the part application/octet-stream, for what is beyond a limit. */
void mime_fields_opaque(struct mime_part *part);

#endif
