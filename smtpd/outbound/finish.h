/* smtpd/outbound/finish.h — writes down what became of recipients, with the reports that follow, many in one transaction.
 *
 * Parcels whose recipients are all settled come in; one job is under way at a time and takes all that has come meanwhile (at most
 * FINISH_BATCH): the busier, the larger the commits. When the disk fails the same is tried again, for as long as it takes: a 250 of
 * another server that is forgotten would be mail delivered twice. Meanwhile nothing new is begun (finisher_in_trouble).
 * Then the events are written, the scheduler gets the parcel back, and the connection that carried it may go on (link_written).
 * Thread: the loop's. */
#ifndef SMTPD_OUTBOUND_FINISH_H
#define SMTPD_OUTBOUND_FINISH_H

#include "smtpd/outbound/parcel.h"

#define FINISH_BATCH        200
#define FINISH_RETRY_MS     1000 /* doubled up to ... */
#define FINISH_RETRY_MAX_MS 30000

bool finisher_new(struct relay *relay, struct finisher **out, struct error *err);
void finisher_stop(struct finisher *finisher);                       /* nothing is written any more; also of NULL */
void finisher_free(struct finisher **finisher);                      /* the loop has ended */
void finisher_add(struct finisher *finisher, struct parcel *parcel); /* takes it */
bool finisher_is_empty(const struct finisher *finisher);
bool finisher_in_trouble(const struct finisher *finisher);

#endif
