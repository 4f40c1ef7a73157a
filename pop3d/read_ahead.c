#include "pop3d/read_ahead.h"

#include "base/check.h"
#include "pop3d/message_reply.h"

#include <stdlib.h>

#define WIDTH_GROWTH 8
#define REPLIES_MAX  (2 * READ_AHEAD_BYTES + MESSAGE_REPLY_MAX)

enum window_state { WINDOW_EMPTY, WINDOW_BUSY, WINDOW_READY };

struct window_item {
	uint32_t number;
	uint32_t size; /* as stored; when read, as handed out */
	int64_t message_id;
	size_t end; /* of its reply in `replies` */
};

struct window {
	struct pop3_session *session;
	struct worker_job job;
	enum window_state state;
	bool background;
	size_t count; /* items: planned, and when the job is done, read */
	/* The job's, while busy */
	struct store *store;
	int64_t account_id;
	bool utf8;
	struct window_item items[READ_AHEAD_MESSAGES]; /* number and message_id are read by the loop meanwhile */
	size_t read;                                   /* of them */
	struct buffer replies;
	struct error err; /* why there is no item after the last one that should be */
};

struct read_ahead {
	struct window windows[2];
	struct window *front, *back;
	struct window *awaited; /* the window that the command waits for */
	uint32_t wanted;        /* and the number */
	uint32_t last;          /* answered last */
	unsigned width;
};

static struct read_ahead *ahead_new(struct pop3_session *s)
{
	struct read_ahead *ahead = calloc(1, sizeof(*ahead));

	if (ahead == NULL)
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(ahead->windows); i++) {
		ahead->windows[i].session = s;
		buffer_init(&ahead->windows[i].replies, REPLIES_MAX);
	}
	ahead->front = &ahead->windows[0];
	ahead->back = &ahead->windows[1];
	ahead->width = 1;
	return ahead;
}

void read_ahead_free(struct read_ahead **ahead)
{
	for (size_t i = 0; i < ARRAY_LEN((*ahead)->windows); i++) {
		CHECK((*ahead)->windows[i].state != WINDOW_BUSY);
		buffer_free(&(*ahead)->windows[i].replies);
	}
	free(*ahead);
	*ahead = NULL;
}

/* --- on a worker thread --- */

static bool read_item(struct window *w, struct window_item *item, struct account *account, struct buffer *scratch)
{
	struct message_reply reply;
	size_t begin = w->replies.len;
	bool ok = true;

	message_reply_init(&reply, item->message_id, item->size, STUFFING_ALL, w->utf8);
	while (ok && !reply.finished)
		ok = message_reply_step(&reply, account, scratch, &w->replies, &w->err);
	message_reply_free(&reply);
	if (!ok) {
		w->replies.len = begin;
		return false;
	}
	item->size = reply.size;
	item->end = w->replies.len;
	return true;
}

static void run_window(struct worker_job *job)
{
	struct window *w = container_of(job, struct window, job);
	struct account *account = NULL;
	struct buffer scratch;

	w->read = 0;
	buffer_clear(&w->replies);
	error_clear(&w->err);
	if (maildrop_account(w->store, w->account_id, &account, &w->err)) {
		buffer_init(&scratch, STREAM_CHUNK);
		while (w->read < w->count && read_item(w, &w->items[w->read], account, &scratch))
			w->read++;
		buffer_free(&scratch);
		account_release(&account);
	}
}

/* --- on the loop --- */

static const struct window_item *find_item(const struct window *w, uint32_t number)
{
	for (size_t i = 0; w->state != WINDOW_EMPTY && i < w->count; i++) {
		if (w->items[i].number == number)
			return &w->items[i];
	}
	return NULL;
}

/* Chooses what to read: from `from` on, what is not marked, until one that is large. */
static void plan(struct window *w, struct pop3_session *s, uint32_t from, unsigned width)
{
	struct maildrop_message *message;
	size_t bytes = 0;

	w->count = 0;
	for (uint32_t number = from; w->count < width && (message = maildrop_get(s->maildrop, number)) != NULL;
	        number++) {
		if (message->deleted)
			continue;
		if (message->size > WHOLE_MESSAGE_MAX || (w->count > 0 && bytes + message->size > READ_AHEAD_BYTES))
			break;
		bytes += message->size;
		w->items[w->count++] =
		        (struct window_item) { .number = number, .size = message->size, .message_id = message->id };
	}
}

static void on_window_done(struct worker_job *job);

static void submit(struct window *w, bool background)
{
	struct pop3_session *s = w->session;

	w->state = WINDOW_BUSY;
	w->background = background;
	w->store = s->server->store;
	w->account_id = s->account_id;
	w->utf8 = s->utf8;
	w->job = (struct worker_job) { .run = run_window, .done = on_window_done, .lane = WORKER_READ };
	session_hold(s);
	worker_submit(s->server->pool, &w->job);
}

static void fill_back(struct pop3_session *s, const struct window_item *answered)
{
	struct read_ahead *ahead = s->ahead;
	struct window *front = ahead->front, *back = ahead->back;
	uint32_t from = front->items[front->count - 1].number + 1;

	if (ahead->width < READ_AHEAD_MESSAGES || back->state == WINDOW_BUSY ||
	        (size_t)(answered - front->items) < front->count / 2 || find_item(back, from) != NULL)
		return;
	plan(back, s, from, ahead->width);
	if (back->count > 0)
		submit(back, true);
}

static void answer(struct pop3_session *s, const struct window_item *item)
{
	struct window *w = s->ahead->front;
	size_t begin = item == w->items ? 0 : item[-1].end;
	struct maildrop_message *message = maildrop_get(s->maildrop, item->number);

	conn_write(s->conn, w->replies.data + begin, item->end - begin);
	if (message->size != item->size)
		maildrop_set_size(s->maildrop, message, item->size);
	s->retrieved++;
	s->ahead->last = item->number;
	fill_back(s, item);
	session_wait_for_room(s);
}

static void swap(struct read_ahead *ahead)
{
	struct window *front = ahead->front;

	ahead->front = ahead->back;
	ahead->back = front;
}

static void await(struct pop3_session *s, struct window *w, uint32_t number)
{
	s->ahead->awaited = w;
	s->ahead->wanted = number;
	if (!s->waiting)
		session_wait(s);
}

static void read_front(struct pop3_session *s, uint32_t number)
{
	struct read_ahead *ahead = s->ahead;

	ahead->width = number == ahead->last + 1 ? ahead->width * WIDTH_GROWTH : 1;
	if (ahead->width > READ_AHEAD_MESSAGES)
		ahead->width = READ_AHEAD_MESSAGES;
	plan(ahead->front, s, number, ahead->width);
	CHECK(ahead->front->count > 0);
	await(s, ahead->front, number);
	submit(ahead->front, false);
}

static void go_on_with(struct pop3_session *s, struct window *w)
{
	struct read_ahead *ahead = s->ahead;
	const struct window_item *item = find_item(w, ahead->wanted);

	ahead->awaited = NULL;
	if (item != NULL) {
		if (w == ahead->back)
			swap(ahead);
		answer(s, item);
	} else if (w->background) {
		read_front(s, ahead->wanted);
	} else {
		reply_refuse(s, &w->err);
		session_go_on(s);
	}
}

static void on_window_done(struct worker_job *job)
{
	struct window *w = container_of(job, struct window, job);
	struct pop3_session *s = w->session;

	w->count = w->read;
	w->state = w->count > 0 ? WINDOW_READY : WINDOW_EMPTY;
	if (!s->closing && !s->ended && s->ahead->awaited == w)
		go_on_with(s, w);
	session_release(s);
}

void read_ahead_retr(struct pop3_session *s, uint32_t number)
{
	const struct window_item *item;

	if (s->ahead == NULL && (s->ahead = ahead_new(s)) == NULL) {
		struct error err;

		error_set(&err, ERR_NO_MEMORY, "out of memory");
		reply_refuse(s, &err);
		return;
	}
	if ((item = find_item(s->ahead->front, number)) != NULL) {
		answer(s, item);
	} else if ((item = find_item(s->ahead->back, number)) == NULL) {
		read_front(s, number);
	} else if (s->ahead->back->state == WINDOW_BUSY) {
		await(s, s->ahead->back, number);
	} else {
		swap(s->ahead);
		answer(s, item);
	}
}
