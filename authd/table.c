#include "authd/table.h"

#include "base/check.h"
#include "base/random.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct table {
	uint8_t secret[crypto_shorthash_KEYBYTES];
	size_t limit;
	size_t count;
	size_t bucket_count;
	TAILQ_HEAD(, table_entry) ages; /* oldest first */
	struct table_entry *buckets[];
};

struct table *table_new(size_t limit)
{
	struct table *table = calloc(1, sizeof(*table) + limit * sizeof(table->buckets[0]));

	if (table == NULL)
		return NULL;
	table->limit = limit;
	table->bucket_count = limit;
	random_bytes(table->secret, sizeof(table->secret));
	TAILQ_INIT(&table->ages);
	return table;
}

void table_free(struct table **table_, void (*release)(struct table_entry *entry))
{
	struct table *table = *table_;
	struct table_entry *entry;

	*table_ = NULL;
	if (table == NULL)
		return;
	while ((entry = table_oldest(table)) != NULL) {
		table_remove(table, entry);
		release(entry);
	}
	free(table);
}

static struct table_entry **bucket_of(struct table *table, const struct table_key *key)
{
	uint64_t hash;

	crypto_shorthash((uint8_t *)&hash, key->bytes, TABLE_KEY_LEN, table->secret);
	return &table->buckets[hash % table->bucket_count];
}

struct table_entry *table_find(struct table *table, const struct table_key *key)
{
	struct table_entry *entry = *bucket_of(table, key);

	while (entry != NULL && memcmp(&entry->key, key, sizeof(*key)) != 0)
		entry = entry->next;
	if (entry != NULL)
		table_touch(table, entry);
	return entry;
}

void table_add(struct table *table, struct table_entry *entry)
{
	struct table_entry **bucket = bucket_of(table, &entry->key);

	CHECK(table->count < table->limit);
	entry->next = *bucket;
	*bucket = entry;
	table->count++;
	TAILQ_INSERT_TAIL(&table->ages, entry, age);
}

void table_remove(struct table *table, struct table_entry *entry)
{
	struct table_entry **at = bucket_of(table, &entry->key);

	while (*at != entry) {
		CHECK(*at != NULL);
		at = &(*at)->next;
	}
	*at = entry->next;
	table->count--;
	TAILQ_REMOVE(&table->ages, entry, age);
}

bool table_is_full(const struct table *table)
{
	return table->count == table->limit;
}

struct table_entry *table_oldest(const struct table *table)
{
	return TAILQ_FIRST(&table->ages);
}

void table_touch(struct table *table, struct table_entry *entry)
{
	TAILQ_REMOVE(&table->ages, entry, age);
	TAILQ_INSERT_TAIL(&table->ages, entry, age);
}

size_t table_count(const struct table *table)
{
	return table->count;
}
