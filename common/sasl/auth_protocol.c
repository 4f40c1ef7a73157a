#include "sasl/auth_protocol.h"

#include "base/macros.h"

#include <string.h>

#define QUESTION_FIELDS_MAX 4

/* One question field: where it stands in struct auth_question and how long it may be. */
struct field {
	size_t offset;
	size_t least;
	size_t most;
};

#define FIELD(member, least_, most_)                                                                                   \
	{                                                                                                              \
		offsetof(struct auth_question, member), least_, most_                                                  \
	}

/* The one table of what each kind of question carries. */
static const struct kind_row {
	size_t count;
	struct field fields[QUESTION_FIELDS_MAX];
} kinds[] = {
	[AUTH_ASK_PASSWORD] = { 3, { FIELD(address, 0, AUTH_ADDRESS_MAX), FIELD(login, 0, AUTH_LOGIN_MAX),
	                                   FIELD(password, 0, AUTH_PASSWORD_MAX) } },
	[AUTH_ASK_SCRAM_FIRST] = { 2, { FIELD(address, 0, AUTH_ADDRESS_MAX), FIELD(login, 0, AUTH_LOGIN_MAX) } },
	[AUTH_ASK_SCRAM_FINAL] = { 4,
	        { FIELD(address, 0, AUTH_ADDRESS_MAX), FIELD(login, 0, AUTH_LOGIN_MAX),
	                FIELD(message, 0, AUTH_MESSAGE_MAX), FIELD(proof, AUTH_PROOF_LEN, AUTH_PROOF_LEN) } },
	[AUTH_ASK_CANCEL] = { 0 },
};

const char *auth_service_name(enum auth_service service)
{
	static const char *const names[] = { [AUTH_SMTP] = "smtp", [AUTH_POP3] = "pop3", [AUTH_IMAP] = "imap" };

	return names[service];
}

static void put_number(uint8_t *out, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_number(const char *in, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++)
		value |= (uint64_t)(uint8_t)in[i] << (8 * i);
	return value;
}

static bool put_field(uint8_t *out, size_t size, size_t *used, struct span field, size_t most)
{
	if (field.len > most || size - *used < 2 + field.len)
		return false;
	put_number(out + *used, field.len, 2);
	if (field.len > 0)
		memcpy(out + *used + 2, field.ptr, field.len);
	*used += 2 + field.len;
	return true;
}

static bool take_field(struct span *in, size_t least, size_t most, struct span *out)
{
	size_t len;

	if (in->len < 2)
		return false;
	len = (size_t)get_number(in->ptr, 2);
	if (len < least || len > most || len > in->len - 2)
		return false;
	*out = span_make(in->ptr + 2, len);
	*in = span_skip(*in, 2 + len);
	return true;
}

static struct span *field_of(struct auth_question *question, const struct field *field)
{
	return (struct span *)(void *)((char *)question + field->offset);
}

size_t auth_question_encode(const struct auth_question *question, uint8_t *out, size_t size)
{
	const struct kind_row *row = &kinds[question->kind];
	struct auth_question copy = *question;
	size_t used = AUTH_QUESTION_HEADER;

	if (size < used)
		return 0;
	out[0] = AUTH_PROTOCOL_VERSION;
	out[1] = (uint8_t)question->kind;
	out[2] = (uint8_t)question->service;
	out[3] = 0;
	put_number(out + 4, question->id, 8);
	for (size_t i = 0; i < row->count; i++) {
		struct span field = *field_of(&copy, &row->fields[i]);

		if (field.len < row->fields[i].least || !put_field(out, size, &used, field, row->fields[i].most))
			return 0;
	}
	return used;
}

bool auth_question_decode(struct span packet, struct auth_question *out)
{
	const uint8_t *header = (const uint8_t *)packet.ptr;
	const struct kind_row *row;

	if (packet.len < AUTH_QUESTION_HEADER || header[0] != AUTH_PROTOCOL_VERSION || header[1] == 0 ||
	        header[1] >= ARRAY_LEN(kinds) || header[2] > AUTH_IMAP || header[3] != 0)
		return false;
	*out = (struct auth_question) { .kind = (enum auth_kind)header[1],
		.service = (enum auth_service)header[2],
		.id = get_number(packet.ptr + 4, 8) };
	row = &kinds[out->kind];
	packet = span_skip(packet, AUTH_QUESTION_HEADER);
	for (size_t i = 0; i < row->count; i++)
		if (!take_field(&packet, row->fields[i].least, row->fields[i].most, field_of(out, &row->fields[i])))
			return false;
	return packet.len == 0;
}

size_t auth_reply_encode(uint64_t id, const struct auth_answer *answer, uint8_t *out, size_t size)
{
	size_t used = AUTH_REPLY_HEADER;

	if (size < used)
		return 0;
	out[0] = AUTH_PROTOCOL_VERSION;
	out[1] = (uint8_t)answer->status;
	put_number(out + 2, 0, 2);
	put_number(out + 4, answer->iterations, 4);
	put_number(out + 8, id, 8);
	put_number(out + 16, (uint64_t)answer->account_id, 8);
	if (!put_field(out, size, &used, span_of(answer->login), AUTH_LOGIN_MAX) ||
	        !put_field(out, size, &used, span_make(answer->salt, AUTH_SALT_LEN), AUTH_SALT_LEN) ||
	        !put_field(
	                out, size, &used, span_make(answer->server_signature, AUTH_SIGNATURE_LEN), AUTH_SIGNATURE_LEN))
		return 0;
	return used;
}

bool auth_reply_decode(struct span packet, uint64_t *id, struct auth_answer *answer)
{
	const uint8_t *header = (const uint8_t *)packet.ptr;
	struct span login, salt, signature;

	if (packet.len < AUTH_REPLY_HEADER || header[0] != AUTH_PROTOCOL_VERSION || header[1] > AUTH_UNAVAILABLE ||
	        header[2] != 0 || header[3] != 0)
		return false;
	*answer = (struct auth_answer) { .status = (enum auth_status)header[1],
		.iterations = (uint32_t)get_number(packet.ptr + 4, 4),
		.account_id = (int64_t)get_number(packet.ptr + 16, 8) };
	*id = get_number(packet.ptr + 8, 8);
	packet = span_skip(packet, AUTH_REPLY_HEADER);
	if (!take_field(&packet, 0, AUTH_LOGIN_MAX, &login) ||
	        !take_field(&packet, AUTH_SALT_LEN, AUTH_SALT_LEN, &salt) ||
	        !take_field(&packet, AUTH_SIGNATURE_LEN, AUTH_SIGNATURE_LEN, &signature) || packet.len != 0)
		return false;
	memcpy(answer->salt, salt.ptr, AUTH_SALT_LEN);
	memcpy(answer->server_signature, signature.ptr, AUTH_SIGNATURE_LEN);
	return span_copy(login, answer->login, sizeof(answer->login));
}
