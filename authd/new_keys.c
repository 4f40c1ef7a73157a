#include "authd/new_keys.h"

#include "base/log.h"
#include "base/macros.h"
#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

struct write {
	struct worker_job work;
	struct new_keys *new_keys;
	struct credential credential;
	bool ok;
	bool added;
	struct error err;
};

/* On a worker thread. */
static void run(struct worker_job *work)
{
	struct write *write = container_of(work, struct write, work);

	write->ok = credentials_add_scram(
	        write->new_keys->writer->credentials, &write->credential, &write->added, &write->err);
}

static void on_written(struct worker_job *work)
{
	struct write *write = container_of(work, struct write, work);

	if (!write->ok)
		LOG(LOG_WARNING, "auth.scram_keys_lost", LOG_TEXT("login", write->credential.login),
		        LOG_FAILURE(&write->err));
	else if (write->added)
		LOG(LOG_INFO, "auth.scram_keys_added", LOG_TEXT("login", write->credential.login));
	write->new_keys->waiting--;
	secret_wipe(write, sizeof(*write));
	free(write);
}

static void set_keys(struct credential *credential, const struct password_keys *keys)
{
	memcpy(credential->scram_salt, keys->scram_salt, sizeof(credential->scram_salt));
	credential->scram_iterations = keys->scram_iterations;
	memcpy(credential->scram_stored_key, keys->scram_stored_key, sizeof(credential->scram_stored_key));
	memcpy(credential->scram_server_key, keys->scram_server_key, sizeof(credential->scram_server_key));
}

void new_keys_add(struct new_keys *new_keys, const struct credential *credential, const struct password_keys *keys)
{
	struct write *write = new_keys->waiting < NEW_KEYS_MAX ? calloc(1, sizeof(*write)) : NULL;

	if (write == NULL) {
		LOG(LOG_WARNING, "auth.scram_keys_lost", LOG_TEXT("login", credential->login),
		        LOG_TEXT("reason", "too many wait to be written, or no memory"));
		return;
	}
	write->new_keys = new_keys;
	write->credential = *credential;
	set_keys(&write->credential, keys);
	write->work = (struct worker_job) { .run = run, .done = on_written };
	new_keys->waiting++;
	writer_submit(new_keys->writer, &write->work);
}
