#include "imapd/command.h"

#include "base/check.h"
#include "base/log.h"
#include "base/secret.h"
#include "imapd/fetch_ahead.h"
#include "imapd/session_private.h"
#include "imapd/view.h"
#include "net/foreign.h"

#include <stdlib.h>
#include <string.h>

#define ANY_STATE (NOT_AUTHENTICATED | AUTHENTICATED | SELECTED)
#define LOGGED_IN (AUTHENTICATED | SELECTED)
#define PRIVATE   COMMAND_NEEDS_PRIVACY
#define SECRET    COMMAND_SECRET
#define NEWS      COMMAND_WANTS_NEWS

/* AUTHENTICATE is refused by sasl_new(), the one rule of all daemons (sasl/sasl.h); its refusal names the mechanism. */
static const struct command commands[] = {
	/* name          legal states     handler           flags                     RFC 9051 */
	{ "APPEND", LOGGED_IN, cmd_append, COMMAND_OVERLAPS },                          /* §6.3.12 */
	{ "AUTHENTICATE", NOT_AUTHENTICATED, cmd_authenticate, SECRET },                /* §6.2.2 */
	{ "CAPABILITY", ANY_STATE, cmd_capability, 0 },                                 /* §6.1.1 */
	{ "CHECK", SELECTED, cmd_noop, 0 },                                             /* RFC 3501 §6.4.1 */
	{ "CLOSE", SELECTED, cmd_close, 0 },                                            /* §6.4.1 */
	{ "COMPRESS", LOGGED_IN, cmd_compress, 0 },                                     /* RFC 4978 §3 */
	{ "COPY", SELECTED, cmd_copy, COMMAND_UID | NEWS },                             /* §6.4.7 */
	{ "CREATE", LOGGED_IN, cmd_create, 0 },                                         /* §6.3.4 */
	{ "DELETE", LOGGED_IN, cmd_delete, 0 },                                         /* §6.3.5 */
	{ "ENABLE", AUTHENTICATED, cmd_enable, 0 },                                     /* §6.3.1 */
	{ "EXAMINE", LOGGED_IN, cmd_examine, 0 },                                       /* §6.3.3 */
	{ "EXPUNGE", SELECTED, cmd_expunge, COMMAND_UID | COMMAND_NEEDS_WRITE | NEWS }, /* §6.4.3, §6.4.9 */
	{ "FETCH", SELECTED, cmd_fetch, COMMAND_UID | COMMAND_KEEPS_NUMBERS | NEWS | COMMAND_OLD_WILL_DO }, /* §6.4.5 */
	{ "GETQUOTA", LOGGED_IN, cmd_getquota, 0 },                                     /* RFC 9208 §4.1.1 */
	{ "GETQUOTAROOT", LOGGED_IN, cmd_getquotaroot, 0 },                             /* RFC 9208 §4.1.2 */
	{ "ID", ANY_STATE, cmd_id, 0 },                                                 /* RFC 2971 §3.1 */
	{ "IDLE", LOGGED_IN, cmd_idle, 0 },                                             /* §6.3.13 */
	{ "LIST", LOGGED_IN, cmd_list, 0 },                                             /* §6.3.9 */
	{ "LOGIN", NOT_AUTHENTICATED, cmd_login, PRIVATE | SECRET },                    /* §6.2.3 */
	{ "LOGOUT", ANY_STATE, cmd_logout, 0 },                                         /* §6.1.3 */
	{ "LSUB", LOGGED_IN, cmd_lsub, 0 },                                             /* RFC 3501 §6.3.9 */
	{ "MOVE", SELECTED, cmd_move, COMMAND_UID | COMMAND_NEEDS_WRITE | NEWS },       /* §6.4.8 */
	{ "NAMESPACE", LOGGED_IN, cmd_namespace, 0 },                                   /* §6.3.10 */
	{ "NOOP", ANY_STATE, cmd_noop, 0 },                                             /* §6.1.2 */
	{ "RENAME", LOGGED_IN, cmd_rename, 0 },                                         /* §6.3.6 */
	{ "SEARCH", SELECTED, cmd_search, COMMAND_UID | COMMAND_KEEPS_NUMBERS | NEWS }, /* §6.4.4 */
	{ "SELECT", LOGGED_IN, cmd_select, 0 },                                         /* §6.3.2 */
	{ "SETQUOTA", LOGGED_IN, cmd_setquota, 0 },                                     /* RFC 9208 §4.1.3 */
	{ "SORT", SELECTED, cmd_sort, COMMAND_UID | COMMAND_KEEPS_NUMBERS | NEWS },     /* RFC 5256 §3 */
	{ "STARTTLS", NOT_AUTHENTICATED, cmd_starttls, 0 },                             /* §6.2.1 */
	{ "STATUS", LOGGED_IN, cmd_status, 0 },                                         /* §6.3.11 */
	{ "STORE", SELECTED, cmd_store, COMMAND_UID | COMMAND_KEEPS_NUMBERS | COMMAND_NEEDS_WRITE | NEWS }, /* §6.4.6 */
	{ "SUBSCRIBE", LOGGED_IN, cmd_subscribe, 0 },                                   /* §6.3.7 */
	{ "THREAD", SELECTED, cmd_thread, COMMAND_UID | COMMAND_KEEPS_NUMBERS | NEWS }, /* RFC 5256 §3 */
	{ "UNSELECT", SELECTED, cmd_unselect, 0 },                                      /* §6.4.2 */
	{ "UNSUBSCRIBE", LOGGED_IN, cmd_unsubscribe, 0 },                               /* §6.3.8 */
};

const struct command *command_find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		if (span_equal_nocase(name, span_of(commands[i].name)))
			return &commands[i];
	}
	return NULL;
}

/* --- requests --- */

static void wipe(struct imap_request *req)
{
	secret_buffer_free(&req->text);
	arena_wipe(&req->arena);
}

void request_free(struct imap_session *s, struct imap_request *req)
{
	(void)s;
	if (req->free_state != NULL)
		req->free_state(req->state);
	if (req->command == NULL || (req->command->flags & COMMAND_SECRET))
		wipe(req);
	buffer_free(&req->text);
	buffer_free(&req->code);
	arena_free(&req->arena);
	free(req);
}

/* Takes the text. NULL: out of memory, and the conn is closing. */
static struct imap_request *begin(struct imap_session *s, struct buffer *text)
{
	struct imap_request *req = calloc(1, sizeof(*req));

	CHECK(s->request == NULL);
	if (req == NULL) {
		secret_buffer_free(text);
		conn_close(s->conn);
		return NULL;
	}
	req->text = *text;
	buffer_init(text, text->limit);
	buffer_init(&req->code, COMMAND_MAX);
	arena_init(&req->arena, PARSE_ARENA_MAX);
	s->request = req;
	return req;
}

static bool parse(struct imap_session *s, struct imap_request *req, struct command_head *head, struct error *err)
{
	bool ok;

	req->parser = (struct parser) { buffer_span(&req->text), &req->arena, err, session_utf8(s) };
	ok = parse_head(&req->parser, head);
	req->parser.err = &req->error;
	req->tag = head->tag;
	req->uid = head->uid;
	return ok;
}

void command_reject(
        struct imap_session *s, struct buffer *text, const char *status, const char *code, const char *words)
{
	struct imap_request *req = begin(s, text);
	struct command_head head = { .tag = SPAN_EMPTY };
	struct error err;

	if (req == NULL)
		return;
	(void)parse(s, req, &head, &err);
	s->bad_commands++;
	request_end(s, req, status, code, words);
}

/* --- the gate --- */

/* It stands where the tag should. */
static bool is_foreign(struct span tag)
{
	return is_foreign_word(tag, FOREIGN_HTTP | FOREIGN_SMTP | FOREIGN_POP3);
}

static void refuse_unknown(struct imap_session *s, const struct imap_request *req, struct span name)
{
	if (s->state != NOT_AUTHENTICATED || !is_foreign(req->tag)) {
		command_bad(s, name.len == 0 ? "expected a command" : "unknown command");
		return;
	}
	LOG(LOG_INFO, "imap.foreign", LOG_NUMBER("session", s->id), LOG_TEXT("peer", conn_peer_text(s->conn)),
	        LOG_SPAN("command", req->tag));
	session_bye(s, NULL, "this is an IMAP server");
	command_bad(s, "this is an IMAP server");
}

static const char *wrong_state(const struct imap_session *s, const struct command *command)
{
	if (s->state == NOT_AUTHENTICATED)
		return "log in first";
	if (s->state == SELECTED && (command->states & AUTHENTICATED))
		return "not while a mailbox is selected";
	return command->states & NOT_AUTHENTICATED ? "not after login" : "select a mailbox first";
}

void command_refuse_stale(struct imap_session *s, const struct error *failed)
{
	struct error err = *failed;

	if (err.code == ERR_CONFLICT) /* older than the change feed, and to be read anew: no business of the client's */
		err.code = ERR_TEMPORARY;
	command_refuse(s, &err);
}

/* What another session was told is done is seen here: its flags, though not its numbers. A command that changes something, or that answers
 * for the whole mailbox, is not run on what may be old; FETCH shows what was there, as long as that was so at one moment. */
static void run_with_news(struct imap_session *s, const struct error *failed)
{
	const struct command *command = s->request->command;

	if (s->ended)
		return;
	if (failed == NULL || ((command->flags & COMMAND_OLD_WILL_DO) && view_is_whole(s->view)))
		command->run(s, s->request);
	else
		command_refuse_stale(s, failed);
}

static void run(struct imap_session *s, struct imap_request *req, const struct command_head *head)
{
	const struct command *command = command_find(head->name);

	if (command == NULL || (req->uid && !(command->flags & COMMAND_UID))) {
		refuse_unknown(s, req, head->name);
		return;
	}
	req->command = command;
	if (command->run != cmd_fetch)
		fetch_ahead_free(&s->ahead); /* the client is done with it */
	if (!(command->states & s->state))
		command_bad(s, wrong_state(s, command));
	else if ((command->flags & COMMAND_NEEDS_PRIVACY) && !session_is_private(s))
		command_no(s, "PRIVACYREQUIRED", "use TLS first"); /* RFC 5530 §3 */
	else if ((command->flags & COMMAND_NEEDS_WRITE) && session_is_read_only(s))
		command_no(s, "READ-ONLY", "the mailbox was opened by EXAMINE"); /* RFC 9051 §6.3.3 */
	else if (command->flags & COMMAND_WANTS_NEWS)
		view_refresh(s->view, run_with_news);
	else
		command->run(s, req);
}

/* A commit is under way, or the refresh of the view before its answer: nobody else may use the view then, or close it. */
static bool has_others_under_way(const struct imap_session *s)
{
	return s->detached != NULL || s->ending != NULL;
}

/* Another command than APPEND waits until those before it are through, and have their answer. */
static bool must_wait(const struct imap_session *s, const struct command_head *head)
{
	const struct command *command = command_find(head->name);

	return has_others_under_way(s) && !(command != NULL && (command->flags & COMMAND_OVERLAPS));
}

static void park(struct imap_session *s, struct imap_request *req)
{
	s->parked = req->text;
	buffer_init(&req->text, COMMAND_MAX);
	s->request = NULL;
	s->is_parked = true;
	request_free(s, req);
	session_update_input(s);
}

void command_dispatch(struct imap_session *s, struct buffer *text)
{
	struct imap_request *req = begin(s, text);
	struct command_head head = { .tag = SPAN_EMPTY };
	struct error err;
	bool ok;

	if (req == NULL)
		return;
	ok = parse(s, req, &head, &err);
	if (ok && must_wait(s, &head)) {
		park(s, req);
		return;
	}
	s->dispatching = true;
	if (ok)
		run(s, req, &head);
	else if (s->state == NOT_AUTHENTICATED && is_foreign(req->tag))
		refuse_unknown(s, req, SPAN_EMPTY);
	else
		command_bad(s, err.reason);
	s->dispatching = false;
	session_tell_endings(s);
}

void command_unpark(struct imap_session *s)
{
	struct buffer text = s->parked;

	if (!s->is_parked || has_others_under_way(s))
		return;
	s->is_parked = false;
	buffer_init(&s->parked, COMMAND_MAX);
	command_dispatch(s, &text);
}
