#include "fake_authd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void hang_up(struct fake_authd *authd)
{
	uv_close((uv_handle_t *)authd->poll, free_handle);
	close(authd->fd);
	authd->fd = -1;
}

static void on_question(uv_poll_t *poll, int status, int events)
{
	struct fake_authd *authd = poll->data;
	struct fake_question *kept;
	ssize_t got;

	if (authd->deaf) {
		uv_poll_stop(poll);
		return;
	}
	kept = calloc(1, sizeof(*kept));
	got = recv(authd->fd, kept->bytes, sizeof(kept->bytes), 0);
	if (got <= 0) {
		free(kept);
		hang_up(authd);
		return;
	}
	assert_true(auth_question_decode(span_make(kept->bytes, (size_t)got), &kept->question));
	assert_true(authd->asked < FAKE_ASKED_MAX);
	authd->questions[authd->asked++] = kept;
}

static void on_client(uv_poll_t *poll, int status, int events)
{
	struct fake_authd *authd = poll->data;

	if (authd->fd >= 0) /* the one before is gone, and that was not read yet */
		hang_up(authd);
	authd->fd = accept(authd->listener, NULL, NULL);
	assert_true(authd->fd >= 0);
	authd->poll = calloc(1, sizeof(*authd->poll));
	uv_poll_init(authd->loop, authd->poll, authd->fd);
	authd->poll->data = authd;
	uv_poll_start(authd->poll, UV_READABLE, on_question);
}

void fake_authd_start(struct fake_authd *authd, uv_loop_t *loop, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	authd->loop = loop;
	authd->fd = -1;
	assert_true(span_copy(span_of(path), address.sun_path, sizeof(address.sun_path)));
	assert_true(span_copy(span_of(path), authd->path, sizeof(authd->path)));
	(void)unlink(path);
	authd->listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(bind(authd->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(authd->listener, 8), 0);
	uv_poll_init(loop, &authd->listener_poll, authd->listener);
	authd->listener_poll.data = authd;
	uv_poll_start(&authd->listener_poll, UV_READABLE, on_client);
}

void fake_authd_stop(struct fake_authd *authd)
{
	uv_close((uv_handle_t *)&authd->listener_poll, NULL);
	if (authd->fd >= 0)
		hang_up(authd);
	close(authd->listener);
	(void)unlink(authd->path);
	uv_run(authd->loop, UV_RUN_NOWAIT);
}

void fake_authd_forget(struct fake_authd *authd)
{
	for (size_t i = 0; i < authd->asked; i++)
		free(authd->questions[i]);
	authd->asked = 0;
}

void fake_authd_send(struct fake_authd *authd, const void *bytes, size_t len)
{
	assert_int_equal(send(authd->fd, bytes, len, MSG_NOSIGNAL), len);
}

void fake_authd_answer(struct fake_authd *authd, uint64_t id, const struct auth_answer *answer)
{
	uint8_t packet[AUTH_REPLY_MAX];

	fake_authd_send(authd, packet, auth_reply_encode(id, answer, packet, sizeof(packet)));
}

static void on_alarm(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

static bool never(void *arg)
{
	return false;
}

static bool run(uv_loop_t *loop, bool (*done)(void *arg), void *arg, uint64_t ms)
{
	bool late = false;
	uv_timer_t alarm_timer;

	uv_timer_init(loop, &alarm_timer);
	alarm_timer.data = &late;
	uv_timer_start(&alarm_timer, on_alarm, ms, 0);
	while (!late && !done(arg))
		uv_run(loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&alarm_timer, NULL);
	uv_run(loop, UV_RUN_NOWAIT);
	return done(arg);
}

void run_until(uv_loop_t *loop, bool (*done)(void *arg), void *arg)
{
	assert_true(run(loop, done, arg, 5000));
}

void run_for(uv_loop_t *loop, uint64_t ms)
{
	(void)run(loop, never, NULL, ms);
}

bool authd_was_asked(void *arg)
{
	struct fake_authd *authd = arg;

	return authd->asked > 0;
}
