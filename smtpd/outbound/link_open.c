/* The way from a route to a session that is READY: hosts in order, addresses in turn, TLS as demanded. */
#include "smtpd/outbound/link.h"

#include "base/clock.h"
#include "base/log.h"
#include "smtpd/outbound/finish.h"
#include "smtpd/outbound/scheduler.h"
#include "smtpd/outbound/settle.h"
#include "smtpd/outbound/story.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void connect_to(struct link *link);

void link_note(struct link *link, const struct outcome *outcome)
{
	link->outcome = link->has_outcome ? *outcome_worse(&link->outcome, outcome) : *outcome;
	link->has_outcome = true;
}

static void address_text(const struct sockaddr *address, char out[CONN_ADDRESS_TEXT])
{
	out[0] = '\0';
	if (address->sa_family == AF_INET)
		(void)inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, out, CONN_ADDRESS_TEXT);
	else if (address->sa_family == AF_INET6)
		(void)inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, out, CONN_ADDRESS_TEXT);
}

/* No other host takes it: what the first one said holds. */
static void end_carrying(struct link *link)
{
	struct parcel *parcel = link->carried;

	link->carried = NULL;
	for (size_t i = 0; i < parcel->part.recipient_count; i++) {
		struct outcome outcome = parcel->fates[i].outcome;

		settle(parcel, i, &outcome);
	}
	finisher_add(link->relay->finisher, parcel);
}

/* Every recipient was put off: another host of the domain may be able to (RFC 5321 §5.1). */
bool link_move_on(struct link *link, struct parcel *parcel)
{
	struct lane *lane = link->lane;

	if (link->host + 1 >= link->route->result->host_count || link->tries >= RELAY_ADDRESSES_MAX ||
	        parcel->requeues >= PARCEL_REQUEUES_MAX || link->relay->scheduler->draining)
		return false;
	story_of_attempt(parcel, link->to->name, link->address_text, &parcel->fates[0].outcome);
	parcel->requeues++;
	link->carried = parcel;
	link->has_outcome = false;
	link->messages = 0;
	link->opened_ms = clock_mono_ms();
	link->state = LINK_CONNECTING;
	link->refused = true; /* on_closed() goes on with the next host */
	link->host++;
	link->address = 0;
	lane->busy--;
	lane->connecting++;
	client_quit(link->client);
	return true;
}

static void give_up(struct link *link)
{
	struct lane *lane = link->lane;

	if (!link->has_outcome)
		outcome_set(&link->outcome, OUTCOME_AGAIN, "4.4.1", "no address could be tried");
	if (link->carried == NULL)
		lane_link_failed(lane, link);
	else if (!link->relay->scheduler->draining)
		end_carrying(link);
	link_free(link);
	lane_pump(lane);
}

/* link->host, link->address stand at the one just tried, or at the first. */
void link_next_address(struct link *link)
{
	const struct route_result *route = link->route->result;

	link->plain = false;
	link->refused = false;
	link->to = NULL;
	while (link->host < route->host_count && link->address >= route->hosts[link->host].address_count) {
		link->host++;
		link->address = 0;
	}
	if (link->host == route->host_count || link->tries == RELAY_ADDRESSES_MAX || link->relay->scheduler->draining) {
		give_up(link);
		return;
	}
	link->to = &route->hosts[link->host];
	link->tries++;
	link->address++;
	connect_to(link);
}

static void failed_here(struct link *link, const struct outcome *outcome)
{
	link_note(link, outcome);
	if (link->lane->waiting.first != NULL && link->tries > 0)
		story_of_attempt(link->lane->waiting.first, link->to->name, link->address_text, outcome);
	link_next_address(link);
}

/* --- the session ------------------------------------------------------------------------------------------------- */

void link_describe(struct link *link)
{
	const struct conn *conn = client_conn(link->client);
	const struct route_result *route = link->route->result;
	const char *version = conn_tls_version(conn);
	const char *subject = conn_tls_subject(conn);
	bool verified = version != NULL && conn_tls_verified(conn);

	(void)snprintf(link->detail, sizeof(link->detail),
	        "tls=%s cipher=%s verified=%s certificate=%.100s policy=%s source=%s route=%s%s%s%s",
	        version != NULL ? version : "none", version != NULL ? conn_tls_cipher(conn) : "none",
	        !verified                           ? "no"
	        : link->to->level == TLS_LEVEL_DANE ? "dane"
	                                            : "pkix",
	        version != NULL && subject != NULL ? subject : "none", tls_level_name(link->to->level),
	        tls_source_name(link->to->source), route->has_route && route->route.kind != ROUTE_MX ? "admin" : "mx",
	        link->to->secure ? " dnssec=yes" : "", link->plain ? " fallback=plain" : "",
	        !route->sts_testing                   ? ""
	        : !verified || link->to->sts_mismatch ? " mta-sts=testing-failed"
	                                              : " mta-sts=testing-good");
}

static void on_ready(void *arg, const struct client_offer *offer)
{
	struct link *link = arg;
	struct lane *lane = link->lane;
	struct outcome outcome;

	if (link_refuses(link, lane)) {
		outcome_set(&outcome, OUTCOME_FAILED, "5.7.30", "%s does not support REQUIRETLS", link->to->name);
		link->refused = true;
		link_note(link, &outcome);
		client_quit(link->client); /* on_closed() goes on */
		return;
	}
	link_describe(link);
	lane->connecting--;
	lane->busy++;
	link->state = LINK_BUSY;
	link->placed_ms = clock_mono_ms();
	link_count(link, link_place(link));
	link_make_key(link->route->result, link->to, (const struct sockaddr *)&link->to->addresses[link->address - 1],
	        lane->destination->domain, link->key);
	lane_link_ready(lane);
	if (link->carried != NULL) {
		struct parcel *parcel = link->carried;

		link->carried = NULL;
		link_send(link, parcel);
	} else {
		link_feed(link);
	}
	lane_pump(lane); /* more connections may be opened now */
}

static void on_sent(void *arg, const struct client_reply *replies, size_t count, bool lost)
{
	link_sent(arg, replies, count, lost);
}

/* Not READY yet. Opportunistic TLS that does not work is done without (RFC 7435), what must have it goes elsewhere. */
static void closed_early(struct link *link, const struct client_reply *why, bool tls_failed)
{
	struct outcome outcome;

	if (tls_failed && !link_must_tls(link) && !link->plain && !link->relay->scheduler->draining) {
		link->plain = true;
		LOG(LOG_INFO, "relay.tls_fallback", LOG_TEXT("host", link->to->name), LOG_TEXT("reason", why->text));
		connect_to(link);
		return;
	}
	outcome_of_end(why, tls_failed, link_must_tls(link), link_with_auth(link), &outcome);
	if (tls_failed && (link->lane->flags & ROUTE_REQUIRETLS)) {
		outcome.kind = OUTCOME_FAILED; /* RFC 8689 §4.2.1 */
		(void)snprintf(outcome.status, sizeof(outcome.status), "5.7.10");
	}
	failed_here(link, &outcome);
}

static void on_closed(void *arg, const struct client_reply *why, bool tls_failed)
{
	struct link *link = arg;

	link->client = NULL;
	if (link->state != LINK_CONNECTING)
		link_closed(link);
	else if (link->refused)
		link_next_address(link);
	else
		closed_early(link, why, tls_failed);
}

/* --- the connection ---------------------------------------------------------------------------------------------- */

static enum tls_verify verify_of(enum tls_level level)
{
	return level == TLS_LEVEL_DANE     ? TLS_VERIFY_DANE
	       : level == TLS_LEVEL_VERIFY ? TLS_VERIFY_NAMES
	                                   : TLS_VERIFY_NONE;
}

static bool is_no_name(const char *name)
{
	struct in6_addr ignored;

	return name[0] == '[' || name[0] == '/' || inet_pton(AF_INET, name, &ignored) == 1 ||
	       inet_pton(AF_INET6, name, &ignored) == 1;
}

static void start_client(struct link *link, struct conn *conn)
{
	static const struct client_events events = { on_ready, on_sent, on_closed };
	const struct route_result *route = link->route->result;
	bool by_route = route->has_route && route->route.kind != ROUTE_MX;
	const struct route_host *to = link->to;
	/* RFC 7672 §3.2.2: the base domain, the host, the domain that DNSSEC led from, and where its alias led, are what a certificate under usage 2
	 * may be for */
	const char *names[] = { to->name, to->tlsa_base, link->lane->destination->domain, route->next_hop };
	size_t dane_names = by_route ? 2 : route->next_hop[0] == '\0' ? 3 : 4;
	struct client_settings settings = {
		.hostname = link->relay->settings->hostname,
		.lmtp = by_route && route->route.kind == ROUTE_LMTP,
		.implicit_tls = by_route && route->route.implicit_tls,
		.use_starttls = to->level != TLS_LEVEL_NONE && !link->plain,
		.must_tls = link_must_tls(link),
		.tls = {
			.server_name = is_no_name(to->name) ? NULL : to->level == TLS_LEVEL_DANE ? to->tlsa_base : to->name,
			.verify = verify_of(to->level),
			.names = names,
			.name_count = to->level != TLS_LEVEL_DANE ? 1 : dane_names,
			.tlsa = to->tlsa,
			.tlsa_count = to->tlsa_count,
		},
		.user = link_with_auth(link) ? route->route.user : NULL,
		.password = link_with_auth(link) ? route->route.password : NULL,
		.time_percent = 100,
	};
	struct outcome outcome;

	link->client = client_new(conn, &settings, &events, link);
	if (link->client != NULL)
		return;
	outcome_set(&outcome, OUTCOME_AGAIN, "4.3.0", "out of memory");
	failed_here(link, &outcome);
}

static void on_dialed(void *arg, struct conn *conn, const struct error *err)
{
	struct link *link = arg;
	struct outcome outcome;

	link->dial = NULL;
	if (conn != NULL) {
		start_client(link, conn);
		return;
	}
	outcome_of_dial(err, link->to->name, link->address_text, &outcome);
	failed_here(link, &outcome);
}

/* Never calls back from inside, so that a list of addresses that all fail at once is no recursion. */
static void connect_to(struct link *link)
{
	const struct sockaddr *to = (const struct sockaddr *)&link->to->addresses[link->address - 1];
	const struct dial_request request = {
		.loop = link->relay->loop,
		.to = to,
		.from = sources_for(link->relay->sources, to->sa_family),
		.timeout_ms = RELAY_CONNECT_MS,
		.tls = link->relay->tls,
	};
	struct outcome outcome;

	address_text(to, link->address_text);
	link->dial = dial_start(&request, on_dialed, link);
	if (link->dial != NULL)
		return;
	outcome_set(&outcome, OUTCOME_AGAIN, "4.3.0", "out of memory");
	failed_here(link, &outcome); /* at most RELAY_ADDRESSES_MAX deep */
}

bool link_open(struct lane *lane, struct held_route *route)
{
	struct relay *relay = lane->destination->relay;
	struct link *link = calloc(1, sizeof(*link));

	if (link == NULL)
		return false;
	link->relay = relay;
	link->lane = lane;
	link->route = route;
	route->refs++;
	link->opened_ms = clock_mono_ms();
	link->progress_ms = link->opened_ms;
	link->state = LINK_CONNECTING;
	lane->connecting++;
	scheduler_add_link(relay->scheduler, link);
	link_count(link, link_place(link));
	link_next_address(link);
	return true;
}
