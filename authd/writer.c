#include "authd/writer.h"

#define WRITER_KEY 2 /* of the worker pool: one job at a time, in order */

bool writer_open(struct writer *writer, const char *data_dir, struct error *err)
{
	return credentials_open(data_dir, &writer->credentials, err);
}

void writer_start(struct writer *writer, struct worker_pool *pool)
{
	writer->pool = pool;
}

void writer_submit(struct writer *writer, struct worker_job *job)
{
	job->lane = WORKER_READ; /* not WRITE: see WORKER_RESERVED */
	job->key = WRITER_KEY;
	worker_submit(writer->pool, job);
}

void writer_close(struct writer *writer)
{
	credentials_close(&writer->credentials);
}
