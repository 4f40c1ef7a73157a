-- queue.db, version 1: mail that has to go on (queue.h). Written by smtpd, the relay and the command line. Times: milliseconds since 1970.
PRAGMA application_id = 0x50487131; -- "PHq1"

-- Never without a recipient. An id is never given twice: the relay remembers what is under way by it.
CREATE TABLE message (
	message_id INTEGER PRIMARY KEY AUTOINCREMENT,
	trace TEXT NOT NULL UNIQUE,       -- of the transaction that took it in
	sender TEXT NOT NULL,             -- of MAIL FROM; '' is <>
	envid TEXT NOT NULL,              -- RFC 3461 §4.4, xtext
	header_id TEXT NOT NULL,          -- Message-ID without < >, for people
	ret INTEGER NOT NULL,             -- enum queue_return
	flags INTEGER NOT NULL,           -- enum queue_flag
	priority INTEGER NOT NULL,        -- -9..9
	account_id INTEGER NOT NULL,      -- who submitted it, or 0
	created INTEGER NOT NULL,
	expires INTEGER NOT NULL,
	deliver_by INTEGER NOT NULL,      -- RFC 2852, or 0
	size INTEGER NOT NULL             -- of prefix and body
) STRICT;

-- Apart from message, so that a list of a hundred thousand reads no mail.
CREATE TABLE body (
	message_id INTEGER PRIMARY KEY REFERENCES message,
	prefix BLOB NOT NULL,
	bytes BLOB,                       -- NULL: in a file
	file TEXT,                        -- in queue/blobs/ (body.h)
	length INTEGER NOT NULL           -- of the body alone
) STRICT;

-- What is due to one domain with one priority; '' is all that is delivered here. It exists while a recipient is in it, and next_due is the
-- earliest next attempt of those that wait (NULL: all are held). So the relay finds what is due without looking at what is not.
CREATE TABLE lane (
	lane_id INTEGER PRIMARY KEY,
	domain TEXT NOT NULL,
	priority INTEGER NOT NULL,
	next_due INTEGER,
	UNIQUE (domain, priority)
) STRICT;
CREATE INDEX lane_due ON lane (priority, next_due);

-- recipient_id is message_id << 14 | number (QUEUE_RECIPIENTS_MAX < 1 << 14): a message's recipients are neighbours.
CREATE TABLE recipient (
	recipient_id INTEGER PRIMARY KEY,
	lane_id INTEGER NOT NULL REFERENCES lane,
	held INTEGER NOT NULL,
	next_attempt INTEGER NOT NULL,
	kind INTEGER NOT NULL,            -- enum queue_kind
	address TEXT NOT NULL,
	account_id INTEGER NOT NULL,
	folder TEXT NOT NULL,
	orcpt TEXT NOT NULL,
	notify INTEGER NOT NULL,
	op_id BLOB NOT NULL,              -- makes a delivery here happen once
	attempts INTEGER NOT NULL,
	warned INTEGER NOT NULL,
	reply TEXT NOT NULL               -- of the last attempt
) STRICT;
CREATE INDEX recipient_due ON recipient (lane_id, held, next_attempt);

-- Submission limits: what an account has sent on its last day, and to whom it has ever sent (keyed hashes: no list of correspondents).
CREATE TABLE sending (
	account_id INTEGER PRIMARY KEY,
	day INTEGER NOT NULL,             -- since 1970, UTC
	recipients INTEGER NOT NULL,      -- on that day
	new_recipients INTEGER NOT NULL,  -- of them, to whom it had never sent
	known INTEGER NOT NULL            -- rows in known_recipient
) STRICT;
CREATE TABLE known_recipient (
	account_id INTEGER NOT NULL,
	address INTEGER NOT NULL,         -- SipHash under site.secret
	seen INTEGER NOT NULL,            -- day
	PRIMARY KEY (account_id, address)
) STRICT, WITHOUT ROWID;
CREATE TABLE site (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	secret BLOB NOT NULL              -- 16 octets
) STRICT;

PRAGMA user_version = 1;
