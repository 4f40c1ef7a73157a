/* storage/reserve.h — what keeps deletions possible on a full disk (promises: "reading, \Deleted, EXPUNGE go on").
 *
 * Two parts: new mail is refused while less than the floor is free (a 64th of the file system, between RESERVE_MIN and
 * RESERVE_MAX), and a spare file of RESERVE_MIN octets is given back to the file system when a change that frees space is
 * refused all the same. The spare is made again when there is room. Any thread. */
#ifndef STORAGE_RESERVE_H
#define STORAGE_RESERVE_H

#include "base/error.h"

#include <stdint.h>

#define RESERVE_MIN      (1024 * KIB)
#define RESERVE_MAX      (16 * MIB)
#define RESERVE_FOR_MAIL 16

struct reserve;

struct reserve *reserve_new(const char *data_dir); /* NULL: out of memory */
void reserve_free(struct reserve **reserve);

/* ERR_NO_SPACE when the disk is too full for `more` octets of new mail. */
bool reserve_allows(struct reserve *reserve, uint64_t more, struct error *err);
/* The same for what is only good to have (events): it leaves room for mail, RESERVE_FOR_MAIL times what new mail leaves. */
bool reserve_has_plenty(struct reserve *reserve, uint64_t more, struct error *err);
/* True: space was given back, it is worth trying again. */
bool reserve_release(struct reserve *reserve);

#endif
