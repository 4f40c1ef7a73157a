/* SORT, THREAD and their UID forms (RFC 5256 §3). */
#include "imapd/search_command.h"

static size_t load_block(void *arg, size_t first)
{
	return ordering_block(((struct search_command *)arg)->ordering, first);
}

static bool load_work(void *arg, unsigned job, size_t first, size_t count, struct error *err)
{
	return ordering_work(((struct search_command *)arg)->ordering, job, first, count, err);
}

static size_t compute_block(void *arg, size_t first)
{
	return ordering_compute_block(((struct search_command *)arg)->ordering, first);
}

static bool compute_work(void *arg, unsigned job, size_t first, size_t count, struct error *err)
{
	return ordering_compute(((struct search_command *)arg)->ordering, job, first, count, err);
}

/* RFC 7162 §3.1.6: SORT tells the highest mod-sequence as SEARCH does. */
static void write_end(struct search_command *command)
{
	const struct search_answer *answer = &command->answer;
	uint64_t highest = 0;

	for (size_t i = 0; i < answer->count; i++)
		if (answer->hits[i].row.modseq > highest)
			highest = answer->hits[i].row.modseq;
	if (answer->modseq && answer->count > 0 && command->sort.criterion_count > 0)
		session_printf(command->session, " (MODSEQ %llu)", (unsigned long long)highest);
	session_write_text(command->session, "\r\n");
	command_ok(command->session, NULL, "done");
}

static void write_text(struct imap_session *s)
{
	struct search_command *command = s->request->state;

	while (command->text.len > 0) {
		struct span piece = span_first(command->text, SEARCH_ANSWER_PIECE);

		if (session_full(s)) {
			session_wait_for_room(s, write_text);
			return;
		}
		session_write(s, piece);
		command->text = span_skip(command->text, piece.len);
	}
	write_end(command);
}

static void on_computed(struct search_command *command)
{
	session_write_text(command->session, command->sort.criterion_count > 0 ? "* SORT" : "* THREAD");
	command->text = ordering_answer(command->ordering);
	write_text(command->session);
}

static void on_loaded(struct search_command *command)
{
	struct scan_plan plan = { .count = 1, .block = compute_block, .work = compute_work };

	search_command_scan(command, &plan, on_computed);
}

static void on_found(struct search_command *command)
{
	struct imap_session *s = command->session;
	struct ordering_plan plan = {
		.store = s->server->store,
		.account_id = s->account_id,
		.messages = command->answer.hits,
		.count = command->answer.count,
		.uid = command->answer.uid,
		.criteria = command->sort.criteria,
		.criterion_count = command->sort.criterion_count,
		.algorithm = command->thread.algorithm,
		.held = search_run_memory(command->run),
		.memory_max = ORDERING_MEMORY_MAX,
	};
	struct scan_plan scan = { .count = plan.count, .parallel = true, .block = load_block, .work = load_work };
	struct error err;

	if (ordering_new(&plan, &command->ordering, &err))
		search_command_scan(command, &scan, on_loaded);
	else
		search_command_refuse(command, &err);
}

static void start(struct search_command *command, const struct search_args *args)
{
	command->args = *args;
	command->args.returns = 0;
	command->on_found = on_found;
	search_command_start(command);
}

void cmd_sort(struct imap_session *s, struct imap_request *req)
{
	struct search_command *command = search_command_new(s, req);

	if (command == NULL)
		return;
	if (parse_sort(&req->parser, &command->sort))
		start(command, &command->sort.search);
	else
		search_command_refuse_parse(command);
}

void cmd_thread(struct imap_session *s, struct imap_request *req)
{
	struct search_command *command = search_command_new(s, req);

	if (command == NULL)
		return;
	if (parse_thread(&req->parser, &command->thread))
		start(command, &command->thread.search);
	else
		search_command_refuse_parse(command);
}
