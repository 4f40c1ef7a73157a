/* VRFY, EXPN and ETRN: commands about the server's own knowledge, so about who may ask (RFC 5321 §7.3). */
#include "smtpd/server/commands.h"

#include "base/clock.h"
#include "smtpd/syntax/path.h"

/* RFC 5321 §3.5.3, §7.3: tells nobody who has a mailbox here. */
void cmd_vrfy(struct smtp_session *s, struct span args)
{
	(void)args;
	session_reply(s, 252, "2.0.0", "cannot verify, but send your mail and it will be tried");
}

/* ---- EXPN (RFC 5321 §4.1.1.7): the members of an alias, for users, where the admin allows it ---- */

bool session_offers_expn(const struct smtp_session *s)
{
	return s->server->settings.expn && s->account_id != 0;
}

struct members {
	struct buffer *out;
	struct span address; /* as asked for */
	size_t count;
};

static bool add_member(void *arg, struct span address, struct span target)
{
	struct members *members = arg;

	if (!span_equal_nocase(address, members->address))
		return true;
	(void)buffer_printf(members->out, "%s<%.*s>", members->count++ > 0 ? "\n" : "", SPAN_FMT(target));
	return !members->out->failed; /* a longer list is cut: nobody depends on it */
}

static void expand(struct smtp_session *s)
{
	struct members members = { .out = &s->answer, .address = span_of(s->question) };
	struct span domain = span_of(s->question), local;

	buffer_clear(&s->answer);
	(void)span_take_until(&domain, '@', &local);
	if (directory_each_alias(s->server->accept.directory, domain, add_member, &members, &s->job_error) &&
	        members.count == 0)
		error_set(&s->job_error, ERR_NO_SUCH_ADDRESS, "no such alias");
}

static void expanded(struct smtp_session *s)
{
	if (s->job_error.code == ERR_NONE)
		session_reply(s, 250, "2.0.0", "%s", buffer_text(&s->answer));
	else
		session_refuse(s, STAGE_RECIPIENT, &s->job_error);
	buffer_free(&s->answer);
}

void cmd_expn(struct smtp_session *s, struct span args)
{
	struct smtp_path path;
	struct error err;

	if (!session_offers_expn(s)) {
		cmd_not_here(s, args);
		return;
	}
	if (span_starts(args, SPAN("<")) && args.len > 2 && args.ptr[args.len - 1] == '>')
		args = span_first(span_skip(args, 1), args.len - 2);
	if (!path_parse_mailbox(args, &path, &err) || !span_copy(args, s->question, sizeof(s->question))) {
		session_bad_command(s, 501, "5.5.4", "expected EXPN address");
		return;
	}
	session_work(s, WORKER_READ, expand, expanded);
}

/* ---- ETRN (RFC 1985): the queue of a domain, now ---- */

bool session_offers_etrn(const struct smtp_session *s)
{
	return s->server->settings.etrn_domains.len > 0;
}

static bool is_etrn_domain(const struct smtp_session *s, struct span domain)
{
	struct span rest = s->server->settings.etrn_domains, item;

	while (rest.len > 0) {
		if (!span_take_until(&rest, ' ', &item)) {
			item = rest;
			rest = SPAN_EMPTY;
		}
		if (span_equal_nocase(span_trim(item), domain))
			return true;
	}
	return false;
}

/* The question: "@domain", or ".domain" for that and all below it. */
static void start_part(struct smtp_session *s, char first)
{
	struct queue_filter filter = { .recipient = span_of(s->question), .tried = true }; /* undo times stay */
	uint64_t number = 0;

	s->question[0] = first;
	(void)queue_retry(s->server->accept.queue, &filter, clock_wall_ms(), &number, &s->job_error);
	s->number += number;
}

static void start_queue(struct smtp_session *s)
{
	bool below = s->question[0] == '.';

	s->number = 0;
	start_part(s, '@');
	if (below && s->job_error.code == ERR_NONE)
		start_part(s, '.');
}

static void queue_started(struct smtp_session *s)
{
	const char *domain = s->question + 1, *below = s->question[0] == '.' ? " and below" : "";

	if (s->job_error.code != ERR_NONE) /* RFC 1985 §5.3: 458 unable to queue messages for node */
		session_reply(s, 458, "4.3.0", "the queue cannot be started now");
	else if (s->number == 0)
		session_reply(s, 251, "2.0.0", "no messages wait for %s%s", domain, below);
	else
		session_reply(s, 253, "2.0.0", "%llu recipients at %s%s are tried now", (unsigned long long)s->number,
		        domain, below);
}

/* RFC 1985 §5: "@domain" is the domain with all below it; "#name" would be another sort of queue, of which there is none. */
void cmd_etrn(struct smtp_session *s, struct span args)
{
	struct span domain = args;
	bool below = span_take_char(&domain, '@');

	if (!session_offers_etrn(s)) {
		cmd_not_here(s, args);
		return;
	}
	if (!domain_is_valid(domain) || domain.len + 2 > sizeof(s->question)) {
		session_bad_command(s, 501, "5.5.4", "expected ETRN domain or ETRN @domain");
		return;
	}
	if (!is_etrn_domain(s, domain)) { /* RFC 1985 §5.3 */
		session_reply(s, 459, "4.7.1", "this queue may not be started from here");
		return;
	}
	s->question[0] = below ? '.' : '@';
	(void)span_copy(domain, s->question + 1, sizeof(s->question) - 1);
	for (char *c = s->question; *c != '\0'; c++)
		*c = ascii_lower(*c); /* as the queue has it */
	session_work(s, WORKER_WRITE, start_queue, queue_started);
}
