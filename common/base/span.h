/* common/base/span.h — a borrowed run of bytes cut from someone else's buffer; may contain NUL; owns nothing.
 *
 * Every take_*() consumes from *in and returns true, or returns false and leaves *in untouched, so that takes can
 * be chained with &&. Numbers from the network, from files and from the command line are read by span_take_number()
 * or span_take_number64() and by nothing else. Any thread. */
#ifndef BASE_SPAN_H
#define BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
	const char *ptr;
	size_t len;
};

#define SPAN(literal) ((struct span) { "" literal, sizeof(literal) - 1 })
#define SPAN_EMPTY    ((struct span) { NULL, 0 })

/* For printf("%.*s"): the text up to INT_MAX bytes. */
#define SPAN_FMT(s) (int)((s).len > 0x7fffffff ? 0x7fffffff : (s).len), (s).len ? (s).ptr : ""

struct span span_of(const char *nul_terminated); /* NULL gives the empty span */
struct span span_make(const void *ptr, size_t len);
struct span span_first(struct span s, size_t count); /* at most count bytes */
struct span span_skip(struct span s, size_t count);  /* without the first count bytes */

bool span_equal(struct span a, struct span b);
bool span_equal_nocase(struct span a, struct span b); /* ASCII case only */
int span_compare(struct span a, struct span b);       /* by bytes, like memcmp; the shorter first */
bool span_starts(struct span s, struct span prefix);
bool span_starts_nocase(struct span s, struct span prefix);
bool span_ends_nocase(struct span s, struct span suffix);
bool span_find(struct span s, char c, size_t *at);      /* first c */
bool span_find_last(struct span s, char c, size_t *at); /* last c */
struct span span_trim(struct span s);                   /* without SP, HTAB, CR, LF at both ends */

bool span_take_char(struct span *in, char c);
bool span_take_word(struct span *in, const char *word);                /* exactly word, ASCII case-insensitive */
bool span_take_number(struct span *in, uint32_t max, uint32_t *out);   /* 1*DIGIT; false above max */
bool span_take_number64(struct span *in, uint64_t max, uint64_t *out); /* 1*DIGIT; false above max */
/* Everything up to (not including) the first c, and c itself; false when there is no c. */
bool span_take_until(struct span *in, char c, struct span *out);
/* The longest run, at least one byte, of bytes for which member() holds. */
bool span_take_run(struct span *in, bool (*member)(unsigned char c), struct span *out);

/* The whole span is one decimal number not above max. */
bool span_number(struct span s, uint64_t max, uint64_t *out);

/* A NUL-terminated copy; false when it does not fit or the span contains a NUL. */
bool span_copy(struct span s, char *out, size_t out_size);

/* ASCII only, whatever the locale. */
char ascii_lower(char c);
bool ascii_is_alpha(unsigned char c);
bool ascii_is_digit(unsigned char c);
bool ascii_is_alnum(unsigned char c);

#endif
