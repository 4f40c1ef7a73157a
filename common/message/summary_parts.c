#include "message/summary_parts.h"

static void put_number(struct buffer *out, uint64_t value)
{
	while (value >= 0x80) {
		buffer_append_char(out, (char)(0x80 | (value & 0x7f)));
		value >>= 7;
	}
	buffer_append_char(out, (char)value);
}

static bool take_number(struct span *in, uint64_t *value)
{
	*value = 0;
	for (unsigned shift = 0; shift < 63 && in->len > 0; shift += 7) {
		unsigned char octet = (unsigned char)in->ptr[0];

		*in = span_skip(*in, 1);
		*value |= (uint64_t)(octet & 0x7f) << shift;
		if (octet < 0x80)
			return true;
	}
	return false;
}

bool summary_parts_write(const struct mime_part *parts, size_t count, struct buffer *out)
{
	buffer_append_char(out, SUMMARY_PARTS_VERSION);
	put_number(out, count);
	for (size_t i = 0; i < count; i++) {
		const struct mime_part *part = &parts[i];
		bool root = part->parent == MIME_NO_PART;

		put_number(out, root ? 0 : (uint64_t)part->parent + 1);
		put_number(out, part->kind);
		put_number(out, part->transfer);
		put_number(out, part->header_at - (root ? 0 : parts[part->parent].body_at));
		put_number(out, part->header_len);
		put_number(out, part->body_len);
		put_number(out, part->body_lines);
	}
	return !out->failed;
}

static bool take_part(struct span *in, const struct message_part *parts, size_t index, struct message_part *part)
{
	uint64_t parent, kind, transfer, distance;

	if (!take_number(in, &parent) || !take_number(in, &kind) || !take_number(in, &transfer) ||
	        !take_number(in, &distance) || !take_number(in, &part->header_len) ||
	        !take_number(in, &part->body_len) || !take_number(in, &part->body_lines))
		return false;
	if (parent > index || (parent == 0) != (index == 0) || kind > MIME_MESSAGE || transfer > TRANSFER_UNKNOWN)
		return false;
	part->parent = parent == 0 ? MIME_NO_PART : (uint32_t)(parent - 1);
	part->kind = (enum mime_kind)kind;
	part->transfer = (enum transfer_encoding)transfer;
	part->header_at = distance;
	if (parent != 0)
		part->header_at += parts[parent - 1].header_at + parts[parent - 1].header_len;
	return true;
}

bool message_parts_read(struct span blob, struct message_part *parts, size_t capacity, size_t *count)
{
	uint64_t total;

	if (!span_take_char(&blob, SUMMARY_PARTS_VERSION) || !take_number(&blob, &total) || total > MIME_PARTS_MAX ||
	        total == 0)
		return false;
	*count = (size_t)total;
	for (size_t i = 0; i < total && i < capacity; i++)
		if (!take_part(&blob, parts, i, &parts[i]))
			return false;
	return capacity < total || blob.len == 0;
}
