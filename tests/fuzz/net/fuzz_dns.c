/* What the DNS says, read: names, MX, TXT, TLSA, addresses, and the aliases of a whole message. The same octets for all. Whatever is
 * read must be what it promises to be: a name that could be asked for again, a text that ends, records that OpenSSL survives. */
#include "base/check.h"
#include "net/dial.h"
#include "net/dns_internal.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *name)
{
	char clean[DNS_NAME_MAX + 1];

	CHECK(strlen(name) <= 253);
	if (dns_clean_name(span_of(name), clean)) /* not "-a.example", nor "192.0.2.1" */
		CHECK(strcmp(name, clean) == 0);
}

static void read_names(struct span rdata)
{
	char name[DNS_NAME_MAX + 1];
	struct dns_mx mx;

	if (dns_read_name(rdata, name))
		check_name(name);
	if (dns_read_mx(rdata, &mx))
		check_name(mx.host);
	if (dns_clean_name(rdata, name))
		CHECK(dns_clean_name(span_of(name), name));
}

static void read_others(struct span rdata)
{
	char text[64], name[DNS_NAME_MAX + 1];
	struct sockaddr_storage address;
	struct dns_tlsa tlsa;

	if (dns_read_txt(rdata, text, sizeof(text)))
		CHECK(strlen(text) < rdata.len);
	if (dns_read_tlsa(rdata, &tlsa))
		CHECK(tlsa.data.len + 3 == rdata.len);
	CHECK(tls_usable_tlsa(&rdata, 1) <= 1);
	if (dns_read_address(rdata, 25, &address))
		CHECK(dns_reverse_name((struct sockaddr *)&address, name) && dns_clean_name(span_of(name), name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span input = span_make(data, size);
	size_t cnames;

	read_names(input);
	read_others(input);
	if (dns_count_cnames(input, &cnames))
		CHECK(cnames <= size / 11); /* a record is no shorter */
	return 0;
}
