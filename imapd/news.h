/* imapd/news.h — what a client has still to be told of its mailbox, as text. Pure: a view, its index, a buffer.
 *
 * A view stands at a place in the index's list of events, one place for expunges and one for flags, since expunges may have to wait
 * (RFC 9051 §7.5.1). Each call does one piece of bounded size, which is told wholly or not at all. Thread: the loop's. */
#ifndef IMAPD_NEWS_H
#define IMAPD_NEWS_H

#include "imapd/index.h"
#include "imapd/view.h"

#define NEWS_GONE_PIECE  32768 /* expunges told in one piece */
#define NEWS_FLAGS_PIECE 2048  /* FETCH lines */
#define NEWS_TEXT_MAX    (2 * MIB)

struct news_style {
	bool modseq;   /* MODSEQ in FETCH: the client is aware of CONDSTORE (RFC 7162 §3.1) */
	bool vanished; /* instead of EXPUNGE: QRESYNC is enabled (RFC 7162 §3.2.10) */
	const struct keyword_list *keywords;
};

enum news_left { NEWS_ALL_TOLD, NEWS_MORE, NEWS_NO_MEMORY };

/* The client knows what the index has now. False: out of memory. */
bool news_begin(struct view *view);
/* EXPUNGE with the numbers as they are one after the other, or VANISHED. */
enum news_left news_write_gone(struct view *view, const struct news_style *style, struct buffer *out);
/* FETCH with UID, [MODSEQ] and FLAGS of what changed and is neither gone nor unknown to the client. */
enum news_left news_write_flags(struct view *view, const struct news_style *style, struct buffer *out);
/* EXISTS. */
enum news_left news_write_exists(struct view *view, const struct news_style *style, struct buffer *out);

bool news_has_gone(struct view *view);        /* exactly: one that the client knows */
bool news_has_flags(const struct view *view); /* perhaps */
bool news_has_new(const struct view *view);

/* The flags and keywords, in parentheses; "* FLAGS" and "* OK [PERMANENTFLAGS". */
bool news_put_flags(struct buffer *out, uint64_t flags, const struct keyword_list *keywords);
bool news_put_flag_lists(struct buffer *out, const struct keyword_list *keywords, bool read_only);
uint64_t news_all_keywords(const struct keyword_list *keywords); /* bits of the names that there are */
/* Lists the names once more if the client has not seen those of all these bits. */
bool news_put_new_keywords(struct view *view, const struct keyword_list *keywords, uint64_t flags, struct buffer *out);

#endif
