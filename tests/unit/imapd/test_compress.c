/* COMPRESS=DEFLATE (RFC 4978): both streams, their memory, bombs and damage. */
#include "fixture.h"

#include "imapd/compress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <cmocka.h>

static z_stream packer, unpacker;

static int setup(void **state)
{
	(void)state;
	place_open(NULL);
	packer = unpacker = (z_stream) { .zalloc = NULL };
	assert_int_equal(deflateInit2(&packer, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(inflateInit2(&unpacker, -15), Z_OK);
	place_connect();
	place_ask("l LOGIN alice@example.test secret");
	assert_string_equal(place_ask("c COMPRESS DEFLATE"), "c OK DEFLATE active\r\n");
	assert_non_null(place_session()->compress);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)deflateEnd(&packer);
	(void)inflateEnd(&unpacker);
	place_close();
	return 0;
}

static void send_packed(const char *bytes, size_t len, int flush)
{
	static unsigned char packed[8 * MIB];

	packer.next_in = (unsigned char *)(uintptr_t)bytes;
	packer.avail_in = (unsigned)len;
	packer.next_out = packed;
	packer.avail_out = sizeof(packed);
	(void)deflate(&packer, flush);
	assert_int_equal(packer.avail_in, 0);
	place_send(packed, sizeof(packed) - packer.avail_out);
}

/* All that came, unpacked. */
static const char *take_unpacked(void)
{
	static char text[64 * MIB];

	unpacker.next_in = (unsigned char *)place.out.data;
	unpacker.avail_in = (unsigned)place.out.len;
	unpacker.next_out = (unsigned char *)text;
	unpacker.avail_out = sizeof(text) - 1;
	(void)inflate(&unpacker, Z_SYNC_FLUSH);
	assert_int_equal(unpacker.avail_in, 0);
	text[sizeof(text) - 1 - unpacker.avail_out] = '\0';
	buffer_clear(&place.out);
	return text;
}

static const char *ask(const char *text)
{
	send_packed(text, strlen(text), Z_SYNC_FLUSH);
	return take_unpacked();
}

static void test_both_ways(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		assert_string_equal(ask("a NOOP\r\n"), "a OK done\r\n");
	assert_string_equal(ask("a NOOP\r\nb NO"), "a OK done\r\n");
	assert_string_equal(ask("OP\r\n"), "b OK done\r\n");
	assert_string_equal(ask("a ID {3}\r\n"), "+ OK\r\n");
	assert_int_equal(strncmp(ask("NIL\r\n"), "a BAD ", 6), 0); /* NIL is no string */
}

static void test_only_once(void **state)
{
	(void)state;
	assert_string_equal(ask("a COMPRESS DEFLATE\r\n"), "a NO [COMPRESSIONACTIVE] it is active already\r\n");
	assert_null(strstr(ask("a CAPABILITY\r\n"), "COMPRESS"));
	assert_string_equal(ask("a COMPRESS LZ4\r\n"), "a NO [CANNOT] there is only DEFLATE\r\n");
}

static void test_octet_by_octet(void **state)
{
	unsigned char packed[200];

	(void)state;
	packer.next_in = (unsigned char *)(uintptr_t) "a NOOP\r\nb NOOP\r\n";
	packer.avail_in = 16;
	packer.next_out = packed;
	packer.avail_out = sizeof(packed);
	(void)deflate(&packer, Z_SYNC_FLUSH);
	for (size_t i = 0; i < sizeof(packed) - packer.avail_out; i++)
		place_send(&packed[i], 1);
	assert_string_equal(take_unpacked(), "a OK done\r\nb OK done\r\n");
}

/* A few KiB that are a million commands: they are run, a turn's worth at a time, and the answers held back as ever. */
static void test_bomb_of_commands(void **state)
{
	struct imap_session *s = place_session();
	struct buffer sent;
	size_t answers = 0;

	(void)state;
	buffer_init(&sent, 16 * MIB);
	for (int i = 0; i < 300000; i++)
		(void)buffer_append_text(&sent, "a NOOP\r\n");
	send_packed(sent.data, sent.len, Z_SYNC_FLUSH);
	buffer_free(&sent);
	assert_true(conn_queued(s->conn) < CONN_OUTPUT_FULL + 64 * KIB);
	for (const char *at = take_unpacked(); memcmp(at, "a OK done\r\n", 11) == 0; at += 11)
		answers++;
	assert_int_equal(answers, 300000);
	assert_string_equal(ask("b NOOP\r\n"), "b OK done\r\n");
}

/* 100 MB of one line: the limit counts what is inflated. */
static void test_bomb_of_one_line(void **state)
{
	static char line[1 * MIB];

	(void)state;
	memset(line, 'a', sizeof(line));
	for (int i = 0; i < 100; i++)
		send_packed(line, sizeof(line), Z_NO_FLUSH);
	send_packed("\r\n", 2, Z_SYNC_FLUSH);
	for (int i = 0; i < 10000 && place.out.len == 0; i++)
		place_wait(1); /* a turn's worth at a time, also inside zlib */
	assert_string_equal(take_unpacked(), "* BAD the command is too long\r\n");
	assert_string_equal(ask("b NOOP\r\n"), "b OK done\r\n");
}

static void test_damage(void **state)
{
	(void)state;
	place_send("\xff\xff\xff\xff plain text", 15);
	assert_string_equal(take_unpacked(), "* BYE the compressed stream is damaged\r\n");
	assert_true(place.closed);
}

static void test_the_client_ends_its_stream(void **state)
{
	(void)state;
	send_packed("a NOOP\r\nb LOGOUT\r\n", 18, Z_FINISH);
	assert_string_equal(take_unpacked(), "a OK done\r\n* BYE goodbye\r\nb OK done\r\n");
	assert_true(place.closed);
}

/* What comes after a rest refers to nothing before it, and the stream stays one. */
static void test_rest(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		assert_string_equal(ask("a NOOP\r\n"), "a OK done\r\n");
		compress_rest(place_session()->compress);
	}
}

/* The client does not wait for the OK (it should): what came with the command is not left until more comes. */
static void test_compressed_at_once(void **state)
{
	static const char command[] = "c COMPRESS DEFLATE\r\n", ask[] = "n NOOP\r\n";
	unsigned char packet[100];
	struct span plain, ok;

	teardown(state);
	place_open(NULL);
	packer = unpacker = (z_stream) { .zalloc = NULL };
	assert_int_equal(deflateInit2(&packer, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(inflateInit2(&unpacker, -15), Z_OK);
	place_connect();
	place_ask("l LOGIN alice@example.test secret");
	memcpy(packet, command, sizeof(command) - 1);
	packer.next_in = (unsigned char *)(uintptr_t)ask;
	packer.avail_in = sizeof(ask) - 1;
	packer.next_out = packet + sizeof(command) - 1;
	packer.avail_out = sizeof(packet) - (sizeof(command) - 1);
	assert_int_equal(deflate(&packer, Z_SYNC_FLUSH), Z_OK);
	place_send(packet, sizeof(packet) - packer.avail_out);
	plain = buffer_span(&place.out);
	ok = SPAN("c OK DEFLATE active\r\n");
	assert_true(span_starts(plain, ok) && plain.len > ok.len);
	buffer_consume(&place.out, ok.len);
	assert_int_equal(strncmp(take_unpacked(), "n OK ", 5), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_both_ways),
		TEST(test_only_once),
		TEST(test_octet_by_octet),
		TEST(test_bomb_of_commands),
		TEST(test_bomb_of_one_line),
		TEST(test_damage),
		TEST(test_the_client_ends_its_stream),
		TEST(test_rest),
		TEST(test_compressed_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
