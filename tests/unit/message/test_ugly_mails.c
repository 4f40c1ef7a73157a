/* Every mail of the ugly-mails vectors against what Dovecot 2.3 and Cyrus 3.6 say of it. Where the two agree, that is the answer;
 * where they differ, ours is Dovecot's (the one most clients are tried against), unless a row of ugly_mails_table.h says which
 * it is and why. A row that is not needed any more fails the test. */
#include "imap_value.h"
#include "vectors.h"

#include "message/summary.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum choice { TAKE_CYRUS, TAKE_OURS };

struct difference {
	const char *file;
	const char *item;
	enum choice choice;
	const char *ours; /* TAKE_OURS: compact JSON of the whole item, lower case */
	const char *why;
};

static const struct difference differences[] = {
#include "ugly_mails_table.h"
};

static bool used[sizeof(differences) / sizeof(differences[0])];
static unsigned failures;
static unsigned agreed, dovecots, listed;

/* Compact and in lower case: type names are compared without case. */
static char *text_of(const json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);

	assert_non_null(text);
	for (char *at = text; *at != '\0'; at++)
		*at = (char)tolower((unsigned char)*at);
	return text;
}

static const struct difference *find_difference(const char *file, const char *item)
{
	for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]); i++)
		if (strcmp(differences[i].file, file) == 0 && strcmp(differences[i].item, item) == 0) {
			used[i] = true;
			return &differences[i];
		}
	return NULL;
}

static void check_item(
        const char *file, const char *item, const json_t *dovecot, const json_t *cyrus, const json_t *ours)
{
	const struct difference *row = find_difference(file, item);
	char *d = text_of(dovecot);
	char *c = cyrus == NULL ? NULL : text_of(cyrus);
	char *o = text_of(ours);
	const char *want = d;
	bool agree = c == NULL || strcmp(c, d) == 0;

	if (row != NULL)
		want = row->choice == TAKE_OURS ? row->ours : c;
	if (row != NULL && (want == NULL || strcmp(want, d) == 0 || strlen(row->why) < 20)) {
		printf("%s %s: needs no row, or the row gives no reason\n", file, item);
		failures++;
	} else if (strcmp(o, want) != 0) {
		printf("%s %s%s%s\n  ours    %s\n  dovecot %s\n  cyrus   %s\n", file, item, agree ? " (agreed)" : "",
		        row != NULL ? " (row)" : "", o, d, c);
		failures++;
	} else if (row != NULL) {
		listed++;
	} else if (agree) {
		agreed++;
	} else {
		dovecots++;
	}
	free(d);
	free(c);
	free(o);
}

/* In pieces of the given size, so that every way of cutting a message gives the same. */
static void summarise(struct span message, size_t piece, struct message_summary *summary)
{
	struct summary_builder *builder = summary_builder_new();
	struct error err;

	assert_non_null(builder);
	while (message.len > 0) {
		struct span part = span_first(message, piece);

		assert_true(summary_feed(builder, part));
		message = span_skip(message, part.len);
	}
	assert_true(summary_finish(builder, summary, &err));
	summary_builder_free(&builder);
}

static const json_t *answer(const json_t *peers, const char *peer, const char *item)
{
	return json_object_get(json_object_get(peers, peer), item);
}

static void check_mail(const char *file, const json_t *peers)
{
	struct message_summary whole, cut;
	struct buffer mail;
	char path[256];
	char size[32];
	json_t *value;

	buffer_init(&mail, 16 * MIB);
	snprintf(path, sizeof(path), "ugly-mails/%s", file);
	vectors_read(path, &mail);
	summarise(buffer_span(&mail), SIZE_MAX, &whole);
	for (size_t piece = 1; piece <= 7; piece += 2) {
		summarise(buffer_span(&mail), piece, &cut);
		assert_true(span_equal(whole.envelope, cut.envelope));
		assert_true(span_equal(whole.body_structure, cut.body_structure));
		assert_true(span_equal(whole.parts, cut.parts));
		assert_true(span_equal(whole.preview, cut.preview));
		message_summary_free(&cut);
	}
	value = imap_value(whole.envelope);
	check_item(file, "ENVELOPE", answer(peers, "dovecot-2.3.19", "ENVELOPE"),
	        answer(peers, "cyrus-3.6.1", "ENVELOPE"), value);
	json_decref(value);
	value = imap_value(whole.body_structure);
	check_item(file, "BODYSTRUCTURE", answer(peers, "dovecot-2.3.19", "BODYSTRUCTURE"),
	        answer(peers, "cyrus-3.6.1", "BODYSTRUCTURE"), value);
	json_decref(value);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)whole.size);
	value = json_string(size);
	check_item(file, "RFC822.SIZE", answer(peers, "dovecot-2.3.19", "RFC822.SIZE"),
	        answer(peers, "cyrus-3.6.1", "RFC822.SIZE"), value);
	json_decref(value);
	message_summary_free(&whole);
	buffer_free(&mail);
}

static void test_ugly_mails(void **state)
{
	json_t *all = vectors_json("ugly-mails/peers.json");
	const char *file;
	json_t *peers;

	(void)state;
	json_object_foreach(all, file, peers) check_mail(file, peers);
	for (size_t i = 0; i < sizeof(differences) / sizeof(differences[0]); i++)
		if (!used[i]) {
			printf("%s %s: no such mail\n", differences[i].file, differences[i].item);
			failures++;
		}
	printf("%u items as both peers, %u as Dovecot where they differ, %u by a row of the table\n", agreed, dovecots,
	        listed);
	json_decref(all);
	assert_int_equal(failures, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_ugly_mails) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
