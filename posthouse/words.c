#include "posthouse/words.h"

#include "posthouse/cli.h"

#include <stdio.h>

#define SHORT 40

void next_words(const struct queue_rcpt *rcpt, int64_t now_ms, char *out, size_t size)
{
	const char *what = rcpt->attempts == 0 ? "first" : "next";
	char duration[SHORT], date[SHORT];

	output_duration(rcpt->next_attempt_ms - now_ms, duration, sizeof(duration));
	output_date(rcpt->next_attempt_ms, date, sizeof(date));
	if (rcpt->held)
		(void)snprintf(out, size, "held: nothing happens until it is released");
	else if (rcpt->next_attempt_ms <= now_ms)
		(void)snprintf(out, size, "the %s try is due now", what);
	else
		(void)snprintf(out, size, "the %s try is in %s, at %s", what, duration, date);
}

static void port_words(const struct route *route, char *out, size_t size)
{
	if (route->port != 0)
		(void)snprintf(out, size, ", port %u", route->port);
	else
		(void)snprintf(out, size, "%s", "");
}

void route_words(const struct route *route, const char *domain, char *out, size_t size)
{
	char port[SHORT];

	if (route == NULL || route->kind == ROUTE_MX) {
		(void)snprintf(out, size, "the servers that the DNS names for %s%s%s%s", domain,
		        route != NULL ? " (route " : "", route != NULL ? route->match : "", route != NULL ? ")" : "");
		return;
	}
	port_words(route, port, sizeof(port));
	(void)snprintf(out, size, "%s%s%s (route %s)", route->host, port, route->kind == ROUTE_LMTP ? " by LMTP" : "",
	        route->match);
}
