/* imapd/search_match.h — inside of a search program; for search_program.c, which builds it, and search_match.c, which runs it. */
#ifndef IMAPD_SEARCH_MATCH_H
#define IMAPD_SEARCH_MATCH_H

#include "imapd/search_program.h"
#include "imapd/search_text.h"

#define NO_NODE UINT32_MAX

struct search_node {
	enum search_kind kind;
	enum search_level level; /* of AND, OR, NOT: the highest below */
	uint32_t child, next;    /* indexes, or NO_NODE */
	struct sequence_set set; /* resolved */
	uint64_t flag;
	int64_t number; /* as in search_key; YOUNGER, OLDER: the moment; EMAILID, THREADID: the id */
	struct span name;
	struct text_needle needle;
};

struct search_program {
	struct arena arena;
	struct sequence_set saved;
	unsigned levels, wants;
	bool save_dates, headers, modseq, numbers;
	uint32_t text_keys;
	uint32_t count;
	struct search_node nodes[]; /* the root is the first */
};

#endif
