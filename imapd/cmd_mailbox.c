/* CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE (RFC 9051 §6.3.4 to §6.3.8): each is one job that looks names up and commits one batch.
 *
 * A selected mailbox that is deleted, here or elsewhere, is the view's to notice (view_tell); one that is renamed goes on. */
#include "base/check.h"
#include "imapd/command.h"
#include "imapd/list_names.h"
#include "storage/mailbox_name.h"

#include <inttypes.h>
#include <stdlib.h>

#define NAME_LINE_MAX (16 * KIB) /* two names, escaped */

struct mailbox_work {
	struct span name, to;
	enum special_use use;
	bool subscribe;
	/* Adds the change; false: *err is set. */
	bool (*add)(struct account *account, struct mailbox_work *work, struct batch *batch, struct error *err);
	struct mailbox_info info; /* of a mailbox that was created */
};

/* --- on a worker --- */

static bool added(bool ok, struct error *err)
{
	return ok || error_set(err, ERR_NO_MEMORY, "out of memory, try again later");
}

static bool add_create(struct account *account, struct mailbox_work *work, struct batch *batch, struct error *err)
{
	(void)account;
	return added(batch_mailbox_create(batch, work->name, work->use), err);
}

static bool add_delete(struct account *account, struct mailbox_work *work, struct batch *batch, struct error *err)
{
	struct mailbox_info info;

	return mailbox_find(account, work->name, &info, err) && added(batch_mailbox_delete(batch, info.id), err);
}

static bool add_rename(struct account *account, struct mailbox_work *work, struct batch *batch, struct error *err)
{
	struct mailbox_info info;

	return mailbox_find(account, work->name, &info, err) &&
	       added(batch_mailbox_rename(batch, info.id, work->to), err);
}

static bool add_subscribe(struct account *account, struct mailbox_work *work, struct batch *batch, struct error *err)
{
	(void)account;
	return added(batch_mailbox_subscribe(batch, work->name, work->subscribe), err);
}

static bool commit(struct account *account, struct mailbox_work *work, struct batch *batch, struct error *err)
{
	if (!work->add(account, work, batch, err) || !account_commit(account, &batch, 1, err))
		return false;
	*err = batch_result(batch)->error;
	return err->code == ERR_NONE;
}

static void run_change(struct imap_session *s)
{
	struct mailbox_work *work = s->request->state;
	struct batch *batch = batch_new(NULL);
	struct account *account;
	struct error gone;

	if (batch == NULL) {
		(void)added(false, &s->job_error);
		return;
	}
	if (account_open(s->server->store, s->account_id, &account, &s->job_error)) {
		if (commit(account, work, batch, &s->job_error) && work->add == add_create &&
		        !mailbox_find(account, work->name, &work->info, &gone))
			work->info.id = 0; /* deleted already */
		account_release(&account);
	}
	batch_free(&batch);
}

/* --- on the loop --- */

/* RFC 9051 §6.3.9.7. Only for clients that know of it. */
static void tell_old_name(struct imap_session *s, struct span old, const struct mailbox_name *name)
{
	struct buffer line;

	if (!(s->enabled & ENABLED_REV2))
		return;
	buffer_init(&line, NAME_LINE_MAX);
	(void)buffer_append_text(&line, "* LIST () \"/\" ");
	(void)mailbox_name_encode(&line, true, mailbox_name_span(name));
	(void)buffer_append_text(&line, " (\"OLDNAME\" (");
	(void)mailbox_name_encode(&line, true, old);
	(void)buffer_append_text(&line, "))\r\n");
	if (!line.failed)
		session_write(s, buffer_span(&line));
	buffer_free(&line);
}

/* RFC 9051 §6.3.6: OLDNAME is the name as it was given for the old mailbox, when the normal form of either is another. */
static void tell_renamed(struct imap_session *s, const struct mailbox_work *work)
{
	struct mailbox_name from, to;
	struct error err;

	if (mailbox_name_parse(work->name, &from, &err) && mailbox_name_parse(work->to, &to, &err) &&
	        !(span_equal(mailbox_name_span(&from), work->name) && span_equal(mailbox_name_span(&to), work->to)))
		tell_old_name(s, work->name, &to);
}

static void created(struct imap_session *s, const struct mailbox_work *work)
{
	struct mailbox_name name;
	struct error err;
	char code[48];

	if (mailbox_name_parse(work->name, &name, &err) && !span_equal(mailbox_name_span(&name), work->name))
		tell_old_name(s, work->name, &name);                                   /* RFC 9051 §6.3.4 */
	(void)snprintf(code, sizeof(code), "MAILBOXID (F%" PRId64 ")", work->info.id); /* RFC 8474 §4.1 */
	command_ok(s, work->info.id != 0 ? code : NULL, "CREATE completed");
}

static void refuse(struct imap_session *s, const struct mailbox_work *work)
{
	const struct error *err = &s->job_error;

	if (err->code == ERR_UNSUPPORTED && work->use != USE_NONE)
		command_no(s, "USEATTR", err->reason); /* RFC 6154 §3 */
	else if (err->code == ERR_DENIED)
		command_no(s, "CANNOT", err->reason); /* RFC 5530 §3 has "delete INBOX" for its example */
	else
		command_refuse(s, err);
}

static void changed(struct imap_session *s)
{
	struct mailbox_work *work = s->request->state;

	if (s->job_error.code != ERR_NONE) {
		refuse(s, work);
	} else if (work->add == add_create) {
		created(s, work);
	} else {
		if (work->add == add_rename)
			tell_renamed(s, work);
		command_ok(s, NULL, "done");
	}
}

/* RFC 9051 §6.3.4: "foo/" declares names below foo. Nobody needs to; the mailbox is foo, for all commands. */
static struct span without_separator(struct span name)
{
	return name.len > 1 && name.ptr[name.len - 1] == '/' ? span_first(name, name.len - 1) : name;
}

static struct mailbox_work *work_new(struct imap_session *s, struct imap_request *req)
{
	struct mailbox_work *work = calloc(1, sizeof(*work));

	if (work == NULL) {
		command_no(s, "UNAVAILABLE", "out of memory, try again later");
		return NULL;
	}
	req->state = work;
	req->free_state = free;
	return work;
}

static void start(struct imap_session *s, struct mailbox_work *work)
{
	work->name = without_separator(work->name);
	work->to = without_separator(work->to);
	session_work(s, WORKER_WRITE, run_change, changed);
}

/* RFC 6154 §3: one use for a mailbox, one mailbox for a use. "\All" and others are not for mailboxes of ours. */
static bool find_use(const struct create_args *args, enum special_use *out)
{
	*out = USE_NONE;
	for (size_t i = 0; i < args->use_count; i++) {
		enum special_use use = USE_COUNT;

		while (--use != USE_NONE) {
			const char *attribute = special_use_attribute(use);

			if (attribute != NULL && span_equal_nocase(args->uses[i], span_of(attribute)))
				break;
		}
		if (use == USE_NONE || (*out != USE_NONE && *out != use))
			return false;
		*out = use;
	}
	return true;
}

void cmd_create(struct imap_session *s, struct imap_request *req)
{
	struct mailbox_work *work = work_new(s, req);
	struct create_args args;

	if (work == NULL)
		return;
	if (!parse_create(&req->parser, &args)) {
		command_refuse(s, &req->error);
	} else if (!find_use(&args, &work->use)) {
		command_no(s, "USEATTR", "no such special use, or more than one");
	} else {
		work->name = args.mailbox;
		work->add = add_create;
		start(s, work);
	}
}

static void one_name(struct imap_session *s, struct imap_request *req, struct mailbox_work *work)
{
	if (work == NULL)
		return;
	if (parse_one_mailbox(&req->parser, &work->name))
		start(s, work);
	else
		command_refuse(s, &req->error);
}

void cmd_delete(struct imap_session *s, struct imap_request *req)
{
	struct mailbox_work *work = work_new(s, req);

	if (work != NULL)
		work->add = add_delete;
	one_name(s, req, work);
}

void cmd_rename(struct imap_session *s, struct imap_request *req)
{
	struct mailbox_work *work = work_new(s, req);
	struct rename_args args;

	if (work == NULL)
		return;
	if (parse_rename(&req->parser, &args)) {
		work->name = args.from;
		work->to = args.to;
		work->add = add_rename;
		start(s, work);
	} else {
		command_refuse(s, &req->error);
	}
}

static void subscribe(struct imap_session *s, struct imap_request *req, bool on)
{
	struct mailbox_work *work = work_new(s, req);

	if (work != NULL) {
		work->add = add_subscribe;
		work->subscribe = on;
	}
	one_name(s, req, work);
}

void cmd_subscribe(struct imap_session *s, struct imap_request *req)
{
	subscribe(s, req, true);
}

void cmd_unsubscribe(struct imap_session *s, struct imap_request *req)
{
	subscribe(s, req, false);
}
