/* imapd/parse.h — the grammar of commands (RFC 9051 §9, RFC 3501 §9 and the extensions' ABNF): pure, and fuzzed.
 *
 * Input is one whole command as imapd/reader.h collected it: the line without its last CRLF, literals in place ("{5}" CRLF and five
 * octets; "{5+}", "~{5}"). Output is values whose memory is the arena's or points into the input. Grammar only: no state, no names of
 * mailboxes looked up, no policy. A false return has filled *err with a reason that a person can use ("expected a sequence set") and
 *   ERR_SYNTAX       not the grammar
 *   ERR_BAD_VALUE    a mailbox name that is no UTF-8
 *   ERR_UNSUPPORTED  a charset of SEARCH, SORT, THREAD that we do not know, and nothing else: NO [BADCHARSET] (RFC 9051 §6.4.4)
 *   ERR_TOO_LONG     a limit below, or PARSE_ARENA_MAX
 *   ERR_NO_MEMORY
 * Time is linear in the input; nothing recurses deeper than PARSE_DEPTH_MAX. Where more is accepted than §9 has, the code says for whom.
 * A parse_<command>() takes all that follows the command's name, from its leading SP to the end. Any thread. */
#ifndef IMAPD_PARSE_H
#define IMAPD_PARSE_H

#include "base/error.h"
#include "imapd/sequence_set.h"

#define PARSE_DEPTH_MAX     64   /* parentheses in a search or a list */
#define PARSE_ITEMS_MAX     1000 /* fetch items, search keys, patterns, flags, field names ... in one list */
#define PARSE_SECTION_DEPTH 100  /* numbers in a section ("1.2.3"), as deep as parts can be (MIME_DEPTH_MAX) */
#define PARSE_TAG_MAX       255
#define PARSE_ARENA_MAX     (1 * MIB)

/* One command being read: what is left of it, and where its values go. */
struct parser {
	struct span in;
	struct arena *arena;
	struct error *err;
	bool utf8; /* UTF8=ACCEPT or IMAP4rev2 is enabled: quoted strings may hold UTF-8 (RFC 6855 §3, RFC 9051 §4.3) and mailbox names are UTF-8 */
};

/* tag SP command-name: upper-cases nothing; `UID ` in front of COPY, FETCH ... is taken into *uid. The rest, with its leading SP, stays in p->in. */
struct command_head {
	struct span tag; /* "*" never; empty when even the tag is wrong, and then the answer is untagged BAD */
	struct span name;
	bool uid;
};
bool parse_head(struct parser *p, struct command_head *head);

/* Small pieces: each consumes, or sets *err. */
bool parse_space(struct parser *p);
bool parse_end(struct parser *p); /* nothing is left (blanks at the end are forgiven: Outlook) */
bool parse_atom(struct parser *p, struct span *out);
/* Quoted or literal. 8-bit octets in quotes only as UTF-8 and only when p->utf8, except in LOGIN, ID, mailbox names and a search with a
 * CHARSET; in literals always. NUL never. */
bool parse_string(struct parser *p, struct span *out);
bool parse_astring(struct parser *p, struct span *out);
bool parse_nstring(struct parser *p, struct span *out);      /* NIL: ptr NULL */
bool parse_list_mailbox(struct parser *p, struct span *out); /* astring with % and * (§9 list-mailbox) */
/* A mailbox name as UTF-8 in NFC-agnostic octets: from modified UTF-7 (RFC 3501 §5.1.3) unless p->utf8; "INBOX" in any case becomes "INBOX".
 * Not valid modified UTF-7 is taken as UTF-8 when it is that, else ERR_BAD_VALUE. */
bool parse_mailbox(struct parser *p, struct span *out);
/* The same from octets that parse_list_mailbox gave. False: no UTF-8, or the arena is full (arena->failed). */
bool mailbox_name_decode(struct arena *arena, bool utf8, struct span in, struct span *out);
/* As the client is to see it: an astring; modified UTF-7 unless utf8, quoted, or a literal where it must be. False when out is full. */
bool mailbox_name_encode(struct buffer *out, bool utf8, struct span name);

/* --- flags --- */
struct flag_list {
	uint64_t system;       /* enum message_flag of storage; \Recent is ignored (clients copy it) */
	struct span *keywords; /* without repetitions */
	size_t keyword_count;
};
/* "(" ... ")"; also without parentheses, up to the end (STORE, §9 store-att-flags) */
bool parse_flag_list(struct parser *p, struct flag_list *out);

/* --- STORE, COPY, MOVE, EXPUNGE --- */
enum store_mode { STORE_REPLACE, STORE_ADD, STORE_REMOVE };
struct store_args {
	struct sequence_set set;
	bool has_unchangedsince; /* RFC 7162 §3.1.3 */
	uint64_t unchangedsince;
	enum store_mode mode;
	bool silent;
	struct flag_list flags;
};
bool parse_store(struct parser *p, struct store_args *out);

struct copy_args {
	struct sequence_set set;
	struct span mailbox;
};
bool parse_copy(struct parser *p, struct copy_args *out); /* COPY and MOVE */

/* --- APPEND (RFC 3502, RFC 9051 §6.3.12, RFC 6855 §4): by pieces, because its messages are streamed --- */
struct append_message {
	struct flag_list flags;
	bool has_date;
	int64_t internal_date; /* unix seconds */
	bool utf8;             /* "UTF8 (~{n}" : the literal is inside parentheses */
	bool literal8;
	bool synchronizing; /* "{n}": the client waits for "+" */
	uint64_t size;
};
/* "SP mailbox" of an APPEND; then for each message parse_append_message(), which ends behind the announcement of the message's literal. */
bool parse_append_mailbox(struct parser *p, struct span *mailbox);
bool parse_append_message(struct parser *p, struct append_message *out);
/* What follows a message's literal: ")" after a UTF8 one; then *more is whether there is anything but blanks: the next message. */
bool parse_append_next(struct parser *p, const struct append_message *previous, bool *more);
/* What a reader asks at each literal: is this the literal of a message of an APPEND? `command` is what came so far, up to and with
 * "{n}" or "{n+}" (no CRLF); `messages`: how many of its messages were announced before: then `command` begins with what follows the last
 * one's literal. Every literal of an APPEND but its mailbox name's is a message, also where the command is wrong: its handler says so then. */
bool append_announces_message(struct span command, unsigned messages, bool utf8);

/* --- SELECT, EXAMINE --- */
struct select_args {
	struct span mailbox;
	bool condstore;   /* RFC 7162 §3.1.8 */
	bool has_qresync; /* RFC 7162 §3.2.5 */
	uint32_t uid_validity;
	uint64_t modseq;
	bool has_known_uids;
	struct sequence_set known_uids;
	bool has_match; /* seq-match-data */
	struct sequence_set match_seqs, match_uids;
};
bool parse_select(struct parser *p, struct select_args *out);

/* --- LIST, LSUB, STATUS, CREATE (RFC 5258, 5819, 6154, 8438, 9051 §6.3.9) --- */
enum list_select { LIST_SUBSCRIBED = 1, LIST_REMOTE = 2, LIST_RECURSIVEMATCH = 4, LIST_SPECIAL_USE = 8 };
enum list_return {
	LIST_RETURN_SUBSCRIBED = 1,
	LIST_RETURN_CHILDREN = 2,
	LIST_RETURN_SPECIAL_USE = 4,
	LIST_RETURN_STATUS = 8
};
enum status_item {
	STATUS_MESSAGES = 1 << 0,
	STATUS_UIDNEXT = 1 << 1,
	STATUS_UIDVALIDITY = 1 << 2,
	STATUS_UNSEEN = 1 << 3,
	STATUS_DELETED = 1 << 4,
	STATUS_SIZE = 1 << 5,
	STATUS_RECENT = 1 << 6,
	STATUS_HIGHESTMODSEQ = 1 << 7,
	STATUS_MAILBOXID = 1 << 8,
	STATUS_APPENDLIMIT = 1 << 9,
	STATUS_DELETED_STORAGE = 1 << 10,
};
struct list_args {
	bool extended;            /* selection options, several patterns, or RETURN were given */
	unsigned select, returns; /* enum list_select, enum list_return */
	unsigned status;          /* enum status_item */
	struct span reference;    /* decoded, as the patterns */
	struct span *patterns;
	size_t pattern_count;
};
bool parse_list(struct parser *p, struct list_args *out);
bool parse_lsub(struct parser *p, struct list_args *out);
struct status_args {
	struct span mailbox;
	unsigned items;
};
bool parse_status(struct parser *p, struct status_args *out);
struct create_args {
	struct span mailbox;
	bool has_use;
	struct span *uses; /* "\Archive" ... as sent, with the backslash */
	size_t use_count;
};
bool parse_create(struct parser *p, struct create_args *out);

/* --- FETCH --- */
enum fetch_kind {
	FETCH_UID,
	FETCH_FLAGS,
	FETCH_INTERNALDATE,
	FETCH_RFC822_SIZE,
	FETCH_ENVELOPE,
	FETCH_BODY, /* BODY without section */
	FETCH_BODYSTRUCTURE,
	FETCH_SECTION, /* BODY[...], BODY.PEEK[...] */
	/* RFC 3501 §6.4.5 */
	FETCH_RFC822,
	FETCH_RFC822_HEADER,
	FETCH_RFC822_TEXT,
	/* RFC 3516 §4.2, RFC 9051 §6.4.5 */
	FETCH_BINARY,
	FETCH_BINARY_SIZE,
	FETCH_MODSEQ, /* RFC 7162 §3.1.4.2 */
	/* RFC 8474 §5 */
	FETCH_EMAILID,
	FETCH_THREADID,
	FETCH_SAVEDATE, /* RFC 8514 §4.2 */
	FETCH_PREVIEW,  /* RFC 8970 §3.1 */
};
enum section_text {
	SECTION_WHOLE,
	SECTION_HEADER,
	SECTION_HEADER_FIELDS,
	SECTION_HEADER_FIELDS_NOT,
	SECTION_TEXT,
	SECTION_MIME
};
struct section {
	uint32_t *parts; /* "1.2": 1, 2 */
	unsigned part_count;
	enum section_text text;
	struct span *fields; /* of HEADER.FIELDS; as sent */
	size_t field_count;
};
struct fetch_item {
	enum fetch_kind kind;
	bool peek; /* does not set \Seen */
	struct section section;
	bool partial; /* <offset.size> */
	uint64_t offset, size;
};
struct fetch_args {
	struct sequence_set set;
	/* Macros expanded, without repetitions: BODY[] beside BODY.PEEK[] is one, that does not peek. */
	struct fetch_item *items;
	size_t item_count;
	bool has_changedsince; /* RFC 7162 §3.1.4.1; 0 is accepted (iOS) */
	uint64_t changedsince;
	bool vanished; /* RFC 7162 §3.2.6: only with CHANGEDSINCE; that it is UID FETCH is the handler's to check */
};
bool parse_fetch(struct parser *p, struct fetch_args *out);

/* --- SEARCH, SORT, THREAD (RFC 9051 §6.4.4, RFC 4731, 5182, 5032, 5256, 7162 §3.1.5, 8474 §6, 8514 §4.3) --- */
enum search_kind {
	SEARCH_ALL,
	SEARCH_AND,      /* one and more children */
	SEARCH_OR,       /* two and more children: "OR a OR b c" is one */
	SEARCH_NOT,      /* one child */
	SEARCH_SEQUENCE, /* set */
	SEARCH_UID,      /* set */
	SEARCH_FLAG,     /* flag: a system flag is set (ANSWERED, SEEN ...; UNSEEN is NOT of it) */
	SEARCH_KEYWORD,  /* text: keyword */
	/* RFC 3501: nothing is ever \Recent for us, see README */
	SEARCH_NEW,
	SEARCH_OLD,
	SEARCH_RECENT,
	/* number: a date, days since 1970; of the internal date, in its own zone taken as UTC */
	SEARCH_BEFORE,
	SEARCH_ON,
	SEARCH_SINCE,
	/* number: a date */
	SEARCH_SENTBEFORE,
	SEARCH_SENTON,
	SEARCH_SENTSINCE,
	SEARCH_SAVEDBEFORE,
	SEARCH_SAVEDON,
	SEARCH_SAVEDSINCE,
	SEARCH_SAVEDATESUPPORTED,
	/* number: seconds (RFC 5032) */
	SEARCH_YOUNGER,
	SEARCH_OLDER,
	/* number: octets */
	SEARCH_LARGER,
	SEARCH_SMALLER,
	/* text: UTF-8 */
	SEARCH_FROM,
	SEARCH_TO,
	SEARCH_CC,
	SEARCH_BCC,
	SEARCH_SUBJECT,
	SEARCH_BODY,
	SEARCH_TEXT,
	SEARCH_HEADER, /* name, text (may be empty: the field is there) */
	SEARCH_MODSEQ, /* number (RFC 7162 §3.1.5; entry name and type are checked and ignored) */
	/* text (RFC 8474 §6) */
	SEARCH_EMAILID,
	SEARCH_THREADID,
};
struct search_key {
	enum search_kind kind;
	struct search_key *child, *next; /* first child; next sibling */
	struct sequence_set set;
	uint64_t flag;
	int64_t number;
	struct span name, text;
};
enum search_return { RETURN_MIN = 1, RETURN_MAX = 2, RETURN_ALL = 4, RETURN_COUNT = 8, RETURN_SAVE = 16 };
struct search_args {
	bool extended;    /* RETURN (...) was given; without any option in it RETURN_ALL is set (RFC 4731 §3.1) */
	unsigned returns; /* enum search_return */
	struct span
	        charset; /* as sent, known; empty: none given. The texts of the keys are UTF-8 already, always valid */
	struct search_key *key; /* SEARCH_AND of all */
};
bool parse_search(struct parser *p, struct search_args *out);
enum sort_key_kind {
	SORT_CC,
	SORT_FROM,
	SORT_SUBJECT,
	SORT_TO,
	SORT_TEXT_COUNT, /* those before it are texts */
	SORT_ARRIVAL = SORT_TEXT_COUNT,
	SORT_DATE,
	SORT_SIZE,
	SORT_KEY_COUNT
};
struct sort_criterion {
	enum sort_key_kind kind;
	bool reverse;
};
struct sort_args {
	struct sort_criterion *criteria;
	size_t criterion_count;
	struct search_args search; /* charset is mandatory (RFC 5256 §3) */
};
bool parse_sort(struct parser *p, struct sort_args *out);
enum thread_algorithm { THREAD_ORDEREDSUBJECT, THREAD_REFERENCES };
struct thread_args {
	enum thread_algorithm algorithm;
	struct search_args search;
};
bool parse_thread(struct parser *p, struct thread_args *out);

/* --- the rest --- */
struct login_args {
	struct span user, password;
};
bool parse_login(struct parser *p, struct login_args *out);
struct authenticate_args {
	struct span mechanism;
	bool has_initial; /* SASL-IR (RFC 4959), still base64; "=" is an empty one */
	struct span initial;
};
bool parse_authenticate(struct parser *p, struct authenticate_args *out);
struct span_list {
	struct span *items;
	size_t count;
};
bool parse_atom_list(struct parser *p, struct span_list *out); /* ENABLE: SP atom ... */
bool parse_id(struct parser *p,
        struct span_list *out); /* RFC 2971: name, value, name, value ...; NIL: count 0; values may be ptr NULL */
struct rename_args {
	struct span from, to;
};
bool parse_rename(struct parser *p, struct rename_args *out);
bool parse_one_mailbox(struct parser *p, struct span *mailbox); /* SP mailbox, end */
bool parse_uid_set(struct parser *p, struct sequence_set *set); /* UID EXPUNGE */
struct quota_args {
	struct span root;
	/* SETQUOTA is refused without looking at what it has */
};
bool parse_quota_root(struct parser *p, struct quota_args *out);

#endif
