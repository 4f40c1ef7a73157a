#include "message/mime.h"

#include "message/mime_fields.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

/* How it goes: octets are cut into lines. A line is looked at for a boundary only when it begins with "--"; only such a
 * line (and at most LINE_LOOK_MAX octets of it) is ever held back between two feeds.
 *
 *   IN_HEADER --empty line--> header_done --leaf, multipart--> IN_BODY
 *       ^                        |message: its content's header begins at once
 *       +-- boundary line: all parts inside that multipart end, the next begins (or the multipart's epilogue)
 *
 * Always: `current` is the innermost part that has not ended, and its ancestors are the others; frames are the multiparts
 * among them that still wait for a boundary, outermost first. */

#define LINE_LOOK_MAX (MIME_BOUNDARY_MAX + 512) /* octets of a line that decide whether it is a boundary */
#define ARENA_MAX     (16 * MIB)                /* all that MIME_HEADERS_TOTAL_MAX can lead to */
#define FIRST_PARTS   8
#define KEEP_HEADER   (64 * KIB) /* what a parser keeps from one message to the next */
#define KEEP_PARTS    64

enum state { IN_HEADER, IN_BODY };
enum line_state { LINE_START, LINE_HELD, LINE_PASSING };

struct frame {
	uint32_t part;
	uint32_t last_child;
	struct span boundary;
};

struct mime_parser {
	struct mime_hooks hooks;
	struct arena arena;
	struct mime_part *parts;
	size_t count, capacity;
	struct frame frames[MIME_DEPTH_MAX];
	unsigned frame_count;
	uint32_t current;

	enum state state;
	enum line_state line_state;
	bool wants_body;      /* current is a leaf, and its hook wants the octets */
	bool failed;          /* out of memory */
	uint64_t at;          /* octets dealt with; held ones are not yet */
	uint64_t lines;       /* line ends among them */
	unsigned line_end;    /* octets of the line end directly before `at`: 0, 1 or 2 */
	char last;            /* the octet before `at` */
	struct buffer held;   /* the beginning of the line at `at` */
	struct buffer header; /* the block being collected */
	bool header_cut;      /* it was longer than may be collected */
	uint64_t headers_total;
	unsigned fields_total;
};

struct mime_parser *mime_parser_new(const struct mime_hooks *hooks)
{
	struct mime_parser *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	if (hooks != NULL)
		p->hooks = *hooks;
	arena_init(&p->arena, ARENA_MAX);
	buffer_init(&p->held, LINE_LOOK_MAX);
	buffer_init(&p->header, MIME_HEADER_MAX);
	mime_parser_reset(p);
	return p;
}

void mime_parser_free(struct mime_parser **parser)
{
	struct mime_parser *p = *parser;

	if (p == NULL)
		return;
	arena_free(&p->arena);
	buffer_free(&p->held);
	buffer_free(&p->header);
	free(p->parts);
	free(p);
	*parser = NULL;
}

/* A new part, innermost; its header begins at p->at. */
static void begin_part(struct mime_parser *p, uint32_t parent)
{
	struct mime_part *part;

	if (p->count == p->capacity) {
		size_t capacity = p->capacity == 0 ? FIRST_PARTS : p->capacity * 2;
		struct mime_part *parts = reallocarray(p->parts, capacity, sizeof(*parts));

		if (parts == NULL) {
			p->failed = true;
			return;
		}
		p->parts = parts;
		p->capacity = capacity;
	}
	part = &p->parts[p->count];
	*part = (struct mime_part) { .parent = parent, .first_child = MIME_NO_PART, .next_sibling = MIME_NO_PART };
	part->depth = parent == MIME_NO_PART ? 0 : p->parts[parent].depth + 1;
	part->is_message = parent == MIME_NO_PART || p->parts[parent].kind == MIME_MESSAGE;
	part->header_at = p->at;
	p->current = (uint32_t)p->count++;
	p->state = IN_HEADER;
	p->header_cut = false;
	buffer_clear(&p->header);
}

void mime_parser_reset(struct mime_parser *p)
{
	arena_reset(&p->arena);
	buffer_clear(&p->held);
	if (p->header.cap > KEEP_HEADER)
		buffer_free(&p->header);
	if (p->capacity > KEEP_PARTS) {
		free(p->parts);
		p->parts = NULL;
		p->capacity = 0;
	}
	p->count = 0;
	p->frame_count = 0;
	p->line_state = LINE_START;
	p->wants_body = p->failed = false;
	p->at = p->lines = p->headers_total = 0;
	p->fields_total = 0;
	p->line_end = 0;
	p->last = '\0';
	begin_part(p, MIME_NO_PART);
}

/* Counts octets as dealt with. */
static void advance(struct mime_parser *p, struct span s)
{
	if (s.len == 0)
		return;
	p->line_end = 0;
	if (s.ptr[s.len - 1] == '\n')
		p->line_end = (s.len > 1 ? s.ptr[s.len - 2] : p->last) == '\r' ? 2 : 1;
	p->last = s.ptr[s.len - 1];
	p->at += s.len;
}

static void collect_header(struct mime_parser *p, struct span s)
{
	size_t room = p->header.limit - p->header.len;
	uint64_t total = p->headers_total + p->header.len;

	if (room > MIME_HEADERS_TOTAL_MAX - total)
		room = (size_t)(MIME_HEADERS_TOTAL_MAX - total);
	if (s.len > room)
		p->header_cut = true;
	if (!buffer_append_span(&p->header, span_first(s, room)))
		p->failed = true;
}

/* Octets that are content: of the header, of a body, or of nothing (preamble, epilogue). */
static void emit(struct mime_parser *p, struct span s)
{
	if (p->state == IN_HEADER)
		collect_header(p, s);
	else if (p->wants_body && s.len > 0)
		p->hooks.on_body(p->hooks.context, &p->parts[p->current], s);
	advance(p, s);
}

static void push_frame(struct mime_parser *p, struct span boundary)
{
	CHECK(p->frame_count < MIME_DEPTH_MAX);
	p->frames[p->frame_count++] =
	        (struct frame) { .part = p->current, .last_child = MIME_NO_PART, .boundary = boundary };
}

static bool is_digest_child(const struct mime_parser *p, const struct mime_part *part)
{
	return part->parent != MIME_NO_PART && p->parts[part->parent].kind == MIME_MULTIPART &&
	       span_equal_nocase(p->parts[part->parent].subtype, SPAN("digest"));
}

/* Reads the collected fields; true when a limit was passed, so that the rest of the message is one opaque part. */
static bool read_fields(struct mime_parser *p, struct mime_part *part, struct span *boundary)
{
	unsigned fields = 0;

	if (!mime_fields_parse(&p->arena, buffer_span(&p->header), is_digest_child(p, part), part, boundary, &fields))
		p->failed = true;
	p->headers_total += p->header.len;
	p->fields_total += fields;
	if (part->kind != MIME_LEAF && (part->depth >= MIME_DEPTH_MAX || p->count >= MIME_PARTS_MAX))
		mime_fields_opaque(part);
	return p->header_cut || p->fields_total >= MIME_FIELDS_MAX || p->headers_total >= MIME_HEADERS_TOTAL_MAX;
}

/* The header of the innermost part is complete: what follows is its body. */
static void header_done(struct mime_parser *p)
{
	struct mime_part *part = &p->parts[p->current];
	struct span boundary;

	part->header_len = p->at - part->header_at;
	part->body_at = p->at;
	part->body_lines = p->lines; /* for now where it starts; finish_part() subtracts */
	if (read_fields(p, part, &boundary)) {
		mime_fields_opaque(part);
		p->frame_count = 0;
	}
	p->state = IN_BODY;
	p->wants_body = p->hooks.on_header != NULL &&
	                p->hooks.on_header(p->hooks.context, part, buffer_span(&p->header)) &&
	                p->hooks.on_body != NULL && part->kind == MIME_LEAF;
	if (part->kind == MIME_MULTIPART) {
		push_frame(p, boundary);
	} else if (part->kind == MIME_MESSAGE) {
		uint32_t message = p->current;

		part->first_child = (uint32_t)p->count;
		begin_part(p, message);
	}
}

/* A multipart's next part begins behind its boundary line. */
static void begin_child(struct mime_parser *p, struct frame *frame)
{
	uint32_t child = (uint32_t)p->count;
	bool last = p->count + 1 == MIME_PARTS_MAX;

	begin_part(p, frame->part);
	if (p->failed)
		return;
	if (frame->last_child == MIME_NO_PART)
		p->parts[frame->part].first_child = child;
	else
		p->parts[frame->last_child].next_sibling = child;
	frame->last_child = child;
	if (last) {
		p->header_cut = true; /* the last part there may be: opaque, with all that follows */
		header_done(p);
	}
}

static void finish_part(struct mime_parser *p, uint64_t end, uint64_t lines)
{
	struct mime_part *part = &p->parts[p->current];

	part->body_len = end - part->body_at;
	part->body_lines = lines - part->body_lines;
	if (p->hooks.on_end != NULL)
		p->hooks.on_end(p->hooks.context, part);
	p->current = part->parent;
	p->wants_body = false;
}

/* Ends the parts inside `outer`. The line end before a boundary is the boundary's (RFC 2046 §5.1.1), but never that of a
 * header line: a body that has not begun is empty. */
static void finish_inside(struct mime_parser *p, uint32_t outer, unsigned line_end)
{
	uint64_t end = p->at - line_end;
	uint64_t lines = p->lines - (line_end > 0);

	if (end < p->parts[p->current].body_at) {
		end = p->at;
		lines = p->lines;
	}
	while (p->current != outer)
		finish_part(p, end, lines);
}

enum boundary_kind { NO_BOUNDARY, NEXT_PART, LAST_BOUNDARY };

/* RFC 2046 §5.1.1: "--" boundary, then only blanks; or "--" boundary "--", then anything (footers get glued to it). */
static enum boundary_kind match(struct span line, struct span boundary)
{
	if (line.len < boundary.len || memcmp(line.ptr, boundary.ptr, boundary.len) != 0)
		return NO_BOUNDARY;
	line = span_skip(line, boundary.len);
	if (span_trim(line).len == 0)
		return NEXT_PART;
	return span_starts(line, SPAN("--")) ? LAST_BOUNDARY : NO_BOUNDARY;
}

/* The innermost multipart that the line is a boundary of; an outer one ends the inner ones (§5.1.2). */
static enum boundary_kind find_boundary(const struct mime_parser *p, struct span line, unsigned *frame)
{
	if (!span_starts(line, SPAN("--")))
		return NO_BOUNDARY;
	line = span_skip(line, 2);
	if (line.len > 0 && line.ptr[line.len - 1] == '\n')
		line.len--;
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	for (unsigned i = p->frame_count; i > 0; i--) {
		enum boundary_kind kind = match(line, p->frames[i - 1].boundary);

		if (kind != NO_BOUNDARY) {
			*frame = i - 1;
			return kind;
		}
	}
	return NO_BOUNDARY;
}

static void pass_line(struct mime_parser *p, struct span line)
{
	emit(p, line);
	p->lines += line.len > 0 && line.ptr[line.len - 1] == '\n';
}

static void boundary_line(struct mime_parser *p, struct span line, enum boundary_kind kind, unsigned index)
{
	unsigned line_end = p->state == IN_HEADER ? 0 : p->line_end;

	while (p->state == IN_HEADER && !p->failed)
		header_done(p); /* more than once: a message whose content has no header either */
	if (p->failed)
		return;
	if (index >= p->frame_count) { /* a limit was passed just now */
		pass_line(p, line);
		return;
	}
	finish_inside(p, p->frames[index].part, line_end);
	p->frame_count = index + (kind == NEXT_PART);
	advance(p, line);
	p->line_end = 0; /* the boundary line's own; no second boundary takes it back (as in Dovecot and Cyrus) */
	p->lines += line.ptr[line.len - 1] == '\n';
	if (kind == NEXT_PART)
		begin_child(p, &p->frames[index]);
}

static bool is_empty_line(struct span line)
{
	return span_equal(line, SPAN("\r\n")) || span_equal(line, SPAN("\n"));
}

/* A whole line of at most LINE_LOOK_MAX octets. */
static void whole_line(struct mime_parser *p, struct span line)
{
	unsigned frame;
	enum boundary_kind kind = find_boundary(p, line, &frame);

	p->line_state = LINE_START;
	if (kind != NO_BOUNDARY) {
		boundary_line(p, line, kind, frame);
		return;
	}
	pass_line(p, line);
	if (p->state == IN_HEADER && is_empty_line(line))
		header_done(p);
}

/* More of a line that is too long to be a boundary, or of a body's line that cannot be one. */
static struct span feed_passing(struct mime_parser *p, struct span in)
{
	size_t line_end;
	struct span piece = in;

	if (span_find(in, '\n', &line_end)) {
		piece = span_first(in, line_end + 1);
		p->line_state = LINE_START;
	}
	pass_line(p, piece);
	return span_skip(in, piece.len);
}

/* More of a line that may be a boundary or ends the header. */
static struct span feed_held(struct mime_parser *p, struct span in)
{
	size_t at;
	bool whole = span_find(in, '\n', &at);
	struct span piece = whole ? span_first(in, at + 1) : in;

	if (p->held.len + piece.len > LINE_LOOK_MAX) {
		p->line_state = LINE_PASSING;
		emit(p, buffer_span(&p->held));
		buffer_clear(&p->held);
		return in;
	}
	if (whole && p->held.len == 0) {
		whole_line(p, piece);
	} else if (!buffer_append_span(&p->held, piece)) {
		p->failed = true;
	} else if (whole) {
		whole_line(p, buffer_span(&p->held));
		buffer_clear(&p->held);
	}
	return span_skip(in, piece.len);
}

/* Whole lines of a body, at once, up to one that may be a boundary. */
static struct span feed_body(struct mime_parser *p, struct span in)
{
	const char *end = in.ptr + in.len;
	const char *line = in.ptr;

	p->line_state = LINE_START;
	while (line < end) {
		const char *line_end;

		if (p->frame_count > 0 && line[0] == '-' && (line + 1 == end || line[1] == '-')) {
			p->line_state = LINE_HELD;
			break;
		}
		line_end = memchr(line, '\n', (size_t)(end - line));
		if (line_end == NULL) {
			p->line_state = LINE_PASSING;
			line = end;
			break;
		}
		p->lines++;
		line = line_end + 1;
	}
	emit(p, span_make(in.ptr, (size_t)(line - in.ptr)));
	return span_make(line, (size_t)(end - line));
}

bool mime_parser_feed(struct mime_parser *p, struct span in)
{
	while (in.len > 0 && !p->failed) {
		if (p->line_state == LINE_PASSING)
			in = feed_passing(p, in);
		else if (p->line_state == LINE_START && p->state == IN_BODY)
			in = feed_body(p, in);
		else
			in = feed_held(p, in);
	}
	return !p->failed;
}

bool mime_parser_finish(struct mime_parser *p)
{
	if (p->held.len > 0 && !p->failed)
		whole_line(p, buffer_span(&p->held));
	while (p->state == IN_HEADER && !p->failed)
		header_done(p);
	while (p->current != MIME_NO_PART && !p->failed)
		finish_part(p, p->at, p->lines);
	return !p->failed;
}

const struct mime_part *mime_parser_parts(const struct mime_parser *p, size_t *count)
{
	*count = p->count;
	return p->parts;
}
