/* IDLE (RFC 9051 §6.3.13, RFC 2177): from "+ idling" to DONE the client is told what happens when it happens, and nothing else:
 * a line to say that we are still there would wake a phone. What keeps middleboxes content is TCP's keepalive. */
#include "imapd/command.h"
#include "imapd/view.h"

static void tell(struct imap_session *s);

/* There is news. A client that does not read is told more once it has read. */
static void on_news(struct imap_session *s)
{
	if (s->on_room == NULL)
		session_wait_for_room(s, tell);
}

static void tell(struct imap_session *s)
{
	view_tell(s->view, true);
	if (!s->ended && s->view != NULL && session_full(s) && view_has_news(s->view))
		on_news(s);
}

static void stop(struct imap_session *s)
{
	s->on_room = NULL;
	if (s->view == NULL)
		return;
	view_listen(s->view, NULL);
	view_forget_refresh(s->view);
}

static bool on_line(struct imap_session *s, struct span line)
{
	stop(s);
	if (!span_equal_nocase(line, SPAN("DONE")))
		return false; /* BAD, and no longer idle */
	command_ok(s, NULL, "IDLE terminated");
	return true;
}

/* What has happened before is told first; what could not be read, when the next look has found it (imapd/watch.h). */
static void on_refreshed(struct imap_session *s, const struct error *failed)
{
	(void)failed;
	view_listen(s->view, on_news);
	if (view_has_news(s->view))
		on_news(s);
}

void cmd_idle(struct imap_session *s, struct imap_request *req)
{
	if (!parse_end(&req->parser)) {
		command_refuse(s, req->parser.err);
		return;
	}
	session_write_text(s, "+ idling\r\n");
	session_take_lines(s, on_line);
	if (s->view != NULL)
		view_refresh(s->view, on_refreshed);
}
