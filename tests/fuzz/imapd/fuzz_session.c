/* Whole IMAP sessions against a real store with one account, on the fixture of the unit tests. The first octet chooses the surroundings; the rest is
 * what the client sends, cut into packets at octet 0xff. What a session leaves in the store the next one finds.
 *
 * Judged: no CHECK, no report of a sanitizer; the session ends, and with it all its jobs and views; every line outside of literals
 * begins like one of RFC 9051's; every literal is as long as it says. */
#include "../../unit/imapd/fixture.h"

#include "base/check.h"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAILBOX_ENOUGH 200 /* messages or so, and the account begins anew: it is the sessions that are tested */

static void send_packets(struct span rest)
{
	struct span packet;

	while (rest.len > 0 && !place.closed) {
		if (!span_take_until(&rest, '\xff', &packet)) {
			packet = rest;
			rest = SPAN_EMPTY;
		}
		if (packet.len > 0)
			place_send(packet.ptr, packet.len);
	}
}

/* A line's literal at its end. */
static bool announces(struct span line, uint64_t *size)
{
	size_t at;

	return line.len > 2 && line.ptr[line.len - 1] == '}' && span_find_last(line, '{', &at) &&
	       span_number(span_skip(span_first(line, line.len - 1), at + 1), UINT32_MAX, size);
}

/* What came is responses, and nothing else. */
static void check_responses(struct span in)
{
	bool continued = false;
	struct span line;

	while (in.len > 0) {
		uint64_t size;

		CHECK(span_take_until(&in, '\n', &line) && line.len > 0 && line.ptr[line.len - 1] == '\r');
		line.len--;
		if (span_ends_nocase(line, SPAN("OK DEFLATE active")))
			return; /* what follows is compressed */
		CHECK(continued || span_starts(line, SPAN("* ")) || span_starts(line, SPAN("+ ")) || line.len > 3);
		continued = announces(line, &size);
		if (!continued)
			continue;
		CHECK(size <= in.len);
		in = span_skip(in, (size_t)size);
	}
}

/* Enough to begin with, so that the fuzzer's commands meet something. */
static void log_in(uint8_t how)
{
	static const char message[] =
	        "a APPEND INBOX {44+}\r\nFrom: a@b.example\r\nSubject: hello\r\n\r\nbody 1\r\n\r\n";
	static unsigned appended;

	place_ask("a LOGIN alice@example.test secret");
	if ((how & 2) && appended++ < MAILBOX_ENOUGH)
		place_send(message, sizeof(message) - 1);
	if (how & 4)
		place_ask("a SELECT INBOX (CONDSTORE)");
	if (how & 8)
		place_ask("a EXAMINE INBOX");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span sent = span_make(data + (size > 0), size - (size > 0));
	uint8_t how = size > 0 ? data[0] : 0;
	static bool logged;

	if (!logged)
		log_open("fuzz", LOG_ERROR);
	logged = true;
	place_open_with_store();
	place.server.settings.bad_commands = 1000; /* a fuzzer's lines are mostly bad: let it get on */
	place_connect();
	if (how & 1)
		log_in(how);
	buffer_clear(&place.out);
	send_packets(sent);
	check_responses(buffer_span(&place.out));
	place_close();
	return 0;
}
