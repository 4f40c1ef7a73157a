/* smtpd/inbound/recipient_cache.h — recipients that were accepted a moment ago, so that mail in a row needs no look-up each.
 *
 * Only what is plain is kept: an address that reaches one account without a quota (a quota has to be looked at each time), its INBOX, and nobody
 * elsewhere; and domains that are not ours, for who may send to them. An answer is good while the directory's version (storage/directory.h) is the one it was found under, and for RECIPIENT_CACHE_MS. One
 * place for each hash: a newer address takes it; who forces that gains nothing, it is then looked up as ever. All zero is empty; there
 * is nothing to free. Owner: the process (struct smtp_server). Thread: the loop's. */
#ifndef SMTPD_INBOUND_RECIPIENT_CACHE_H
#define SMTPD_INBOUND_RECIPIENT_CACHE_H

#include "storage/directory.h"

#define RECIPIENT_CACHE_PLACES   1024
#define RECIPIENT_CACHE_TEXT_MAX 80 /* a longer address is looked up each time */
#define RECIPIENT_CACHE_MS       1000

struct recipient_cache {
	struct {
		uint64_t version;
		int64_t until_ms; /* 0: empty */
		bool elsewhere;   /* text is a domain that is not ours; else an address */
		int64_t account_id;
		bool catch_all;
		uint8_t len;
		char text[RECIPIENT_CACHE_TEXT_MAX];
		char detail[DIRECTORY_DETAIL_MAX + 1];
	} places[RECIPIENT_CACHE_PLACES];
};

/* Fills *out as directory_resolve() did; false: look it up. mailbox: as the client wrote it. now_ms: of a monotonic clock. */
bool recipient_cache_find(const struct recipient_cache *cache, const struct directory *directory, struct span mailbox,
        int64_t now_ms, struct resolution *out);
/* version: taken before the look-up. Does nothing for what is not plain. */
void recipient_cache_add(struct recipient_cache *cache, uint64_t version, struct span mailbox, int64_t now_ms,
        const struct resolution *resolution);

/* The same of a domain, as the client wrote it: true: there is no such domain here. */
bool recipient_cache_is_elsewhere(
        const struct recipient_cache *cache, const struct directory *directory, struct span domain, int64_t now_ms);
void recipient_cache_add_elsewhere(struct recipient_cache *cache, uint64_t version, struct span domain, int64_t now_ms);

#endif
