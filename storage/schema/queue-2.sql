-- queue.db, version 2: what a report has to repeat (RFC 4865 §5.1.2).
ALTER TABLE message ADD COLUMN future_release TEXT NOT NULL DEFAULT ''; -- "for;86400", "until;2026-11-21T12:00:00Z", or ''

PRAGMA user_version = 2;
