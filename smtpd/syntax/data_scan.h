/* smtpd/syntax/data_scan.h — finds the end of DATA and undoes dot-stuffing (RFC 5321 §4.5.2), as a stream.
 *
 * Only CR LF "." CR LF ends a message (RFC 5321 §4.1.1.4). A bare CR, a bare LF or a NUL anywhere is DATA_BAD: such a message
 * is how mail is smuggled past a server that reads line ends otherwise (CVE-2023-51764), and nobody is asked whether they
 * want that. Nothing is copied: text comes out as runs of the input. Lines may be of any length (RFC 5321 §4.5.3.1.6
 * asks for 1000 at least). Any thread. */
#ifndef SMTPD_SYNTAX_DATA_SCAN_H
#define SMTPD_SYNTAX_DATA_SCAN_H

#include "base/span.h"

/* Where the next octet stands.
 *
 *   LINE_START --"."--> DOT --CR--> DOT_CR --LF--> end of data
 *       |  ^             | other: the dot was stuffed and goes
 *       v  |             v
 *     IN_LINE <----------+
 *       |  ^
 *      CR  LF back to LINE_START
 *       v
 *      CR --anything but LF--> bad                                    */
enum data_state { DATA_LINE_START, DATA_IN_LINE, DATA_CR, DATA_DOT, DATA_DOT_CR };

struct data_scan {
	enum data_state state;
};

enum data_found {
	DATA_TEXT, /* *text is a run of the message, not empty */
	DATA_MORE, /* the input is used up, the message goes on */
	DATA_END,  /* end of data: what is left in *in came after it (pipelined commands, RFC 2920 §3.1) */
	DATA_BAD,  /* bare CR, bare LF or NUL */
};

void data_scan_init(struct data_scan *scan);
/* Consumes from *in. Call again until it says something else than DATA_TEXT. After DATA_END and DATA_BAD: init first. */
enum data_found data_scan_next(struct data_scan *scan, struct span *in, struct span *text);

/* The text of a BDAT chunk (RFC 3030 §2) of a message that is not BODY=BINARYMIME: nothing stands for its end, and dots are dots. False:
 * a bare CR, bare LF or NUL. Carries on from chunk to chunk; after the last one data_scan_whole() must hold. */
bool data_scan_chunk(struct data_scan *scan, struct span text);
bool data_scan_whole(const struct data_scan *scan); /* no CR is left hanging */

#endif
