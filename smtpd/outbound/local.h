/* smtpd/outbound/local.h — recipients of the queue whose mailbox is here: a parcel of the destination "".
 *
 * One job for each recipient, by account (so that those that wait for one account become one transaction). Each looks for the
 * recipient's op_id and records it (storage/batch.h): a crash between the mailbox's commit and the queue's does nothing twice. In front of
 * the message stand Return-Path (RFC 5321 §4.4) and Delivered-To; in front of the sender's own copy nothing.
 * Over quota, or a store in trouble: again later. No such account any more: for good. Thread: the loop's. */
#ifndef SMTPD_OUTBOUND_LOCAL_H
#define SMTPD_OUTBOUND_LOCAL_H

#include "smtpd/outbound/parcel.h"

void local_deliver(struct parcel *parcel); /* takes it; goes to the finisher */

#endif
