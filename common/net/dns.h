/* common/net/dns.h — questions to the DNS with the DNSSEC answer, by libunbound, off the loop's way.
 *
 * Each query has a time limit; answers are checked (libunbound validates names, ids, CNAME chains, signatures) and bounded here again:
 * at most DNS_RECORDS_MAX records, of which the rest is ignored; a CNAME chain of more than DNS_CNAMES_MAX is DNS_TEMPORARY.
 * /etc/hosts is not looked at: what it says of a name would hide the MX records of that name.
 * Names are A-labels; a name that is not a host name (RFC 1123) is answered DNS_NO_NAME without asking.
 * Owner: the caller of dns_new(), until dns_free(). A query that is under way is its caller's, who may cancel it; then the callback does
 * not come. Thread: the loop's (libunbound's own thread does the work). dns_new() after the last fork and before the sandbox: all files are
 * read in it (/etc/resolv.conf, the trust anchor; changes are seen at the next start). The first dns_ask() after the sandbox: it starts the thread,
 * which is then confined as well. SIGPIPE must be ignored. */
#ifndef NET_DNS_H
#define NET_DNS_H

#include "base/error.h"
#include "base/span.h"

#include <sys/socket.h>
#include <uv.h>

#define DNS_RECORDS_MAX 100
#define DNS_CNAMES_MAX  16
#define DNS_QUERY_MS    15000 /* promises.md: a message never waits over 30 s in all for one */
#define DNS_QUERIES_MAX 1000  /* under way at once; more: DNS_TEMPORARY at once */
#define DNS_NAME_MAX    255

struct dns;
struct dns_query;

struct dns_settings {
	/* Resolvers to ask, "192.0.2.1 2001:db8::1@5353", blank-separated. Empty: as /etc/resolv.conf says, or the roots. */
	struct span forward;
	/* File with the root's (or a test zone's) DS or DNSKEY. Given: DNSSEC is insisted on, and resolvers that do not know it make everything
	 * DNS_BOGUS. NULL or "": Debian's; then such resolvers are used all the same, and nothing is secure; the same when the file is not
	 * there (both are logged). */
	const char *trust_anchor;
};

enum dns_status {
	DNS_OK,
	DNS_NO_DATA,   /* the name is there, not the type */
	DNS_NO_NAME,   /* NXDOMAIN */
	DNS_TEMPORARY, /* SERVFAIL, timeout, no network, too many under way */
	DNS_BOGUS,     /* DNSSEC says that the answer is forged: to be treated as DNS_TEMPORARY, and named in the log */
};

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_PTR = 12, DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_TLSA = 52 };

struct dns_answer {
	enum dns_status status;
	bool secure;                      /* validated by DNSSEC, denial too */
	char canonical[DNS_NAME_MAX + 1]; /* the name at the end of the CNAME chain, lower case */
	const struct span *records;       /* rdata on the wire (RFC 1035 §3.3; TLSA RFC 6698 §2.1); DNS_OK only */
	size_t count;
	uint32_t ttl;    /* seconds */
	const char *why; /* for TEMPORARY and BOGUS, in words */
};

typedef void dns_done(void *arg, const struct dns_answer *answer); /* answer is valid during the call */

bool dns_new(uv_loop_t *loop, const struct dns_settings *settings, struct dns **out, struct error *err);
void dns_free(struct dns **dns); /* cancels all; the memory goes in a later turn of the loop */

/* done() comes later, never from inside the call; the query is gone when it begins. NULL: out of memory (nothing was asked). Many questions
 * for the same are one on the network; what was cancelled or took too long may still be worked on and counts up to 4,000. */
struct dns_query *dns_ask(struct dns *dns, const char *name, enum dns_type type, dns_done *done, void *arg);
void dns_cancel(struct dns_query **query); /* also of NULL; sets NULL */

/* --- reading records; each false when the record is malformed --- */
struct dns_mx {
	uint16_t preference;
	char host[DNS_NAME_MAX + 1]; /* lower case, no dot at the end; "" for the root: null MX (RFC 7505) */
};
bool dns_read_mx(struct span rdata, struct dns_mx *out);
struct dns_tlsa {
	uint8_t usage, selector, matching;
	struct span data;
};
bool dns_read_tlsa(struct span rdata, struct dns_tlsa *out);
bool dns_read_address(struct span rdata, uint16_t port, struct sockaddr_storage *out); /* A or AAAA by its length */
bool dns_read_txt(struct span rdata, char *out,
        size_t size); /* character-strings joined (RFC 7208 §3.3); false also when too long */
bool dns_read_name(struct span rdata, char out[DNS_NAME_MAX + 1]);
/* "1.2.0.192.in-addr.arpa" */
bool dns_reverse_name(const struct sockaddr *address, char out[DNS_NAME_MAX + 1]);

#endif
