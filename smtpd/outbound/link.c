#include "smtpd/outbound/link.h"

#include "base/check.h"
#include "base/clock.h"
#include "smtpd/outbound/scheduler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct held_route *held_route_new(const struct route_result *result)
{
	struct held_route *held = calloc(1, sizeof(*held));

	if (held == NULL)
		return NULL;
	held->refs = 1;
	held->result = route_result_copy(result);
	if (held->result == NULL) {
		free(held);
		return NULL;
	}
	return held;
}

void held_route_release(struct held_route **held)
{
	struct held_route *it = *held;

	*held = NULL;
	if (it == NULL || --it->refs > 0)
		return;
	route_result_free(&it->result);
	free(it);
}

bool link_with_auth(const struct link *link)
{
	const struct route_result *route = link->route->result;

	return route->has_route && route->route.kind != ROUTE_MX && route->route.user[0] != '\0';
}

/* RFC 8689 §4.2.1: a server that does not carry the demand on does not get the message. */
bool link_refuses(const struct link *link, const struct lane *lane)
{
	return (lane->flags & ROUTE_REQUIRETLS) != 0 && !client_offer(link->client)->requiretls;
}

bool link_must_tls(const struct link *link)
{
	return link->to != NULL && link->to->level >= TLS_LEVEL_ENCRYPT;
}

/* One place at a time; the place it leaves may be another's. */
void link_count(struct link *link, enum link_count which)
{
	struct scheduler *scheduler = link->relay->scheduler;

	if (link->counted == which)
		return;
	if (link->counted != COUNT_NONE) {
		CHECK(*scheduler_counter(scheduler, link->counted) > 0);
		(*scheduler_counter(scheduler, link->counted))--;
		scheduler_kick(scheduler);
	}
	link->counted = which;
	if (which != COUNT_NONE)
		(*scheduler_counter(scheduler, which))++;
}

enum link_count link_place(const struct link *link)
{
	if (!link->lane->works)
		return COUNT_UNPROVEN;
	return link->lane->slow ? COUNT_STALLED : COUNT_ACTIVE;
}

void link_detach(struct link *link)
{
	struct lane *lane = link->lane;

	if (lane == NULL)
		return;
	if (link->state == LINK_CONNECTING) {
		CHECK(lane->connecting > 0);
		lane->connecting--;
	} else if (link->state == LINK_BUSY || link->state == LINK_WRITING) {
		CHECK(lane->busy > 0);
		lane->busy--;
	}
	link->lane = NULL;
}

void link_free(struct link *link)
{
	struct scheduler *scheduler = link->relay->scheduler;

	CHECK(link->client == NULL && link->dial == NULL && link->parcel == NULL && !link->in_job);
	if (link->writing != NULL)
		link->writing->link = NULL; /* it is written down without us */
	if (link->carried != NULL)
		scheduler_parcel_back(scheduler, link->carried);
	link_detach(link);
	link_count(link, COUNT_NONE);
	scheduler_remove_link(scheduler, link);
	held_route_release(&link->route);
	free(link);
}

/* --- kept for the next message ----------------------------------------------------------------------------------- */

/* Two routes may share a connection when they lead to the same server and ask the same of it. */
void link_make_key(const struct route_result *route, const struct route_host *host, const struct sockaddr *address,
        const char *domain, char out[LINK_KEY_MAX])
{
	bool by_route = route->has_route && route->route.kind != ROUTE_MX;
	uint8_t bytes[sizeof(struct sockaddr_in6)] = { 0 };
	size_t at = 0, len = address->sa_family == AF_INET ? 8 : sizeof(bytes); /* family, port, address */

	memcpy(bytes, address, len);
	for (size_t i = 0; i < len; i++)
		at += (size_t)snprintf(out + at, LINK_KEY_MAX - at, "%02x", bytes[i]);
	(void)snprintf(out + at, LINK_KEY_MAX - at, "/%s/%d/%d/%d/%s/%.320s", host->name, (int)host->level,
	        by_route ? (int)route->route.kind : 0, by_route && route->route.implicit_tls,
	        host->level == TLS_LEVEL_DANE ? domain : "", by_route ? route->route.user : "");
}

void link_idle(struct link *link)
{
	struct scheduler *scheduler = link->relay->scheduler;

	if (scheduler->draining || scheduler->counts.idle >= RELAY_IDLE_MAX) {
		link_quit(link);
		return;
	}
	link_detach(link);
	link->state = LINK_IDLE;
	link->progress_ms = clock_mono_ms();
	link_count(link, COUNT_IDLE);
}

static struct link *find_idle(struct scheduler *scheduler, const struct lane *lane, const char *key)
{
	for (struct link *link = scheduler->links; link != NULL; link = link->next)
		if (link->state == LINK_IDLE && client_is_ready(link->client) && strcmp(link->key, key) == 0 &&
		        !link_refuses(link, lane) && !lane_session_is_full(lane, link->messages))
			return link;
	return NULL;
}

/* From now on it goes by the lane's route: the next host after this one is another than that of the domain it was opened for. */
static void attach(struct link *link, struct lane *lane, struct held_route *route, size_t host, size_t address)
{
	held_route_release(&link->route);
	link->route = route;
	route->refs++;
	link->host = host;
	link->address = address + 1;
	link->to = &route->result->hosts[host];
	link->tries = 1;
	link->lane = lane;
	link->state = LINK_BUSY;
	link->progress_ms = clock_mono_ms();
	link->placed_ms = link->progress_ms;
	lane->busy++;
	link_describe(link);
	link_count(link, link_place(link));
}

struct link *link_reuse(struct scheduler *scheduler, struct lane *lane, struct held_route *route)
{
	char key[LINK_KEY_MAX];
	unsigned tries = 0;

	if (scheduler->counts.idle == 0)
		return NULL;
	for (size_t h = 0; h < route->result->host_count; h++)
		for (size_t a = 0; a < route->result->hosts[h].address_count && tries < RELAY_ADDRESSES_MAX;
		        a++, tries++) {
			const struct route_host *host = &route->result->hosts[h];
			struct link *link;

			link_make_key(route->result, host, (const struct sockaddr *)&host->addresses[a],
			        lane->destination->domain, key);
			link = find_idle(scheduler, lane, key);
			if (link == NULL)
				continue;
			attach(link, lane, route, h, a);
			return link;
		}
	return NULL;
}

/* --- until it is written down ------------------------------------------------------------------------------------ */

void link_check(const struct link *link)
{
	CHECK((link->state == LINK_WRITING) == (link->writing != NULL));
	CHECK(link->writing == NULL || (link->writing->link == link && link->parcel == NULL));
	CHECK((link->lane == NULL) == (link->state == LINK_IDLE || link->state == LINK_CLOSING));
}

void link_hold(struct link *link, struct parcel *parcel)
{
	CHECK(link->state == LINK_BUSY && link->parcel == NULL && parcel->link == NULL);
	link->state = LINK_WRITING;
	link->writing = parcel;
	parcel->link = link;
	link->progress_ms = clock_mono_ms();
	link_count(link, link_place(link));
	link_check(link);
}

void link_written(struct link *link)
{
	link_check(link);
	CHECK(link->state == LINK_WRITING);
	link->writing->link = NULL;
	link->writing = NULL;
	link->state = LINK_BUSY;
	link_feed(link);
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

void link_quit(struct link *link)
{
	link_check(link);
	CHECK(link->state != LINK_WRITING);
	link_detach(link);
	link->state = LINK_CLOSING;
	link_count(link, COUNT_CLOSING);
	client_quit(link->client);
}

void link_abort(struct link *link)
{
	if (link->client != NULL) {
		client_abort(link->client); /* the rest in on_sent(), on_closed() */
		return;
	}
	if (link->dial != NULL) {
		dial_cancel(&link->dial);
		link_free(link);
	}
}
