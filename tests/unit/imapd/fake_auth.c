/* sasl/auth_client.h without an authd. */
#include "fixture.h"

#include "base/check.h"
#include "sasl/auth_client_later.h"

#include <stdlib.h>

bool fake_auth_answers = true;
int64_t fake_auth_account = 7;

struct auth_request {
	struct auth_request *next;
	struct auth_answer answer;
	bool never;
	auth_callback *callback;
	void *arg;
};

static struct auth_request *waiting;

bool fake_auth_run(void)
{
	struct auth_request **link = &waiting, *request;

	while (*link != NULL && (*link)->never)
		link = &(*link)->next;
	request = *link;
	if (request == NULL || !fake_auth_answers)
		return false;
	*link = request->next;
	request->callback(request->arg, &request->answer);
	free(request);
	return true;
}

static struct auth_request *ask(enum auth_status status, auth_callback *callback, void *arg)
{
	struct auth_request *request = calloc(1, sizeof(*request)), **link = &waiting;

	CHECK(request != NULL);
	request->answer.status = status;
	request->answer.account_id = status == AUTH_OK ? fake_auth_account : 0;
	(void)span_copy(SPAN("alice@example.test"), request->answer.login, sizeof(request->answer.login));
	request->callback = callback;
	request->arg = arg;
	while (*link != NULL)
		link = &(*link)->next;
	*link = request;
	return request;
}

struct auth_request *auth_password(struct auth_client *client, const struct auth_peer *peer, struct span login,
        struct span password, auth_callback *callback, void *arg)
{
	bool alice = span_equal(login, SPAN("alice@example.test"));
	enum auth_status status = alice && span_equal(password, SPAN("secret")) ? AUTH_OK
	                          : span_equal(password, SPAN("disabled"))      ? AUTH_DISABLED
	                          : span_equal(password, SPAN("throttled"))     ? AUTH_THROTTLED
	                          : span_equal(password, SPAN("unavailable"))   ? AUTH_UNAVAILABLE
	                                                                        : AUTH_WRONG;
	struct auth_request *request;

	(void)client;
	CHECK(peer->service == AUTH_IMAP);
	request = ask(status, callback, arg);
	request->never = span_equal(password, SPAN("never"));
	return request;
}

struct auth_request *auth_scram_first(
        struct auth_client *client, const struct auth_peer *peer, struct span login, auth_callback *callback, void *arg)
{
	(void)client;
	(void)peer;
	(void)login;
	return ask(AUTH_UNAVAILABLE, callback, arg);
}

struct auth_request *auth_scram_final(struct auth_client *client, const struct auth_peer *peer, struct span login,
        struct span auth_message, const uint8_t proof[AUTH_PROOF_LEN], auth_callback *callback, void *arg)
{
	(void)client;
	(void)peer;
	(void)login;
	(void)auth_message;
	(void)proof;
	return ask(AUTH_UNAVAILABLE, callback, arg);
}

void auth_cancel(struct auth_request **request)
{
	struct auth_request **link = &waiting;

	while (*link != NULL && *link != *request)
		link = &(*link)->next;
	if (*link != NULL) { /* else its callback is running */
		*link = (*request)->next;
		free(*request);
	}
	*request = NULL;
}

struct auth_client {
	struct later_queue later;
};

static void on_closed(struct later_queue *queue)
{
	free(container_of(queue, struct auth_client, later));
}

struct later_queue *auth_client_later(struct auth_client *client)
{
	return &client->later;
}

bool auth_client_new(uv_loop_t *loop, const char *socket_path, struct auth_client **out, struct error *err)
{
	(void)socket_path;
	(void)err;
	*out = calloc(1, sizeof(**out));
	CHECK(*out != NULL);
	later_init(&(*out)->later, loop);
	return true;
}

bool auth_client_new_in(uv_loop_t *loop, const char *data_dir, struct auth_client **out, struct error *err)
{
	return auth_client_new(loop, data_dir, out, err);
}

void auth_client_close(struct auth_client **client)
{
	later_close(&(*client)->later, on_closed);
	*client = NULL;
}
