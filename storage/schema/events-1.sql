-- events.db, version 1: what was decided about each message (events.h). Not durable at once, pruned by age. Times: milliseconds since 1970.
PRAGMA application_id = 0x50486531; -- "PHe1"

CREATE TABLE event (
	event_id INTEGER PRIMARY KEY,
	at INTEGER NOT NULL,
	kind INTEGER NOT NULL,            -- enum event_kind
	trace TEXT NOT NULL,              -- '': belongs to no message
	message_id TEXT NOT NULL,
	sender TEXT NOT NULL,
	recipient TEXT NOT NULL,
	text TEXT NOT NULL,
	detail TEXT NOT NULL
) STRICT;
CREATE INDEX event_at ON event (at);

-- How an event is found: by a hash of its trace, its Message-ID, its addresses. By the hour first: what is written together stands together,
-- old hours go as a whole, and a search makes one step per hour that is kept.
CREATE TABLE event_key (
	hour INTEGER NOT NULL,
	key INTEGER NOT NULL,
	event_id INTEGER NOT NULL,
	PRIMARY KEY (hour, key, event_id)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 1;
