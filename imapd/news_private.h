/* imapd/news_private.h — places in an index's events; for news.c and news_flags.c. */
#ifndef IMAPD_NEWS_PRIVATE_H
#define IMAPD_NEWS_PRIVATE_H

#include "imapd/news.h"

/* Events that the index has given up were missed. */
static inline void news_settle(const struct index *index, struct news_place *place)
{
	if (place->event >= index->events_first)
		return;
	*place = (struct news_place) { .event = index_events_end(index), .comparing = true };
}

static inline bool news_at_end(const struct index *index, const struct news_place *place)
{
	return !place->comparing && place->event == index_events_end(index);
}

#endif
