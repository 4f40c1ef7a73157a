/* MTA-STS records and policies as anybody's DNS and web server may send them. Octet 0 of the input: how many records the rest is cut into. */
#include "smtpd/outbound/tls_policy.h"

#include <stdlib.h>
#include <string.h>

#define RECORDS_MAX 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_records(struct span in, size_t count)
{
	struct span records[RECORDS_MAX];
	size_t each = in.len / count;
	char id[33];

	for (size_t i = 0; i < count; i++)
		records[i] = span_first(span_skip(in, i * each), each);
	if (sts_parse_records(records, count, id, sizeof(id)) && (id[0] == '\0' || strlen(id) > 32))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sts_policy policy;
	struct error err;
	struct span in;

	if (size < 1)
		return 0;
	in = span_make(data + 1, size - 1);
	try_records(in, 1 + data[0] % RECORDS_MAX);
	if (!sts_parse_policy(in, &policy, &err))
		return 0;
	if (policy.mx_count > STS_MX_MAX || (policy.mode != STS_NONE && policy.mx_count == 0) ||
	        policy.max_age > 31557600)
		abort();
	for (size_t i = 0; i < policy.mx_count; i++)
		if (strlen(policy.mx[i]) > STS_MX_NAME_MAX ||
		        (policy.mx[i][0] != '*' && !sts_matches(&policy, span_of(policy.mx[i]))))
			abort();
	return 0;
}
