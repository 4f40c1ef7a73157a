#include "pop3d/body_stream.h"

#include "base/log.h"
#include "pop3d/message_reply.h"

#include <stdlib.h>

struct body_stream {
	uint32_t number;
	bool answered; /* "+OK" is out */
	struct message_reply reply;
	struct buffer scratch, out;
};

void body_stream_free(struct body_stream **stream)
{
	message_reply_free(&(*stream)->reply);
	buffer_free(&(*stream)->scratch);
	buffer_free(&(*stream)->out);
	free(*stream);
	*stream = NULL;
}

static void run_step(struct pop3_session *s)
{
	struct body_stream *stream = s->stream;
	struct account *account = NULL;

	if (!maildrop_account(s->server->store, s->account_id, &account, &s->job_error))
		return;
	message_reply_step(&stream->reply, account, &stream->scratch, &stream->out, &s->job_error);
	account_release(&account);
}

static void fail(struct pop3_session *s)
{
	bool answered = s->stream->answered;

	body_stream_free(&s->stream);
	if (!answered) {
		reply_refuse(s, &s->job_error);
		session_go_on(s);
		return;
	}
	LOG(LOG_WARNING, "pop3.cut", LOG_NUMBER("session", s->id), LOG_NUMBER("account", s->account_id),
	        LOG_FAILURE(&s->job_error));
	s->ended = true;
	conn_close(s->conn);
}

static void finish(struct pop3_session *s)
{
	struct maildrop_message *message = maildrop_get(s->maildrop, s->stream->number);

	if (s->stream->reply.top_lines == STUFFING_ALL) {
		if (message->size != s->stream->reply.size)
			maildrop_set_size(s->maildrop, message, s->stream->reply.size);
		s->retrieved++;
	}
	body_stream_free(&s->stream);
	session_wait_for_room(s);
}

static void on_step(struct pop3_session *s);

static void next_step(struct pop3_session *s)
{
	session_work(s, WORKER_READ, run_step, on_step);
}

static void on_step(struct pop3_session *s)
{
	struct body_stream *stream = s->stream;

	if (s->job_error.code != ERR_NONE) {
		fail(s);
		return;
	}
	conn_write(s->conn, stream->out.data, stream->out.len);
	buffer_clear(&stream->out);
	stream->answered = true;
	if (stream->reply.finished)
		finish(s);
	else if (conn_full(s->conn))
		s->on_room = next_step;
	else
		next_step(s);
}

void body_stream_begin(struct pop3_session *s, uint32_t number, uint32_t top_lines)
{
	const struct maildrop_message *message = maildrop_get(s->maildrop, number);
	struct body_stream *stream = calloc(1, sizeof(*stream));

	if (stream == NULL) {
		struct error err;

		error_set(&err, ERR_NO_MEMORY, "out of memory");
		reply_refuse(s, &err);
		return;
	}
	stream->number = number;
	message_reply_init(&stream->reply, message->id, message->size, top_lines, s->utf8);
	buffer_init(&stream->scratch, STREAM_CHUNK);
	buffer_init(&stream->out, MESSAGE_REPLY_MAX);
	s->stream = stream;
	next_step(s);
}
