/* posthouse/words.h — what waits, where it goes and what is next, in plain words. Any thread. */
#ifndef POSTHOUSE_WORDS_H
#define POSTHOUSE_WORDS_H

#include "storage/queue.h"
#include "storage/relay_store.h"

/* "the next try is in 12m 5s, at 2026-11-21 17:59:00Z"; "held: nothing happens until it is released". */
void next_words(const struct queue_rcpt *rcpt, int64_t now_ms, char *out, size_t size);
/* "the servers that the DNS names for example.net"; "smtp.example.org, port 587 (route *)". Never the password. route NULL: none. */
void route_words(const struct route *route, const char *domain, char *out, size_t size);

#endif
