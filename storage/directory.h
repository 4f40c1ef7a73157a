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
#define DIRECTORY_REMOTES_MAX 100        /* addresses elsewhere that one address may reach */
#define DIRECTORY_REMOTE_TEXT (8 * 1024) /* of all of them and of the aliases that name them */
#define DIRECTORY_SECRET_LEN  32
#define ACCOUNT_UNDO_MAX      3600 /* seconds */
#define ACCOUNT_LIMIT_MAX     1000000
#define ACCOUNT_AS_CONFIGURED (-1)

struct directory;

/* What the owner or the admin has set for one account. The numbers may be ACCOUNT_AS_CONFIGURED. */
struct account_options {
	bool file_sent;               /* what is submitted is filed in Sent by us */
	bool detail_folders;          /* mail to alice+lists@ goes to the mailbox `lists` where it exists */
	int32_t undo_seconds;         /* 0..ACCOUNT_UNDO_MAX: how long what is submitted waits */
	int32_t recipients_a_day;     /* 0: no limit; struct sending_limits in queue.h */
	int32_t new_recipients_a_day; /* 0: no limit */
};

struct account_info {
	int64_t id;
	char address[ADDRESS_TEXT_MAX + 1]; /* the login: the account's first address */
	char name[128];                     /* of the person, UTF-8, may be empty */
	uint64_t quota_bytes;               /* 0: no limit */
	uint64_t quota_messages;            /* 0: no limit */
	bool disabled;                      /* no logins; mail is still taken in */
	int64_t created_ms;
	struct account_options options;
};

/* Who gets a message to one address: accounts, and by aliases addresses elsewhere. May be copied as it is. */
struct resolution {
	struct {
		int64_t account_id;
		uint64_t quota_bytes;
		uint64_t quota_messages;
		bool detail_folders;
	} targets[DIRECTORY_TARGETS_MAX]; /* each account once */
	size_t count;
	struct {
		uint16_t address, alias;  /* where they begin in remote_text; see resolution_remote() */
	} remotes[DIRECTORY_REMOTES_MAX]; /* each address once */
	size_t remote_count;
	uint16_t remote_text_len;
	char remote_text[DIRECTORY_REMOTE_TEXT];
	char detail[DIRECTORY_DETAIL_MAX + 1]; /* "tag" of alice+tag@, or "" (RFC 5233) */
	bool catch_all;
};

bool directory_open(const char *data_dir, struct directory **out, struct error *err); /* makes the file at need */
void directory_close(struct directory **directory);

/* "local@domain" number i elsewhere (the local part as the alias was given it, the domain in A-labels), and the alias of ours that names
 * it: mail to it is forwarded (SRS). i < remote_count; valid as long as the resolution. */
const char *resolution_remote(const struct resolution *resolution, size_t i);
const char *resolution_remote_alias(const struct resolution *resolution, size_t i);

/* An empty domain means the first domain (RFC 5321 §4.5.1: "RCPT TO:<Postmaster>"). In order: the exact address, an alias, the
 * address without "+detail", postmaster (falls to the domain's oldest account), the domain's catch-all.
 * ERR_NO_SUCH_DOMAIN: not ours. ERR_NO_SUCH_ADDRESS: ours, but nobody. ERR_LIMIT: an alias loop or too many targets.
 * Without an error there is at least one target or one remote. */
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
/* ERR_BAD_VALUE: out of range. */
bool directory_set_options(
        struct directory *directory, int64_t account_id, const struct account_options *options, struct error *err);
bool directory_remove_account(struct directory *directory, int64_t account_id, struct error *err);

bool directory_add_domain(struct directory *directory, struct span name, struct error *err);
bool directory_remove_domain(
        struct directory *directory, struct span name, struct error *err); /* ERR_EXISTS: has accounts */
bool directory_each_domain(struct directory *directory,
        bool (*each)(void *arg, struct span name, uint64_t accounts, uint64_t aliases), void *arg, struct error *err);

/* False with ERR_NO_SUCH_DOMAIN: not ours. In any form; an address literal is never ours. */
bool directory_has_domain(struct directory *directory, struct span name, struct error *err);

/* An alias "sales@example.test" -> one or more addresses; "*@example.test" is the domain's catch-all. A target in a domain of ours must
 * exist; one in another domain is where mail is forwarded. A target that was added as ours never becomes one elsewhere
 * when its domain is removed here, and one elsewhere is resolved here from when its domain is added. */
bool directory_add_alias(struct directory *directory, struct span address, struct span target, struct error *err);
bool directory_remove_alias(
        struct directory *directory, struct span address, struct span target /* empty: all */, struct error *err);
bool directory_each_alias(struct directory *directory, struct span domain /* empty: all */,
        bool (*each)(void *arg, struct span address, struct span target), void *arg, struct error *err);

/* A secret of the site for SRS (message/srs.h), made at the first need; the same for all processes from then on. */
bool directory_srs_secret(struct directory *directory, uint8_t out[DIRECTORY_SECRET_LEN], struct error *err);

#endif
