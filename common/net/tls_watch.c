#include "net/tls_internal.h"

#include "base/log.h"
#include "net/worker.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY_MS 60000
#define SETTLE_MS     250 /* after a change: certificate and key are rarely written in the same instant */
#define FOLDERS_MAX   (2 * TLS_CERTIFICATES_MAX)

struct watched_folder {
	uv_fs_event_t event;
	struct tls_watch *watch;
	char *path;
};

/* Lives until its handles are closed and its job is done, maybe longer than the context. */
struct tls_watch {
	struct tls_context *context; /* NULL: nobody wants the answer any more */
	struct worker_pool *pool;
	uv_timer_t every, settle;
	struct watched_folder folders[FOLDERS_MAX];
	size_t folder_count;
	unsigned holds; /* open handles and the job under way */
	bool looking;
	bool look_again;
	struct worker_job job;
	/* The job's: copies, because the context may go meanwhile. */
	struct tls_policy policy;
	struct tls_paths pairs[TLS_CERTIFICATES_MAX];
	size_t pair_count;
	uint8_t digest[TLS_DIGEST_LEN];
	SSL_CTX *loaded;
	bool changed;
	struct error err;
};

static void watch_release(struct tls_watch *watch)
{
	if (--watch->holds > 0)
		return;
	for (size_t i = 0; i < watch->pair_count; i++) {
		free(watch->pairs[i].certificate);
		free(watch->pairs[i].key);
	}
	for (size_t i = 0; i < watch->folder_count; i++)
		free(watch->folders[i].path);
	free(watch);
}

/* --- looking --------------------------------------------------------------------------------------------------- */

static void run_look(struct worker_job *job)
{
	struct tls_watch *watch = container_of(job, struct tls_watch, job);
	uint8_t digest[TLS_DIGEST_LEN];

	error_clear(&watch->err);
	watch->loaded = NULL;
	if (!tls_certs_digest(watch->pairs, watch->pair_count, digest, &watch->err)) {
		watch->changed = true;
		memset(watch->digest, 0, sizeof(digest)); /* unreadable: look again, even if the old text comes back */
		return;
	}
	watch->changed = memcmp(digest, watch->digest, sizeof(digest)) != 0;
	memcpy(watch->digest, digest, sizeof(digest));
	if (watch->changed)
		watch->loaded = tls_certs_load(&watch->policy, watch->pairs, watch->pair_count, &watch->err);
}

static void look(struct tls_watch *watch);

static void take_over(struct tls_watch *watch)
{
	struct tls_context *context = watch->context;

	if (watch->loaded != NULL) {
		SSL_CTX_free(context->current);
		context->current = watch->loaded;
		watch->loaded = NULL;
		LOG(LOG_INFO, "tls.reloaded", LOG_TEXT("certificate", context->pairs[0].certificate),
		        LOG_NUMBER("pairs", context->pair_count));
	} else if (watch->changed) {
		LOG(LOG_ERROR, "tls.reload_failed", LOG_TEXT("certificate", context->pairs[0].certificate),
		        LOG_FAILURE(&watch->err));
	}
}

static void on_looked(struct worker_job *job)
{
	struct tls_watch *watch = container_of(job, struct tls_watch, job);

	watch->looking = false;
	if (watch->context != NULL)
		take_over(watch);
	SSL_CTX_free(watch->loaded);
	watch->loaded = NULL;
	if (watch->context != NULL && watch->look_again)
		look(watch);
	watch_release(watch);
}

static void look(struct tls_watch *watch)
{
	watch->look_again = watch->looking;
	if (watch->looking)
		return;
	watch->looking = true;
	watch->holds++;
	watch->job = (struct worker_job) { .run = run_look, .done = on_looked, .lane = WORKER_READ };
	worker_submit(watch->pool, &watch->job);
}

static void on_every(uv_timer_t *timer)
{
	look(timer->data);
}

static void on_settled(uv_timer_t *timer)
{
	look(timer->data);
}

static void on_change(uv_fs_event_t *event, const char *name, int events, int status)
{
	struct watched_folder *folder = container_of(event, struct watched_folder, event);

	uv_timer_start(&folder->watch->settle, on_settled, SETTLE_MS, 0);
}

/* --- handles --------------------------------------------------------------------------------------------------- */

static void on_timer_closed(uv_handle_t *handle)
{
	watch_release(handle->data);
}

static void on_event_closed(uv_handle_t *handle)
{
	watch_release(container_of((uv_fs_event_t *)handle, struct watched_folder, event)->watch);
}

static bool is_watched(const struct tls_watch *watch, const char *path)
{
	for (size_t i = 0; i < watch->folder_count; i++)
		if (strcmp(watch->folders[i].path, path) == 0)
			return true;
	return false;
}

/* Directories, because renewed files replace the old ones by name. What cannot be watched is still looked at each minute. */
static void watch_folder_of(struct tls_watch *watch, uv_loop_t *loop, const char *file)
{
	struct watched_folder *folder = &watch->folders[watch->folder_count];
	char path[PATH_MAX];
	const char *parent;
	int failed;

	if (!span_copy(span_of(file), path, sizeof(path)))
		return;
	parent = dirname(path);
	if (is_watched(watch, parent) || (folder->path = strdup(parent)) == NULL)
		return;
	folder->watch = watch;
	uv_fs_event_init(loop, &folder->event);
	uv_unref((uv_handle_t *)&folder->event);
	watch->folder_count++;
	watch->holds++;
	failed = uv_fs_event_start(&folder->event, on_change, parent, 0);
	if (failed != 0)
		LOG(LOG_WARNING, "tls.not_watched", LOG_TEXT("folder", parent),
		        LOG_TEXT("reason", uv_strerror(failed)));
}

static void start_timer(struct tls_watch *watch, uv_loop_t *loop, uv_timer_t *timer)
{
	uv_timer_init(loop, timer);
	timer->data = watch;
	uv_unref((uv_handle_t *)timer);
	watch->holds++;
}

static bool copy_paths(struct tls_watch *watch, const struct tls_context *context)
{
	for (size_t i = 0; i < context->pair_count; i++) {
		watch->pairs[i].certificate = strdup(context->pairs[i].certificate);
		watch->pairs[i].key = strdup(context->pairs[i].key);
		watch->pair_count = i + 1;
		if (watch->pairs[i].certificate == NULL || watch->pairs[i].key == NULL)
			return false;
	}
	return true;
}

bool tls_context_watch(struct tls_context *context, uv_loop_t *loop, struct worker_pool *pool, struct error *err)
{
	struct tls_watch *watch = calloc(1, sizeof(*watch));

	if (watch == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	watch->holds = 1;
	if (!copy_paths(watch, context)) {
		watch_release(watch);
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	watch->context = context;
	watch->pool = pool;
	watch->policy = context->policy;
	memcpy(watch->digest, context->digest, sizeof(watch->digest));
	start_timer(watch, loop, &watch->every);
	start_timer(watch, loop, &watch->settle);
	for (size_t i = 0; i < context->pair_count; i++) {
		watch_folder_of(watch, loop, context->pairs[i].certificate);
		watch_folder_of(watch, loop, context->pairs[i].key);
	}
	uv_timer_start(&watch->every, on_every, LOOK_EVERY_MS, LOOK_EVERY_MS);
	context->watch = watch;
	return true;
}

void tls_context_reload(struct tls_context *context)
{
	if (context->watch != NULL)
		look(context->watch);
}

void tls_context_unwatch(struct tls_context *context)
{
	struct tls_watch *watch = context->watch;

	if (watch == NULL)
		return;
	context->watch = NULL;
	watch->context = NULL;
	uv_close((uv_handle_t *)&watch->every, on_timer_closed);
	uv_close((uv_handle_t *)&watch->settle, on_timer_closed);
	for (size_t i = 0; i < watch->folder_count; i++)
		uv_close((uv_handle_t *)&watch->folders[i].event, on_event_closed);
	watch_release(watch);
}
