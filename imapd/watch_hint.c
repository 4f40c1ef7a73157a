/* Hints of other processes, and what is done about those that are lost (imapd/watch.h). */
#include "base/clock.h"
#include "base/log.h"
#include "imapd/watch_private.h"
#include "storage/notify.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define QUEUE_DEFAULT 10 /* unix(7): what the kernel has when nobody set it */

static struct watch_account *find(struct watch *watch, int64_t id)
{
	struct watch_account *account = watch->buckets[(uint64_t)id % WATCH_BUCKETS];

	while (account != NULL && account->id != id)
		account = account->next;
	return account;
}

void feed_if_idle(struct watch_account *account)
{
	uint64_t known = account_known(account);

	if (account->idle > 0 && !account->feeding && known != UINT64_MAX && account->hinted > known)
		feed_start(account);
}

/* As many at once as the socket holds: the next ones may have found no room. */
static void note_loss(struct watch *watch)
{
	watch->lost_at = clock_mono_ms();
	if (watch->idle > 0 && !watch->looks_soon) {
		watch->looks_soon = true;
		hints_look_or_not(watch);
	}
}

void hints_drain(struct watch *watch)
{
	struct watch_account *account;
	int64_t account_id;
	uint64_t modseq;
	unsigned count = 0;

	if (watch->socket < 0)
		return;
	for (; notify_next(watch->socket, &account_id, &modseq); count++) {
		account = find(watch, account_id);
		if (account == NULL || modseq <= account->hinted)
			continue;
		account->hinted = modseq;
		feed_if_idle(account);
	}
	if (count >= watch->queue)
		note_loss(watch);
}

static void on_hint(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = poll->data;

	(void)events;
	if (status == 0)
		hints_drain(watch);
}

/* --- looking at files --- */

struct look_at {
	int64_t account_id;
	uint64_t stamp;
	bool changed;
};

struct look {
	struct worker_job job;
	struct watch *watch;
	size_t count;
	struct look_at accounts[];
};

static void run_look(struct worker_job *job)
{
	struct look *look = container_of(job, struct look, job);

	for (size_t i = 0; i < look->count; i++) {
		struct look_at *at = &look->accounts[i];

		uint64_t stamp = store_account_stamp(look->watch->server->store, at->account_id);

		at->changed = stamp == 0 || stamp != at->stamp;
	}
}

static void on_looked(struct worker_job *job)
{
	struct look *look = container_of(job, struct look, job);
	struct watch *watch = look->watch;

	watch->look = NULL;
	for (size_t i = 0; i < look->count; i++) {
		struct watch_account *account = find(watch, look->accounts[i].account_id);

		if (!look->accounts[i].changed || account == NULL || account->idle == 0 || account->feeding)
			continue;
		if (account_known(account) != UINT64_MAX)
			feed_start(account);
	}
	free(look);
}

static size_t count_idle(const struct watch *watch, struct look_at *accounts)
{
	size_t count = 0;

	for (size_t i = 0; i < WATCH_BUCKETS; i++) {
		for (struct watch_account *account = watch->buckets[i]; account != NULL; account = account->next) {
			if (account->idle == 0 || account->feeding)
				continue;
			if (accounts != NULL)
				accounts[count] =
				        (struct look_at) { .account_id = account->id, .stamp = account->stamp };
			count++;
		}
	}
	return count;
}

static void on_time(uv_timer_t *timer)
{
	struct watch *watch = timer->data;
	size_t count = count_idle(watch, NULL);
	struct look *look;

	watch->looks_soon = false;
	if (count == 0 || watch->look != NULL)
		return;
	look = calloc(1, sizeof(*look) + count * sizeof(look->accounts[0]));
	if (look == NULL)
		return; /* the next time */
	look->watch = watch;
	look->count = count_idle(watch, look->accounts);
	look->job = (struct worker_job) { .run = run_look, .done = on_looked, .lane = WORKER_READ };
	watch->look = look;
	worker_submit(watch->server->pool, &look->job);
}

void hints_look_or_not(struct watch *watch)
{
	bool active = uv_is_active((const uv_handle_t *)&watch->timer) != 0;

	if (watch->idle == 0)
		uv_timer_stop(&watch->timer);
	else if (!active || watch->looks_soon)
		uv_timer_start(
		        &watch->timer, on_time, watch->looks_soon ? WATCH_LOST_MS : WATCH_LOOK_MS, WATCH_LOOK_MS);
	if (watch->idle == 0)
		watch->looks_soon = false;
}

/* --- begin and end --- */

/* How many hints the socket holds: net.unix.max_dgram_qlen. */
static unsigned queue_length(void)
{
	int fd = open("/proc/sys/net/unix/max_dgram_qlen", O_RDONLY | O_CLOEXEC);
	uint64_t length = QUEUE_DEFAULT;
	char text[32];
	ssize_t got;

	if (fd < 0)
		return QUEUE_DEFAULT;
	got = read(fd, text, sizeof(text));
	close(fd);
	if (got <= 0 || !span_number(span_trim(span_make(text, (size_t)got)), UINT32_MAX, &length) || length == 0)
		return QUEUE_DEFAULT;
	return (unsigned)length;
}

static void on_closed(uv_handle_t *handle)
{
	struct watch *watch = handle->data;

	if (--watch->handles > 0)
		return;
	if (watch->socket >= 0)
		close(watch->socket);
	free(watch);
}

bool hints_open(struct watch *watch, struct error *err)
{
	const char *data_dir = store_data_dir(watch->server->store);

	snprintf(watch->name, sizeof(watch->name), "imapd.%ld", (long)getpid());
	watch->queue = queue_length();
	watch->socket = notify_listen(data_dir, span_of(watch->name), err);
	if (watch->socket < 0)
		return false;
	uv_timer_init(watch->server->loop, &watch->timer);
	uv_poll_init(watch->server->loop, &watch->poll, watch->socket);
	watch->timer.data = watch->poll.data = watch;
	watch->handles = 2;
	uv_poll_start(&watch->poll, UV_READABLE, on_hint);
	uv_unref((uv_handle_t *)&watch->poll);
	uv_unref((uv_handle_t *)&watch->timer);
	return true;
}

void hints_close(struct watch *watch)
{
	notify_forget(store_data_dir(watch->server->store), span_of(watch->name));
	uv_close((uv_handle_t *)&watch->poll, on_closed);
	uv_close((uv_handle_t *)&watch->timer, on_closed);
}
