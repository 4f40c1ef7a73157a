/* imapd/compress.h — COMPRESS=DEFLATE (RFC 4978): one session's two streams.
 *
 * In: compressed octets are inflated into a buffer of COMPRESS_BUFFER octets, and no more are taken before those are consumed, so
 * a bomb costs nothing but the time of who sends it. Out: what is written is compressed to the conn; compress_flush() at the end of
 * a turn makes all of it readable (Z_SYNC_FLUSH).
 * Memory: about 48 KiB for the way in (the client's window is 32 KiB, RFC 1951), and 70 KiB for the way out, which compress_rest() gives
 * back: what follows then refers to nothing before it. Owner: the session. Thread: the loop's. */
#ifndef IMAPD_COMPRESS_H
#define IMAPD_COMPRESS_H

#include "net/conn.h"

#define COMPRESS_BUFFER (4 * KIB)

struct compress;

struct compress *compress_new(void); /* NULL: out of memory */
void compress_free(struct compress **compress);

/* Takes *taken octets of `in` (which may be empty: what zlib has not given yet comes then). Only while nothing is waiting.
 * False: the stream is damaged. What comes behind the end of the stream is dropped. */
bool compress_inflate(struct compress *c, struct span in, size_t *taken);
struct span compress_waiting(const struct compress *c); /* inflated, not consumed */
void compress_taken(struct compress *c, size_t count);

void compress_write(struct compress *c, struct conn *conn, struct span bytes);
void compress_flush(struct compress *c, struct conn *conn);
void compress_finish(struct compress *c, struct conn *conn); /* the last block (RFC 1951 §3.2.3) */
void compress_rest(struct compress *c);                      /* flushed, and for a while there is little to say */

#endif
