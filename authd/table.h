/* authd/table.h — a hash table with a limit that knows the order of last use; entries are embedded in their users' structs.
 * Keys are hashed with a random secret (SipHash), so nobody outside can aim at one bucket. Thread: the loop's. */
#ifndef AUTHD_TABLE_H
#define AUTHD_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#define TABLE_KEY_LEN 32

struct table_key {
	uint8_t bytes[TABLE_KEY_LEN];
};

struct table_entry {
	struct table_key key;
	struct table_entry *next;
	TAILQ_ENTRY(table_entry) age;
};

struct table;

struct table *table_new(size_t limit); /* NULL: out of memory */
/* release() gets each entry that is still in. */
void table_free(struct table **table, void (*release)(struct table_entry *entry));
struct table_entry *table_find(struct table *table, const struct table_key *key); /* the entry is the newest then */
void table_add(struct table *table, struct table_entry *entry); /* key set, not in yet; the table is not full */
void table_remove(struct table *table, struct table_entry *entry);
bool table_is_full(const struct table *table);
struct table_entry *table_oldest(const struct table *table);      /* NULL: empty */
void table_touch(struct table *table, struct table_entry *entry); /* it is the newest now */
size_t table_count(const struct table *table);

#endif
