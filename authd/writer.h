/* authd/writer.h — the one handle by which authd changes auth.db: last logins (notes.h), keys of imported users (new_keys.h).
 * Apart from the lookups' handle, so that a slow disk under a write keeps no lookup waiting. One job at a time has it.
 * Thread: the loop's; `credentials` is for the run() of a job that writer_submit() took. */
#ifndef AUTHD_WRITER_H
#define AUTHD_WRITER_H

#include "net/worker.h"
#include "storage/credentials.h"

struct writer {
	struct worker_pool *pool;
	struct credentials *credentials;
};

bool writer_open(struct writer *writer, const char *data_dir, struct error *err); /* blocks: opens auth.db */
void writer_start(struct writer *writer, struct worker_pool *pool);               /* once, before the first job */
void writer_submit(struct writer *writer, struct worker_job *job);                /* job: run and done are set */
void writer_close(struct writer *writer);                                         /* after the pool has ended */

#endif
