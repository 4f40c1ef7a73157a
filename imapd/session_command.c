/* How a command ends (imapd/session.h).
 *
 * Its result is put down at once. Then, if a mailbox is selected, the view is brought up to date and the client is told of
 * the news as far as the command allows it; then the tagged line goes out. Requests that end while a refresh is under way
 * (APPENDs that were detached) wait for the next one, since a refresh knows what was durable before it began. */
#include "base/check.h"
#include "base/log.h"
#include "imapd/command.h"
#include "imapd/reader.h"
#include "imapd/response.h"
#include "imapd/session_private.h"
#include "imapd/view.h"

#include <stdio.h>
#include <string.h>

/* --- the tagged line, and what comes after it --- */

static void write_status(struct imap_session *s, const struct imap_request *req)
{
	struct span tag = req->tag.len > 0 ? req->tag : SPAN("*"); /* RFC 9051 §7.1: no tag to be found */

	session_write(s, tag);
	session_printf(s, " %s ", req->status);
	if (req->code.len > 0) {
		session_write_text(s, "[");
		session_write(s, buffer_span(&req->code));
		session_write_text(s, "] ");
	}
	session_printf(s, "%s\r\n", req->words);
}

/* RFC 7162 §3.2: what the client may remember is what it was told of. There may have been no room for all of it. */
static void correct_modseq(struct imap_session *s, struct imap_request *req)
{
	if (s->view == NULL || !span_starts(buffer_span(&req->code), SPAN("HIGHESTMODSEQ ")))
		return;
	buffer_clear(&req->code);
	(void)buffer_printf(&req->code, "HIGHESTMODSEQ %llu", (unsigned long long)view_highest_modseq(s->view));
}

static bool is_time_to_go(struct imap_session *s)
{
	if (s->ended || s->starts_tls)
		return s->ended;
	if (s->bad_commands >= s->server->settings.bad_commands) {
		LOG(LOG_INFO, "imap.bad_commands", LOG_NUMBER("session", s->id),
		        LOG_TEXT("peer", conn_peer_text(s->conn)));
		session_bye(s, NULL, "too many bad commands");
	} else if (s->login_failures >= LOGIN_FAILURES_MAX) {
		session_bye(s, NULL, "too many failed logins");
	} else if (s->login_overdue && s->state == NOT_AUTHENTICATED) {
		session_bye(s, NULL, "you took too long to log in");
	} else if (s->server->draining && s->request == NULL && s->detached == NULL) {
		session_bye(s, "UNAVAILABLE", "the server is going down; try again soon");
	}
	return s->ended;
}

static void complete(struct imap_session *s, struct imap_request *req)
{
	void (*after)(struct imap_session *) = req->after;

	correct_modseq(s, req);
	write_status(s, req);
	if (req == s->request) {
		s->request = NULL;
		s->on_line = NULL;
	}
	request_free(s, req);
	if (after != NULL)
		after(s);
}

/* --- telling the news --- */

static bool allows_expunges(const struct imap_request *req)
{
	bool by_number = req->command != NULL && (req->command->flags & COMMAND_KEEPS_NUMBERS) && !req->uid;

	return !by_number && !req->keeps_numbers;
}

static void tell_news(struct imap_session *s)
{
	bool expunges = true;

	for (const struct imap_request *req = s->ending; req != s->ending_upto; req = req->next)
		expunges = expunges && allows_expunges(req);
	/* A command that is under way beside them began after they did; its numbers must not move below it. */
	if (s->request != NULL && !s->request->ended)
		expunges = expunges && allows_expunges(s->request);
	if (s->view != NULL)
		view_tell(s->view, expunges && allows_expunges(s->ending_upto));
}

static void refresh_next(struct imap_session *s);

/* What is done is done: news that could not be read now are told after the next command. */
static void on_refreshed(struct imap_session *s, const struct error *failed)
{
	struct imap_request *upto = s->ending_upto, *req;

	(void)failed;
	if (s->closing)
		return;
	tell_news(s);
	s->ending_upto = NULL;
	do {
		req = s->ending;
		s->ending = req->next;
		complete(s, req);
	} while (req != upto);
	refresh_next(s);
}

/* Tells what has ended; then the session goes on. */
static void refresh_next(struct imap_session *s)
{
	if (s->closing || s->ending_upto != NULL)
		return;
	if (s->ending != NULL) {
		s->ending_upto = s->ending;
		while (s->ending_upto->next != NULL)
			s->ending_upto = s->ending_upto->next;
		if (s->view != NULL)
			view_refresh(s->view, on_refreshed);
		else
			on_refreshed(s, NULL);
		return;
	}
	command_unpark(s);
	if (s->request == NULL && !s->is_parked && is_time_to_go(s))
		return;
	session_check(s);
	session_update_input(s);
}

void session_tell_endings(struct imap_session *s)
{
	refresh_next(s);
}

static void finish(struct imap_session *s, struct imap_request *req)
{
	struct imap_request **link = &s->ending;

	if (req == s->request && s->reader != NULL)
		reader_command_ended(s->reader);
	if (req == s->request && s->on_line != NULL) {
		s->on_line =
		        NULL; /* what comes next is a command, and waits for the tagged line: DONE is sent with some behind it */
		session_update_input(s);
	}
	while (*link != NULL)
		link = &(*link)->next;
	req->next = NULL;
	*link = req;
	if (!s->dispatching)
		refresh_next(s);
}

/* --- results --- */

static void set_result(struct imap_request *req, const char *status, const char *code, const char *text)
{
	CHECK(!req->ended);
	req->status = status;
	req->ended = true;
	if (code != NULL)
		(void)buffer_append_text(&req->code, code);
	(void)snprintf(req->words, sizeof(req->words), "%s", text);
}

static void end(
        struct imap_session *s, struct imap_request *req, const char *status, const char *code, const char *text)
{
	if (s->closing)
		return;
	CHECK(req != NULL);
	set_result(req, status, code, text);
	finish(s, req);
}

void command_ok(struct imap_session *s, const char *code, const char *text)
{
	end(s, s->request, "OK", code, text);
}

void command_ok_long(struct imap_session *s, struct buffer *code, const char *text)
{
	if (s->closing)
		return;
	CHECK(s->request != NULL);
	buffer_free(&s->request->code);
	s->request->code = *code;
	buffer_init(code, code->limit);
	end(s, s->request, "OK", NULL, text);
}

void command_no(struct imap_session *s, const char *code, const char *text)
{
	end(s, s->request, "NO", code, text);
}

void command_bad(struct imap_session *s, const char *text)
{
	s->bad_commands++;
	end(s, s->request, "BAD", NULL, text);
}

void request_end(
        struct imap_session *s, struct imap_request *req, const char *status, const char *code, const char *text)
{
	struct imap_request **link = &s->detached;

	if (s->closing)
		return;
	while (*link != NULL && *link != req)
		link = &(*link)->next;
	CHECK(*link == req || req == s->request);
	if (*link == req)
		*link = req->next;
	end(s, req, status, code, text);
}

void request_refuse(struct imap_session *s, struct imap_request *req, const struct error *err)
{
	bool is_bad, is_ours;
	const char *code;

	if (s->closing)
		return;
	code = response_code_for_error(err->code, &is_bad);
	is_ours = response_is_our_trouble(err->code);
	if (is_ours)
		LOG(LOG_WARNING, "imap.failed", LOG_NUMBER("session", s->id), LOG_NUMBER("account", s->account_id),
		        LOG_TEXT("command", req->command == NULL ? "" : req->command->name), LOG_FAILURE(err));
	if (is_bad)
		s->bad_commands++;
	request_end(s, req, is_bad ? "BAD" : "NO", code, is_ours ? error_meaning(err->code) : err->reason);
}

void command_refuse(struct imap_session *s, const struct error *err)
{
	if (!s->closing)
		request_refuse(s, s->request, err);
}

struct imap_request *session_detach(struct imap_session *s)
{
	struct imap_request *req = s->request;

	CHECK(req != NULL && !req->ended);
	reader_command_ended(s->reader);
	req->next = s->detached;
	s->detached = req;
	s->request = NULL;
	s->on_line = NULL;
	if (!s->dispatching)
		session_update_input(s);
	return req;
}
