-- relay.db, version 1: what the relay must know besides the queue (relay_store.h). Times: milliseconds since 1970.
PRAGMA application_id = 0x50487231; -- "PHr1"

CREATE TABLE route (
	match TEXT PRIMARY KEY,           -- "example.net", ".example.net", "from:example.test", "*"
	kind INTEGER NOT NULL,            -- enum route_kind
	host TEXT NOT NULL,
	port INTEGER NOT NULL,
	implicit_tls INTEGER NOT NULL,
	tls INTEGER NOT NULL,             -- enum route_tls
	user TEXT NOT NULL,               -- '': no AUTH
	password TEXT NOT NULL            -- in the clear: the other server wants it so. The file is for the service user alone
) STRICT, WITHOUT ROWID;

-- MTA-STS (RFC 8461): policies as they were fetched.
CREATE TABLE sts_policy (
	domain TEXT PRIMARY KEY,
	id TEXT NOT NULL,                 -- of the TXT record
	fetched INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	policy TEXT NOT NULL
) STRICT;
CREATE INDEX sts_policy_expires ON sts_policy (expires);

PRAGMA user_version = 1;
