#include "imapd/fetch_literal.h"

#include "imapd/fetch_put.h"

#include <stdlib.h>

/* A literal that would run over the chunk's end by no more than this goes out whole: no second look at small messages. */
#define CHUNK_OVERRUN (FETCH_CHUNK / 2)

static const struct section whole_section = { .text = SECTION_WHOLE };
static const struct section header_section = { .text = SECTION_HEADER };
static const struct section text_section = { .text = SECTION_TEXT };

/* --- the octets of the stored message --- */

static bool damaged(const struct fetch_render *render, const char *what, struct error *err)
{
	return error_detail(err, ERR_DAMAGED, "message %lld: %s", (long long)render->stored->message_id, what);
}

/* The octets [at, at + len) where they lie in memory as one run. */
static bool octets_in_memory(const struct stored_message *stored, uint64_t at, uint64_t len, struct span *out)
{
	uint64_t header = stored->header.len;

	if (at <= header && len <= header - at) {
		*out = span_first(span_skip(stored->header, (size_t)at), (size_t)len);
		return true;
	}
	if (at < header || at - header > stored->rest.len || len > stored->rest.len - (at - header))
		return false;
	*out = span_first(span_skip(stored->rest, (size_t)(at - header)), (size_t)len);
	return true;
}

static bool append(struct buffer *out, struct span piece, struct error *err)
{
	return buffer_append_span(out, piece) || error_set(err, ERR_NO_MEMORY, "out of memory");
}

static int64_t message_id_of(const struct fetch_render *render)
{
	return render->slice->messages[render->message].row.message_id;
}

/* From the store, or with what follows in one read. */
static bool read_store(
        const struct fetch_render *render, uint64_t at, size_t len, struct buffer *out, struct error *err)
{
	struct fetch_ahead *ahead = render->ahead != NULL ? *render->ahead : NULL;
	int64_t id = message_id_of(render);
	struct span piece;
	size_t size;

	if (!fetch_ahead_wants(ahead, id, at, len, &size))
		return message_read(render->account, id, at, len, out, err);
	return message_read(render->account, id, at, size, &ahead->octets, err) &&
	       (!fetch_ahead_find(ahead, id, at, len, &piece) || append(out, piece, err));
}

static bool read_octets(void *arg, uint64_t at, size_t len, struct buffer *out, struct error *err)
{
	const struct fetch_render *render = arg;
	const struct stored_message *stored = render->stored;
	size_t before = out->len, begin = 0;
	struct span piece;

	if (render->ahead != NULL && fetch_ahead_find(*render->ahead, message_id_of(render), at, len, &piece))
		return append(out, piece, err);
	if (octets_in_memory(stored, at, len, &piece))
		return append(out, piece, err);
	if (at < stored->header.len) {
		begin = stored->header.len - (size_t)at;
		if (!append(out, span_first(span_skip(stored->header, (size_t)at), begin), err))
			return false;
	}
	if (stored->rest.len > 0 && octets_in_memory(stored, at + begin, len - begin, &piece))
		return append(out, piece, err);
	if (!read_store(render, at + begin, len - begin, out, err))
		return false;
	return out->len - before == len || damaged(render, "it is shorter than recorded", err);
}

static struct octet_source source_of(struct fetch_render *render)
{
	return (struct octet_source) { read_octets, render };
}

/* --- sections --- */

static bool grow_parts(struct fetch_render *render, size_t count, struct error *err)
{
	struct message_part *bigger;

	if (count <= render->parts_capacity)
		return true;
	bigger = realloc(render->parts, count * sizeof(*bigger));
	if (bigger == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	render->parts = bigger;
	render->parts_capacity = count;
	return true;
}

static bool load_parts(struct fetch_render *render, struct error *err)
{
	struct span blob = render->stored->parts;

	if (render->parts_of == render->stored->message_id)
		return true;
	render->parts_of = 0;
	if (!message_parts_read(blob, render->parts, render->parts_capacity, &render->part_count))
		return damaged(render, "its table of parts cannot be read", err);
	if (render->part_count > render->parts_capacity) {
		if (!grow_parts(render, render->part_count, err))
			return false;
		if (!message_parts_read(blob, render->parts, render->parts_capacity, &render->part_count))
			return damaged(render, "its table of parts cannot be read", err);
	}
	render->parts_of = render->stored->message_id;
	return true;
}

static const struct section *section_of(const struct fetch_item *item)
{
	switch (item->kind) {
	case FETCH_RFC822: return &whole_section;
	case FETCH_RFC822_HEADER: return &header_section;
	case FETCH_RFC822_TEXT: return &text_section;
	default: return &item->section;
	}
}

static bool is_whole(const struct section *section)
{
	return section->part_count == 0 && section->text == SECTION_WHOLE;
}

/* The message's own header needs no table of parts: it is a column. */
static bool is_own_header(const struct section *section)
{
	return section->part_count == 0 && (section->text == SECTION_HEADER || section->text == SECTION_HEADER_FIELDS ||
	                                           section->text == SECTION_HEADER_FIELDS_NOT);
}

static bool place_own_header(struct fetch_render *render, struct section_place *place, struct error *err)
{
	const struct stored_message *stored = render->stored;
	uint32_t len = (uint32_t)stored->header.len;

	if (!stored->header_is_whole && !message_header_length(render->account, stored->message_id, &len, err))
		return false;
	*place = (struct section_place) { .len = len };
	return true;
}

/* *found false: there is no such section. */
static bool find_place(struct fetch_render *render, const struct section *section, struct section_place *place,
        bool *found, struct error *err)
{
	uint64_t size = render->slice->messages[render->message].row.size;

	*found = true;
	if (is_whole(section)) {
		*place = (struct section_place) { .len = size };
		return true;
	}
	if (is_own_header(section))
		return place_own_header(render, place, err);
	if (!load_parts(render, err))
		return false;
	*found = section_find(render->parts, render->part_count, section, place);
	if (*found && (place->at > size || place->len > size - place->at))
		return damaged(render, "a part lies beyond its end", err);
	return true;
}

static void set_octets(struct fetch_literal *literal, const struct fetch_item *item, uint64_t at, uint64_t total)
{
	struct section_range range = section_cut(item, total);

	literal->source = LITERAL_OCTETS;
	literal->announced = true;
	literal->at = at + range.at;
	literal->len = range.len;
}

static void set_ahead(struct fetch_render *render, const struct fetch_item *item, uint64_t at, uint64_t len,
        struct fetch_literal *literal)
{
	if (!render->in_literal) /* else it was noted when it began */
		fetch_ahead_note(render->ahead, message_id_of(render), item, at, len);
	set_octets(literal, item, at, len);
}

static bool cut_fields(struct fetch_render *render, const struct plan_item *planned, const struct section_place *place,
        struct fetch_literal *literal, struct error *err)
{
	uint64_t len = place->len < HEADER_BLOCK_MAX ? place->len : HEADER_BLOCK_MAX;
	struct section_range range;
	struct span block;

	if (!octets_in_memory(render->stored, place->at, len, &block)) {
		buffer_clear(&render->block);
		if (!read_octets(render, place->at, (size_t)len, &render->block, err))
			return false;
		block = buffer_span(&render->block);
	}
	buffer_clear(&render->fields);
	if (!field_filter_apply(&planned->filter, block, &render->fields))
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	range = section_cut(planned->item, render->fields.len);
	fetch_literal_text(
	        literal, span_first(span_skip(buffer_span(&render->fields), (size_t)range.at), (size_t)range.len));
	literal->announced = true;
	return true;
}

/* --- BINARY --- */

/* A multipart or message has no encoding to undo (RFC 2045 §6.4), nor has the whole. */
static enum transfer_encoding encoding_of(const struct fetch_render *render, const struct section_place *place)
{
	const struct message_part *part = &render->parts[place->part];

	return place->is_part && part->kind == MIME_LEAF ? part->transfer : TRANSFER_IDENTITY;
}

static bool fill_map(struct fetch_render *render, const struct section_place *place, enum transfer_encoding encoding,
        struct error *err)
{
	struct octet_source source = source_of(render);
	int64_t id = render->stored->message_id;

	if (*render->map == NULL)
		*render->map = calloc(1, sizeof(**render->map));
	if (*render->map == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	return binary_map_is(*render->map, id, place->at, place->len) ||
	       binary_map_fill(*render->map, id, place->at, place->len, encoding, &source, err);
}

static bool find_binary(struct fetch_render *render, const struct fetch_item *item, const struct section_place *place,
        struct fetch_literal *literal, struct error *err)
{
	enum transfer_encoding encoding;
	struct section_range range;

	if (!load_parts(render, err))
		return false;
	encoding = encoding_of(render, place);
	if (encoding == TRANSFER_UNKNOWN)
		return error_set(err, ERR_BAD_VALUE, "unknown content transfer encoding");
	if (item->kind == FETCH_BINARY_SIZE && encoding == TRANSFER_IDENTITY) {
		fetch_put_number(render->out, place->len);
		return true;
	}
	if (!fill_map(render, place, encoding, err))
		return false;
	if (item->kind == FETCH_BINARY_SIZE) {
		fetch_put_number(render->out, (*render->map)->size);
		return true;
	}
	range = section_cut(item, (*render->map)->size);
	*literal = (struct fetch_literal) { LITERAL_BINARY, true, (*render->map)->has_nul, range.len, range.at,
		SPAN_EMPTY };
	return true;
}

/* --- */

void fetch_literal_text(struct fetch_literal *literal, struct span text)
{
	*literal = (struct fetch_literal) { .source = LITERAL_TEXT, .len = text.len, .text = text };
}

bool fetch_literal_find(
        struct fetch_render *render, const struct plan_item *planned, struct fetch_literal *literal, struct error *err)
{
	const struct fetch_item *item = planned->item;
	const struct section *section = section_of(item);
	struct section_place place;
	bool found;

	*literal = (struct fetch_literal) { LITERAL_NONE };
	if (render->ahead != NULL && fetch_ahead_has(*render->ahead, message_id_of(render), item)) {
		set_ahead(render, item, (*render->ahead)->at, (*render->ahead)->len, literal);
		return true;
	}
	if (!find_place(render, section, &place, &found, err))
		return false;
	if (!found && item->kind == FETCH_BINARY_SIZE)
		return fetch_put_number(render->out, 0);
	if (!found) {
		set_octets(literal, item, 0, 0);
		return true;
	}
	if (item->kind == FETCH_BINARY || item->kind == FETCH_BINARY_SIZE)
		return find_binary(render, item, &place, literal, err);
	if (section->text == SECTION_HEADER_FIELDS || section->text == SECTION_HEADER_FIELDS_NOT)
		return cut_fields(render, planned, &place, literal, err);
	if (render->ahead != NULL && render->stored->in_file)
		set_ahead(render, item, place.at, place.len, literal);
	else
		set_octets(literal, item, place.at, place.len);
	return true;
}

void fetch_literal_announce(const struct fetch_literal *literal, struct buffer *out)
{
	if (!literal->announced)
		return;
	if (literal->has_nul)
		buffer_append_char(out, '~');
	buffer_append_char(out, '{');
	fetch_put_number(out, literal->len);
	buffer_append(out, "}\r\n", 3);
}

bool fetch_literal_put(struct fetch_render *render, const struct fetch_literal *literal, struct error *err)
{
	uint64_t left = literal->len - render->sent, at = literal->at + render->sent;
	struct octet_source source = source_of(render);
	size_t used = render->out->len, room = used < FETCH_CHUNK ? FETCH_CHUNK - used : 0, size;
	bool ok = true;

	size = left <= room || left + used <= FETCH_CHUNK + CHUNK_OVERRUN ? (size_t)left : room;
	if (size > 0 && literal->source == LITERAL_TEXT)
		ok = append(render->out, span_first(span_skip(literal->text, (size_t)render->sent), size), err);
	else if (size > 0 && literal->source == LITERAL_OCTETS)
		ok = read_octets(render, at, size, render->out, err);
	else if (size > 0)
		ok = binary_read(*render->map, &source, at, size, render->out, err);
	render->sent += size;
	return ok;
}
