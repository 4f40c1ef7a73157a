#include "smtpd/inbound/recipient_cache.h"

#include <string.h>

/* FNV-1a */
static size_t place_of(struct span mailbox)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < mailbox.len; i++)
		hash = (hash ^ (unsigned char)mailbox.ptr[i]) * 0x100000001b3;
	return hash % RECIPIENT_CACHE_PLACES;
}

static bool is_good(const struct recipient_cache *cache, const struct directory *directory, struct span text,
        bool elsewhere, int64_t now_ms)
{
	const typeof(cache->places[0]) *place = &cache->places[place_of(text)];
	uint64_t version;

	return now_ms < place->until_ms && place->elsewhere == elsewhere &&
	       span_equal(text, span_make(place->text, place->len)) && directory_version(directory, &version) &&
	       version == place->version;
}

bool recipient_cache_find(const struct recipient_cache *cache, const struct directory *directory, struct span mailbox,
        int64_t now_ms, struct resolution *out)
{
	const typeof(cache->places[0]) *place = &cache->places[place_of(mailbox)];

	if (!is_good(cache, directory, mailbox, false, now_ms))
		return false;
	out->count = 1;
	out->targets[0].account_id = place->account_id;
	out->targets[0].quota_bytes = 0;
	out->targets[0].quota_messages = 0;
	out->targets[0].detail_folders = false;
	out->remote_count = 0;
	out->remote_text_len = 0;
	out->catch_all = place->catch_all;
	memcpy(out->detail, place->detail, sizeof(out->detail));
	return true;
}

static bool is_plain(const struct resolution *resolution)
{
	return resolution->count == 1 && resolution->remote_count == 0 && resolution->targets[0].quota_bytes == 0 &&
	       resolution->targets[0].quota_messages == 0 &&
	       !(resolution->targets[0].detail_folders && resolution->detail[0] != '\0');
}

void recipient_cache_add(struct recipient_cache *cache, uint64_t version, struct span mailbox, int64_t now_ms,
        const struct resolution *resolution)
{
	typeof(cache->places[0]) *place = &cache->places[place_of(mailbox)];

	if (!is_plain(resolution) || mailbox.len > sizeof(place->text))
		return;
	*place = (typeof(*place)) {
		.version = version,
		.until_ms = now_ms + RECIPIENT_CACHE_MS,
		.account_id = resolution->targets[0].account_id,
		.catch_all = resolution->catch_all,
		.len = (uint8_t)mailbox.len,
	};
	memcpy(place->text, mailbox.ptr, mailbox.len);
	memcpy(place->detail, resolution->detail, sizeof(place->detail));
}

bool recipient_cache_is_elsewhere(
        const struct recipient_cache *cache, const struct directory *directory, struct span domain, int64_t now_ms)
{
	return is_good(cache, directory, domain, true, now_ms);
}

void recipient_cache_add_elsewhere(struct recipient_cache *cache, uint64_t version, struct span domain, int64_t now_ms)
{
	typeof(cache->places[0]) *place = &cache->places[place_of(domain)];

	if (domain.len > sizeof(place->text))
		return;
	*place = (typeof(*place)) {
		.version = version,
		.until_ms = now_ms + RECIPIENT_CACHE_MS,
		.elsewhere = true,
		.len = (uint8_t)domain.len,
	};
	memcpy(place->text, domain.ptr, domain.len);
}
