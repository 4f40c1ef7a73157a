/* authd/lookup.h — reading auth.db off the loop, for all that wait at once.
 *
 * One thread at a time holds the handle (worker key), and takes all lookups that wait as one batch: one question for the
 * version of the file, then a row for each that needs it. So a lookup sees every change committed before it was submitted.
 * Owner: the job is its submitter's until done(). Thread: the loop's. */
#ifndef AUTHD_LOOKUP_H
#define AUTHD_LOOKUP_H

#include "net/worker.h"
#include "sasl/auth_client.h"
#include "storage/credentials.h"

struct lookup;

struct lookup_job {
	struct worker_job work;
	struct lookup *lookup;
	char login[AUTH_LOGIN_MAX + 1];
	bool has_known_version; /* then no row is read while the file is still of known_version */
	uint64_t known_version;
	void (*done)(struct lookup_job *job);
	/* The result. */
	bool ok; /* false: the file could not be read, see err */
	struct error err;
	uint64_t version; /* two that are equal mean that nothing has changed between */
	bool unchanged;   /* the file is of known_version: found and credential say nothing */
	bool found;
	struct credential credential;
};

bool lookup_new(const char *data_dir, struct lookup **out, struct error *err); /* blocks: opens auth.db */
void lookup_start(struct lookup *lookup, struct worker_pool *pool);            /* once, before the first job */
void lookup_free(struct lookup **lookup);                                      /* no job is under way */
void lookup_submit(struct lookup *lookup, struct lookup_job *job);

#endif
