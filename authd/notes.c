#include "authd/notes.h"

#include "base/clock.h"
#include "base/log.h"
#include "sasl/auth_protocol.h"
#include "storage/credentials.h"

#include <stdlib.h>

struct note {
	int64_t account_id;
	int64_t when_ms;
	enum auth_service service;
	char address[AUTH_ADDRESS_MAX + 1];
};

struct note_list {
	size_t count;
	struct note notes[NOTES_MAX];
};

struct notes {
	struct writer *writer;
	uv_timer_t timer;
	struct note_list *list; /* NULL: nothing to note */
	/* The write under way. */
	struct worker_job work;
	bool writing;
	struct note_list *written;
	size_t failures;
	struct error err;
};

bool notes_new(uv_loop_t *loop, struct writer *writer, struct notes **out, struct error *err)
{
	struct notes *notes = calloc(1, sizeof(*notes));

	if (notes == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	notes->writer = writer;
	uv_timer_init(loop, &notes->timer);
	notes->timer.data = notes;
	*out = notes;
	return true;
}

/* On a worker thread. A first failure is likely that of all (a full disk): nothing more is tried. */
static void write_all(struct worker_job *work)
{
	struct notes *notes = container_of(work, struct notes, work);

	for (size_t i = 0; i < notes->written->count && notes->failures == 0; i++) {
		const struct note *note = &notes->written->notes[i];

		if (!credentials_note_login(notes->writer->credentials, note->account_id, note->when_ms,
		            span_of(auth_service_name(note->service)), span_of(note->address), &notes->err) &&
		        notes->err.code != ERR_NO_SUCH_ACCOUNT)
			notes->failures = notes->written->count - i;
	}
}

static void on_written(struct worker_job *work)
{
	struct notes *notes = container_of(work, struct notes, work);

	notes->writing = false;
	if (notes->failures > 0)
		LOG(LOG_WARNING, "auth.notes_lost", LOG_NUMBER("count", notes->failures), LOG_FAILURE(&notes->err));
	free(notes->written);
	notes->written = NULL;
}

void notes_flush(struct notes *notes)
{
	if (notes->writing || notes->list == NULL)
		return;
	notes->written = notes->list;
	notes->list = NULL;
	notes->failures = 0;
	notes->writing = true;
	notes->work = (struct worker_job) { .run = write_all, .done = on_written };
	writer_submit(notes->writer, &notes->work);
}

static void on_timer(uv_timer_t *timer)
{
	struct notes *notes = timer->data;

	notes_flush(notes);
	if (notes->list != NULL) /* the write before takes longer than this */
		uv_timer_start(&notes->timer, on_timer, NOTES_EVERY_MS, 0);
}

static struct note *note_of(struct notes *notes, int64_t account_id)
{
	struct note_list *list = notes->list;

	for (size_t i = 0; i < list->count; i++)
		if (list->notes[i].account_id == account_id)
			return &list->notes[i];
	return list->count < NOTES_MAX ? &list->notes[list->count++] : NULL;
}

void notes_add(struct notes *notes, int64_t account_id, enum auth_service service, const char *address)
{
	struct note *note;

	if (notes->list == NULL) {
		notes->list = malloc(sizeof(*notes->list));
		if (notes->list == NULL)
			return;
		notes->list->count = 0;
		uv_timer_start(&notes->timer, on_timer, NOTES_EVERY_MS, 0);
	}
	note = note_of(notes, account_id);
	if (note == NULL)
		return;
	note->account_id = account_id;
	note->when_ms = clock_wall_ms();
	note->service = service;
	(void)span_copy(span_of(address), note->address, sizeof(note->address));
}

void notes_close(struct notes *notes)
{
	uv_close((uv_handle_t *)&notes->timer, NULL);
}

void notes_free(struct notes **notes)
{
	if (*notes == NULL)
		return;
	free((*notes)->list);
	free(*notes);
	*notes = NULL;
}
