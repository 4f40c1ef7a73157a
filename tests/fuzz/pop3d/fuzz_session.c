/* A whole POP3 session against the fakes of the unit tests. The first octet chooses the surroundings (TLS, full output queues,
 * failures of the store, a client that hangs up); the rest is what the client sends, cut into packets at octet 0xff.
 *
 * Judged: no CHECK, no report of a sanitizer; nothing is deleted without QUIT; the lock, the jobs and the session are gone at
 * the end. */
#include "../../unit/pop3d/fake.h"

#include "base/check.h"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char eight[] = "Subject: Gr\xc3\xbc\xc3\x9f"
                            "e\r\nFrom: \xc3\xbc@example.org\r\n\r\n.dots\r\n..\r\n";

static void surround(uint8_t how)
{
	static bool logged;

	if (!logged)
		log_open("fuzz", LOG_ERROR);
	logged = true;
	fake_reset();
	fake.settings.bad_commands = 1000; /* a fuzzer's lines are mostly bad: let it get on */
	fake.offers_tls = how & 1;
	fake.loopback = !(how & 2);
	fake.full_at = how & 4 ? 600 : 0;
	fake.settings.delete_to = how & 8 ? DELETE_TO_TRASH : DELETE_EXPUNGE;
	fake.no_trash = how & 16;
	fake_add("Subject: one\r\n\r\nbody 1\r\n.dot\r\n");
	fake_add(eight);
	fake_add("");
	fake_add("no header, no end of line");
	fake_add_big(100000);
	for (int i = 0; i < 40; i++)
		fake_add("a: b\r\n\r\nc\r\n");
	fake.messages[4].damaged = how & 32;
	fake.messages[10].gone = how & 64;
}

static bool says_quit(struct span sent)
{
	static const char quit[] = "quit";
	size_t matched = 0;

	for (size_t i = 0; i < sent.len && matched < 4; i++) {
		char c = ascii_lower(sent.ptr[i]);

		if ((unsigned char)c == 0xff)
			continue;
		matched = c == quit[matched] ? matched + 1 : c == quit[0] ? 1 : 0;
	}
	return matched == 4;
}

static void send_packets(struct span rest)
{
	struct span packet;

	while (rest.len > 0 && fake.conn != NULL) {
		if (!span_take_until(&rest, '\xff', &packet)) {
			packet = rest;
			rest = SPAN_EMPTY;
		}
		fake_send(packet.ptr, packet.len);
		if (fake_wants_tls())
			fake_handshake();
		buffer_clear(&fake.out);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span sent = span_make(data + (size > 0), size - (size > 0));
	uint8_t how = size > 0 ? data[0] : 0;

	surround(how);
	fake_connect();
	CHECK(span_starts(buffer_span(&fake.out), SPAN("+OK ")));
	if (how & 128) { /* most of the way there */
		fake_ask("USER alice@example.test");
		fake_ask("PASS secret");
	}
	send_packets(sent);
	CHECK(fake.commits == 0 || says_quit(sent));
	fake_free();
	return 0;
}
