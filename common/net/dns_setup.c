#include "net/dns_internal.h"

#include "base/buffer.h"
#include "base/file.h"
#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unbound.h>
#include <unistd.h>

#define RESOLV_CONF     "/etc/resolv.conf"
#define RESOLV_CONF_MAX (64 * KIB)
#define FORWARD_MAX     16
#define FORWARD_LEN     80 /* an address, a scope, "@" and a port */

const char *dns_root_anchor = "/usr/share/dns/root.key"; /* package dns-root-data */

struct forwarders {
	unsigned count;
	bool loopback;
};

static bool refused(struct error *err, int why, const char *what)
{
	return error_detail(err, ERR_BAD_VALUE, "DNS: %.100s: %s", what, ub_strerror(why));
}

/* --- whom to ask ----------------------------------------------------------------------------------------------- */

/* "2001:db8::1@5353"; a scope ("%eth0") is libunbound's to read. */
static bool check_forwarder(const char *text, bool *loopback)
{
	struct span address, rest = span_of(text), in = rest;
	uint64_t port;
	char copy[FORWARD_LEN];
	struct in6_addr in6;
	struct in_addr in4;

	if (!span_take_until(&in, '@', &address))
		address = rest;
	else if (!span_number(in, 65535, &port) || port == 0)
		return false;
	rest = address;
	if (!span_take_until(&rest, '%', &address))
		address = rest;
	if (!span_copy(address, copy, sizeof(copy)))
		return false;
	if (inet_pton(AF_INET, copy, &in4) == 1)
		*loopback |= ntohl(in4.s_addr) >> 24 == 127;
	else if (inet_pton(AF_INET6, copy, &in6) == 1)
		*loopback |= IN6_IS_ADDR_LOOPBACK(&in6);
	else
		return false;
	return true;
}

static bool add_forwarder(struct ub_ctx *ctx, struct span text, struct forwarders *all, struct error *err)
{
	char copy[FORWARD_LEN];
	int failed;

	if (all->count == FORWARD_MAX)
		return error_set(err, ERR_TOO_LONG, "more than %d DNS servers", FORWARD_MAX);
	if (!span_copy(text, copy, sizeof(copy)) || !check_forwarder(copy, &all->loopback))
		return error_set(
		        err, ERR_BAD_VALUE, "not an address of a DNS server: %.*s", SPAN_FMT(span_first(text, 60)));
	failed = ub_ctx_set_fwd(ctx, copy);
	if (failed != 0)
		return refused(err, failed, copy);
	all->count++;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',';
}

static bool take_text(struct span *in, struct span *out)
{
	size_t start = 0, end;

	while (start < in->len && is_blank(in->ptr[start]))
		start++;
	for (end = start; end < in->len && !is_blank(in->ptr[end]);)
		end++;
	*out = span_first(span_skip(*in, start), end - start);
	*in = span_skip(*in, end);
	return out->len > 0;
}

/* resolv.conf(5). A line that libunbound cannot use is none of the admin's business with us: the others count. */
static void add_from_text(struct ub_ctx *ctx, struct span text, struct forwarders *all)
{
	struct span line, word;
	struct error err;

	while (text.len > 0) {
		if (!span_take_until(&text, '\n', &line)) {
			line = text;
			text = SPAN_EMPTY;
		}
		if (!take_text(&line, &word) || !span_equal(word, SPAN("nameserver")) || !take_text(&line, &word))
			continue;
		if (!add_forwarder(ctx, word, all, &err))
			LOG(LOG_WARNING, "dns.server_left_out", LOG_SPAN("server", word), LOG_FAILURE(&err));
	}
}

static void add_from_system(struct ub_ctx *ctx, struct forwarders *all)
{
	struct buffer text;
	struct error err;

	buffer_init(&text, RESOLV_CONF_MAX);
	if (file_read_path(RESOLV_CONF, &text, &err))
		add_from_text(ctx, buffer_span(&text), all);
	buffer_free(&text);
	if (all->count == 0)
		LOG(LOG_INFO, "dns.from_the_roots", LOG_TEXT("reason", "no server in " RESOLV_CONF));
}

static bool add_forwarders(struct ub_ctx *ctx, struct span list, struct forwarders *all, struct error *err)
{
	struct span text;

	while (take_text(&list, &text))
		if (!add_forwarder(ctx, text, all, err))
			return false;
	if (all->count == 0)
		add_from_system(ctx, all);
	return true;
}

/* --- what is trusted ------------------------------------------------------------------------------------------- */

static bool is_default(const char *anchor)
{
	return anchor == NULL || anchor[0] == '\0';
}

static bool add_anchor(struct ub_ctx *ctx, const char *given, struct error *err)
{
	const char *path = is_default(given) ? dns_root_anchor : given;
	int failed;

	if (access(path, R_OK) == 0) {
		failed = ub_ctx_add_ta_file(ctx, path);
		return failed == 0 || refused(err, failed, path);
	}
	if (!is_default(given))
		return error_detail(err, ERR_BAD_VALUE, "trust anchor %.120s: %s", path, strerror(errno));
	LOG(LOG_WARNING, "dns.no_trust_anchor", LOG_TEXT("file", path),
	        LOG_TEXT("reason", "no answer is secure, so there is no DANE; the package is dns-root-data"));
	return true;
}

/* --- the rest -------------------------------------------------------------------------------------------------- */

struct option {
	const char *name, *value;
};

static bool set_options(struct ub_ctx *ctx, const struct option *options, size_t count, struct error *err)
{
	for (size_t i = 0; i < count; i++) {
		int failed = ub_ctx_set_option(ctx, options[i].name, options[i].value);

		if (failed != 0)
			return refused(err, failed, options[i].name);
	}
	return true;
}

/* Sizes for one relay; the rest of libunbound's defaults is what we want: random ids and ports, 0x1232 octets over UDP, QNAME
 * minimisation, no answer from outside the zone that was asked. */
static const struct option general[] = {
	{ "outgoing-range:", "256" }, /* sockets */
	{ "num-queries-per-thread:", "1024" }, { "outgoing-num-tcp:", "16" }, { "msg-cache-size:", "4m" },
	{ "rrset-cache-size:", "8m" }, { "key-cache-size:", "2m" }, { "trust-anchor-signaling:", "no" },
	{ "max-query-restarts:", "16" }, /* CNAMEs followed by a question of their own; DNS_CNAMES_MAX */
};

/* Who forwards may have answers of his own for private addresses. */
static const struct option with_forwarders[] = {
	{ "unblock-lan-zones:", "yes" },
	{ "insecure-lan-zones:", "yes" },
};

static const struct option on_loopback[] = {
	{ "do-not-query-localhost:", "no" },
};

/* libunbound answers for these by itself; whom we ask shall. The first call makes all settings final: the files are read here. */
static bool finish(struct ub_ctx *ctx, struct error *err)
{
	static const char *const zones[] = { "test.", "local." };

	for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
		int failed = ub_ctx_zone_remove(ctx, zones[i]);

		if (failed != 0)
			return refused(err, failed, "the trust anchor or another setting");
	}
	return true;
}

static bool set_all(
        struct ub_ctx *ctx, const struct dns_settings *settings, bool validate, bool *optional, struct error *err)
{
	struct forwarders forwarders = { 0 };
	int failed;

	(void)ub_ctx_debugout(ctx, NULL); /* it would write to standard error */
	failed = ub_ctx_async(ctx, 1);
	if (failed != 0)
		return refused(err, failed, "threads");
	if (!set_options(ctx, general, ARRAY_LEN(general), err) ||
	        !add_forwarders(ctx, settings->forward, &forwarders, err) ||
	        (validate && !add_anchor(ctx, settings->trust_anchor, err)))
		return false;
	if (forwarders.count > 0 && !set_options(ctx, with_forwarders, ARRAY_LEN(with_forwarders), err))
		return false;
	if (forwarders.loopback && !set_options(ctx, on_loopback, ARRAY_LEN(on_loopback), err))
		return false;
	*optional = forwarders.count > 0 && is_default(settings->trust_anchor) && access(dns_root_anchor, R_OK) == 0;
	return finish(ctx, err);
}

struct ub_ctx *dns_setup(const struct dns_settings *settings, bool validate, bool *optional, struct error *err)
{
	struct ub_ctx *ctx = ub_ctx_create();

	if (ctx == NULL) {
		error_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	if (set_all(ctx, settings, validate, optional, err))
		return ctx;
	ub_ctx_delete(ctx);
	return NULL;
}
