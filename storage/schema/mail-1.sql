-- mail.db, version 1: everything of one user. One file per account: accounts/<id>/mail.db.
-- Numbers that identify things (mailbox_id, message_id, thread_id) come from account.id_next, are never used twice and
-- never change while the thing lives, also over move and rename. Times are milliseconds since 1970 (UTC).
PRAGMA application_id = 0x50486d31; -- "PHm1"

-- One row. Changed by every commit, so it is kept short.
CREATE TABLE account (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	modseq INTEGER NOT NULL,          -- of the last change of anything in this account
	id_next INTEGER NOT NULL,         -- the next mailbox_id or message_id
	uid_validity_next INTEGER NOT NULL, -- counts up only; no wall clock
	usage_bytes INTEGER NOT NULL,     -- every live message once, in however many mailboxes it is
	usage_messages INTEGER NOT NULL,
	keyword_modseq INTEGER NOT NULL   -- modseq when a keyword was last given or taken a number
) STRICT;

-- One row that hardly ever changes.
CREATE TABLE account_constant (
	one INTEGER PRIMARY KEY CHECK (one = 1),
	account_id INTEGER NOT NULL,      -- the directory's, so that a file in the wrong place is noticed
	thread_key BLOB NOT NULL,         -- 16 random octets: the hash in thread_ref cannot be steered from outside
	tombstone_floor INTEGER NOT NULL, -- tombstones and flag_change are complete for what happened after this modseq
	mailbox_floor INTEGER NOT NULL    -- the same for mailbox_tombstone
) STRICT;

CREATE TABLE mailbox (
	mailbox_id INTEGER PRIMARY KEY,
	uid_validity INTEGER NOT NULL,
	uid_next INTEGER NOT NULL,
	messages INTEGER NOT NULL,        -- the counters are changed in the commit that changes the rows they count
	unseen INTEGER NOT NULL,
	deleted INTEGER NOT NULL,
	size INTEGER NOT NULL,            -- octets of its messages
	deleted_size INTEGER NOT NULL,    -- of those with \Deleted
	modseq INTEGER NOT NULL,          -- HIGHESTMODSEQ: of the last change of a message in it or of itself
	use INTEGER NOT NULL,             -- enum special_use (RFC 6154)
	name TEXT NOT NULL UNIQUE         -- UTF-8 (NFC), "/" between levels
) STRICT;
CREATE UNIQUE INDEX mailbox_use ON mailbox (use) WHERE use <> 0;

CREATE TABLE subscription (
	name TEXT PRIMARY KEY             -- need not exist as a mailbox (RFC 9051 §6.3.7)
) STRICT, WITHOUT ROWID;

-- Hot and narrow: which message is in which mailbox under which UID. No index besides the key: what changed since a
-- mod-sequence is answered by created (new rows stand at the end), flag_change and tombstone.
-- message_id has no foreign key on purpose: it would need an index here to delete a message; check.c looks instead.
CREATE TABLE membership (
	mailbox_id INTEGER NOT NULL REFERENCES mailbox,
	uid INTEGER NOT NULL,
	message_id INTEGER NOT NULL,
	size INTEGER NOT NULL,            -- of the message as handed out
	flags INTEGER NOT NULL,           -- enum message_flag, keywords from bit 6 on
	modseq INTEGER NOT NULL,
	created INTEGER NOT NULL,         -- modseq of the commit that put it here
	saved INTEGER NOT NULL,           -- when that was: seconds (RFC 8514)
	PRIMARY KEY (mailbox_id, uid)
) STRICT, WITHOUT ROWID;

-- How many memberships a message has, when more than one. Narrow, so that COPY of many messages is cheap.
CREATE TABLE extra_copies (
	message_id INTEGER PRIMARY KEY,
	copies INTEGER NOT NULL CHECK (copies > 1)
) STRICT;

-- Ranges of UIDs among which flags changed in one commit; in a range they are near each other.
CREATE TABLE flag_change (
	modseq INTEGER NOT NULL,
	mailbox_id INTEGER NOT NULL,
	uid_first INTEGER NOT NULL,
	uid_last INTEGER NOT NULL,
	at INTEGER NOT NULL,
	PRIMARY KEY (modseq, mailbox_id, uid_first)
) STRICT, WITHOUT ROWID;

-- What is gone from a mailbox, for QRESYNC (RFC 7162) and for undo.
CREATE TABLE tombstone (
	modseq INTEGER NOT NULL,
	mailbox_id INTEGER NOT NULL,
	uid INTEGER NOT NULL,
	message_id INTEGER NOT NULL,
	at INTEGER NOT NULL,
	PRIMARY KEY (modseq, mailbox_id, uid)
) STRICT, WITHOUT ROWID;

CREATE TABLE mailbox_tombstone (
	modseq INTEGER NOT NULL,
	mailbox_id INTEGER NOT NULL,
	name TEXT NOT NULL,
	at INTEGER NOT NULL,
	PRIMARY KEY (modseq, mailbox_id)
) STRICT, WITHOUT ROWID;

-- Messages that are in no mailbox any more; message and content go when the time has come.
CREATE TABLE expunged (
	free_after INTEGER NOT NULL,      -- decided when it was expunged ([store] keep_expunged_days)
	message_id INTEGER NOT NULL,
	PRIMARY KEY (free_after, message_id)
) STRICT, WITHOUT ROWID;

-- What was computed once, at delivery (message/summary.h). Written once, never changed.
CREATE TABLE message (
	message_id INTEGER PRIMARY KEY,   -- EMAILID
	thread_id INTEGER NOT NULL,       -- THREADID: the message_id of the thread's first message
	internal_date INTEGER NOT NULL,
	sent_date INTEGER,                -- of Date:, seconds
	size INTEGER NOT NULL,
	header_length INTEGER NOT NULL,   -- with its empty line
	traits INTEGER NOT NULL,          -- bit 0: subject had Re:/Fwd:, bit 1: has an attachment
	envelope BLOB NOT NULL,           -- as IMAP sends it
	body BLOB NOT NULL,               -- BODY, as IMAP sends it
	body_structure BLOB NOT NULL,     -- BODYSTRUCTURE, as IMAP sends it
	parts BLOB NOT NULL,              -- octet offsets of the parts
	preview TEXT NOT NULL,
	base_subject TEXT NOT NULL,
	rfc_message_id BLOB NOT NULL,     -- without < >
	in_reply_to BLOB NOT NULL,
	refs BLOB NOT NULL                -- of References:, LF between
) STRICT;

-- The octets. A message is head, then what its blob holds from octet `skip` on. head is the header block (with our trace
-- prefix) up to CONTENT_HEAD_MAX: apart, so that a client's list of headers is read without the bodies between them.
CREATE TABLE header (
	message_id INTEGER PRIMARY KEY,   -- no foreign key: content's stands for both, they come and go together
	format INTEGER NOT NULL,          -- as of content
	head BLOB NOT NULL
) STRICT;

CREATE TABLE content (
	message_id INTEGER PRIMARY KEY REFERENCES message,
	class INTEGER NOT NULL,           -- where the blob is: 0 in `bytes`, 1 in the file blobs/xx/<file>
	format INTEGER NOT NULL,          -- how it is encoded: 0 raw (later: compressed, encrypted)
	length INTEGER NOT NULL,          -- octets of the blob, decoded
	skip INTEGER NOT NULL,            -- octets at the blob's start that head already has
	checksum INTEGER,                 -- of head and bytes (storage/checksum.h); NULL: not known
	file TEXT,                        -- 32 hexadecimal digits
	bytes BLOB
) STRICT;

-- Message ids seen, own and referred to, as a keyed hash of id and base subject (RFC 8621 §3) -> thread.
CREATE TABLE thread_ref (
	hash INTEGER PRIMARY KEY,
	thread_id INTEGER NOT NULL
) STRICT;

-- Keywords of the account. Number n is bit 6 + n of membership.flags.
CREATE TABLE keyword (
	number INTEGER PRIMARY KEY CHECK (number BETWEEN 0 AND 57),
	name TEXT NOT NULL UNIQUE COLLATE NOCASE -- as first written
) STRICT;

-- Operations that are done: a retry of the same one does nothing (design 2.2).
CREATE TABLE operation (
	op_id BLOB PRIMARY KEY,
	at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX operation_at ON operation (at);

PRAGMA user_version = 1;
