/* Who hands in mail by the sendmail command's socket: the kernel says the uid. Root and the service's own user (cron, daemons, other parts
 * of the suite) may write as anybody; any other uid writes as its login name at the first domain of the directory, whatever MAIL says.
 * The null sender stays what it is: answers by machines need it (RFC 3834), and nobody is claimed by it. From may name
 * whoever is elsewhere or nobody, but no other user (inbound/accept). */
#include "smtpd/server/commands.h"

#include "base/log.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>

#define PASSWD_MAX (16 * KIB) /* one line of passwd(5) */

static bool take_first(void *arg, struct span name, uint64_t accounts, uint64_t aliases)
{
	struct smtp_session *s = arg;

	(void)accounts;
	(void)aliases;
	(void)span_copy(name, s->login, sizeof(s->login));
	return false;
}

static bool nameless(struct smtp_session *s)
{
	s->login[0] = '\0';
	return error_set(&s->job_error, ERR_DENIED, "your uid %u has no mail address here", s->uid);
}

static bool make_address(struct smtp_session *s, const char *name)
{
	char address[AUTH_LOGIN_MAX + 1];
	struct smtp_path path;
	struct error err;
	int len;

	if (!directory_each_domain(s->server->accept.directory, take_first, s, &s->job_error))
		return false;
	if (s->login[0] == '\0')
		return nameless(s);
	len = snprintf(address, sizeof(address), "%s@%s", name, s->login);
	if (len < 0 || (size_t)len >= sizeof(address) || !path_parse_mailbox(span_of(address), &path, &err) ||
	        path.utf8)
		return nameless(s);
	memcpy(s->login, address, (size_t)len + 1);
	return true;
}

static void look_up(struct smtp_session *s)
{
	struct passwd entry, *found = NULL;
	char text[PASSWD_MAX];

	if (getpwuid_r(s->uid, &entry, text, sizeof(text), &found) != 0 || found == NULL)
		(void)nameless(s);
	else
		(void)make_address(s, entry.pw_name);
}

static void looked_up(struct smtp_session *s)
{
	if (s->job_error.code == ERR_NONE) {
		session_greet(s);
		return;
	}
	LOG(LOG_WARNING, "smtp.nameless_user", LOG_NUMBER("session", s->id), LOG_NUMBER("uid", s->uid),
	        LOG_FAILURE(&s->job_error));
	session_reply(s, 421, "4.7.1", "%s", s->job_error.reason);
}

/* A night's cron jobs may all come at once: nobody is limited by where he comes from (net/limiter.h). But one user could take all places; so
 * when there are no more, ordinary users go before a stranger is turned away. */
void local_user_start(struct smtp_session *s)
{
	if (!conn_peer_user(s->conn, &s->uid)) {
		conn_close(s->conn);
		return;
	}
	if (s->uid != 0 && s->uid != s->server->own_uid) {
		session_work(s, WORKER_READ, look_up, looked_up);
		return;
	}
	conn_set_logged_in(s->conn);
	session_greet(s);
}

void local_user_sender(const struct smtp_session *s, struct smtp_path *sender)
{
	struct error err;

	if (s->port == PORT_LOCAL && s->login[0] != '\0' && sender->mailbox.len > 0)
		(void)path_parse_mailbox(span_of(s->login), sender, &err); /* it was looked at when it was made */
}
