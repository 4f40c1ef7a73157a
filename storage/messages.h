/* storage/messages.h — what is stored of many messages, handed over one by one: FETCH, SEARCH, SORT, THREAD.
 *
 * One call sees one consistent state and holds a read transaction while it runs, so give it some hundred to some thousand ids at a time and
 * let `each` copy or compare, never wait nor use the account. Spans point into SQLite's row and are good until `each` returns. Only the wanted columns are read.
 * Ids that rise with small gaps are read by one walk along the table, others by a lookup each. */
#ifndef STORAGE_MESSAGES_H
#define STORAGE_MESSAGES_H

#include "storage/mailbox.h"

/* What is wanted; all of `message` but the last two, which are of `content`. */
enum message_want {
	WANT_META = 1 << 0, /* thread_id ... has_attachment */
	WANT_ENVELOPE = 1 << 1,
	WANT_BODY = 1 << 2,
	WANT_BODY_STRUCTURE = 1 << 3,
	WANT_PARTS = 1 << 4, /* message_parts_read() */
	WANT_PREVIEW = 1 << 5,
	WANT_THREADING = 1 << 6, /* base_subject, rfc_message_id, in_reply_to, references */
	WANT_HEADER = 1 << 7,
	WANT_BYTES = 1 << 8,
};

struct stored_message {
	int64_t message_id;
	/* WANT_META */
	int64_t thread_id;
	int64_t internal_date_ms;
	int64_t sent_date; /* of Date:, unix seconds */
	bool has_sent_date;
	bool subject_is_reply;
	bool has_attachment;
	uint32_t size;
	uint32_t header_length; /* with the empty line */
	/* one WANT_ each; as in message/summary.h */
	struct span envelope, body, body_structure, parts, preview;
	struct span base_subject, rfc_message_id, in_reply_to, references;
	/* WANT_HEADER: the header block with its empty line; header_is_whole is false when that is CONTENT_HEAD_MAX (content.h) or longer: then
	 * message_read() gives it. */
	struct span header;
	bool header_is_whole;
	/* WANT_BYTES: header (filled too) and rest are the whole message, checked by its checksum; in_file: rest is not in a row and comes by
	 * message_read(). */
	struct span rest;
	bool in_file;
	bool damaged; /* its octets are not there or not as they were written; header and rest are empty */
};

/* Calls each(arg, i, message) for each ids[i] that is there, in the order of ids; it may return false to end the walk (the call still
 * returns true). wants: enum message_want. ERR_IO, ERR_DAMAGED (of the file), ERR_NO_MEMORY. */
bool messages_read(struct account *account, const int64_t *ids, size_t count, unsigned wants,
        bool (*each)(void *arg, size_t i, const struct stored_message *message), void *arg, struct error *err);

#endif
