#include "net/limiter.h"

#include "base/check.h"
#include "base/random.h"
#include "net/network.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define FIRST_BUCKETS 64

struct limiter_slot {
	struct limiter_address *address;
	void *owner;
	bool before_login; /* counts against its address and may be evicted */
	bool sheltered;    /* counts against its address, but may not be evicted now */
	bool evicted;      /* counts no more */
	uint64_t sequence;
	TAILQ_ENTRY(limiter_slot) link; /* in address->before_login, oldest first */
};

struct limiter_address {
	uint8_t key[NETWORK_KEY_LEN];
	unsigned slots;     /* of any kind: the memory goes with the last */
	unsigned count;     /* before login */
	unsigned sheltered; /* of which none is in before_login */
	size_t heap_at;     /* while count > 0 */
	TAILQ_HEAD(, limiter_slot) before_login;
	struct limiter_address *hash_next;
};

struct limiter {
	struct limiter_settings settings;
	struct network exempt[NETWORKS_MAX];
	size_t exempt_count;
	uint8_t hash_key[crypto_shorthash_KEYBYTES]; /* peers choose their addresses, not our buckets */
	struct limiter_address **buckets;
	size_t bucket_count, address_count;
	/* A binary heap of the addresses with sessions before login, the greediest on top. */
	struct limiter_address **heap;
	size_t heap_len, heap_cap;
	unsigned count;
	uint64_t sequence;
};

/* --- the heap: most sessions before login first; of equals, the one with the oldest session ---------------------- */

static bool goes_before(const struct limiter_address *a, const struct limiter_address *b)
{
	if (a->count != b->count)
		return a->count > b->count;
	return TAILQ_FIRST(&a->before_login)->sequence < TAILQ_FIRST(&b->before_login)->sequence;
}

static void heap_set(struct limiter *limiter, size_t at, struct limiter_address *address)
{
	limiter->heap[at] = address;
	address->heap_at = at;
}

static void sift_up(struct limiter *limiter, struct limiter_address *address)
{
	size_t at = address->heap_at;

	while (at > 0 && goes_before(address, limiter->heap[(at - 1) / 2])) {
		heap_set(limiter, at, limiter->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_set(limiter, at, address);
}

static void sift_down(struct limiter *limiter, struct limiter_address *address)
{
	size_t at = address->heap_at, child;

	while ((child = 2 * at + 1) < limiter->heap_len) {
		if (child + 1 < limiter->heap_len && goes_before(limiter->heap[child + 1], limiter->heap[child]))
			child++;
		if (!goes_before(limiter->heap[child], address))
			break;
		heap_set(limiter, at, limiter->heap[child]);
		at = child;
	}
	heap_set(limiter, at, address);
}

static void heap_remove(struct limiter *limiter, size_t at)
{
	struct limiter_address *last = limiter->heap[--limiter->heap_len];

	if (at == limiter->heap_len)
		return;
	heap_set(limiter, at, last);
	sift_up(limiter, last);
	sift_down(limiter, last);
}

/* Room for every address, so that one which comes back into the heap later finds its place. */
static bool heap_reserve(struct limiter *limiter)
{
	size_t cap = limiter->heap_cap == 0 ? FIRST_BUCKETS : limiter->heap_cap * 2;
	struct limiter_address **heap;

	if (limiter->address_count <= limiter->heap_cap)
		return true;
	heap = realloc(limiter->heap, cap * sizeof(struct limiter_address *));
	if (heap == NULL)
		return false;
	limiter->heap = heap;
	limiter->heap_cap = cap;
	return true;
}

/* --- addresses ------------------------------------------------------------------------------------------------- */

static struct limiter_address **bucket_of(const struct limiter *limiter, const uint8_t key[NETWORK_KEY_LEN])
{
	uint64_t hash;

	crypto_shorthash((unsigned char *)&hash, key, NETWORK_KEY_LEN, limiter->hash_key);
	return &limiter->buckets[hash & (limiter->bucket_count - 1)];
}

/* When it fails the chains only get longer. */
static void grow_buckets(struct limiter *limiter)
{
	struct limiter_address **old = limiter->buckets;
	size_t old_count = limiter->bucket_count;
	struct limiter_address **buckets = calloc(old_count * 2, sizeof(struct limiter_address *));

	if (buckets == NULL)
		return;
	limiter->buckets = buckets;
	limiter->bucket_count = old_count * 2;
	for (size_t i = 0; i < old_count; i++)
		while (old[i] != NULL) {
			struct limiter_address *address = old[i];
			struct limiter_address **to = bucket_of(limiter, address->key);

			old[i] = address->hash_next;
			address->hash_next = *to;
			*to = address;
		}
	free(old);
}

static struct limiter_address *address_get(struct limiter *limiter, const uint8_t key[NETWORK_KEY_LEN])
{
	struct limiter_address **bucket = bucket_of(limiter, key);
	struct limiter_address *address = *bucket;

	while (address != NULL && memcmp(address->key, key, NETWORK_KEY_LEN) != 0)
		address = address->hash_next;
	if (address != NULL)
		return address;
	address = calloc(1, sizeof(*address));
	if (address == NULL)
		return NULL;
	memcpy(address->key, key, NETWORK_KEY_LEN);
	TAILQ_INIT(&address->before_login);
	address->hash_next = *bucket;
	*bucket = address;
	if (++limiter->address_count > limiter->bucket_count)
		grow_buckets(limiter);
	return address;
}

static void address_put(struct limiter *limiter, struct limiter_address *address)
{
	struct limiter_address **link = bucket_of(limiter, address->key);

	if (address->slots > 0)
		return;
	while (*link != address)
		link = &(*link)->hash_next;
	*link = address->hash_next;
	limiter->address_count--;
	free(address);
}

/* --- sessions before login ------------------------------------------------------------------------------------- */

static void count_in(struct limiter *limiter, struct limiter_slot *slot)
{
	struct limiter_address *address = slot->address;

	slot->before_login = true;
	TAILQ_INSERT_TAIL(&address->before_login, slot, link);
	if (address->count++ == 0)
		address->heap_at = limiter->heap_len++;
	sift_up(limiter, address);
}

static void count_out(struct limiter *limiter, struct limiter_slot *slot)
{
	struct limiter_address *address = slot->address;

	if (!slot->before_login)
		return;
	slot->before_login = false;
	TAILQ_REMOVE(&address->before_login, slot, link);
	if (--address->count == 0) {
		heap_remove(limiter, address->heap_at);
		return;
	}
	sift_up(limiter, address);
	sift_down(limiter, address);
}

static void leave_shelter(struct limiter_slot *slot)
{
	if (slot->sheltered)
		slot->address->sheltered--;
	slot->sheltered = false;
}

/* Frees a place by naming who goes; NULL when everybody is logged in or sheltered. */
static void *choose_eviction(struct limiter *limiter)
{
	struct limiter_slot *slot;

	if (limiter->heap_len == 0)
		return NULL;
	slot = TAILQ_FIRST(&limiter->heap[0]->before_login);
	count_out(limiter, slot);
	slot->evicted = true;
	limiter->count--;
	return slot->owner;
}

/* --- the door -------------------------------------------------------------------------------------------------- */

bool limiter_new(const struct limiter_settings *settings, struct limiter **out, struct error *err)
{
	struct limiter *limiter = calloc(1, sizeof(*limiter));

	if (limiter == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	limiter->settings = *settings;
	limiter->settings.exempt = SPAN_EMPTY; /* the caller's text may go */
	limiter->bucket_count = FIRST_BUCKETS;
	limiter->buckets = calloc(FIRST_BUCKETS, sizeof(struct limiter_address *));
	random_bytes(limiter->hash_key, sizeof(limiter->hash_key));
	if (limiter->buckets == NULL) {
		limiter_free(&limiter);
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	if (!network_parse_list(settings->exempt, limiter->exempt, &limiter->exempt_count, err)) {
		limiter_free(&limiter);
		return false;
	}
	*out = limiter;
	return true;
}

void limiter_free(struct limiter **limiter)
{
	if (*limiter == NULL)
		return;
	CHECK((*limiter)->address_count == 0); /* every slot has been given back */
	free((*limiter)->buckets);
	free((*limiter)->heap);
	free(*limiter);
	*limiter = NULL;
}

static bool is_over_limit(
        const struct limiter *limiter, const struct limiter_address *address, const struct sockaddr *peer)
{
	uint8_t bytes[NETWORK_KEY_LEN];

	if (peer->sa_family == AF_UNIX || limiter->settings.per_address == 0 ||
	        address->count + address->sheltered < limiter->settings.per_address)
		return false;
	network_address(peer, bytes);
	return !network_contains(limiter->exempt, limiter->exempt_count, bytes);
}

bool limiter_add(struct limiter *limiter, const struct sockaddr *peer, void *owner, struct limiter_slot **slot,
        void **evict, struct error *err)
{
	uint8_t key[NETWORK_KEY_LEN];
	struct limiter_address *address;
	struct limiter_slot *added = calloc(1, sizeof(*added));

	*evict = NULL;
	network_key(peer, key);
	address = added == NULL ? NULL : address_get(limiter, key);
	if (address == NULL || !heap_reserve(limiter)) {
		error_set(err, ERR_NO_MEMORY, "out of memory");
	} else if (is_over_limit(limiter, address, peer)) {
		error_set(err, ERR_LIMIT, "too many connections from one address");
	} else if (limiter->count >= limiter->settings.total && (*evict = choose_eviction(limiter)) == NULL) {
		error_set(err, ERR_BUSY, "all places are taken");
	} else {
		*added = (struct limiter_slot) { .address = address, .owner = owner, .sequence = ++limiter->sequence };
		address->slots++;
		limiter->count++;
		count_in(limiter, added);
		*slot = added;
		return true;
	}
	if (address != NULL)
		address_put(limiter, address);
	free(added);
	return false;
}

void limiter_logged_in(struct limiter *limiter, struct limiter_slot *slot)
{
	leave_shelter(slot);
	count_out(limiter, slot);
}

void limiter_shelter(struct limiter *limiter, struct limiter_slot *slot)
{
	if (!slot->before_login)
		return;
	count_out(limiter, slot);
	slot->sheltered = true;
	slot->address->sheltered++;
}

void limiter_unshelter(struct limiter *limiter, struct limiter_slot *slot)
{
	if (!slot->sheltered)
		return;
	leave_shelter(slot);
	count_in(limiter, slot);
}

static void change_address(struct limiter *limiter, struct limiter_slot *slot, struct limiter_address *to)
{
	struct limiter_address *from = slot->address;
	bool waits = slot->before_login, sheltered = slot->sheltered;

	leave_shelter(slot);
	count_out(limiter, slot);
	from->slots--;
	address_put(limiter, from);
	slot->address = to;
	to->slots++;
	if (waits)
		count_in(limiter, slot);
	slot->sheltered = sheltered;
	to->sheltered += sheltered;
}

bool limiter_move(struct limiter *limiter, struct limiter_slot *slot, const struct sockaddr *peer, struct error *err)
{
	bool counts = slot->before_login || slot->sheltered;
	uint8_t key[NETWORK_KEY_LEN];
	struct limiter_address *to;
	bool ok = false;

	network_key(peer, key);
	to = address_get(limiter, key);
	if (to == slot->address)
		return true;
	if (to == NULL || !heap_reserve(limiter))
		error_set(err, ERR_NO_MEMORY, "out of memory");
	else if (counts && is_over_limit(limiter, to, peer))
		error_set(err, ERR_LIMIT, "too many connections from one address");
	else
		ok = true;
	if (ok)
		change_address(limiter, slot, to);
	else if (to != NULL)
		address_put(limiter, to);
	return ok;
}

void limiter_remove(struct limiter *limiter, struct limiter_slot **slot_ptr)
{
	struct limiter_slot *slot = *slot_ptr;

	if (slot == NULL)
		return;
	*slot_ptr = NULL;
	leave_shelter(slot);
	count_out(limiter, slot);
	if (!slot->evicted)
		limiter->count--;
	slot->address->slots--;
	address_put(limiter, slot->address);
	free(slot);
}

unsigned limiter_count(const struct limiter *limiter)
{
	return limiter->count;
}
