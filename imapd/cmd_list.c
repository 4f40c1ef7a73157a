/* LIST and LSUB (RFC 9051 §6.3.9, RFC 5258, RFC 3501 §6.3.9): a job reads all names at once, so that the answer is of one moment; jobs
 * write it in chunks, each when the client has taken the one before. */
#include "imapd/command.h"
#include "imapd/list_names.h"
#include "imapd/status_text.h"
#include "imapd/view.h"

#include <stdlib.h>

#define LINE_MAX_OCTETS (16 * KIB) /* of one mailbox: its name as a literal or escaped, attributes, STATUS */

struct listing {
	struct list_args args;
	bool lsub, utf8;
	uint64_t append_limit;
	struct list_patterns patterns;
	struct list_names names;
	bool read;
	size_t at;         /* the node to be written next */
	struct buffer out; /* the chunk */
};

static void listing_free(void *state)
{
	struct listing *l = state;

	list_patterns_free(&l->patterns);
	list_names_free(&l->names);
	buffer_free(&l->out);
	free(l);
}

/* --- reading, on a worker --- */

static void add_mailbox(void *names, struct span name, const struct mailbox_info *info)
{
	list_names_add(names, name, info);
}

static void add_subscription(void *names, struct span name)
{
	list_names_add(names, name, NULL);
}

static bool read_names(struct imap_session *s, struct listing *l, struct error *err)
{
	struct account *account;
	bool ok;

	list_names_init(&l->names);
	if (!account_open(s->server->store, s->account_id, &account, err))
		return false;
	ok = mailbox_list(account, add_mailbox, &l->names, err) &&
	     subscription_list(account, add_subscription, &l->names, err);
	account_release(&account);
	return ok && list_names_arrange(&l->names, err);
}

static bool prepare(struct imap_session *s, struct listing *l, struct error *err)
{
	const struct list_args *args = &l->args;

	l->read = true;
	if (!list_patterns_compile(&l->patterns, args->reference, args->patterns, args->pattern_count, err) ||
	        !read_names(s, l, err))
		return false;
	list_names_select(&l->names, &l->patterns, args->select, l->lsub);
	return true;
}

/* --- writing, on a worker --- */

static void put_attribute(struct buffer *out, bool applies, const char *attribute)
{
	if (!applies)
		return;
	if (out->len > 0 && out->data[out->len - 1] != '(')
		(void)buffer_append_char(out, ' ');
	(void)buffer_append_text(out, attribute);
}

/* Special uses and children are always told: old iPhones and Outlook look for the uses in plain LIST and LSUB, and RFC 6154 §2 allows it. */
static void put_attributes(const struct listing *l, const struct list_node *node, struct buffer *out)
{
	bool subscribed = (l->args.select & LIST_SUBSCRIBED) || (l->args.returns & LIST_RETURN_SUBSCRIBED);
	bool missing = node->info == NULL;
	const char *use = missing ? NULL : special_use_attribute(node->info->use);

	if (l->lsub) {
		put_attribute(out, missing || !node->meets, "\\Noselect"); /* RFC 3501 §6.3.9 */
	} else {
		put_attribute(out, missing, "\\NonExistent");
		put_attribute(out, missing, "\\Noselect"); /* implied, but not for clients older than RFC 5258 */
		put_attribute(out, subscribed && node->subscribed, "\\Subscribed");
		put_attribute(out, node->has_children, "\\HasChildren");
		put_attribute(out, !node->has_children, "\\HasNoChildren");
	}
	put_attribute(out, use != NULL, use);
}

/* RFC 9051 §6.3.9.6: the criteria that those below it meet. */
static void put_child_info(const struct listing *l, struct buffer *out)
{
	bool subscribed = (l->args.select & LIST_SUBSCRIBED) != 0, use = (l->args.select & LIST_SPECIAL_USE) != 0;

	(void)buffer_printf(out, " (\"CHILDINFO\" (%s%s%s))", subscribed ? "\"SUBSCRIBED\"" : "",
	        subscribed && use ? " " : "", use ? "\"SPECIAL-USE\"" : "");
}

static void put_node(const struct listing *l, const struct list_node *node, struct buffer *out)
{
	(void)buffer_append_text(out, l->lsub ? "* LSUB (" : "* LIST (");
	put_attributes(l, node, out);
	(void)buffer_append_text(out, ") \"/\" ");
	(void)mailbox_name_encode(out, l->utf8, node->name);
	if ((l->args.select & LIST_RECURSIVEMATCH) && node->below_meets)
		put_child_info(l, out);
	(void)buffer_append_text(out, "\r\n");
	/* RFC 5819 §2: of what is selectable; not of what is listed only for those below it */
	if ((l->args.returns & LIST_RETURN_STATUS) && node->meets && node->info != NULL)
		(void)status_put(out, l->utf8, node->name, node->info, l->args.status, l->append_limit);
}

static void run_list(struct imap_session *s)
{
	struct listing *l = s->request->state;

	if (!l->read && !prepare(s, l, &s->job_error))
		return;
	buffer_clear(&l->out);
	for (; l->at < l->names.count && l->out.len < FETCH_CHUNK; l->at++) {
		if (l->names.nodes[l->at].listed)
			put_node(l, &l->names.nodes[l->at], &l->out);
	}
	if (l->out.failed)
		(void)error_set(&s->job_error, ERR_NO_MEMORY, "out of memory, try again later");
}

/* --- on the loop --- */

static void list_written(struct imap_session *s);

static void write_more(struct imap_session *s)
{
	session_work(s, WORKER_READ, run_list, list_written);
}

static void list_written(struct imap_session *s)
{
	struct listing *l = s->request->state;

	if (s->job_error.code != ERR_NONE) {
		command_refuse(s, &s->job_error);
		return;
	}
	session_write(s, buffer_span(&l->out));
	if (l->at < l->names.count)
		session_wait_for_room(s, write_more);
	else
		command_ok(s, NULL, l->lsub ? "LSUB completed" : "LIST completed");
}

/* RFC 9051 §6.3.9: the delimiter, and the root of the reference, which is not rooted. */
static bool asks_for_delimiter(const struct list_args *args)
{
	return !args->extended && args->pattern_count == 1 && args->patterns[0].len == 0;
}

static struct listing *listing_new(struct imap_session *s, struct imap_request *req, bool lsub)
{
	struct listing *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		command_no(s, "UNAVAILABLE", "out of memory, try again later");
		return NULL;
	}
	l->lsub = lsub;
	l->utf8 = session_utf8(s);
	l->append_limit = s->server->settings.message_size_max;
	buffer_init(&l->out, FETCH_CHUNK + LINE_MAX_OCTETS);
	req->state = l;
	req->free_state = listing_free;
	return l;
}

static void start(struct imap_session *s, struct listing *l)
{
	if (asks_for_delimiter(&l->args)) {
		session_printf(s, "* %s (\\Noselect) \"/\" \"\"\r\n", l->lsub ? "LSUB" : "LIST");
		command_ok(s, NULL, l->lsub ? "LSUB completed" : "LIST completed");
		return;
	}
	if ((l->args.returns & LIST_RETURN_STATUS) && (l->args.status & STATUS_HIGHESTMODSEQ))
		session_enable_condstore(s); /* RFC 7162 §3.1 */
	write_more(s);
}

void cmd_list(struct imap_session *s, struct imap_request *req)
{
	struct listing *l = listing_new(s, req, false);

	if (l == NULL)
		return;
	if (parse_list(&req->parser, &l->args))
		start(s, l);
	else
		command_refuse(s, &req->error);
}

void cmd_lsub(struct imap_session *s, struct imap_request *req)
{
	struct listing *l = listing_new(s, req, true);

	if (l == NULL)
		return;
	if (!parse_lsub(&req->parser, &l->args)) {
		command_refuse(s, &req->error);
		return;
	}
	l->args.select = LIST_SUBSCRIBED;
	start(s, l);
}
