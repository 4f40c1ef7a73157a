#include "smtpd/outbound/fit.h"

#include "storage/address_key.h"

#include <stdio.h>
#include <string.h>

static bool is_ascii(const char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text > 127)
			return false;
	return true;
}

static bool addresses_are_ascii(const struct parcel *parcel)
{
	bool ascii = is_ascii(parcel->part.sender);

	for (size_t i = 0; ascii && i < parcel->part.recipient_count; i++)
		ascii = is_ascii(parcel->part.recipients[i].address);
	return ascii;
}

static void domain_in_ascii(char *address, size_t size)
{
	char domain[DOMAIN_MAX + 1];
	struct error ignored;
	size_t at;

	if (!is_ascii(address) && span_find_last(span_of(address), '@', &at) &&
	        domain_key(span_skip(span_of(address), at + 1), domain, sizeof(domain), &ignored) &&
	        at + 1 + strlen(domain) < size)
		(void)snprintf(address + at + 1, size - at - 1, "%s", domain);
}

void fit_domains_to_ascii(struct parcel *parcel)
{
	domain_in_ascii(parcel->part.sender, sizeof(parcel->part.sender));
	for (size_t i = 0; i < parcel->part.recipient_count; i++)
		domain_in_ascii(parcel->part.recipients[i].address, sizeof(parcel->part.recipients[i].address));
}

/* RFC 2852 §4.1.4.1: a server without DELIVERBY, or that needs longer, may not get what must be returned in time. */
static bool cannot_keep_time(const struct parcel *parcel, const struct client_offer *offer)
{
	int64_t left = (parcel->part.deliver_by_ms - relay_clock_now(&parcel->relay->clock)) / 1000;

	if (parcel->part.deliver_by_ms == 0 || !(parcel->part.flags & QUEUE_BY_RETURN))
		return false;
	return !offer->deliver_by || (offer->deliver_by_min > 0 && left < offer->deliver_by_min);
}

bool fit_refuses(const struct parcel *parcel, const struct client_offer *offer, struct outcome *out)
{
	if (offer->has_size && offer->size > 0 && parcel->part.size > offer->size) { /* RFC 1870 §6.1 */
		outcome_set(out, OUTCOME_FAILED, "5.3.4", "the message has %llu octets, the other server takes %llu",
		        (unsigned long long)parcel->part.size, (unsigned long long)offer->size);
		return true;
	}
	if (schedule_by_is_over(&parcel->relay->clock, &parcel->part) && (parcel->part.flags & QUEUE_BY_RETURN)) {
		outcome_set(out, OUTCOME_FAILED, "5.4.7", "not delivered in the time that the sender gave");
		return true;
	}
	if (cannot_keep_time(parcel, offer)) {
		outcome_set(out, OUTCOME_FAILED, "5.3.3",
		        "the other server cannot promise to deliver in the time that the sender gave");
		return true;
	}
	if (parcel->smtputf8 && !offer->smtputf8 && !addresses_are_ascii(parcel)) { /* RFC 6531 §3.2 */
		outcome_set(out, OUTCOME_FAILED, "5.6.7",
		        "an address needs SMTPUTF8, which the other server does not have");
		return true;
	}
	return false;
}

bool fit_needs_conversion(const struct parcel *parcel, const struct client_offer *offer)
{
	return (parcel->eight_bit && !offer->eight_bit_mime) || (parcel->smtputf8 && !offer->smtputf8);
}
