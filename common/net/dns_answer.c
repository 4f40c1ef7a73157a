#include "net/dns_internal.h"

#include <string.h>
#include <unbound.h>

static const char *rcode_words(int rcode)
{
	static const char *const words[] = {
		[1] = "the DNS server answered FORMERR",
		[2] = "the DNS servers do not answer, or answer SERVFAIL",
		[4] = "the DNS server answered NOTIMP",
		[5] = "the DNS server answered REFUSED",
	};

	if (rcode > 0 && (size_t)rcode < ARRAY_LEN(words) && words[rcode] != NULL)
		return words[rcode];
	return "the DNS server answered with an error";
}

static void temporary(struct dns_answer *answer, const char *why)
{
	answer->status = DNS_TEMPORARY;
	answer->secure = false;
	answer->why = why;
}

static void set_status(struct dns_answer *answer, const struct ub_result *result)
{
	answer->secure = result->secure != 0;
	if (result->bogus) {
		answer->status = DNS_BOGUS;
		answer->secure = false;
		answer->why = result->why_bogus != NULL ? result->why_bogus : "DNSSEC validation failed";
	} else if (result->rcode == 0) {
		answer->status = result->havedata && result->data[0] != NULL ? DNS_OK : DNS_NO_DATA;
	} else if (result->nxdomain) {
		answer->status = DNS_NO_NAME;
	} else {
		temporary(answer, rcode_words(result->rcode));
	}
}

static void check_chain(struct dns_answer *answer, const struct ub_result *result)
{
	size_t cnames;

	if (answer->status == DNS_TEMPORARY || answer->status == DNS_BOGUS)
		return;
	if (result->answer_packet == NULL || result->answer_len < 0 ||
	        !dns_count_cnames(span_make(result->answer_packet, (size_t)result->answer_len), &cnames))
		temporary(answer, "a malformed answer");
	else if (cnames > DNS_CNAMES_MAX)
		temporary(answer, "the chain of CNAMEs is too long");
}

static size_t take_records(const struct ub_result *result, struct span records[DNS_RECORDS_MAX])
{
	size_t count = 0;

	for (; count < DNS_RECORDS_MAX && result->data[count] != NULL; count++)
		records[count] = span_make(result->data[count], (size_t)result->len[count]);
	return count;
}

void dns_answer_from(struct dns_answer *answer, const struct ub_result *result, const char *asked,
        struct span records[DNS_RECORDS_MAX])
{
	*answer = (struct dns_answer) { .records = records };
	set_status(answer, result);
	check_chain(answer, result);
	if (answer->status == DNS_OK)
		answer->count = take_records(result, records);
	answer->ttl = result->ttl > 0 ? (uint32_t)result->ttl : 0;
	/* An alias may lead to a name that no host has (RFC 2317 does for PTR): there is none better than the one asked for. */
	if (result->canonname == NULL || !dns_clean_name(span_of(result->canonname), answer->canonical))
		(void)span_copy(span_of(asked), answer->canonical, sizeof(answer->canonical));
}
