/* What is written from what was read is read again as the same address. */
#include "message/address.h"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct address *address)
{
	struct address_list again;
	struct buffer text;

	buffer_init(&text, MIB);
	CHECK(address_write(&text, address));
	address_list_init(&again);
	CHECK(address_list_parse(&again, buffer_span(&text)));
	CHECK(again.count == 1 && again.items[0].well_formed);
	CHECK(span_equal(again.items[0].mailbox, address->mailbox));
	address_list_free(&again);
	buffer_free(&text);
}

/* Control characters are allowed in what is read (RFC 5322 §4.1 obs-NO-WS-CTL) but never written. */
static bool is_printable(struct span s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return false;
	return true;
}

static bool can_be_written(const struct address *address)
{
	return address->kind == ADDRESS_MAILBOX && address->well_formed && is_printable(address->mailbox) &&
	       is_printable(address->host);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct address_list list;

	address_list_init(&list);
	CHECK(address_list_parse(&list, span_make(data, size)));
	CHECK(list.count <= ADDRESS_COUNT_MAX);
	for (size_t i = 0; i < list.count; i++)
		if (can_be_written(&list.items[i]))
			check_round_trip(&list.items[i]);
	address_list_free(&list);
	return 0;
}
