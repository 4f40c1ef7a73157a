/* tests/unit/sasl/fake_authd.h — an authd in the test's own loop: keeps what it is asked, answers when the test says so. */
#ifndef FAKE_AUTHD_H
#define FAKE_AUTHD_H

#include "sasl/auth_protocol.h"

#define FAKE_ASKED_MAX 8192

struct fake_question {
	struct auth_question question; /* its spans point into bytes */
	uint8_t bytes[AUTH_QUESTION_MAX];
};

struct fake_authd {
	uv_loop_t *loop;
	char path[64];
	int listener;
	uv_poll_t listener_poll;
	uv_poll_t *poll;
	int fd;    /* the one client, or -1 */
	bool deaf; /* reads nothing */
	size_t asked;
	struct fake_question *questions[FAKE_ASKED_MAX];
};

void fake_authd_start(struct fake_authd *authd, uv_loop_t *loop, const char *path);
void fake_authd_stop(struct fake_authd *authd); /* as if it were killed; what was asked stays for the test to see */
void fake_authd_forget(struct fake_authd *authd);
void fake_authd_answer(struct fake_authd *authd, uint64_t id, const struct auth_answer *answer);
void fake_authd_send(struct fake_authd *authd, const void *bytes, size_t len);
/* Runs the loop until done(arg), or fails the test after five seconds. */
void run_until(uv_loop_t *loop, bool (*done)(void *arg), void *arg);
void run_for(uv_loop_t *loop, uint64_t ms);
bool authd_was_asked(void *authd); /* anything since fake_authd_forget() */

#endif
