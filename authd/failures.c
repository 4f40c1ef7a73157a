#include "authd/failures.h"

#include "base/macros.h"
#include "base/random.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define WRONG_PER_MINUTE 1.0 /* slower than the tries: an address stays suspect for some minutes */
#define MINUTE_MS        60000.0
#define FIRST_DELAY_MS   1000
#define DOUBLINGS_MAX                                                                                                  \
	20           /* of the delay; also how far the level can rise over the free tries, so it is forgotten in time */
#define SPARED_MAX 8 /* addresses with good logins that one eviction passes over */

/* A leaking bucket: level sinks by tries_per_minute each minute. */
struct bucket {
	double level; /* tries charged */
	double wrong; /* of these, those that were wrong; sinks by WRONG_PER_MINUTE */
	int64_t as_of_ms;
	int64_t next_ms; /* no check before */
};

struct address_entry {
	struct table_entry entry;
	struct bucket bucket;
	unsigned good_logins; /* entries in `pairs` for this address */
};

struct pair_entry {
	struct table_entry entry;
	struct table_key address;
	struct bucket bucket;
	int64_t good_ms;
};

struct failures {
	struct failures_settings settings;
	uint8_t secret[crypto_generichash_KEYBYTES];
	struct table *addresses;
	struct table *pairs; /* only those that were good: guessing cannot fill it */
};

struct failures *failures_new(const struct failures_settings *settings)
{
	struct failures *failures = calloc(1, sizeof(*failures));

	if (failures == NULL)
		return NULL;
	failures->settings = *settings;
	random_bytes(failures->secret, sizeof(failures->secret));
	failures->addresses = table_new(FAILURES_ADDRESSES_MAX);
	failures->pairs = table_new(FAILURES_PAIRS_MAX);
	if (failures->addresses == NULL || failures->pairs == NULL)
		failures_free(&failures);
	return failures;
}

static void release_address(struct table_entry *entry)
{
	free(container_of(entry, struct address_entry, entry));
}

static void release_pair(struct table_entry *entry)
{
	free(container_of(entry, struct pair_entry, entry));
}

void failures_free(struct failures **failures)
{
	if (*failures == NULL)
		return;
	table_free(&(*failures)->addresses, release_address);
	table_free(&(*failures)->pairs, release_pair);
	free(*failures);
	*failures = NULL;
}

static struct address_entry *address_find(struct failures *failures, const struct table_key *key)
{
	struct table_entry *entry = table_find(failures->addresses, key);

	return entry == NULL ? NULL : container_of(entry, struct address_entry, entry);
}

static void pair_remove(struct failures *failures, struct pair_entry *pair)
{
	struct address_entry *address = address_find(failures, &pair->address);

	if (address != NULL && address->good_logins > 0)
		address->good_logins--;
	table_remove(failures->pairs, &pair->entry);
	free(pair);
}

static struct pair_entry *pair_find(struct failures *failures, const struct table_key *key, int64_t now)
{
	struct table_entry *entry = table_find(failures->pairs, key);
	struct pair_entry *pair;

	if (entry == NULL)
		return NULL;
	pair = container_of(entry, struct pair_entry, entry);
	if (now - pair->good_ms <= FAILURES_GOOD_MS)
		return pair;
	pair_remove(failures, pair);
	return NULL;
}

/* Logins are compared as typed but for ASCII case: two spellings of one account are two pairs, which costs nobody anything. */
static void make_pair_key(
        struct failures *failures, const struct table_key *address, struct span login, struct table_key *out)
{
	crypto_generichash_state state;

	crypto_generichash_init(&state, failures->secret, sizeof(failures->secret), TABLE_KEY_LEN);
	crypto_generichash_update(&state, address->bytes, TABLE_KEY_LEN);
	for (size_t i = 0; i < login.len; i++) {
		uint8_t c = (uint8_t)ascii_lower(login.ptr[i]);

		crypto_generichash_update(&state, &c, 1);
	}
	crypto_generichash_final(&state, out->bytes, TABLE_KEY_LEN);
}

/* An attacker with many addresses pushes out others that guess before those that people log in from. */
static void make_room(struct failures *failures)
{
	for (unsigned spared = 0; table_is_full(failures->addresses); spared++) {
		struct table_entry *oldest = table_oldest(failures->addresses);
		struct address_entry *address = container_of(oldest, struct address_entry, entry);

		if (address->good_logins > 0 && spared < SPARED_MAX) {
			table_touch(failures->addresses, oldest);
			continue;
		}
		table_remove(failures->addresses, oldest);
		free(address);
	}
}

static struct address_entry *address_get(struct failures *failures, const struct table_key *key, int64_t now)
{
	struct address_entry *address = address_find(failures, key);

	if (address != NULL)
		return address;
	address = calloc(1, sizeof(*address));
	if (address == NULL)
		return NULL;
	make_room(failures);
	address->entry.key = *key;
	address->bucket.as_of_ms = now;
	table_add(failures->addresses, &address->entry);
	return address;
}

static double sink(double level, double by)
{
	return level > by ? level - by : 0;
}

static void bucket_advance(struct bucket *bucket, double per_minute, int64_t now)
{
	double by = (double)(now - bucket->as_of_ms) * per_minute / MINUTE_MS;

	if (by <= 0)
		return;
	bucket->level = sink(bucket->level, by);
	bucket->wrong = sink(bucket->wrong, by / per_minute * WRONG_PER_MINUTE);
	bucket->as_of_ms = now;
}

static int64_t delay_after(const struct failures *failures, double level, double free_tries)
{
	double over = level + 1 - free_tries; /* the try that comes next would be so many over */
	int64_t delay = FIRST_DELAY_MS;

	if (over <= 0)
		return 0;
	for (int i = 1; i < over && i < DOUBLINGS_MAX && delay < failures->settings.longest_delay_ms; i++)
		delay *= 2;
	return delay < failures->settings.longest_delay_ms ? delay : failures->settings.longest_delay_ms;
}

static bool bucket_charge(
        const struct failures *failures, struct bucket *bucket, double free_tries, int64_t now, int64_t *wait)
{
	bucket_advance(bucket, free_tries, now);
	if (bucket->level + 1 > free_tries && now < bucket->next_ms) {
		*wait = bucket->next_ms - now;
		return false;
	}
	bucket->level += 1;
	if (bucket->level > free_tries + DOUBLINGS_MAX)
		bucket->level = free_tries + DOUBLINGS_MAX;
	bucket->next_ms = now + delay_after(failures, bucket->level, free_tries);
	return true;
}

static double free_tries_of(const struct failures *failures, const struct address_entry *address)
{
	unsigned share = address->good_logins + 1;

	return failures->settings.tries_per_minute * (share < FAILURES_SHARE_MAX ? share : FAILURES_SHARE_MAX);
}

void failures_prepare(
        struct failures *failures, const struct table_key *address, struct span login, struct failures_ticket *ticket)
{
	*ticket = (struct failures_ticket) { .address = *address };
	make_pair_key(failures, address, login, &ticket->pair);
}

bool failures_admit(struct failures *failures, struct failures_ticket *ticket, int64_t now, int64_t *wait)
{
	struct address_entry *address;
	struct pair_entry *pair;

	pair = pair_find(failures, &ticket->pair, now);
	ticket->to_pair = pair != NULL;
	if (pair != NULL) {
		ticket->charged =
		        bucket_charge(failures, &pair->bucket, failures->settings.tries_per_minute, now, wait);
		return ticket->charged;
	}
	address = address_get(failures, &ticket->address, now);
	*wait = failures->settings.longest_delay_ms;
	/* Without memory to count in, nobody guesses. */
	ticket->charged = address != NULL &&
	                  bucket_charge(failures, &address->bucket, free_tries_of(failures, address), now, wait);
	return ticket->charged;
}

/* The bucket that the try was charged to; NULL when it was forgotten since. */
static struct bucket *bucket_of(
        struct failures *failures, const struct failures_ticket *ticket, int64_t now, double *free_tries)
{
	struct address_entry *address;
	struct pair_entry *pair;

	*free_tries = failures->settings.tries_per_minute;
	if (ticket->to_pair) {
		pair = pair_find(failures, &ticket->pair, now);
		return pair == NULL ? NULL : &pair->bucket;
	}
	address = address_find(failures, &ticket->address);
	if (address == NULL)
		return NULL;
	*free_tries = free_tries_of(failures, address);
	return &address->bucket;
}

enum standing failures_standing(struct failures *failures, const struct failures_ticket *ticket, int64_t now)
{
	struct address_entry *address = address_find(failures, &ticket->address);
	double free_tries;
	struct bucket *bucket = bucket_of(failures, ticket, now, &free_tries);
	bool is_good;

	if (bucket == NULL)
		return STANDING_CLEAN;
	bucket_advance(bucket, free_tries, now);
	is_good = ticket->to_pair || (address != NULL && address->good_logins > 0);
	/* Who is known may mistype now and then. */
	if (bucket->wrong > (is_good ? free_tries / 2 : 0))
		return STANDING_SUSPECT;
	return is_good ? STANDING_GOOD : STANDING_CLEAN;
}

void failures_not_tried(struct failures *failures, struct failures_ticket *ticket, int64_t now)
{
	double free_tries;
	struct bucket *bucket = ticket->charged ? bucket_of(failures, ticket, now, &free_tries) : NULL;

	ticket->charged = false;
	if (bucket == NULL)
		return;
	bucket_advance(bucket, free_tries, now);
	bucket->level = sink(bucket->level, 1);
}

void failures_wrong(struct failures *failures, struct failures_ticket *ticket, int64_t now)
{
	double free_tries;
	struct bucket *bucket = ticket->charged ? bucket_of(failures, ticket, now, &free_tries) : NULL;

	ticket->charged = false;
	if (bucket == NULL)
		return;
	bucket_advance(bucket, free_tries, now);
	bucket->wrong = bucket->wrong + 1 < free_tries ? bucket->wrong + 1 : free_tries;
}

static void pair_add(struct failures *failures, const struct failures_ticket *ticket, int64_t now)
{
	struct address_entry *address = address_get(failures, &ticket->address, now);
	struct pair_entry *pair = address == NULL ? NULL : calloc(1, sizeof(*pair));

	if (pair == NULL)
		return; /* it only stands a little worse than it could */
	if (table_is_full(failures->pairs))
		pair_remove(failures, container_of(table_oldest(failures->pairs), struct pair_entry, entry));
	pair->entry.key = ticket->pair;
	pair->address = ticket->address;
	pair->bucket.as_of_ms = now;
	pair->good_ms = now;
	table_add(failures->pairs, &pair->entry);
	address->good_logins++;
}

void failures_good(struct failures *failures, struct failures_ticket *ticket, int64_t now)
{
	struct pair_entry *pair;

	failures_not_tried(failures, ticket, now);
	pair = pair_find(failures, &ticket->pair, now);
	if (pair != NULL)
		pair->good_ms = now;
	else
		pair_add(failures, ticket, now);
}
