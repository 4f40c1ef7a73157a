#include "message/srs.h"

#include "base/buffer.h"
#include "base/secret.h"

#include <sodium.h>
#include <string.h>

#define HASH_CHARS    8 /* 40 bits; base32, since some servers change the case of a local part */
#define HASH_OCTETS   16
#define DAY_SECONDS   86400
#define DAY_MODULUS   1024 /* two characters of five bits: comes round after 2.8 years */
#define LOCAL_MAX     256  /* of a local part: more than RFC 5321 §4.5.3.1.1 asks for, as others who rewrite send it */
#define HASHED_MAX    1024
#define ADDRESS_MAX   512
#define TAG_LEN       4 /* "SRS0" */
#define TEXT_OF_DAY   2
#define BITS_A_SYMBOL 5

static const char symbols[] = "abcdefghijklmnopqrstuvwxyz234567";

/* Of everything that the address says, in lower case. */
static bool make_hash(
        const uint8_t secret[SRS_SECRET_LEN], struct span a, struct span b, struct span c, char out[HASH_CHARS + 1])
{
	uint8_t hash[HASH_OCTETS];
	struct buffer text;
	uint64_t bits = 0;

	buffer_init(&text, HASHED_MAX);
	if (!buffer_append_span(&text, a) || !buffer_append_char(&text, '=') || !buffer_append_span(&text, b) ||
	        !buffer_append_char(&text, '=') || !buffer_append_span(&text, c)) {
		buffer_free(&text);
		return false;
	}
	for (size_t i = 0; i < text.len; i++)
		text.data[i] = ascii_lower(text.data[i]);
	(void)crypto_generichash(
	        hash, sizeof(hash), (const unsigned char *)text.data, text.len, secret, SRS_SECRET_LEN);
	buffer_free(&text);
	for (int i = 0; i < 8; i++)
		bits = bits << 8 | hash[i];
	for (int i = 0; i < HASH_CHARS; i++, bits >>= BITS_A_SYMBOL)
		out[i] = symbols[bits & 31];
	out[HASH_CHARS] = '\0';
	return true;
}

static bool hash_is(const char *expected, struct span given)
{
	char lower[HASH_CHARS];

	if (given.len != HASH_CHARS)
		return false;
	for (size_t i = 0; i < HASH_CHARS; i++)
		lower[i] = ascii_lower(given.ptr[i]);
	return secret_equal(expected, lower, HASH_CHARS);
}

static void write_day(int64_t unix_seconds, char out[TEXT_OF_DAY + 1])
{
	unsigned day = (unsigned)(unix_seconds / DAY_SECONDS % DAY_MODULUS);

	out[0] = symbols[day >> BITS_A_SYMBOL];
	out[1] = symbols[day & 31];
	out[2] = '\0';
}

/* Days between that mark and now; false when it is none. */
static bool read_age(struct span text, int64_t unix_seconds, unsigned *days)
{
	unsigned day = 0;

	if (text.len != TEXT_OF_DAY)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		const char *at = memchr(symbols, ascii_lower(text.ptr[i]), sizeof(symbols) - 1);
		if (at == NULL)
			return false;
		day = day << BITS_A_SYMBOL | (unsigned)(at - symbols);
	}
	*days = ((unsigned)(unix_seconds / DAY_SECONDS % DAY_MODULUS) + DAY_MODULUS - day) % DAY_MODULUS;
	return true;
}

static bool is_separator(char c)
{
	return c == '=' || c == '-' || c == '+';
}

static bool has_tag(struct span local, const char *tag)
{
	return local.len > TAG_LEN && span_starts_nocase(local, span_of(tag)) && is_separator(local.ptr[TAG_LEN]);
}

bool srs_is_ours(struct span local_part)
{
	return has_tag(local_part, "SRS0") || has_tag(local_part, "SRS1");
}

/* What would need quotes, or would be cut elsewhere when it comes back, is not rewritten. */
static bool is_plain(struct span local, struct span domain)
{
	size_t at;

	for (size_t i = 0; i < local.len; i++) {
		if ((unsigned char)local.ptr[i] <= ' ' || local.ptr[i] == 0x7f || local.ptr[i] == '"' ||
		        local.ptr[i] == '\\')
			return false;
	}
	for (size_t i = 0; i < domain.len; i++) {
		if ((unsigned char)domain.ptr[i] <= ' ' || domain.ptr[i] == 0x7f)
			return false;
	}
	return !span_find(domain, '=', &at);
}

static bool split_address(struct span address, struct span *local, struct span *domain)
{
	size_t at;

	if (!span_find_last(address, '@', &at) || at == 0 || at + 1 == address.len)
		return false;
	*local = span_first(address, at);
	*domain = span_skip(address, at + 1);
	return is_plain(*local, *domain);
}

static bool put(struct buffer *text, char *out, size_t size, size_t local_len, struct error *err)
{
	bool ok = !text->failed && local_len <= LOCAL_MAX && span_copy(buffer_span(text), out, size);

	buffer_free(text);
	return ok || error_set(err, ERR_TOO_LONG, "the sender's address is too long to be forwarded");
}

/* "SRS1=HHHHHHHH=first.example==rest": rest is what followed "SRS0" when the first forwarder wrote it. */
static bool forward_again(const uint8_t *secret, struct span first_domain, struct span rest, struct span our_domain,
        char *out, size_t size, struct error *err)
{
	char hash[HASH_CHARS + 1];
	struct buffer text;
	size_t local_len;

	if (!make_hash(secret, first_domain, rest, SPAN_EMPTY, hash))
		return error_set(err, ERR_TOO_LONG, "the sender's address is too long to be forwarded");
	buffer_init(&text, ADDRESS_MAX);
	(void)buffer_printf(&text, "SRS1=%s=%.*s=%.*s", hash, SPAN_FMT(first_domain), SPAN_FMT(rest));
	local_len = text.len;
	(void)buffer_printf(&text, "@%.*s", SPAN_FMT(our_domain));
	return put(&text, out, size, local_len, err);
}

bool srs_forward(const uint8_t secret[SRS_SECRET_LEN], struct span sender, struct span our_domain, int64_t unix_seconds,
        char *out, size_t size, struct error *err)
{
	struct span local, domain, rest, hash_given, first;
	char day[TEXT_OF_DAY + 1], hash[HASH_CHARS + 1];
	struct buffer text;
	size_t local_len;

	if (!split_address(sender, &local, &domain))
		return error_set(err, ERR_BAD_ADDRESS, "the sender's address is not one that can be rewritten");
	if (has_tag(local, "SRS0") && local.len > TAG_LEN + 1)
		return forward_again(secret, domain, span_skip(local, TAG_LEN), our_domain, out, size, err);
	rest = span_skip(local, TAG_LEN + 1);
	if (has_tag(local, "SRS1") && span_take_until(&rest, '=', &hash_given) && span_take_until(&rest, '=', &first) &&
	        first.len > 0 && rest.len > 1 && is_separator(rest.ptr[0]))
		return forward_again(secret, first, rest, our_domain, out, size, err);
	write_day(unix_seconds, day);
	if (!make_hash(secret, span_of(day), domain, local, hash))
		return error_set(err, ERR_TOO_LONG, "the sender's address is too long to be forwarded");
	buffer_init(&text, ADDRESS_MAX);
	(void)buffer_printf(&text, "SRS0=%s=%s=%.*s=%.*s", hash, day, SPAN_FMT(domain), SPAN_FMT(local));
	local_len = text.len;
	(void)buffer_printf(&text, "@%.*s", SPAN_FMT(our_domain));
	return put(&text, out, size, local_len, err);
}

static bool reverse_first(
        const uint8_t *secret, struct span rest, int64_t unix_seconds, struct buffer *text, struct error *err)
{
	struct span hash, day, domain;
	char expected[HASH_CHARS + 1];
	unsigned age;

	if (!span_take_until(&rest, '=', &hash) || !span_take_until(&rest, '=', &day) ||
	        !span_take_until(&rest, '=', &domain) || rest.len == 0 || domain.len == 0 ||
	        !read_age(day, unix_seconds, &age))
		return error_set(err, ERR_BAD_ADDRESS, "not an address that was rewritten here");
	if (!make_hash(secret, day, domain, rest, expected) || !hash_is(expected, hash))
		return error_set(err, ERR_DENIED, "not an address that was rewritten here");
	if (age > SRS_DAYS)
		return error_set(err, ERR_TIMEOUT, "the forwarded message is too old for an answer to its sender");
	return buffer_printf(text, "%.*s@%.*s", SPAN_FMT(rest), SPAN_FMT(domain));
}

static bool reverse_again(const uint8_t *secret, struct span rest, struct buffer *text, struct error *err)
{
	struct span hash, domain;
	char expected[HASH_CHARS + 1];

	if (!span_take_until(&rest, '=', &hash) || !span_take_until(&rest, '=', &domain) || rest.len < 2 ||
	        domain.len == 0 || !is_separator(rest.ptr[0]))
		return error_set(err, ERR_BAD_ADDRESS, "not an address that was rewritten here");
	if (!make_hash(secret, domain, rest, SPAN_EMPTY, expected) || !hash_is(expected, hash))
		return error_set(err, ERR_DENIED, "not an address that was rewritten here");
	return buffer_printf(text, "SRS0%.*s@%.*s", SPAN_FMT(rest), SPAN_FMT(domain));
}

bool srs_reverse(const uint8_t secret[SRS_SECRET_LEN], struct span local_part, int64_t unix_seconds, char *out,
        size_t size, struct error *err)
{
	struct span rest = span_skip(local_part, TAG_LEN + 1);
	struct buffer text;
	bool ok;

	if (!srs_is_ours(local_part))
		return error_set(err, ERR_BAD_ADDRESS, "not an address that was rewritten here");
	error_clear(err);
	buffer_init(&text, ADDRESS_MAX);
	ok = has_tag(local_part, "SRS0") ? reverse_first(secret, rest, unix_seconds, &text, err)
	                                 : reverse_again(secret, rest, &text, err);
	if (!ok) {
		buffer_free(&text);
		return err->code == ERR_NONE ? error_set(err, ERR_TOO_LONG, "the address is too long") : false;
	}
	return put(&text, out, size, 0, err);
}
