/* smtpd/outbound/fit.h — may this server have this message, by what it offered, and in which form. Pure. */
#ifndef SMTPD_OUTBOUND_FIT_H
#define SMTPD_OUTBOUND_FIT_H

#include "smtpd/outbound/client.h"
#include "smtpd/outbound/parcel.h"

/* True: it may not, *out says why. SIZE, DELIVERBY, and SMTPUTF8 for the sake of an address; a conversion does not help. */
bool fit_refuses(const struct parcel *parcel, const struct client_offer *offer, struct outcome *out);
/* A domain can be said without SMTPUTF8, by A-labels (RFC 5891 §4.4), a local part cannot. What cannot be said stays as it is. */
void fit_domains_to_ascii(struct parcel *parcel);
bool fit_needs_conversion(const struct parcel *parcel, const struct client_offer *offer);

#endif
