-- directory.db, version 1: whose mail we take. Written by the command line, read by all. Times: milliseconds since 1970.
PRAGMA application_id = 0x50486431; -- "PHd1"

CREATE TABLE domain (
	domain_id INTEGER PRIMARY KEY AUTOINCREMENT,
	name TEXT NOT NULL UNIQUE,        -- A-labels, lower case
	created INTEGER NOT NULL
) STRICT;

CREATE TABLE account (
	account_id INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: it names a directory
	name TEXT NOT NULL,               -- of the person
	quota_bytes INTEGER NOT NULL,     -- 0: no limit
	quota_messages INTEGER NOT NULL,
	disabled INTEGER NOT NULL,        -- no logins; mail is still taken in
	created INTEGER NOT NULL
) STRICT;

-- Local parts are NFC with ASCII letters in lower case.
CREATE TABLE address (
	domain_id INTEGER NOT NULL REFERENCES domain,
	local TEXT NOT NULL,
	account_id INTEGER NOT NULL REFERENCES account,
	login INTEGER NOT NULL,           -- 1: the account's first address, its login
	PRIMARY KEY (domain_id, local)
) STRICT, WITHOUT ROWID;
CREATE INDEX address_account ON address (account_id);

-- local "*" is the domain's catch-all. A target is an address of ours, resolved when mail comes.
CREATE TABLE alias (
	domain_id INTEGER NOT NULL REFERENCES domain,
	local TEXT NOT NULL,
	target_domain TEXT NOT NULL,
	target_local TEXT NOT NULL,
	PRIMARY KEY (domain_id, local, target_domain, target_local)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 1;
