#include "base/check.h"
#include "sasl/auth_protocol.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* There is one way to write a question or a reply: what was read is written as the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[AUTH_QUESTION_MAX];
	struct auth_question question;
	struct auth_answer answer;
	uint64_t id;

	if (auth_question_decode(span_make(data, size), &question)) {
		CHECK(auth_question_encode(&question, again, sizeof(again)) == size);
		CHECK(memcmp(again, data, size) == 0);
	}
	if (auth_reply_decode(span_make(data, size), &id, &answer)) {
		CHECK(auth_reply_encode(id, &answer, again, sizeof(again)) == size);
		CHECK(memcmp(again, data, size) == 0);
	}
	return 0;
}
