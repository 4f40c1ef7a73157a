#include "parse_show.h"

#include "base/check.h"
#include "storage/mailbox.h"

#include <inttypes.h>

/* --- pieces --- */

void show_span(struct buffer *out, struct span s)
{
	if (s.ptr == NULL) {
		buffer_append_text(out, "NIL");
		return;
	}
	buffer_append_char(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c < ' ' || c > '~')
			buffer_printf(out, "\\x%02x", c);
		else
			buffer_append_char(out, (char)c);
	}
	buffer_append_char(out, '"');
}

static void show_number(struct buffer *out, uint32_t number)
{
	if (number == SEQUENCE_STAR)
		buffer_append_char(out, '*');
	else
		buffer_printf(out, "%" PRIu32, number);
}

void show_set(struct buffer *out, const struct sequence_set *set)
{
	if (set->saved)
		buffer_append_char(out, '$');
	for (size_t i = 0; i < set->count; i++) {
		if (i > 0)
			buffer_append_char(out, ',');
		show_number(out, set->ranges[i].first);
		if (set->ranges[i].last != set->ranges[i].first) {
			buffer_append_char(out, ':');
			show_number(out, set->ranges[i].last);
		}
	}
}

static void show_spans(struct buffer *out, const char *label, const struct span *spans, size_t count)
{
	buffer_printf(out, " %s(", label);
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buffer_append_char(out, ' ');
		show_span(out, spans[i]);
	}
	buffer_append_char(out, ')');
}

void show_bits(struct buffer *out, const char *label, unsigned bits, const struct show_bit *names)
{
	const char *before = "";

	if (bits == 0)
		return;
	buffer_printf(out, " %s=", label);
	for (; names->bit != 0; names++) {
		if (!(bits & names->bit))
			continue;
		buffer_printf(out, "%s%s", before, names->name);
		before = "|";
		bits &= ~names->bit;
	}
	CHECK(bits == 0);
}

static const struct show_bit system_flags[] = {
	{ FLAG_ANSWERED, "\\Answered" },
	{ FLAG_DELETED, "\\Deleted" },
	{ FLAG_DRAFT, "\\Draft" },
	{ FLAG_FLAGGED, "\\Flagged" },
	{ FLAG_SEEN, "\\Seen" },
	{ 0, NULL },
};

static void show_flags(struct buffer *out, const struct flag_list *flags)
{
	show_bits(out, "system", (unsigned)flags->system, system_flags);
	if (flags->keyword_count > 0)
		show_spans(out, "keywords", flags->keywords, flags->keyword_count);
}

static bool show_one_span(struct buffer *out, bool parsed, const struct span *s)
{
	if (!parsed)
		return false;
	buffer_append_char(out, ' ');
	show_span(out, *s);
	return true;
}

/* --- commands --- */

static bool show_nothing(struct parser *p, struct buffer *out)
{
	return parse_end(p);
}

static bool show_login(struct parser *p, struct buffer *out)
{
	struct login_args args;

	return show_one_span(out, parse_login(p, &args), &args.user) && show_one_span(out, true, &args.password);
}

static bool show_authenticate(struct parser *p, struct buffer *out)
{
	struct authenticate_args args;

	if (!show_one_span(out, parse_authenticate(p, &args), &args.mechanism))
		return false;
	return !args.has_initial || show_one_span(out, true, &args.initial);
}

static bool show_atoms(struct parser *p, struct buffer *out)
{
	struct span_list list;

	if (!parse_atom_list(p, &list))
		return false;
	show_spans(out, "", list.items, list.count);
	return true;
}

static bool show_id(struct parser *p, struct buffer *out)
{
	struct span_list list;

	if (!parse_id(p, &list))
		return false;
	show_spans(out, "", list.items, list.count);
	return true;
}

static bool show_one_mailbox(struct parser *p, struct buffer *out)
{
	struct span mailbox;

	return show_one_span(out, parse_one_mailbox(p, &mailbox), &mailbox);
}

static bool show_quota_root(struct parser *p, struct buffer *out)
{
	struct quota_args args;

	return show_one_span(out, parse_quota_root(p, &args), &args.root);
}

static bool show_rename(struct parser *p, struct buffer *out)
{
	struct rename_args args;

	return show_one_span(out, parse_rename(p, &args), &args.from) && show_one_span(out, true, &args.to);
}

static bool show_create(struct parser *p, struct buffer *out)
{
	struct create_args args;

	if (!show_one_span(out, parse_create(p, &args), &args.mailbox))
		return false;
	if (args.has_use)
		show_spans(out, "use", args.uses, args.use_count);
	return true;
}

static void show_labelled_set(struct buffer *out, const char *label, const struct sequence_set *set)
{
	buffer_printf(out, " %s=", label);
	show_set(out, set);
}

static bool show_select(struct parser *p, struct buffer *out)
{
	struct select_args args;

	if (!show_one_span(out, parse_select(p, &args), &args.mailbox))
		return false;
	if (args.condstore)
		buffer_append_text(out, " condstore");
	if (args.has_qresync)
		buffer_printf(out, " qresync=%" PRIu32 "/%" PRIu64, args.uid_validity, args.modseq);
	if (args.has_known_uids)
		show_labelled_set(out, "known", &args.known_uids);
	if (args.has_match) {
		show_labelled_set(out, "seqs", &args.match_seqs);
		show_labelled_set(out, "uids", &args.match_uids);
	}
	return true;
}

static const struct show_bit status_items[] = {
	{ STATUS_MESSAGES, "MESSAGES" },
	{ STATUS_UIDNEXT, "UIDNEXT" },
	{ STATUS_UIDVALIDITY, "UIDVALIDITY" },
	{ STATUS_UNSEEN, "UNSEEN" },
	{ STATUS_DELETED, "DELETED" },
	{ STATUS_SIZE, "SIZE" },
	{ STATUS_RECENT, "RECENT" },
	{ STATUS_HIGHESTMODSEQ, "HIGHESTMODSEQ" },
	{ STATUS_MAILBOXID, "MAILBOXID" },
	{ STATUS_APPENDLIMIT, "APPENDLIMIT" },
	{ STATUS_DELETED_STORAGE, "DELETED-STORAGE" },
	{ 0, NULL },
};

static bool show_status(struct parser *p, struct buffer *out)
{
	struct status_args args;

	if (!show_one_span(out, parse_status(p, &args), &args.mailbox))
		return false;
	show_bits(out, "items", args.items, status_items);
	return true;
}

static void show_list_args(struct buffer *out, const struct list_args *args)
{
	static const struct show_bit selects[] = {
		{ LIST_SUBSCRIBED, "SUBSCRIBED" },
		{ LIST_REMOTE, "REMOTE" },
		{ LIST_RECURSIVEMATCH, "RECURSIVEMATCH" },
		{ LIST_SPECIAL_USE, "SPECIAL-USE" },
		{ 0, NULL },
	};
	static const struct show_bit returns[] = {
		{ LIST_RETURN_SUBSCRIBED, "SUBSCRIBED" },
		{ LIST_RETURN_CHILDREN, "CHILDREN" },
		{ LIST_RETURN_SPECIAL_USE, "SPECIAL-USE" },
		{ LIST_RETURN_STATUS, "STATUS" },
		{ 0, NULL },
	};

	buffer_append_char(out, ' ');
	show_span(out, args->reference);
	show_spans(out, "", args->patterns, args->pattern_count);
	if (args->extended)
		buffer_append_text(out, " extended");
	show_bits(out, "select", args->select, selects);
	show_bits(out, "return", args->returns, returns);
	show_bits(out, "status", args->status, status_items);
}

static bool show_list(struct parser *p, struct buffer *out)
{
	struct list_args args;

	if (!parse_list(p, &args))
		return false;
	show_list_args(out, &args);
	return true;
}

static bool show_lsub(struct parser *p, struct buffer *out)
{
	struct list_args args;

	if (!parse_lsub(p, &args))
		return false;
	show_list_args(out, &args);
	return true;
}

static bool show_append(struct parser *p, struct buffer *out)
{
	struct append_message message;
	struct span mailbox;

	if (!show_one_span(out, parse_append_mailbox(p, &mailbox), &mailbox) || !parse_append_message(p, &message))
		return false;
	show_flags(out, &message.flags);
	if (message.has_date)
		buffer_printf(out, " date=%" PRId64, message.internal_date);
	buffer_printf(out, "%s%s %s{%" PRIu64 "}", message.utf8 ? " utf8" : "", message.literal8 ? " literal8" : "",
	        message.synchronizing ? "waits" : "goes on", message.size);
	return true;
}

static bool show_store(struct parser *p, struct buffer *out)
{
	static const char *const modes[] = { [STORE_REPLACE] = "=", [STORE_ADD] = "+", [STORE_REMOVE] = "-" };
	struct store_args args;

	if (!parse_store(p, &args))
		return false;
	buffer_append_char(out, ' ');
	show_set(out, &args.set);
	buffer_printf(out, " %s%s", modes[args.mode], args.silent ? " silent" : "");
	if (args.has_unchangedsince)
		buffer_printf(out, " unchangedsince=%" PRIu64, args.unchangedsince);
	show_flags(out, &args.flags);
	return true;
}

static bool show_copy(struct parser *p, struct buffer *out)
{
	struct copy_args args;

	if (!parse_copy(p, &args))
		return false;
	buffer_append_char(out, ' ');
	show_set(out, &args.set);
	return show_one_span(out, true, &args.mailbox);
}

static bool show_uid_set(struct parser *p, struct buffer *out)
{
	struct sequence_set set;

	if (!parse_uid_set(p, &set))
		return false;
	buffer_append_char(out, ' ');
	show_set(out, &set);
	return true;
}

/* --- FETCH --- */

static const char *const kinds[] = {
	[FETCH_UID] = "UID",
	[FETCH_FLAGS] = "FLAGS",
	[FETCH_INTERNALDATE] = "INTERNALDATE",
	[FETCH_RFC822_SIZE] = "RFC822.SIZE",
	[FETCH_ENVELOPE] = "ENVELOPE",
	[FETCH_BODY] = "BODY",
	[FETCH_BODYSTRUCTURE] = "BODYSTRUCTURE",
	[FETCH_SECTION] = "SECTION",
	[FETCH_RFC822] = "RFC822",
	[FETCH_RFC822_HEADER] = "RFC822.HEADER",
	[FETCH_RFC822_TEXT] = "RFC822.TEXT",
	[FETCH_BINARY] = "BINARY",
	[FETCH_BINARY_SIZE] = "BINARY.SIZE",
	[FETCH_MODSEQ] = "MODSEQ",
	[FETCH_EMAILID] = "EMAILID",
	[FETCH_THREADID] = "THREADID",
	[FETCH_SAVEDATE] = "SAVEDATE",
	[FETCH_PREVIEW] = "PREVIEW",
};

static void show_section(struct buffer *out, const struct section *section)
{
	static const char *const texts[] = { "", "HEADER", "FIELDS", "FIELDS.NOT", "TEXT", "MIME" };

	buffer_append_char(out, '[');
	for (unsigned i = 0; i < section->part_count; i++)
		buffer_printf(out, "%" PRIu32 ".", section->parts[i]);
	buffer_append_text(out, texts[section->text]);
	if (section->field_count > 0)
		show_spans(out, "", section->fields, section->field_count);
	buffer_append_char(out, ']');
}

static void show_item(struct buffer *out, const struct fetch_item *item)
{
	buffer_printf(out, " %s", kinds[item->kind]);
	if (item->kind == FETCH_SECTION || item->kind == FETCH_BINARY || item->kind == FETCH_BINARY_SIZE)
		show_section(out, &item->section);
	if (item->partial)
		buffer_printf(out, "<%" PRIu64 ".%" PRIu64 ">", item->offset, item->size);
	if (item->peek)
		buffer_append_text(out, "/peek");
}

static bool show_fetch(struct parser *p, struct buffer *out)
{
	struct fetch_args args;

	if (!parse_fetch(p, &args))
		return false;
	buffer_append_char(out, ' ');
	show_set(out, &args.set);
	for (size_t i = 0; i < args.item_count; i++)
		show_item(out, &args.items[i]);
	if (args.has_changedsince)
		buffer_printf(out, " changedsince=%" PRIu64, args.changedsince);
	if (args.vanished)
		buffer_append_text(out, " vanished");
	return true;
}

/* --- by name --- */

static const struct show {
	const char *name;
	bool (*run)(struct parser *p, struct buffer *out);
	bool uid;
} shows[] = {
	{ "NOOP", show_nothing },
	{ "LOGIN", show_login },
	{ "AUTHENTICATE", show_authenticate },
	{ "ENABLE", show_atoms },
	{ "ID", show_id },
	{ "SELECT", show_select },
	{ "EXAMINE", show_select },
	{ "CREATE", show_create },
	{ "DELETE", show_one_mailbox },
	{ "SUBSCRIBE", show_one_mailbox },
	{ "RENAME", show_rename },
	{ "LIST", show_list },
	{ "LSUB", show_lsub },
	{ "STATUS", show_status },
	{ "GETQUOTA", show_quota_root },
	{ "APPEND", show_append },
	{ "STORE", show_store, true },
	{ "COPY", show_copy, true },
	{ "MOVE", show_copy, true },
	{ "EXPUNGE", show_nothing },
	{ "EXPUNGE", show_uid_set, true },
	{ "FETCH", show_fetch, true },
	{ "SEARCH", show_search_command, true },
	{ "SORT", show_sort_command, true },
	{ "THREAD", show_thread_command, true },
};

static const struct show *find_show(const struct command_head *head)
{
	for (size_t i = 0; i < ARRAY_LEN(shows); i++) {
		if (span_equal_nocase(head->name, span_of(shows[i].name)) && (!head->uid || shows[i].uid))
			return &shows[i];
	}
	return NULL;
}

static bool show_failed(const struct error *err, struct buffer *out)
{
	CHECK(err->code != ERR_NONE && err->reason[0] != '\0');
	buffer_clear(out);
	buffer_printf(out, "%s %s", error_name(err->code) + 4, err->reason);
	return false;
}

bool parse_show_command(struct span command, bool utf8, struct arena *arena, struct buffer *out)
{
	struct error err = { 0 };
	struct parser p = { .in = command, .arena = arena, .err = &err, .utf8 = utf8 };
	struct command_head head;
	const struct show *show;

	buffer_clear(out);
	if (!parse_head(&p, &head))
		return show_failed(&err, out);
	show = find_show(&head);
	if (show == NULL) {
		buffer_append_text(out, "no such command");
		return false;
	}
	buffer_printf(out, "%.*s %s%s", SPAN_FMT(head.tag), head.uid ? "UID " : "", show->name);
	if (!show->run(&p, out))
		return show_failed(&err, out);
	CHECK(p.in.len == 0);
	return true;
}
