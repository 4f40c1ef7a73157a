/* imapd/body_section.h — BODY[section]<partial> as octets of the stored message (RFC 9051 §6.4.5.1).
 *
 * Pure: the part offsets of message/summary.h in, an octet range out; the message itself is not needed, so a literal's size is exact before
 * an octet of it is read. Only HEADER.FIELDS and HEADER.FIELDS.NOT need the header block, and are cut from it in one scan, whatever
 * the number of names. Linear in the parts and in the block. Any thread. */
#ifndef IMAPD_BODY_SECTION_H
#define IMAPD_BODY_SECTION_H

#include "imapd/parse.h"
#include "message/summary.h"

#define FIELD_FILTER_LENGTHS 64 /* names of at least so many octets share one list */

/* Where a section lies. For HEADER.FIELDS(.NOT): the header block that is cut. */
struct section_place {
	uint64_t at, len;
	uint32_t part; /* the part that the numbers lead to; what BINARY decodes */
	bool is_part;  /* the section is the body of that part, not its header, nor the whole message */
};

/* False: there is no such section. The client gets an empty string, as from Dovecot: RFC 9051 §7.5.2 has "a string" for every section. */
bool section_find(
        const struct message_part *parts, size_t count, const struct section *section, struct section_place *out);

/* What of `total` octets a partial item wants (RFC 9051 §6.4.5: cut to what is there; beyond the end: nothing). */
struct section_range {
	uint64_t at, len;
};
struct section_range section_cut(const struct fetch_item *item, uint64_t total);

/* Appends the item's name as the response has it: "BODY[1.HEADER.FIELDS (From)]<0>", "BINARY.SIZE[2]", "ENVELOPE". False when out is full. */
bool section_write_name(struct buffer *out, const struct fetch_item *item);

/* The names of one HEADER.FIELDS(.NOT), by length. Points into the section, which must outlive it. */
struct field_filter {
	const struct section *section;
	uint16_t first[FIELD_FILTER_LENGTHS]; /* index + 1 of the first name of that length; 0: none */
	uint16_t *next;                       /* the same for the next name of that length */
};
/* False: out of memory. */
bool field_filter_init(struct field_filter *filter, const struct section *section);
void field_filter_free(struct field_filter *filter);
/* Appends the fields that match (or, with HEADER.FIELDS.NOT, all other lines) as they stand in the block, and its empty line. A block without
 * one gives none: RFC 9051 §6.4.5.1 excepts a message that has no body and no blank line. Never longer than the block. False when out is full. */
bool field_filter_apply(const struct field_filter *filter, struct span block, struct buffer *out);

#endif
