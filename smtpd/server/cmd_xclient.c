/* XCLIENT (Postfix's XCLIENT_README): a proxy in [smtp] xclient_networks says who its client is. All that the session knew of the last
 * one is forgotten, and it begins anew with a greeting. Whoever has the right keeps it: a proxy may use one connection for several. */
#include "smtpd/server/commands.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* What was not said stays as it was; what nobody knows gives no rights. False: that address has too many connections. */
static bool take_address(struct smtp_session *s, struct xclient_args *args, struct error *err)
{
	struct sockaddr *address = (struct sockaddr *)&args->address;

	if (args->address_said == XCLIENT_UNAVAILABLE)
		s->peer_unproven = true;
	if (args->address_said != XCLIENT_SAID)
		return true;
	if (address->sa_family == AF_INET)
		((struct sockaddr_in *)&args->address)->sin_port = htons(args->port);
	else
		((struct sockaddr_in6 *)&args->address)->sin6_port = htons(args->port);
	if (!conn_set_peer(s->conn, address, err))
		return false;
	s->peer_unproven = false;
	return true;
}

/* It belongs to the address: another one has none until it is said. Without memory the client has none: it is for people only. */
static void take_name(struct smtp_session *s, const struct xclient_args *args)
{
	if (args->address_said == XCLIENT_NOT_SAID && args->name.said == XCLIENT_NOT_SAID)
		return;
	free(s->peer_name);
	s->peer_name = args->name.said == XCLIENT_SAID ? strdup(args->name.value) : NULL;
}

/* The proxy's own EHLO that follows says nothing of the client. */
static void take_words(struct smtp_session *s, const struct xclient_args *args)
{
	if (args->helo.said == XCLIENT_SAID)
		s->helo_given = span_copy(span_of(args->helo.value), s->helo, sizeof(s->helo));
	s->proto_given = args->proto_said == XCLIENT_SAID;
	s->esmtp_given = args->esmtp;
}

static void begin_anew(struct smtp_session *s, struct xclient_args *args, const struct account_info *login)
{
	struct error err;

	if (!take_address(s, args, &err)) {
		session_reply(s, 421, "4.7.0", "too many connections, try again later");
		return;
	}
	take_name(s, args);
	session_greet_again(s);
	take_words(s, args);
	if (login != NULL)
		session_log_in(s, login->id, span_of(login->address));
	LOG(LOG_INFO, "smtp.xclient", LOG_NUMBER("session", s->id), LOG_TEXT("peer", conn_peer_text(s->conn)),
	        LOG_TEXT("name", s->peer_name == NULL ? "" : s->peer_name), LOG_TEXT("login", s->login));
}

/* --- a login that the proxy has checked ---------------------------------------------------------------------------- */

struct login_job {
	struct xclient_args args; /* first: session_release() frees it as such */
	struct account_info info;
};

static struct login_job *job_of(struct smtp_session *s)
{
	return container_of(s->xclient, struct login_job, args);
}

static void look_up(struct smtp_session *s)
{
	struct login_job *job = job_of(s);

	if (directory_find_account(
	            s->server->accept.directory, span_of(job->args.login.value), &job->info, &s->job_error) &&
	        job->info.disabled)
		error_set(&s->job_error, ERR_DISABLED, "this account is disabled");
}

static void looked_up(struct smtp_session *s)
{
	struct login_job *job = job_of(s);

	s->xclient = NULL;
	if (s->job_error.code == ERR_NONE)
		begin_anew(s, &job->args, &job->info);
	else
		session_refuse(s, STAGE_SENDER, &s->job_error);
	free(job);
}

static void begin_with_login(struct smtp_session *s, const struct xclient_args *args)
{
	struct login_job *job = calloc(1, sizeof(*job));

	_Static_assert(offsetof(struct login_job, args) == 0, "freed by the address of args");
	if (job == NULL) {
		session_reply(s, 451, "4.3.0", "out of memory, try again later");
		return;
	}
	job->args = *args;
	s->xclient = &job->args;
	session_work(s, WORKER_READ, look_up, looked_up);
}

void cmd_xclient(struct smtp_session *s, struct span args)
{
	struct xclient_args said;
	struct error err;

	if (!s->may_xclient)
		session_bad_command(s, 550, "5.7.0", "XCLIENT is not for you");
	else if (!xclient_parse(args, &said, &err))
		session_bad_argument(s, STAGE_COMMAND, &err);
	else if (said.login.said == XCLIENT_SAID)
		begin_with_login(s, &said);
	else
		begin_anew(s, &said, NULL);
}
