/* pop3d/message_reply.h — the whole answer to RETR or TOP, made piece by piece: "+OK 120 octets", the message with its dots
 * doubled, ".".
 *
 * Owner: the caller of message_reply_init(), until message_reply_free(). Thread: a step reads from the store, so a worker
 * thread; one at a time. Memory: one step's output, and for a surrogate at most SURROGATE_TEXT_MAX. */
#ifndef POP3D_MESSAGE_REPLY_H
#define POP3D_MESSAGE_REPLY_H

#include "pop3d/settings.h"
#include "pop3d/stuffing.h"
#include "pop3d/surrogate.h"
#include "storage/mailbox.h"

#define TOP_SCAN_MAX      MIB /* octets in which TOP looks for headers to rewrite */
#define MESSAGE_REPLY_MAX (2 * STREAM_CHUNK + SURROGATE_TEXT_MAX + RESPONSE_LINE_MAX) /* one step's output at most */

struct message_reply {
	int64_t message_id;
	uint32_t size; /* as stored; after the first step, as handed out */
	uint32_t top_lines;
	bool utf8; /* the client said UTF8: the message goes out as it is */
	bool begun;
	bool finished;
	uint64_t at;
	struct stuffing stuffing;
	struct surrogate surrogate;
};

/* top_lines: lines of the body for TOP, or STUFFING_ALL for RETR. */
void message_reply_init(struct message_reply *reply, int64_t message_id, uint32_t size, uint32_t top_lines, bool utf8);
void message_reply_free(struct message_reply *reply);
/* Appends the next piece to out: at most STREAM_CHUNK octets of the message, read into scratch. False: *err says why; what a
 * failed first step appended is to be thrown away. */
bool message_reply_step(struct message_reply *reply, struct account *account, struct buffer *scratch,
        struct buffer *out, struct error *err);

#endif
