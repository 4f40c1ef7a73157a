/* storage/directory.h — directory.db: domains, accounts, addresses, aliases, quotas. Written by the command line, read by all.
 *
 * One handle may be used by several threads (it has a lock of its own); each call is one transaction or one read; every call
 * may wait for the disk. Domains are compared in A-label form, lower case; local parts ASCII case-insensitively, UTF-8
 * otherwise as NFC. */
#ifndef STORAGE_DIRECTORY_H
#define STORAGE_DIRECTORY_H

#include "base/error.h"
#include "base/span.h"

#include <stdint.h>

#define ADDRESS_TEXT_MAX      320 /* 64 @ 255: RFC 5321 §4.5.3.1 */
#define DIRECTORY_TARGETS_MAX 200 /* accounts that one address may reach */
#define DIRECTORY_ALIAS_DEPTH 8
#define DIRECTORY_DETAIL_MAX  64

struct directory;

struct account_info {
	int64_t id;
	char address[ADDRESS_TEXT_MAX + 1]; /* the login: the account's first address */
	char name[128];                     /* of the person, UTF-8, may be empty */
	uint64_t quota_bytes;               /* 0: no limit */
	uint64_t quota_messages;            /* 0: no limit */
	bool disabled;                      /* no logins; mail is still taken in */
	int64_t created_ms;
};

/* Who gets a message to one address. */
struct resolution {
	struct {
		int64_t account_id;
		uint64_t quota_bytes;
		uint64_t quota_messages;
	} targets[DIRECTORY_TARGETS_MAX]; /* each account once */
	size_t count;
	char detail[DIRECTORY_DETAIL_MAX + 1]; /* "tag" of alice+tag@, or "" (RFC 5233) */
	bool catch_all;
};

bool directory_open(const char *data_dir, struct directory **out, struct error *err); /* makes the file at need */
void directory_close(struct directory **directory);

/* An empty domain means the first domain (RFC 5321 §4.5.1: "RCPT TO:<Postmaster>"). In order: the exact address, an alias, the
 * address without "+detail", postmaster (falls to the domain's oldest account), the domain's catch-all.
 * ERR_NO_SUCH_DOMAIN: not ours. ERR_NO_SUCH_ADDRESS: ours, but nobody. ERR_LIMIT: an alias loop or too many targets. */
bool directory_resolve(struct directory *directory, struct span local_part, struct span domain, struct resolution *out,
        struct error *err);
/* Takes no lock, waits for nothing: also on the event loop. What was resolved after the version was taken is still right while the
 * version is the same; but a writer that dies between its commit and the next version leaves it behind, so whoever remembers an
 * answer also bounds how long. False: there is no version to be had, so nothing can be remembered. */
bool directory_version(const struct directory *directory, uint64_t *version);
/* May this account put that address into MAIL FROM and From:? Exactly when mail to it reaches the account (by address, alias or
 * subaddress; a catch-all counts only for the account it names). ERR_DENIED if not. */
bool directory_may_send_as(
        struct directory *directory, int64_t account_id, struct span local_part, struct span domain, struct error *err);

bool directory_account(struct directory *directory, int64_t account_id, struct account_info *out, struct error *err);
bool directory_find_account(
        struct directory *directory, struct span address, struct account_info *out, struct error *err);
bool directory_each_account(struct directory *directory, struct span domain /* empty: all */,
        bool (*each)(void *arg, const struct account_info *info), void *arg, struct error *err);
bool directory_add_account(struct directory *directory, struct span address, struct span name, uint64_t quota_bytes,
        uint64_t quota_messages, int64_t *account_id, struct error *err);
bool directory_set_disabled(struct directory *directory, int64_t account_id, bool disabled, struct error *err);
bool directory_set_quota(
        struct directory *directory, int64_t account_id, uint64_t bytes, uint64_t messages, struct error *err);
bool directory_remove_account(struct directory *directory, int64_t account_id, struct error *err);

bool directory_add_domain(struct directory *directory, struct span name, struct error *err);
bool directory_remove_domain(
        struct directory *directory, struct span name, struct error *err); /* ERR_EXISTS: has accounts */
bool directory_each_domain(struct directory *directory,
        bool (*each)(void *arg, struct span name, uint64_t accounts, uint64_t aliases), void *arg, struct error *err);

/* An alias "sales@example.test" -> one or more addresses of ours; "*@example.test" is the domain's catch-all. */
bool directory_add_alias(struct directory *directory, struct span address, struct span target, struct error *err);
bool directory_remove_alias(
        struct directory *directory, struct span address, struct span target /* empty: all */, struct error *err);
bool directory_each_alias(struct directory *directory, struct span domain /* empty: all */,
        bool (*each)(void *arg, struct span address, struct span target), void *arg, struct error *err);

#endif
