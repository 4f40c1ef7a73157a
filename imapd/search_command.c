#include "imapd/search_command.h"

#include "base/check.h"
#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

static void command_free(struct search_command *command)
{
	ordering_free(&command->ordering);
	search_run_free(&command->run);
	buffer_free(&command->piece);
	free(command);
}

static void drop(void *state)
{
	struct search_command *command = state;

	command->dropped = true;
	scan_abandon(&command->scan);
	if (command->scans == 0)
		command_free(command);
}

struct search_command *search_command_new(struct imap_session *s, struct imap_request *req)
{
	struct search_command *command = calloc(1, sizeof(*command));
	struct error err;

	if (command == NULL) {
		error_set(&err, ERR_NO_MEMORY, "out of memory");
		command_refuse(s, &err);
		return NULL;
	}
	command->session = s;
	command->request = req;
	command->told_at = clock_mono_ms();
	buffer_init(&command->piece, 2 * SEARCH_ANSWER_PIECE);
	req->state = command;
	req->free_state = drop;
	return command;
}

static void forget_saved(struct imap_session *s)
{
	free(s->saved);
	s->saved = NULL;
}

void search_command_refuse(struct search_command *command, const struct error *err)
{
	struct imap_session *s = command->session;

	if (s->closing)
		return;
	if (command->args.returns & RETURN_SAVE)
		forget_saved(s); /* RFC 5182 §2.1: it answers NO */
	command_refuse(s, err);
}

/* RFC 9051 §6.4.4: NO for a charset we do not have, with those that every client has. BAD leaves "$" as it was (RFC 5182 §2.1). */
void search_command_refuse_parse(struct search_command *command)
{
	struct imap_session *s = command->session;
	const struct error *err = &command->request->error;

	if (err->code != ERR_UNSUPPORTED) {
		command_refuse(s, err);
		return;
	}
	if (command->args.returns & RETURN_SAVE)
		forget_saved(s);
	command_no(s, "BADCHARSET (US-ASCII UTF-8)", err->reason);
}

bool search_command_save(struct search_command *command)
{
	const struct search_answer *answer = &command->answer;
	struct uid_list *saved;
	bool first, last, all;

	search_answer_saved(answer, &first, &last, &all);
	saved = malloc(sizeof(*saved) + (answer->count + 1) * sizeof(saved->uids[0]));
	if (saved == NULL)
		return false;
	*saved = (struct uid_list) { .refs = 1, .capacity = (uint32_t)answer->count + 1 };
	for (size_t i = 0; i < answer->count; i++)
		if (all || (first && i == 0) || (last && i + 1 == answer->count))
			saved->uids[saved->count++] = answer->hits[i].row.uid;
	forget_saved(command->session);
	command->session->saved = saved;
	return true;
}

/* --- scans --- */

static void on_slice(void *arg)
{
	struct search_command *command = arg;
	int64_t now = clock_mono_ms();

	if (command->session->closing || now - command->told_at < SEARCH_TELL_MS)
		return;
	command->told_at = now;
	session_write_text(command->session, "* OK still searching\r\n");
}

static void on_scan_done(void *arg, const struct error *failed)
{
	struct search_command *command = arg;

	command->scan = NULL;
	if (command->session->closing)
		return;
	if (failed != NULL)
		search_command_refuse(command, failed);
	else
		command->on_scanned(command);
}

static void on_scan_released(void *arg)
{
	struct search_command *command = arg;

	CHECK(command->scans > 0);
	if (--command->scans == 0 && command->dropped)
		command_free(command);
}

/* The functions of a plan get their own object; these find it. */
static size_t run_block(void *arg, size_t first)
{
	return search_run_block(((struct search_command *)arg)->run, first);
}

static bool run_work(void *arg, unsigned job, size_t first, size_t count, struct error *err)
{
	return search_run_work(((struct search_command *)arg)->run, job, first, count, err);
}

static bool run_is_unfinished(void *arg, unsigned job)
{
	return search_run_is_unfinished(((struct search_command *)arg)->run, job);
}

void search_command_scan(struct search_command *command, const struct scan_plan *plan,
        void (*on_scanned)(struct search_command *command))
{
	const struct imap_session *s = command->session;
	struct scan_plan ours = *plan;
	struct error err;

	ours.pool = s->server->pool;
	for (unsigned i = 0; i < SCAN_JOBS_MAX; i++)
		ours.keys[i] = account_reading_key(s->account_id, s->id + i);
	ours.arg = command;
	ours.slice = on_slice;
	ours.done = on_scan_done;
	ours.release = on_scan_released;
	command->on_scanned = on_scanned;
	command->scans++;
	if (scan_start(&ours, &command->scan, &err))
		return;
	command->scans--;
	search_command_refuse(command, &err);
}

/* --- the search --- */

static void on_run_done(struct search_command *command)
{
	struct search_answer *answer = &command->answer;

	answer->hits = search_run_hits(command->run, &answer->count);
	answer->modseq = search_program_has_modseq(search_run_program(command->run));
	answer->tag = command->request->tag;
	answer->uid = command->request->uid;
	command->on_found(command);
}

static void start_run(struct search_command *command)
{
	struct scan_plan plan = { .count = search_run_count(command->run),
		.parallel = true,
		.block = run_block,
		.work = run_work,
		.is_unfinished = run_is_unfinished };
	struct error err;

	if (!search_run_is_cheap(command->run))
		search_command_scan(command, &plan, on_run_done);
	else if (plan.count == 0 || search_run_work(command->run, 0, 0, plan.count, &err))
		on_run_done(command);
	else
		search_command_refuse(command, &err);
}

static bool keyword_bit(const void *view, struct span name, uint64_t *bit)
{
	return view_keyword_bit(view, name, bit);
}

static bool build_program(struct search_command *command, struct search_program **program, struct error *err)
{
	struct imap_session *s = command->session;
	struct search_context context = {
		.largest_sequence = view_count(s->view),
		.largest_uid = view_count(s->view) == 0 ? 0 : view_uid(s->view, view_count(s->view)),
		.saved = s->saved == NULL ? NULL : s->saved->uids,
		.saved_count = s->saved == NULL ? 0 : s->saved->count,
		.now = clock_wall_ms() / 1000,
		.keyword = keyword_bit,
		.keyword_arg = s->view,
	};

	return search_program_new(command->args.key, &context, program, err);
}

/* Every message that the client knows and that is still there. */
static bool collect(const struct view *view, struct view_message **messages, size_t *count)
{
	struct number_range everything = { 1, SEQUENCE_STAR };
	struct sequence_set set = { .ranges = &everything, .count = 1 };
	bool beyond;
	size_t gone;

	*messages = NULL;
	*count = 0;
	return view_count(view) == 0 || view_collect(view, &set, false, messages, count, &beyond, &gone);
}

static bool prepare(struct search_command *command, struct error *err)
{
	struct imap_session *s = command->session;
	struct search_program *program;
	struct view_message *messages;
	size_t count;

	if (!build_program(command, &program, err))
		return false;
	s->request->keeps_numbers = search_program_has_numbers(program);
	if (search_program_has_modseq(program))
		session_enable_condstore(s); /* RFC 7162 §3.1 */
	if (!collect(s->view, &messages, &count)) {
		search_program_free(&program);
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	}
	command->run =
	        search_run_new(program, messages, count, s->server->store, s->account_id, view_info(s->view)->id);
	return command->run != NULL || error_set(err, ERR_NO_MEMORY, "out of memory");
}

void search_command_start(struct search_command *command)
{
	struct error err;

	if (prepare(command, &err))
		start_run(command);
	else
		search_command_refuse(command, &err);
}
