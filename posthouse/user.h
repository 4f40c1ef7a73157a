/* posthouse/user.h — adding and removing one user over three files, so that a kill in between leaves nothing half.
 *
 *  add:     directory.db (address, quota)  ->  accounts/<id>/ (mailboxes)  ->  auth.db (password)
 *  remove:  auth.db  ->  queue.db (to whom he wrote)  ->  directory.db  ->  accounts/<id>/
 *
 * The last step of add makes the user: nobody can log in before, and mail that comes in between the first two is refused
 * for now (451), so its sender brings it again. An add that was killed is completed by the same command again: an address
 * without a password is taken up where it was left. A remove that was killed is completed the same way; after its third
 * step only accounts/<id>/ is left over, which `posthouse check` finds and `--repair` removes. */
#ifndef POSTHOUSE_USER_H
#define POSTHOUSE_USER_H

#include "posthouse/site.h"

struct new_user {
	struct span address;
	struct span name;
	struct span password; /* or a hash: "$argon2id$..." when hash_allowed */
	bool hash_allowed;
	uint64_t quota_bytes;
	uint64_t quota_messages;
};

/* Needs all three files. ERR_EXISTS: a complete user of that address is there. Takes the time of one password hash. */
bool user_create(struct site *site, const struct new_user *user, struct error *err);
bool user_set_password(
        struct site *site, const struct account_info *info, struct span password, bool hash_allowed, struct error *err);
bool user_destroy(struct site *site, struct span address, struct error *err);

#endif
