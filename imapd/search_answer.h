/* imapd/search_answer.h — what a SEARCH says (RFC 9051 §7.3.4, RFC 3501 §7.2.5, RFC 4731, RFC 7162 §3.1.5), and what "$" becomes (RFC 5182 §2.4).
 * Pure; written in pieces, because a million numbers are 8 MB. */
#ifndef IMAPD_SEARCH_ANSWER_H
#define IMAPD_SEARCH_ANSWER_H

#include "imapd/parse.h"
#include "imapd/view.h"

#define SEARCH_ANSWER_PIECE (32 * KIB)

struct search_answer {
	const struct view_message *hits; /* rising */
	size_t count;
	struct span tag;
	bool uid;
	bool extended;    /* ESEARCH, not SEARCH */
	unsigned returns; /* enum search_return; of ESEARCH */
	bool modseq;      /* MODSEQ was among the keys */
	size_t at;        /* hits written so far */
	bool begun, ended;
};

/* Appends the next piece of the untagged response, about SEARCH_ANSWER_PIECE long; nothing when there is none to give (RETURN (SAVE) alone).
 * answer->ended tells that it was the last. False: out of memory. */
bool search_answer_write(struct search_answer *answer, struct buffer *out);
/* The hits that "$" stands for from now on: first one, last one, or all. */
void search_answer_saved(const struct search_answer *answer, bool *first, bool *last, bool *all);

#endif
