/* smtpd/outbound/outcome.h — what an answer, a silence or a refusal means: done, again later, or for good; and for whom. Pure.
 *
 *   of one recipient:   a reply after RCPT or the end of data        -> outcome_of_reply
 *   of a host:          connect, greeting, EHLO, TLS, AUTH            -> outcome_of_dial, outcome_of_end   (another host may do better)
 *   of a destination:   its route; all its hosts                      -> outcome_of_route, outcome_worse
 *
 * The reply code's first digit decides (RFC 5321 §4.2.1), the enhanced code is told when its class agrees (RFC 3463 §2). */
#ifndef SMTPD_OUTBOUND_OUTCOME_H
#define SMTPD_OUTBOUND_OUTCOME_H

#include "smtpd/outbound/client.h"
#include "smtpd/outbound/route.h"

enum outcome_kind { OUTCOME_AGAIN, OUTCOME_DONE, OUTCOME_FAILED }; /* what nobody has set is tried again */
enum outcome_effect {
	EFFECT_NONE,
	EFFECT_GROW,   /* the destination works: more connections may be tried */
	EFFECT_SHRINK, /* it is under strain or gone: fewer */
};

struct outcome {
	enum outcome_kind kind;
	enum outcome_effect effect;
	bool many;  /* "too many recipients": the rest in a transaction of its own, at once (RFC 5321 §4.5.3.1.10) */
	bool stale; /* the session ended before it took anything: another one, at once */
	char status[12];                /* RFC 3463 */
	char text[QUEUE_REPLY_MAX + 1]; /* the other server's words with their code, or ours; LF between lines */
	bool ours;                      /* text is ours: there was no reply */
};

/* with_auth: we logged in there: that our login is not liked is for the admin to mend, not for the sender to be told. */
void outcome_of_reply(const struct client_reply *reply, bool with_auth, struct outcome *out);
void outcome_of_dial(const struct error *err, const char *host, const char *address, struct outcome *out);
/* The session ended before it was ready. must_tls: and TLS was demanded. */
void outcome_of_end(
        const struct client_reply *why, bool tls_failed, bool must_tls, bool with_auth, struct outcome *out);
void outcome_of_route(const struct route_result *result, struct outcome *out);
/* One of ours: outcome_set(&o, OUTCOME_FAILED, "5.6.7", "..."). */
void outcome_set(struct outcome *out, enum outcome_kind kind, const char *status, const char *format, ...)
        PRINTF_LIKE(4, 5);
/* After several hosts: the one that is told and decides. Again wins over for good: some host may come back. */
const struct outcome *outcome_worse(const struct outcome *first, const struct outcome *later);
/* The same for someone whose time is over: again becomes for good, with the class of its status changed. */
void outcome_expire(struct outcome *outcome, const char *status, const char *why);

#endif
