#include "base/check.h"
#include "sasl/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_first(struct span in)
{
	struct scram_first got;
	struct buffer name;

	if (scram_parse_first(in, &got) != NULL)
		return;
	/* AuthMessage is made of these two: together they are the whole message. */
	CHECK(got.gs2_header.len + got.bare.len == in.len);
	CHECK((got.binding == SCRAM_BINDS) == (got.binding_name.len > 0));
	CHECK(span_starts(got.bare, SPAN("n=")));
	CHECK(got.username.len > 0 && got.nonce.len > 0 && got.nonce.len <= SCRAM_NONCE_MAX);
	buffer_init(&name, SCRAM_USERNAME_MAX);
	if (scram_unescape(got.username, &name))
		CHECK(name.len <= got.username.len);
	buffer_free(&name);
}

static void check_final(struct span in)
{
	struct scram_final got;

	if (scram_parse_final(in, &got) != NULL)
		return;
	CHECK(in.len - got.without_proof.len == 3 + 44); /* ",p=" and 32 bytes in base64 */
	CHECK(got.channel_binding.len > 0 && got.nonce.len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_first(span_make(data, size));
	check_final(span_make(data, size));
	return 0;
}
