-- auth.db, version 1: what proves that a user is who they say. Only authd and the command line open it.
PRAGMA application_id = 0x50486131; -- "PHa1"

CREATE TABLE credential (
	account_id INTEGER PRIMARY KEY,
	login TEXT NOT NULL UNIQUE,       -- normalised like an address in directory.db
	disabled INTEGER NOT NULL,
	password_hash TEXT NOT NULL,      -- "$argon2id$..."
	scram_salt BLOB NOT NULL,
	scram_iterations INTEGER NOT NULL,
	scram_stored_key BLOB NOT NULL,   -- RFC 5802 §3
	scram_server_key BLOB NOT NULL
) STRICT;

CREATE TABLE last_login (
	account_id INTEGER NOT NULL REFERENCES credential ON DELETE CASCADE,
	service TEXT NOT NULL,
	at INTEGER NOT NULL,              -- milliseconds since 1970
	peer TEXT NOT NULL,
	PRIMARY KEY (account_id, service)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 1;
