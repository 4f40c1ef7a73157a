/* A whole session on each port, in pieces of the fuzzer's choosing; the asserted state machine, the fakes' checks and ASan
 * watch. First octet: port, what the peer may do, how it is cut. An input may begin with a PROXY header. Every answer must be a well-formed reply. */
#include "../../unit/smtpd/fake.h"

#include "base/check.h"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RFC 5321 §4.2: three digits, a blank or a hyphen, printable ASCII. */
static void check_replies(const char *output)
{
	struct span rest = span_of(output), line;

	while (span_take_until(&rest, '\n', &line)) {
		CHECK(line.len >= 5 && line.len < REPLY_LINE_MAX && line.ptr[line.len - 1] == '\r');
		CHECK(line.ptr[0] >= '2' && line.ptr[0] <= '5' && (line.ptr[3] == ' ' || line.ptr[3] == '-'));
		for (size_t i = 0; i + 1 < line.len; i++)
			CHECK(line.ptr[i] >= 32 && line.ptr[i] <= 126);
	}
	CHECK(rest.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct fake_world world; /* one for all runs: making a loop costs more than a session */
	static bool made;
	static const struct smtp_networks everybody = { .count = 1 }, nobody; /* of 0 bits */
	static const enum smtp_port ports[] = { PORT_MX, PORT_SUBMIT, PORT_SUBMIT_TLS, PORT_LOCAL, PORT_DELIVER,
		PORT_MX };
	struct conn *conn;
	struct span rest;
	size_t piece;

	if (size < 2)
		return 0;
	if (!made)
		fake_init(&world);
	made = true;
	log_set_level(LOG_ERROR);
	world.spool_memory = data[0] & 4 ? 8 : 64 * KIB;
	world.server.settings.max_message_size = 2000;
	world.server.settings.max_recipients = 5;
	world.server.settings.bad_commands = 1000;
	piece = data[0] & 8 ? (size_t)(data[1] % 64) + 1 : SIZE_MAX;
	world.server.relay = world.server.xclient = data[0] & 32 ? everybody : nobody;
	world.server.proxy = data[0] & 64 ? everybody : nobody;
	conn = fake_connect(&world, ports[data[0] % 3 + (data[0] & 16 ? 3 : 0)]);
	rest = span_make(data + 2, size - 2);
	while (rest.len > 0 && fake_is_open(conn)) {
		fake_send(conn, span_first(rest, piece));
		rest = span_skip(rest, piece);
	}
	check_replies(fake_output(conn));
	fake_release(&conn);
	CHECK(world.server.sessions == NULL);
	return 0;
}
