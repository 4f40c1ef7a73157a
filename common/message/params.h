/* common/message/params.h — "value; name=value; ..." of Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2183 §2),
 * with RFC 2231 continuations and charsets. Forgiving: unquoted specials, missing semicolons, comments anywhere.
 * Linear in the input (continuations are sorted by number, n log n in their count); any thread. */
#ifndef MESSAGE_PARAMS_H
#define MESSAGE_PARAMS_H

#include "message/arena.h"

#define PARAMS_MAX 1000 /* of one field; further ones are left out */

struct mime_param {
	struct span name;  /* as sent; continuations joined: "name*" when the value is still RFC 2231 encoded */
	struct span value; /* unquoted */
};

struct mime_params {
	struct mime_param *items;
	size_t count;
};

/* "text/plain; ...": type and subtype, both empty (absent) when the value does not begin with token "/" token.
 * All spans point into value or the arena. False only when out of memory. */
bool params_parse_content_type(
        struct arena *arena, struct span value, struct span *type, struct span *subtype, struct mime_params *params);
/* "attachment; ...": the first token, absent when there is none. */
bool params_parse_disposition(
        struct arena *arena, struct span value, struct span *disposition, struct mime_params *params);

/* The value of a parameter by its plain name, whichever form it came in (RFC 2231 wins over the plain form); false when
 * there is none. `extended`: the value is charset'language'percent-encoded. */
bool params_find(const struct mime_params *params, struct span name, struct span *value, bool *extended);
/* The same as UTF-8 for people: RFC 2231 decoded, encoded words too (against RFC 2047 §5, but common for file names). */
bool params_decode(const struct mime_params *params, struct span name, struct buffer *out);

#endif
