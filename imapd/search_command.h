/* imapd/search_command.h — what SEARCH, SORT and THREAD share: from the parsed keys to the messages that match.
 *
 *   PARSED --view_refresh--> FRESH --scan of the keys--> FOUND --(SORT, THREAD: two scans of imapd/ordering.h)--> ANSWERING --> the tagged line
 *
 * The state belongs to the request, which frees it at its end, also when the session is gone: then scans are abandoned, and the memory goes when their last
 * job is back. A search that takes long says so now and then, so that neither the client nor what is between gives it up.
 * Thread: the loop's. */
#ifndef IMAPD_SEARCH_COMMAND_H
#define IMAPD_SEARCH_COMMAND_H

#include "imapd/command.h"
#include "imapd/ordering.h"
#include "imapd/search_answer.h"
#include "imapd/search_run.h"

#define SEARCH_TELL_MS 15000 /* "* OK" every so often while it takes long */

struct search_command {
	struct imap_session *session; /* only while the request lives */
	struct imap_request *request;
	struct search_args args;
	struct sort_args sort;
	struct thread_args thread;
	void (*on_found)(struct search_command *command); /* the hits are there */

	struct search_run *run;
	struct ordering *ordering;
	struct scan *scan;
	void (*on_scanned)(struct search_command *command);
	unsigned scans; /* whose jobs may still use this memory */
	bool dropped;   /* the request is gone */
	int64_t told_at;

	/* ANSWERING */
	struct search_answer answer;
	struct span text; /* of SORT and THREAD: what is left to write */
	struct buffer piece;
};

/* NULL: out of memory, and the command is ended. It is req->state from now on. */
struct search_command *search_command_new(struct imap_session *s, struct imap_request *req);
/* Ends the command with NO or BAD; what RETURN (SAVE) asks for then is done. */
void search_command_refuse(struct search_command *command, const struct error *err);
/* Ends it with what the parser has to say: BAD, or NO [BADCHARSET]. */
void search_command_refuse_parse(struct search_command *command);
/* Texts to UTF-8, keys to a program, and off. command->args and on_found are set. */
void search_command_start(struct search_command *command);
/* The same for a scan that follows: work is on command->ordering. */
void search_command_scan(struct search_command *command, const struct scan_plan *plan,
        void (*on_scanned)(struct search_command *command));
/* Makes the hits that the answer names "$" (RFC 5182). */
bool search_command_save(struct search_command *command);

#endif
