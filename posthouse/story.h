/* posthouse/story.h — events (storage/events.h) in words that need no knowledge of mail: who did what, the other server's words quoted.
 * Any thread. */
#ifndef POSTHOUSE_STORY_H
#define POSTHOUSE_STORY_H

#include "storage/events.h"

#define STORY_WORDS_MAX 2560 /* texts of EVENT_TEXT_MAX with an address and what joins them */

/* One line without a line end; always NUL-terminated, cut at size. Control characters are replaced. */
void story_words(const struct event *event, char *out, size_t size);

/* Of "key=value key=value": the value, or empty. */
struct span story_detail(struct span detail, const char *key);

#endif
