/* config/value.h — one written value to one number or name; the same for the config file and the command line.
 * Any thread. Every function wants the whole span to be the value and leaves *out alone when it returns false. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include "base/span.h"

/* "50M": 1*DIGIT and nothing, or K, M, G, T (1024-based; a B or iB after it is allowed). False above max. */
bool value_size(struct span text, uint64_t max, uint64_t *bytes);
/* "30s": 1*DIGIT and ms, s, m, h, d or w; a bare "0" is allowed, another bare number is not. False above max. */
bool value_duration(struct span text, uint64_t max_ms, uint64_t *ms);
bool value_bool(struct span text, bool *out); /* yes no true false on off 1 0, any case */

/* Host name by RFC 1123 §2.1: letters, digits, inner hyphens, labels of 1..63, 253 in all. */
bool value_is_hostname(struct span text);

/* "50M", "1536K", "1000": the shortest exact form that value_size() reads back. size: at least VALUE_TEXT_MAX. */
#define VALUE_TEXT_MAX 32
void value_size_text(uint64_t bytes, char *out, size_t size);
void value_duration_text(uint64_t ms, char *out, size_t size);

/* The candidate with the least edit distance to word (ASCII case ignored), or NULL when none is near enough to be a slip:
 * at most one edit for each three bytes of word, at least one. */
const char *value_nearest(struct span word, const char *const *candidates, size_t count);

#endif
