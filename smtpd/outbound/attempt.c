/* One message over a READY link: in which form it goes, and what became of each recipient. */
#include "smtpd/outbound/link.h"

#include "base/clock.h"
#include "message/transcode.h"
#include "smtpd/outbound/finish.h"
#include "smtpd/outbound/fit.h"
#include "smtpd/outbound/scheduler.h"
#include "smtpd/outbound/settle.h"

#include <stdio.h>
#include <string.h>

#define CONVERTED_FACTOR 4 /* base64 of binary parts adds a third, quoted-printable at most two; and headers */
#define CONVERTED_EXTRA  (1024 * KIB)

/* --- conversion, on a worker ------------------------------------------------------------------------------------- */

static bool write_converted(void *arg, struct span bytes, struct error *err)
{
	struct parcel *parcel = arg;

	return spool_append(parcel->converted, bytes, err);
}

static bool ignore_bytes(void *arg, struct span bytes, struct error *err)
{
	(void)arg;
	(void)bytes;
	(void)err;
	return true;
}

static bool read_original(void *arg, uint64_t offset, void *out, size_t size, size_t *got, struct error *err)
{
	const struct parcel *parcel = arg;

	return queue_read(parcel->relay->queue, parcel->part.id, offset, out, size, got, err);
}

/* The flags say what the sender said; the octets decide what is needed. */
static bool convert(struct link *link, struct parcel *parcel, struct error *err)
{
	const struct client_offer *offer = &link->offer;
	struct transcode_io io = { .read = read_original, .write = ignore_bytes, .arg = parcel };
	uint64_t limit = CONVERTED_FACTOR * parcel->part.size + CONVERTED_EXTRA;
	struct transcode_need need;

	if (!transcode_look(&io, &need, err))
		return false;
	if (need.utf8_header && !offer->smtputf8)
		return error_set(err, ERR_DENIED, "the header needs SMTPUTF8, which the other server does not have");
	parcel->smtputf8 = parcel->smtputf8 && offer->smtputf8;
	parcel->eight_bit = need.eight_bit;
	parcel->binary = need.binary;
	if ((!need.eight_bit || offer->eight_bit_mime) && (!need.binary || (offer->chunking && offer->binarymime)))
		return true;
	io.write = write_converted;
	if (!spool_new(parcel->relay->store, limit, &parcel->converted, err))
		return false;
	if (!transcode(&io, offer->eight_bit_mime ? TRANSCODE_8BIT : TRANSCODE_7BIT, err))
		return false;
	parcel->eight_bit = parcel->eight_bit && offer->eight_bit_mime;
	parcel->binary = false;
	return true;
}

static void run_convert(struct worker_job *job)
{
	struct link *link = container_of(job, struct link, job);

	error_clear(&link->job_error);
	if (!convert(link, link->parcel, &link->job_error))
		spool_free(&link->parcel->converted);
}

/* --- sending ----------------------------------------------------------------------------------------------------- */

static void finish(struct link *link, struct parcel *parcel)
{
	finisher_add(link->relay->finisher, parcel);
}

static void fail(struct link *link, struct parcel *parcel, const struct outcome *outcome)
{
	settle_all(parcel, outcome);
	finish(link, parcel);
}

static void send_parcel(struct link *link)
{
	struct parcel *parcel = link->parcel;

	link->message = (struct client_message) {
		.message = &parcel->part,
		.pool = link->relay->pool,
		.read = parcel_read,
		.arg = parcel,
		.octets = parcel->converted == NULL ? parcel->part.octets : NULL,
		.size = parcel_size(parcel),
		.eight_bit = parcel->eight_bit,
		.binary = parcel->binary,
		.smtputf8 = parcel->smtputf8,
	};
	link->messages++;
	link->progress_ms = clock_mono_ms();
	link_count(link, link_place(link));
	link_check(link);
	client_send(link->client, &link->message);
}

static void conversion_failed(struct link *link, struct parcel *parcel)
{
	const struct error *err = &link->job_error;
	struct outcome outcome;

	if (err->code == ERR_DENIED)
		outcome_set(&outcome, OUTCOME_FAILED, "5.6.7", "%s", err->reason);
	else if (err->code == ERR_UNSUPPORTED)
		outcome_set(&outcome, OUTCOME_FAILED, "5.6.3",
		        "the other server takes no 8-bit mail, and the message cannot be converted: %s", err->reason);
	else
		outcome_set(&outcome, OUTCOME_AGAIN, "4.3.0", "the message could not be read: %s", err->reason);
	fail(link, parcel, &outcome);
}

/* While it was converted. Another session, at once, but not for ever: a server may do that each time. One that dealt with a message before has
 * its reasons, and this one is free. */
static void session_ended(struct link *link, struct parcel *parcel)
{
	struct outcome outcome;

	if (link->messages > 0 || parcel->requeues++ < PARCEL_REQUEUES_MAX) {
		lane_return(link->lane, parcel);
		return;
	}
	outcome_set(&outcome, OUTCOME_AGAIN, "4.4.2", "the other server closed the connection before the message");
	if (!lane_strike(link->lane, parcel, &outcome))
		fail(link, parcel, &outcome);
}

static void on_converted(struct worker_job *job)
{
	struct link *link = container_of(job, struct link, job);
	struct parcel *parcel = link->parcel;
	struct lane *lane = link->lane;

	link->in_job = false;
	if (link->job_error.code == ERR_NONE && !link->ended && client_is_ready(link->client)) {
		send_parcel(link);
		return;
	}
	link->parcel = NULL;
	if (link->job_error.code != ERR_NONE)
		conversion_failed(link, parcel);
	else
		session_ended(link, parcel);
	if (link->ended) {
		link_free(link);
		lane_pump(lane);
	} else {
		link_feed(link);
	}
}

/* RFC 9422 §4.2 RCPTMAX: the rest in a transaction of its own. */
static void keep_to_limit(struct link *link, struct parcel *parcel, const struct client_offer *offer)
{
	struct parcel *rest;

	if (offer->rcpt_max == 0 || parcel->part.recipient_count <= offer->rcpt_max)
		return;
	rest = parcel_split(parcel, offer->rcpt_max);
	if (rest != NULL) {
		parcel->destination->parcels++;
		lane_return(link->lane, rest);
	}
}

/* True: it is on its way, or being converted. False: settled without the server. */
static bool begin(struct link *link, struct parcel *parcel)
{
	const struct client_offer *offer = client_offer(link->client);
	struct outcome outcome;

	parcel_forget_conversion(parcel); /* of an earlier try, at another server */
	(void)snprintf(parcel->peer.host, sizeof(parcel->peer.host), "%s", link->to->name);
	(void)snprintf(parcel->peer.address, sizeof(parcel->peer.address), "%s", link->address_text);
	(void)snprintf(parcel->peer.detail, sizeof(parcel->peer.detail), "%s", link->detail);
	parcel->peer.dsn = offer->dsn;
	parcel->peer.deliver_by = offer->deliver_by;
	if (parcel->smtputf8 && !offer->smtputf8)
		fit_domains_to_ascii(parcel);
	if (fit_refuses(parcel, offer, &outcome)) {
		fail(link, parcel, &outcome);
		return false;
	}
	keep_to_limit(link, parcel, offer);
	link->parcel = parcel;
	if (!fit_needs_conversion(parcel, offer)) {
		send_parcel(link);
		return true;
	}
	link->job = (struct worker_job) { .run = run_convert, .done = on_converted, .lane = WORKER_WRITE };
	link->offer = *offer;
	link->in_job = true;
	worker_submit(link->relay->pool, &link->job);
	return true;
}

static bool is_worn(const struct link *link)
{
	const struct client_offer *offer = client_offer(link->client);

	return link->messages >= RELAY_LINK_MESSAGES || (offer->mail_max > 0 && link->messages >= offer->mail_max) ||
	       lane_session_is_full(link->lane, link->messages) ||
	       clock_mono_ms() - link->opened_ms > RELAY_LINK_AGE_MS;
}

void link_send(struct link *link, struct parcel *parcel)
{
	if (!begin(link, parcel))
		link_feed(link);
}

void link_feed(struct link *link)
{
	struct scheduler *scheduler = link->relay->scheduler;
	struct lane *lane = link->lane;
	struct parcel *parcel;

	if (!client_is_ready(link->client))
		return; /* it is going: on_closed() comes */
	while (!is_worn(link)) {
		if (lane->waiting.first != NULL && scheduler_needs_place(scheduler, link)) {
			link_idle(link);
			scheduler_want(scheduler, lane);
			return;
		}
		parcel = lane_take(lane);
		if (parcel == NULL) {
			link_idle(link);
			return;
		}
		if (begin(link, parcel))
			return;
	}
	if (lane_session_is_full(lane, link->messages))
		lane_session_done(lane);
	link_quit(link);
	lane_pump(lane); /* a new one, when something waits */
}

/* --- what became of it ------------------------------------------------------------------------------------------- */

static bool is_many(const struct fate *fate)
{
	return fate->outcome.many;
}

static bool any_taken(const struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->part.recipient_count; i++)
		if (parcel->fates[i].outcome.kind == OUTCOME_DONE)
			return true;
	return false;
}

/* RFC 5321 §4.5.3.1.10: some were taken and the others were too many: those at once. */
static void return_many(struct link *link, struct parcel *parcel)
{
	size_t keep = parcel_sort(parcel, is_many);
	struct parcel *rest;

	if (!any_taken(parcel) || keep == parcel->part.recipient_count)
		return;
	rest = parcel_split(parcel, keep);
	if (rest == NULL)
		return;
	parcel->destination->parcels++;
	lane_return(link->lane, rest);
}

static enum outcome_effect effect_of(const struct parcel *parcel)
{
	enum outcome_effect effect = EFFECT_NONE;

	for (size_t i = 0; i < parcel->part.recipient_count; i++) {
		if (parcel->fates[i].outcome.effect == EFFECT_SHRINK)
			return EFFECT_SHRINK;
		if (parcel->fates[i].outcome.effect == EFFECT_GROW)
			effect = EFFECT_GROW;
	}
	return effect;
}

static bool all_stale(const struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->part.recipient_count; i++)
		if (!parcel->fates[i].outcome.stale)
			return false;
	return true;
}

static bool all_put_off(const struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->part.recipient_count; i++)
		if (parcel->fates[i].outcome.kind != OUTCOME_AGAIN)
			return false;
	return true;
}

static void judge(struct link *link, struct parcel *parcel)
{
	struct lane *lane = link->lane;
	enum outcome_effect effect;

	return_many(link, parcel);
	effect = effect_of(parcel);
	for (size_t i = 0; i < parcel->part.recipient_count; i++) {
		struct outcome outcome = parcel->fates[i].outcome;

		settle(parcel, i, &outcome);
	}
	lane_effect(lane, effect);
	if (any_taken(parcel))
		link_hold(link, parcel);
	finish(link, parcel);
}

void link_sent(struct link *link, const struct client_reply *replies, size_t count, bool lost)
{
	static const struct client_reply none = { .text = "out of memory" };
	struct parcel *parcel = link->parcel;
	struct lane *lane = link->lane;
	/* "Must issue a STARTTLS first" (RFC 3207 §4), where STARTTLS did not work, is not for good either. */
	bool is_ours = link_with_auth(link) || link->plain;

	link->parcel = NULL;
	for (size_t i = 0; i < parcel->part.recipient_count; i++)
		outcome_of_reply(i < count ? &replies[i] : &none, is_ours, &parcel->fates[i].outcome);
	if (!all_stale(parcel)) {
		lane_answered(lane, clock_mono_ms() - link->progress_ms);
		if (client_is_ready(link->client) && all_put_off(parcel) && link_move_on(link, parcel))
			return;
		judge(link, parcel);
		if (link->state != LINK_WRITING)
			link_feed(link);
		return;
	}
	/* The session is over. One that had worked before may have been closed for its age, or for what it took: once more, at once, unless
	 * the message may have been taken. */
	if (link->messages > 1 && client_took_nothing(link->client)) {
		lane_closed_after(lane, link->messages - 1);
		lane_return(lane, parcel);
	} else if (link->messages > 1 && !lost && parcel->requeues < PARCEL_REQUEUES_MAX &&
	           !link->relay->scheduler->draining) {
		parcel->requeues++;
		lane_return(lane, parcel);
	} else if (!lane_strike(lane, parcel, &parcel->fates[0].outcome)) {
		judge(link, parcel);
	}
	link_quit(link);
	lane_pump(lane);
}

void link_closed(struct link *link)
{
	struct lane *lane = link->lane;

	if (link->in_job) {
		link->ended = true;
		return;
	}
	link_free(link);
	if (lane != NULL)
		lane_pump(lane);
}
