#include "smtpd/outbound/source.h"

#include "base/log.h"
#include "base/macros.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum source_rank { RANK_UNKNOWN, RANK_CONFIRMED, RANK_OURS };

struct source {
	struct sources *sources;
	struct sockaddr_storage address;
	char text[INET6_ADDRSTRLEN];
	enum source_rank rank;
	char name[DNS_NAME_MAX + 1]; /* of the reverse answer, while the forward one is asked */
	struct dns_query *query;
};

struct sources {
	struct dns *dns;
	const char *hostname;
	struct source list[SOURCES_MAX];
	size_t count;
	uv_timer_t timer;
	bool stopped;
};

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)b)->sin_addr.s_addr;
	return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, &((const struct sockaddr_in6 *)b)->sin6_addr,
	               sizeof(struct in6_addr)) == 0;
}

static void on_forward(void *arg, const struct dns_answer *answer)
{
	struct source *source = arg;
	struct sockaddr_storage address;

	source->query = NULL;
	if (answer->status == DNS_TEMPORARY || answer->status == DNS_BOGUS)
		return; /* as it was */
	source->rank = RANK_UNKNOWN;
	for (size_t i = 0; answer->status == DNS_OK && i < answer->count; i++)
		if (dns_read_address(answer->records[i], 0, &address) && same_address(&address, &source->address))
			source->rank = RANK_CONFIRMED;
	if (source->rank == RANK_CONFIRMED &&
	        span_equal_nocase(span_of(source->name), span_of(source->sources->hostname)))
		source->rank = RANK_OURS;
	if (source->rank != RANK_OURS)
		LOG(LOG_INFO, "relay.source", LOG_TEXT("address", source->text), LOG_TEXT("reverse", source->name),
		        LOG_TEXT("reason", "its reverse name is not this host's name, receivers may not like it"));
}

static void on_reverse(void *arg, const struct dns_answer *answer)
{
	struct source *source = arg;
	bool ours = false;

	source->query = NULL;
	if (answer->status == DNS_TEMPORARY || answer->status == DNS_BOGUS)
		return;
	source->name[0] = '\0';
	for (size_t i = 0; answer->status == DNS_OK && i < answer->count && !ours; i++) {
		char name[DNS_NAME_MAX + 1];

		if (!dns_read_name(answer->records[i], name))
			continue;
		ours = span_equal_nocase(span_of(name), span_of(source->sources->hostname));
		if (ours || source->name[0] == '\0')
			(void)snprintf(source->name, sizeof(source->name), "%s", name);
	}
	if (source->name[0] == '\0')
		source->rank = RANK_UNKNOWN;
	else
		source->query = dns_ask(source->sources->dns, source->name,
		        source->address.ss_family == AF_INET ? DNS_A : DNS_AAAA, on_forward, source);
}

static void look(uv_timer_t *timer)
{
	struct sources *sources = container_of(timer, struct sources, timer);
	char name[DNS_NAME_MAX + 1];

	for (size_t i = 0; i < sources->count; i++) {
		struct source *source = &sources->list[i];

		if (source->query == NULL && dns_reverse_name((struct sockaddr *)&source->address, name))
			source->query = dns_ask(sources->dns, name, DNS_PTR, on_reverse, source);
	}
}

static bool add(struct sources *sources, struct span word, struct error *err)
{
	struct source *source = &sources->list[sources->count];
	struct sockaddr_in *ipv4 = (struct sockaddr_in *)&source->address;
	struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&source->address;

	if (sources->count == SOURCES_MAX)
		return error_set(err, ERR_BAD_VALUE, "more than %d source addresses", SOURCES_MAX);
	source->sources = sources;
	if (!span_copy(word, source->text, sizeof(source->text)))
		return error_set(err, ERR_BAD_VALUE, "source_addresses: not an address");
	if (inet_pton(AF_INET, source->text, &ipv4->sin_addr) == 1)
		ipv4->sin_family = AF_INET;
	else if (inet_pton(AF_INET6, source->text, &ipv6->sin6_addr) == 1)
		ipv6->sin6_family = AF_INET6;
	else
		return error_set(err, ERR_BAD_VALUE, "source_addresses: \"%s\" is not an address", source->text);
	sources->count++;
	return true;
}

static bool read_list(struct sources *sources, struct span in, struct error *err)
{
	struct span word;

	for (in = span_trim(in); in.len > 0; in = span_trim(in)) {
		if (!span_take_until(&in, ' ', &word)) {
			word = in;
			in = SPAN_EMPTY;
		}
		if (!add(sources, word, err))
			return false;
	}
	return true;
}

bool sources_new(uv_loop_t *loop, struct dns *dns, struct span addresses, const char *hostname, struct sources **out,
        struct error *err)
{
	struct sources *sources = calloc(1, sizeof(*sources));

	if (sources == NULL)
		return error_set(err, ERR_NO_MEMORY, "out of memory");
	sources->dns = dns;
	sources->hostname = hostname;
	if (!read_list(sources, addresses, err) || uv_timer_init(loop, &sources->timer) != 0) {
		free(sources);
		return false;
	}
	if (sources->count > 0)
		(void)uv_timer_start(&sources->timer, look, 0, SOURCE_LOOK_MS);
	*out = sources;
	return true;
}

void sources_stop(struct sources *sources)
{
	if (sources == NULL || sources->stopped)
		return;
	sources->stopped = true;
	for (size_t i = 0; i < sources->count; i++)
		dns_cancel(&sources->list[i].query);
	uv_close((uv_handle_t *)&sources->timer, NULL);
}

void sources_free(struct sources **sources)
{
	free(*sources);
	*sources = NULL;
}

const struct sockaddr *sources_for(const struct sources *sources, sa_family_t family)
{
	const struct source *best = NULL;

	for (size_t i = 0; i < sources->count; i++) {
		const struct source *source = &sources->list[i];

		if (source->address.ss_family == family && (best == NULL || source->rank > best->rank))
			best = source;
	}
	return best != NULL ? (const struct sockaddr *)&best->address : NULL;
}
