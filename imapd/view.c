#include "imapd/view.h"

#include "base/check.h"
#include "imapd/command.h"
#include "imapd/news.h"
#include "imapd/watch.h"

#include <stdlib.h>

#define FLAG_LISTS_MAX (32 * KIB) /* 58 names of 100 octets, twice */

/* --- open, close, refresh --- */

void view_open(struct imap_session *s, int64_t mailbox_id, bool read_only,
        void (*done)(struct imap_session *s, struct view *view, const struct error *err))
{
	struct view *view = calloc(1, sizeof(*view));
	struct error err;

	if (view == NULL) {
		error_set(&err, ERR_NO_MEMORY, "out of memory");
		done(s, NULL, &err);
		return;
	}
	view->session = s;
	view->read_only = read_only;
	view->on_opened = done;
	session_hold(s); /* until it is called, or not */
	watch_open(view, mailbox_id);
}

void view_close(struct view **view_ptr)
{
	struct view *view = *view_ptr;

	*view_ptr = NULL;
	view_listen(view, NULL);
	watch_close(view);
	known_clear(&view->known);
	free(view);
}

void view_refresh(struct view *view, void (*done)(struct imap_session *s, const struct error *failed))
{
	CHECK(view->on_refreshed == NULL);
	view->on_refreshed = done;
	watch_refresh(view);
}

/* Rows change all or none of them (index_patch); but names of keywords are those of the newest index of the account. */
bool view_is_whole(const struct view *view)
{
	uint64_t modseq = view->index->modseq;

	return modseq >= view->own_last && modseq >= watch_keywords(view->index)->version;
}

void view_forget_refresh(struct view *view)
{
	if (view->on_refreshed != NULL)
		watch_forget(view);
	view->on_refreshed = NULL;
}

void view_listen(struct view *view, void (*on_news)(struct imap_session *s))
{
	bool before = view->on_news != NULL, after = on_news != NULL;

	view->on_news = on_news;
	if (before != after)
		watch_listen(view, after);
}

/* --- numbers --- */

uint32_t view_count(const struct view *view)
{
	return view->known.count;
}

uint32_t view_uid(const struct view *view, uint32_t sequence)
{
	CHECK(sequence > 0 && sequence <= view->known.count);
	return view->known.list->uids[sequence - 1];
}

bool view_sequence(const struct view *view, uint32_t uid, uint32_t *sequence)
{
	uint32_t place;

	if (!known_place(&view->known, uid, &place))
		return false;
	*sequence = place + 1;
	return true;
}

const struct mailbox_info *view_info(const struct view *view)
{
	return &view->index->info;
}

/* --- sets --- */

/* A set as places in known: where it begins, and how many. */
struct stretch {
	uint32_t first, count;
};

struct collection {
	const struct view *view;
	struct view_message *messages;
	size_t count, capacity;
	size_t gone;
	uint32_t row; /* where the last one stood in the index */
};

static bool collect_grow(struct collection *c, size_t extra)
{
	size_t wanted = c->count + extra, capacity = c->capacity * 2 > wanted ? c->capacity * 2 : wanted;
	struct view_message *messages;

	if (wanted <= c->capacity)
		return true;
	messages = realloc(c->messages, capacity * sizeof(*messages));
	if (messages == NULL)
		return false;
	c->messages = messages;
	c->capacity = capacity;
	return true;
}

/* Places in known and in the index both rise; they differ only while there are expunges that the client was not told of. */
static bool collect(struct collection *c, struct stretch stretch)
{
	const struct view *view = c->view;
	const struct index *index = view->index;
	bool same = view->epoch == index->epoch;

	if (stretch.count == 0)
		return true;
	if (!collect_grow(c, stretch.count))
		return false;
	if (!same)
		c->row = index_find(index, view->known.list->uids[stretch.first]);
	for (uint32_t place = stretch.first; place < stretch.first + stretch.count; place++) {
		uint32_t row = same ? place : c->row, uid = view->known.list->uids[place];

		while (!same && row < index->count && index->rows[row].uid < uid)
			row++;
		c->row = row;
		if (row < index->count && index->rows[row].uid == uid)
			c->messages[c->count++] = (struct view_message) { place + 1, index->rows[row] };
		else
			c->gone++;
	}
	return true;
}

static struct stretch stretch_of(const struct view *view, const struct number_range *range, bool uid)
{
	uint32_t first, end, count = view->known.count;

	if (!uid)
		return (struct stretch) { range->first - 1, range->last - range->first + 1 };
	first = known_find(&view->known, range->first);
	end = range->last == UINT32_MAX ? count : known_find(&view->known, range->last + 1);
	return (struct stretch) { first, end - first };
}

/* "$" */
static bool collect_saved(struct collection *c)
{
	const struct uid_list *saved = c->view->session->saved;
	uint32_t place;

	for (uint32_t i = 0; saved != NULL && i < saved->count; i++) {
		if (known_place(&c->view->known, saved->uids[i], &place) && !collect(c, (struct stretch) { place, 1 }))
			return false;
	}
	return true;
}

static bool collect_set(struct collection *c, struct sequence_set *set, bool uid, bool *beyond)
{
	const struct view *view = c->view;
	uint32_t count = view->known.count, largest = count;

	if (uid && count > 0)
		largest = view_uid(view, count);
	sequence_set_resolve(set, largest);
	/* RFC 9051 §9 seq-number: a number larger than the number of messages is an error */
	*beyond = !uid && set->count > 0 && set->ranges[set->count - 1].last > count;
	for (size_t i = 0; i < set->count && !*beyond; i++)
		if (!collect(c, stretch_of(view, &set->ranges[i], uid)))
			return false;
	return true;
}

bool view_collect(const struct view *view, struct sequence_set *set, bool uid, struct view_message **out, size_t *count,
        bool *beyond, size_t *gone)
{
	struct collection c = { .view = view };
	bool ok;

	*beyond = false;
	ok = collect_grow(&c, 1) && (set->saved ? collect_saved(&c) : collect_set(&c, set, uid, beyond));
	if (!ok) {
		free(c.messages);
		return false;
	}
	*out = c.messages;
	*count = c.count;
	*gone = c.gone;
	return true;
}

/* By UID, so that the store need not look at every row while it has the write lock. */
bool view_expunge_deleted(const struct view *view, struct batch *batch)
{
	const struct index *index = view->index;
	uint32_t *uids = malloc((index->info.deleted + (size_t)1) * sizeof(*uids)), count = 0;
	bool ok;

	if (uids == NULL)
		return false;
	for (uint32_t i = 0; i < index->count && count < index->info.deleted; i++)
		if (index->rows[i].flags & FLAG_DELETED)
			uids[count++] = index->rows[i].uid;
	ok = batch_expunge_deleted(batch, index->info.id, uids, count);
	free(uids);
	return ok;
}

/* --- telling --- */

static struct news_style style_of(const struct view *view)
{
	unsigned enabled = view->session->enabled;

	return (struct news_style) {
		.modseq = (enabled & ENABLED_CONDSTORE) != 0,
		.vanished = (enabled & ENABLED_QRESYNC) != 0,
		.keywords = watch_keywords(view->index),
	};
}

typedef enum news_left news_writer(struct view *view, const struct news_style *style, struct buffer *out);

/* Piece by piece, as long as there is room. True: all is told. */
static bool tell(struct view *view, news_writer *write)
{
	struct news_style style = style_of(view);
	struct imap_session *s = view->session;
	enum news_left left;
	struct buffer out;

	buffer_init(&out, NEWS_TEXT_MAX);
	do {
		buffer_clear(&out);
		left = write(view, &style, &out);
		if (left != NEWS_NO_MEMORY)
			session_write(s, buffer_span(&out));
	} while (left == NEWS_MORE && !session_full(s));
	buffer_free(&out);
	return left == NEWS_ALL_TOLD;
}

static bool knows_all(struct view *view)
{
	return !news_has_flags(view) && !news_has_gone(view);
}

uint64_t view_highest_modseq(const struct view *view)
{
	uint64_t told = view->told_modseq < view->told_gone_modseq ? view->told_modseq : view->told_gone_modseq;

	return told < view->index->info.modseq ? told : view->index->info.modseq;
}

/* RFC 7162 §3.2: a client that has seen a MODSEQ must not take it for its HIGHESTMODSEQ while an earlier change is still to be told. It would
 * never learn of that one if the connection were lost now. */
static void tell_highest_modseq(struct view *view)
{
	bool all = knows_all(view);

	if (!(view->session->enabled & ENABLED_CONDSTORE) || (all && !view->lowered))
		return;
	view->lowered = !all;
	session_printf(view->session, "* OK [HIGHESTMODSEQ %llu] %s\r\n", (unsigned long long)view_highest_modseq(view),
	        all ? "all is told" : "more is to be told");
}

static bool deletes_mailboxes(const struct imap_session *s)
{
	for (const struct imap_request *req = s->ending; req != NULL; req = req->next)
		if (req->command != NULL && req->command->run == cmd_delete)
			return true;
	return false;
}

/* Mail for it comes into another mailbox now, if at all, and this client would wait for ever. */
static void tell_deleted(struct imap_session *s)
{
	if (deletes_mailboxes(s)) {
		session_unselect(s);
		session_write_text(s, "* OK [CLOSED] the selected mailbox is deleted\r\n");
	} else {
		session_bye(s, NULL, "the selected mailbox was deleted");
	}
}

void view_tell(struct view *view, bool expunges_allowed)
{
	struct imap_session *s = view->session;
	bool all = true;

	if (s->closing || s->ended)
		return;
	if (view->index->deleted) {
		tell_deleted(s);
		return;
	}
	if (expunges_allowed)
		all = tell(view, news_write_gone);
	all = all && tell(view, news_write_flags);
	if (all)
		(void)tell(view, news_write_exists);
	tell_highest_modseq(view);
}

bool view_has_news(struct view *view)
{
	return view->index->deleted || news_has_flags(view) || news_has_new(view) || news_has_gone(view);
}

void view_own_change(struct view *view, uint64_t modseq)
{
	if (view->own_count == VIEW_OWN_MAX)
		view->own_count--;
	view->own[view->own_count++] = modseq;
	view->own_last = modseq;
}

/* --- flags --- */

bool view_write_flags(const struct view *view, uint64_t flags, struct buffer *out)
{
	return news_put_flags(out, flags, watch_keywords(view->index));
}

void view_write_flag_lists(struct view *view)
{
	const struct keyword_list *keywords = watch_keywords(view->index);
	struct buffer out;

	buffer_init(&out, FLAG_LISTS_MAX);
	if (news_put_flag_lists(&out, keywords, view->read_only))
		session_write(view->session, buffer_span(&out));
	view->told_keywords = news_all_keywords(keywords);
	buffer_free(&out);
}

void view_tell_keywords(struct view *view, uint64_t flags)
{
	struct buffer out;

	buffer_init(&out, FLAG_LISTS_MAX);
	if (news_put_new_keywords(view, watch_keywords(view->index), flags, &out))
		session_write(view->session, buffer_span(&out));
	buffer_free(&out);
}

bool view_keyword_bit(const struct view *view, struct span name, uint64_t *bit)
{
	const struct keyword_list *keywords = watch_keywords(view->index);

	for (unsigned i = 0; i < FLAG_KEYWORD_COUNT; i++) {
		if (keywords->names[i].len > 0 && span_equal_nocase(keywords->names[i], name)) {
			*bit = (uint64_t)1 << (FLAG_KEYWORD_FIRST + i);
			return true;
		}
	}
	return false;
}

/* --- CONDSTORE --- */

void session_enable_condstore(struct imap_session *s)
{
	if (s->enabled & ENABLED_CONDSTORE)
		return;
	s->enabled |= ENABLED_CONDSTORE;
	if (s->view != NULL)
		session_printf(s, "* OK [HIGHESTMODSEQ %llu] CONDSTORE is enabled\r\n",
		        (unsigned long long)view_highest_modseq(s->view));
}
