/* storage/address_key.h — addresses in the one form in which they are stored and compared. For storage/, and for who queues
 * by domain.
 *
 * Domain: A-labels (RFC 5890 §2.3.2.1), lower case, without a dot at the end. Local part: NFC, ASCII letters in lower
 * case. Address literals ("[192.0.2.1]") are nobody's domain here. */
#ifndef STORAGE_ADDRESS_KEY_H
#define STORAGE_ADDRESS_KEY_H

#include "storage/directory.h"

#define LOCAL_PART_MAX 64  /* RFC 5321 §4.5.3.1.1 */
#define DOMAIN_MAX     255 /* RFC 5321 §4.5.3.1.2 */

struct address_key {
	char local[LOCAL_PART_MAX + 1];
	char domain[DOMAIN_MAX + 1];
};

/* ERR_BAD_ADDRESS: not a domain name or local part; ERR_NO_MEMORY. */
bool domain_key(struct span domain, char *out, size_t size, struct error *err);
bool local_key(struct span local, char *out, size_t size, struct error *err);
/* "local@domain", cut at the last '@'. */
bool address_key(struct span address, struct address_key *out, struct error *err);

#endif
