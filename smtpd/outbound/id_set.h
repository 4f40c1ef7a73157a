/* smtpd/outbound/id_set.h — a set of row numbers (> 0). Any thread: it has a lock. */
#ifndef SMTPD_OUTBOUND_ID_SET_H
#define SMTPD_OUTBOUND_ID_SET_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_set {
	pthread_mutex_t mutex;
	int64_t *slots; /* open addressing; 0: free */
	size_t capacity, count;
};

void id_set_init(struct id_set *set);
void id_set_free(struct id_set *set);
bool id_set_add(struct id_set *set, int64_t id); /* false: out of memory */
bool id_set_has(struct id_set *set, int64_t id);
void id_set_remove(struct id_set *set, int64_t id);

#endif
