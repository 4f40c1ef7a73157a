/* storage/directory_private.h — what the files of the directory share; nobody else includes it. */
#ifndef STORAGE_DIRECTORY_PRIVATE_H
#define STORAGE_DIRECTORY_PRIVATE_H

#include "storage/address_key.h"
#include "storage/directory.h"
#include "storage/directory_sql.h"

#include <pthread.h>
#include <stdatomic.h>

#define DIRECTORY_FOLLOWED_MAX 2000 /* targets of aliases that one resolution follows */

struct directory {
	pthread_mutex_t mutex;
	unsigned followed; /* in the resolution under way */
	struct database *database;
	_Atomic uint64_t *version; /* shared with the other processes; NULL: could not be mapped */
};

/* Lock, and a read or write transaction; ended by the matching end, which unlocks. */
bool directory_begin_read(struct directory *directory, struct error *err);
void directory_end_read(struct directory *directory);
bool directory_begin(struct directory *directory, struct error *err);
/* ok: commit, otherwise roll back. Returns whether it is durable. */
bool directory_end(struct directory *directory, bool ok, struct error *err);

void directory_version_open(struct directory *directory, const char *data_dir);
void directory_version_close(struct directory *directory);
void directory_version_next(struct directory *directory); /* after each commit */

/* ERR_NO_SUCH_DOMAIN. Within a transaction. */
bool directory_domain_id(struct directory *directory, const char *domain, int64_t *id, struct error *err);
/* directory_resolve() within a transaction, of normalised parts. */
bool directory_resolve_key(
        struct directory *directory, const struct address_key *key, struct resolution *out, struct error *err);

#endif
