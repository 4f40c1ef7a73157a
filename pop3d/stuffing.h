/* pop3d/stuffing.h — the body of a multi-line reply: dots at line starts doubled, a last line that lacks its CRLF ended, and
 * for TOP only so many lines of the body let through (RFC 1939 §3, §7).
 *
 * A stream: feed the message in pieces of any size, then finish, which adds the terminating "." line. A dot after a bare LF
 * is doubled too: clients that end lines at LF could otherwise be made to see an end where there is none.
 * A plain value, owns nothing. Any thread. */
#ifndef POP3D_STUFFING_H
#define POP3D_STUFFING_H

#include "base/buffer.h"

#define STUFFING_ALL UINT32_MAX /* every line: RETR */

struct stuffing {
	uint32_t body_lines; /* still to be let through */
	bool limited;        /* TOP: count */
	bool in_header;
	bool line_start; /* the next octet begins a line */
	bool empty_line; /* TOP: nothing but CR since the line began */
	bool ended;      /* TOP: enough */
	char last[2];    /* the octets fed last */
};

void stuffing_init(struct stuffing *stuffing, uint32_t body_lines);
/* False when out is full. Nothing more comes out once `ended`. */
bool stuffing_feed(struct stuffing *stuffing, struct span bytes, struct buffer *out);
bool stuffing_finish(struct stuffing *stuffing, struct buffer *out);

#endif
