/* One message and many keys: a search takes it in steps, each of them bounded (imapd/search_lane.h), and finds the same. */
#include "fixture.h"

#include "imapd/search_run.h"
#include "storage/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define KEYS      200
#define LINE      "Lorem ipsum dolor sit amet, consetetur sadipscing elitr, sed diam\r\n"
#define LONG      " some text that makes a field long enough"
#define TEXT_SIZE (2 * MIB)
#define HEAD_SIZE (900 * KIB)

static struct view_message message;
static int64_t mailbox_id;

static int setup(void **state)
{
	(void)state;
	place_open_with_store();
	place_connect();
	place_ask("a LOGIN alice@example.test secret");
	place_ask("a SELECT INBOX");
	place_ask("a STORE 1:* +FLAGS.SILENT (\\Deleted)");
	place_ask("a EXPUNGE");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	place_close();
	return 0;
}

static void fill(struct buffer *out, const char *line, size_t size)
{
	while (out->len < size)
		assert_true(buffer_append_text(out, line));
}

/* The one message of INBOX. */
static void append(const struct buffer *text)
{
	struct mailbox_snapshot snapshot;
	struct mailbox_info info;
	struct account *account;
	struct buffer line;
	struct error err;

	buffer_init(&line, 8 * MIB);
	assert_true(buffer_printf(&line, "a APPEND INBOX {%zu+}\r\n", text->len) &&
	            buffer_append_span(&line, buffer_span(text)));
	assert_non_null(strstr(place_ask(buffer_text(&line)), "a OK "));
	buffer_free(&line);
	assert_true(account_open(place.server.store, fake_auth_account, &account, &err));
	assert_true(mailbox_find(account, SPAN("INBOX"), &info, &err));
	mailbox_id = info.id;
	assert_true(mailbox_snapshot(account, info.id, &snapshot, &err));
	account_release(&account);
	assert_int_equal(snapshot.count, 1);
	message = (struct view_message) { .sequence = 1, .row = snapshot.rows[0] };
	mailbox_snapshot_free(&snapshot);
}

static bool no_keyword(const void *arg, struct span name, uint64_t *bit)
{
	(void)arg, (void)name, (void)bit;
	return false;
}

static struct search_program *program_of(const char *keys)
{
	struct search_context context = { .largest_sequence = 1, .largest_uid = UINT32_MAX, .keyword = no_keyword };
	struct search_program *program;
	struct search_args args = { 0 };
	struct arena arena;
	struct error err;
	struct parser parser = { .in = span_of(keys), .arena = &arena, .err = &err };

	arena_init(&arena, PARSE_ARENA_MAX);
	assert_true(parse_search(&parser, &args) && search_program_new(args.key, &context, &program, &err));
	arena_free(&arena);
	return program;
}

/* Returns in how many steps it was done. */
static unsigned search(const char *keys, bool want)
{
	struct view_message *messages = malloc(sizeof(*messages));
	struct search_run *run;
	unsigned steps = 0;
	struct error err;
	size_t hits;

	assert_non_null(messages);
	*messages = message;
	run = search_run_new(program_of(keys), messages, 1, place.server.store, fake_auth_account, mailbox_id);
	assert_non_null(run);
	assert_int_equal(search_run_block(run, 0), 1);
	do {
		assert_true(search_run_work(run, 0, 0, 1, &err));
		steps++;
	} while (search_run_is_unfinished(run, 0));
	(void)search_run_hits(run, &hits);
	assert_int_equal(hits, want);
	search_run_free(&run);
	return steps;
}

/* KEYS times "key<n>tail", and the last. */
static const char *keys_of(const char *key, const char *tail, const char *last)
{
	static char keys[64 * KIB];
	size_t len = 0;

	for (int i = 0; i < KEYS; i++)
		len += (size_t)snprintf(keys + len, sizeof(keys) - len, "%s%d%s", key, i, tail);
	(void)snprintf(keys + len, sizeof(keys) - len, "%s", last);
	return keys;
}

static unsigned steps_at_least(size_t octets)
{
	return (unsigned)(octets * KEYS / SEARCH_BLOCK_WORK);
}

/* The last octets of the text, and of the header, decide. */
static void test_text(void **state)
{
	struct buffer text;
	unsigned steps;

	(void)state;
	buffer_init(&text, 8 * MIB);
	assert_true(buffer_append_text(&text, "Subject: x\r\n\r\n"));
	fill(&text, LINE, TEXT_SIZE);
	assert_true(buffer_append_text(&text, "the end\r\n"));
	append(&text);
	steps = search(keys_of(" NOT BODY none", "", " BODY \"the end\""), true);
	assert_in_range(steps, steps_at_least(TEXT_SIZE), 2 * steps_at_least(TEXT_SIZE) + 2);
	assert_in_range(search(keys_of(" NOT BODY none", "", " NOT BODY \"the end\""), false), 2, steps + 2);
	assert_in_range(
	        search(keys_of(" NOT BODY none", "", " BODY Lorem NOT BODY ipsum"), false), 1, 2); /* decided early */
	buffer_free(&text);
}

static void test_header(void **state)
{
	struct buffer text;

	(void)state;
	buffer_init(&text, 8 * MIB);
	fill(&text, "X-Some: " LONG LONG LONG "\r\n", HEAD_SIZE); /* fewer than 10,000 fields */
	assert_true(buffer_append_text(&text, "X-Last: one\r\n\r\nbody\r\n"));
	append(&text);
	assert_in_range(search(keys_of(" NOT HEADER None", " x", " HEADER X-Last one"), true),
	        steps_at_least(HEAD_SIZE), 2 * steps_at_least(HEAD_SIZE) + 2);
	assert_in_range(search(keys_of(" NOT HEADER None", " x", " NOT HEADER X-Last one"), false), 2,
	        2 * steps_at_least(HEAD_SIZE) + 2);
	/* a field that is decoded for each key anew */
	assert_true(search(keys_of(" NOT HEADER X-Some none", "", ""), true) > 4 * steps_at_least(HEAD_SIZE));
	buffer_free(&text);
}

static void test_addresses(void **state)
{
	struct buffer text;
	unsigned steps;

	(void)state;
	buffer_init(&text, 8 * MIB);
	assert_true(buffer_append_text(&text, "To: first@example.test"));
	fill(&text,
	        ",\r\n a.rather.long.local.part.that.takes.room.somebody.must.have.made.up@of.a.domain.that.is.long.too.example.test",
	        HEAD_SIZE);
	assert_true(buffer_append_text(&text, ",\r\n last@example.test\r\n\r\nbody\r\n"));
	append(&text);
	steps = search(keys_of(" NOT TO none", "", " TO first@example.test"), true);
	assert_true(steps >= 2);
	assert_int_equal(search(keys_of(" NOT TO none", "", " NOT TO first@example.test"), false), steps);
	buffer_free(&text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_text),
		TEST(test_header),
		TEST(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
