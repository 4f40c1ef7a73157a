-- directory.db, version 2: aliases that lead elsewhere, an account's options, and what the site must remember.

-- 1: the target was not in a domain of ours when it was added, and its local part is as given. Mail to it leaves the site; when its domain
-- has become ours meanwhile it is resolved here. 0: never leaves the site, also when its domain is removed.
ALTER TABLE alias ADD COLUMN elsewhere INTEGER NOT NULL DEFAULT 0;

ALTER TABLE account ADD COLUMN file_sent INTEGER NOT NULL DEFAULT 0;      -- what is submitted is filed in Sent
ALTER TABLE account ADD COLUMN detail_folders INTEGER NOT NULL DEFAULT 0; -- alice+lists@ goes to the mailbox `lists`
ALTER TABLE account ADD COLUMN undo_seconds INTEGER;                      -- NULL: as configured, here and below
ALTER TABLE account ADD COLUMN recipients_a_day INTEGER;
ALTER TABLE account ADD COLUMN new_recipients_a_day INTEGER;

CREATE TABLE site (
	name TEXT PRIMARY KEY,            -- "srs_secret"
	value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 2;
