/* SEARCH, UID SEARCH (RFC 9051 §6.4.4; RFC 4731, RFC 5182, RFC 5032, RFC 7162 §3.1.5). */
#include "imapd/search_command.h"

static void write_answer(struct imap_session *s)
{
	struct search_command *command = s->request->state;
	struct error err;

	while (!command->answer.ended) {
		if (session_full(s)) {
			session_wait_for_room(s, write_answer);
			return;
		}
		buffer_clear(&command->piece);
		if (!search_answer_write(&command->answer, &command->piece)) {
			error_set(&err, ERR_NO_MEMORY, "out of memory");
			search_command_refuse(command, &err);
			return;
		}
		session_write(s, buffer_span(&command->piece));
	}
	command_ok(s, NULL, command->args.returns & RETURN_SAVE ? "done, result saved" : "done");
}

static void on_found(struct search_command *command)
{
	struct imap_session *s = command->session;
	struct search_answer *answer = &command->answer;
	struct error err;

	answer->extended =
	        command->args.extended || (s->enabled & ENABLED_REV2) != 0; /* RFC 9051 §6.4.4: always ESEARCH */
	answer->returns = command->args.extended ? command->args.returns : RETURN_ALL;
	if ((command->args.returns & RETURN_SAVE) && !search_command_save(command)) {
		error_set(&err, ERR_NO_MEMORY, "out of memory");
		search_command_refuse(command, &err);
		return;
	}
	write_answer(s);
}

void cmd_search(struct imap_session *s, struct imap_request *req)
{
	struct search_command *command = search_command_new(s, req);

	if (command == NULL)
		return;
	if (!parse_search(&req->parser, &command->args)) {
		search_command_refuse_parse(command);
		return;
	}
	command->on_found = on_found;
	search_command_start(command);
}
