/* posthouse/cmd_explain.c — `posthouse explain`: what happened to a message, in order and in plain words, and what happens next. */
#include "posthouse/cli.h"

#include "base/clock.h"
#include "posthouse/filter.h"
#include "posthouse/site.h"
#include "posthouse/story.h"
#include "posthouse/words.h"
#include "storage/events.h"

#include <stdio.h>
#include <string.h>

#define STORIES     50
#define STORIES_MAX 10000
#define NEXT_SHOWN  20 /* recipients still waiting, of one story */
#define DATE_LEN    32
#define LINE_LEN    (STORY_WORDS_MAX + 512)

static struct site site;

struct telling {
	struct event_log *log;
	json_t *stories; /* array of objects: trace, message_id, sender, recipients, events, next */
	json_t *last;    /* borrowed: that which is being read */
	int64_t now_ms;
	bool failed;
};

/* ---- reading ---- */

static json_t *text_of(struct span text)
{
	json_t *value = json_stringn(text.len > 0 ? text.ptr : "", text.len);
	char printable[EVENT_TEXT_MAX + 1];

	if (value == NULL) { /* not UTF-8: somebody else's bytes */
		for (size_t i = 0; i < text.len && i < EVENT_TEXT_MAX; i++)
			printable[i] = (unsigned char)text.ptr[i] < 0x80 ? text.ptr[i] : '?';
		value = json_stringn(printable, text.len < EVENT_TEXT_MAX ? text.len : EVENT_TEXT_MAX);
	}
	return value;
}

static bool same_story(const struct telling *telling, const struct event *event)
{
	const char *trace = telling->last == NULL ? "" : json_string_value(json_object_get(telling->last, "trace"));

	return event->trace.len > 0 && trace != NULL && span_equal(span_of(trace), event->trace);
}

static void begin_story(struct telling *telling, const struct event *event)
{
	telling->last = json_pack("{s:o, s:s, s:n, s:[], s:[], s:[]}", "trace", text_of(event->trace), "message_id", "",
	        "sender", "recipients", "events", "next");
	if (telling->last == NULL || json_array_append_new(telling->stories, telling->last) != 0)
		telling->failed = true;
}

static bool knows(const json_t *list, struct span text)
{
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (span_equal_nocase(span_of(json_string_value(item)), text))
			return true;
	}
	return false;
}

/* What stands above the story: from whom to whom. A null sender is told apart from one that is not known. */
static void note_envelope(json_t *story, const struct event *event)
{
	json_t *recipients = json_object_get(story, "recipients");

	if (event->message_id.len > 0)
		(void)json_object_set_new(story, "message_id", text_of(event->message_id));
	if (event->sender.len > 0 || (event->kind == EVENT_RECEIVED && json_is_null(json_object_get(story, "sender"))))
		(void)json_object_set_new(story, "sender", text_of(event->sender));
	if (event->recipient.len > 0 && event->kind != EVENT_REPORT && /* that one is of another message */
	        json_array_size(recipients) < QUEUE_RECIPIENTS_MAX && !knows(recipients, event->recipient))
		(void)json_array_append_new(recipients, text_of(event->recipient));
}

static bool add_event(void *arg, const struct event *event)
{
	struct telling *telling = arg;
	char words[STORY_WORDS_MAX];
	const char *kind = event_kind_name(event->kind);
	json_t *row;

	if (!same_story(telling, event))
		begin_story(telling, event);
	if (telling->failed)
		return false;
	note_envelope(telling->last, event);
	story_words(event, words, sizeof(words));
	row = json_pack("{s:I, s:s, s:o, s:o, s:o, s:o}", "at_ms", (json_int_t)event->at_ms, "kind",
	        kind != NULL ? kind : "unknown", "recipient", text_of(event->recipient), "text", text_of(event->text),
	        "detail", text_of(event->detail), "words", text_of(span_of(words)));
	telling->failed = json_array_append_new(json_object_get(telling->last, "events"), row) != 0;
	return !telling->failed;
}

/* ---- what is next: the queue knows ---- */

struct waiting {
	json_t *next;
	int64_t now_ms;
};

static bool add_waiting(void *arg, const struct queue_row *row)
{
	struct waiting *waiting = arg;
	char words[LINE_LEN / 4];

	next_words(row->recipient, waiting->now_ms, words, sizeof(words));
	return json_array_append_new(
	               waiting->next, json_pack("{s:s, s:b, s:I, s:s}", "recipient", row->recipient->address, "held",
	                                      row->recipient->held, "next_attempt_ms",
	                                      (json_int_t)row->recipient->next_attempt_ms, "words", words)) == 0;
}

static bool add_next(struct telling *telling, struct error *err)
{
	json_t *story;
	size_t i;

	json_array_foreach(telling->stories, i, story)
	{
		struct waiting waiting = { json_object_get(story, "next"), telling->now_ms };
		struct queue_filter filter = { .trace = span_of(json_string_value(json_object_get(story, "trace"))),
			.held = -1 };

		if (filter.trace.len > 0 &&
		        !queue_list(site.queue, &filter, 0, NEXT_SHOWN + 1, add_waiting, &waiting, err))
			return false;
	}
	return true;
}

/* ---- printing ---- */

static void put_heading(struct buffer *out, const json_t *story)
{
	const json_t *recipients = json_object_get(story, "recipients"), *sender = json_object_get(story, "sender");
	const char *trace = json_string_value(json_object_get(story, "trace"));
	const char *id = json_string_value(json_object_get(story, "message_id"));
	size_t count = json_array_size(recipients);

	(void)buffer_printf(out, "Message %s", trace[0] != '\0' ? trace : "without a name");
	if (json_is_string(sender))
		(void)buffer_printf(out, " from %s", json_string_length(sender) > 0 ? json_string_value(sender) : "<>");
	if (count > 0)
		(void)buffer_printf(out, " to %s", json_string_value(json_array_get(recipients, 0)));
	if (count > 1)
		(void)buffer_printf(out, " and %zu more", count - 1);
	if (id[0] != '\0')
		(void)buffer_printf(out, ", Message-ID <%s>", id);
	(void)buffer_append_char(out, '\n');
}

static void put_events(struct buffer *out, const json_t *events)
{
	char date[DATE_LEN];
	const json_t *event;
	size_t i;

	json_array_foreach(events, i, event)
	{
		output_date(json_integer_value(json_object_get(event, "at_ms")), date, sizeof(date));
		(void)buffer_printf(out, "  %s  %s\n", date, json_string_value(json_object_get(event, "words")));
	}
}

static void put_next(struct buffer *out, const json_t *story)
{
	const json_t *next = json_object_get(story, "next"), *one;
	size_t i;

	json_array_foreach(next, i, one)
	{
		if (i == NEXT_SHOWN)
			(void)buffer_printf(out, "  Next: and more; `posthouse queue list %s` shows all\n",
			        json_string_value(json_object_get(story, "trace")));
		else
			(void)buffer_printf(out, "  Next: %s: %s\n",
			        json_string_value(json_object_get(one, "recipient")),
			        json_string_value(json_object_get(one, "words")));
	}
	if (json_array_size(next) == 0)
		(void)buffer_append_text(out, "  Next: nothing is left to do here\n");
}

static enum exit_code print_stories(json_t *stories)
{
	enum exit_code code = CLI_OK;
	struct buffer out;
	json_t *story;
	char line[LINE_LEN];
	size_t i;

	buffer_init(&out, 256 * MIB);
	json_array_foreach(stories, i, story)
	{
		buffer_clear(&out);
		put_heading(&out, story);
		output_printable(span_trim(buffer_span(&out)), line, sizeof(line));
		buffer_clear(&out);
		(void)buffer_printf(&out, "%s%s\n", i > 0 ? "\n" : "", line);
		put_events(&out, json_object_get(story, "events"));
		put_next(&out, story);
		if (code == CLI_OK)
			code = output_text(buffer_text(&out));
	}
	buffer_free(&out);
	json_decref(stories);
	return code;
}

/* ---- finding ---- */

static bool read_stories(struct telling *telling, const struct event_query *query, struct error *err)
{
	if (!event_log_read(telling->log, query, add_event, telling, err))
		return false;
	return !telling->failed || error_set(err, ERR_NO_MEMORY, "out of memory; ask for less by --limit");
}

/* "<id@host>" is a Message-ID, what has no "@" a trace; "a@b" may be either: Message-IDs are tried first, they are rarer. */
static bool find(struct telling *telling, struct span word, struct event_query query, struct error *err)
{
	size_t at;

	if (word.len == 0)
		return read_stories(telling, &query, err);
	if (span_take_char(&word, '<')) {
		query.message_id =
		        word.len > 0 && word.ptr[word.len - 1] == '>' ? span_first(word, word.len - 1) : word;
		return read_stories(telling, &query, err);
	}
	if (!span_find(word, '@', &at)) {
		query.trace = word;
		return read_stories(telling, &query, err);
	}
	query.message_id = word;
	if (!read_stories(telling, &query, err))
		return false;
	if (json_array_size(telling->stories) > 0)
		return true;
	query.message_id = SPAN_EMPTY;
	query.address = word;
	return read_stories(telling, &query, err);
}

static enum exit_code tell(struct cli *cli, struct telling *telling, const struct event_query *query)
{
	const struct settings *s = &site.settings;
	struct error err;
	bool ok = event_log_open(s->server.data_dir, false, s->explain.keep_days, &telling->log, &err) &&
	          find(telling, span_of(cli->words[0]), *query, &err) && add_next(telling, &err);

	if (ok && json_array_size(telling->stories) == 0 && cli->word_count > 0)
		ok = error_set(&err, ERR_NO_SUCH_MESSAGE, "nothing is known of it; stories are kept for %u days",
		        s->explain.keep_days);
	event_log_close(&telling->log);
	if (!ok) {
		json_decref(telling->stories);
		return cli_error(cli->word_count > 0 ? cli->words[0] : "explain", &err);
	}
	if (cli->options[OPT_JSON] != NULL)
		return output_json(telling->stories);
	return print_stories(telling->stories);
}

enum exit_code cmd_explain(struct cli *cli)
{
	struct telling telling = { .now_ms = clock_wall_ms() };
	struct event_query query = { .limit = STORIES };
	uint64_t last = 0;
	struct error err;
	enum exit_code code;

	if (!duration_option(cli, OPT_LAST, FILTER_AGE_MAX_MS, &last, &err) ||
	        !number_option(cli, OPT_LIMIT, STORIES_MAX, &query.limit, &err))
		return cli_error(NULL, &err);
	if (cli->word_count == 0 && cli->options[OPT_LAST] == NULL)
		return cli_usage_error(
		        cli, "which message? name a Message-ID, an address or a trace, or say --last 1h");
	if (cli->options[OPT_LAST] != NULL)
		query.since_ms = telling.now_ms - (int64_t)last;
	code = site_open(cli, SITE_QUEUE, &site);
	if (code != CLI_OK)
		return code;
	telling.stories = json_array();
	code = tell(cli, &telling, &query);
	site_close(&site);
	return code;
}
