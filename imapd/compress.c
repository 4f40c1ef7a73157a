#include "imapd/compress.h"

#include "base/check.h"

#include <limits.h>
#include <stdlib.h>
#define ZLIB_CONST /* next_in is const */
#include <zlib.h>

/* Mail's headers and our own answers repeat within a few KiB; a larger window would cost each session more than it saves. */
#define DEFLATE_WINDOW 13
#define DEFLATE_MEMORY 6
#define DEFLATE_LEVEL  4
#define INFLATE_WINDOW 15 /* the client's choice, and RFC 4978 lets it have all */

struct compress {
	z_stream in, out;
	bool out_open; /* deflateInit2() was called */
	bool unflushed;
	bool over; /* the client's stream has ended */
	size_t waiting, first;
	unsigned char plain[COMPRESS_BUFFER];
};

struct compress *compress_new(void)
{
	struct compress *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	if (inflateInit2(&c->in, -INFLATE_WINDOW) != Z_OK) {
		free(c);
		return NULL;
	}
	return c;
}

void compress_free(struct compress **compress)
{
	struct compress *c = *compress;

	*compress = NULL;
	if (c == NULL)
		return;
	(void)inflateEnd(&c->in);
	compress_rest(c);
	free(c);
}

/* --- in --- */

bool compress_inflate(struct compress *c, struct span in, size_t *taken)
{
	unsigned given = in.len < UINT_MAX ? (unsigned)in.len : UINT_MAX;
	int result;

	CHECK(c->waiting == 0);
	*taken = in.len;
	if (c->over)
		return true;
	c->in.next_in = (const Bytef *)(in.len > 0 ? in.ptr : "");
	c->in.avail_in = given;
	c->in.next_out = c->plain;
	c->in.avail_out = COMPRESS_BUFFER;
	result = inflate(&c->in, Z_SYNC_FLUSH);
	c->first = 0;
	c->waiting = COMPRESS_BUFFER - c->in.avail_out;
	*taken = given - c->in.avail_in;
	c->over = result == Z_STREAM_END;
	return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR; /* the last: nothing to do */
}

struct span compress_waiting(const struct compress *c)
{
	return span_make(c->plain + c->first, c->waiting);
}

void compress_taken(struct compress *c, size_t count)
{
	CHECK(count <= c->waiting);
	c->first += count;
	c->waiting -= count;
}

/* --- out --- */

static bool open_out(struct compress *c)
{
	if (c->out_open)
		return true;
	c->out = (z_stream) { .zalloc = NULL };
	c->out_open = deflateInit2(&c->out, DEFLATE_LEVEL, Z_DEFLATED, -DEFLATE_WINDOW, DEFLATE_MEMORY,
	                      Z_DEFAULT_STRATEGY) == Z_OK;
	return c->out_open;
}

static void run_out(struct compress *c, struct conn *conn, int flush)
{
	unsigned char packed[COMPRESS_BUFFER];

	do {
		c->out.next_out = packed;
		c->out.avail_out = sizeof(packed);
		(void)deflate(&c->out, flush); /* fails only when there is nothing to do */
		(void)conn_write(conn, packed, sizeof(packed) - c->out.avail_out);
	} while (c->out.avail_out == 0);
}

void compress_write(struct compress *c, struct conn *conn, struct span bytes)
{
	if (!open_out(c)) {
		conn_close(conn); /* no memory: the stream cannot go on */
		return;
	}
	while (bytes.len > 0) {
		struct span part = span_first(bytes, INT_MAX);

		c->out.next_in = (const Bytef *)part.ptr;
		c->out.avail_in = (unsigned)part.len;
		run_out(c, conn, Z_NO_FLUSH);
		bytes = span_skip(bytes, part.len);
	}
	c->unflushed = true;
}

void compress_flush(struct compress *c, struct conn *conn)
{
	if (!c->unflushed || !c->out_open)
		return;
	c->unflushed = false;
	run_out(c, conn, Z_SYNC_FLUSH);
}

void compress_finish(struct compress *c, struct conn *conn)
{
	if (open_out(c))
		run_out(c, conn, Z_FINISH);
}

void compress_rest(struct compress *c)
{
	if (c->out_open)
		(void)deflateEnd(&c->out);
	c->out_open = false;
}
