#include "posthouse/sendmail/submit.h"

#include "base/file.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#define LINE_MAX_LEN  2048
#define CONNECT_TRIES 30 /* a second each: the server's queue of connections is full */

struct session {
	int fd;
	const struct submission *submission;
	char in[LINE_MAX_LEN];
	size_t in_len;
	char reply[SUBMIT_REPLY_MAX]; /* the last: its lines joined by blanks */
	int code;                     /* its three digits; 0: there is none, the connection is gone */
	bool has_size, has_8bit, has_utf8, has_dsn;
	int result;
};

int submit_connect(const char *path, struct error *err)
{
	const struct timeval wait = { .tv_sec = SUBMIT_WAIT_S };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = -1;

	if (!span_copy(span_of(path), address.sun_path, sizeof(address.sun_path))) {
		(void)error_set(err, ERR_TEMPORARY, "the path of the server's socket is too long");
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) != 0 ||
	        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) != 0) {
		(void)error_set(err, ERR_TEMPORARY, "no socket: %s", strerror(errno));
	} else {
		for (int i = 0; i < CONNECT_TRIES; i++) {
			if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
				return fd;
			if (errno != EAGAIN && errno != EINTR)
				break;
			(void)sleep(1);
		}
		(void)error_set(err,
		        errno == ENOENT || errno == ECONNREFUSED ? ERR_CLOSED
		        : errno == EACCES || errno == EPERM      ? ERR_DENIED
		                                                 : ERR_TEMPORARY,
		        "%s", strerror(errno));
	}
	if (fd >= 0)
		(void)close(fd);
	return -1;
}

/* ---- replies ---- */

static const struct {
	const char *status;
	int code;
} status_codes[] = {
	{ "5.1.1", EX_NOUSER },
	{ "5.1.2", EX_NOHOST },
	{ "5.1.3", EX_USAGE },
	{ "5.1.10", EX_NOHOST },
	{ "5.1.7", EX_USAGE },
	{ "5.2.3", EX_DATAERR },
	{ "5.3.4", EX_DATAERR },
	{ "5.6.0", EX_DATAERR },
	{ "5.5.2", EX_DATAERR },
	{ "5.7.1", EX_NOPERM },
};

int submit_exit_code(const char *reply)
{
	struct span text = span_of(reply), status;

	if (text.len < 3 || text.ptr[0] == '4')
		return EX_TEMPFAIL;
	if (text.ptr[0] != '5')
		return EX_PROTOCOL;
	text = span_skip(text, 4);
	if (!span_take_until(&text, ' ', &status))
		status = text;
	for (size_t i = 0; i < ARRAY_LEN(status_codes); i++)
		if (span_equal(status, span_of(status_codes[i].status)))
			return status_codes[i].code;
	return span_starts(status, SPAN("5.7."))   ? EX_NOPERM
	       : span_starts(status, SPAN("5.6.")) ? EX_DATAERR
	                                           : EX_UNAVAILABLE;
}

static void show(const struct session *s, const char *direction, struct span line)
{
	if (s->submission->options->verbose)
		(void)printf("%s %.*s\n", direction, SPAN_FMT(span_trim(line)));
}

/* One line of the server's, without its end; false: it is gone, silent, or no SMTP. */
static bool take_line(struct session *s, struct span *line, char *out, size_t size)
{
	size_t at;
	ssize_t got;

	while (!span_find(span_make(s->in, s->in_len), '\n', &at)) {
		if (s->in_len == sizeof(s->in))
			return false;
		do {
			got = read(s->fd, s->in + s->in_len, sizeof(s->in) - s->in_len);
		} while (got < 0 && errno == EINTR);
		if (got <= 0)
			return false;
		s->in_len += (size_t)got;
	}
	if (!span_copy(span_trim(span_make(s->in, at)), out, size))
		return false;
	*line = span_of(out);
	memmove(s->in, s->in + at + 1, s->in_len - at - 1);
	s->in_len -= at + 1;
	return true;
}

static void note_extension(struct session *s, struct span line)
{
	s->has_size = s->has_size || span_starts_nocase(line, SPAN("SIZE"));
	s->has_8bit = s->has_8bit || span_equal_nocase(line, SPAN("8BITMIME"));
	s->has_utf8 = s->has_utf8 || span_equal_nocase(line, SPAN("SMTPUTF8"));
	s->has_dsn = s->has_dsn || span_equal_nocase(line, SPAN("DSN"));
}

static void add_to_reply(struct session *s, struct span line, bool first)
{
	size_t length = strlen(s->reply);

	if (!first && line.len > 4)
		line = span_skip(line, 4);
	(void)snprintf(s->reply + length, sizeof(s->reply) - length, "%s%.*s", first ? "" : " ", SPAN_FMT(line));
}

/* RFC 5321 §4.2.1. False: no reply; s->reply then says why. */
static bool take_reply(struct session *s)
{
	char text[LINE_MAX_LEN];
	struct span line, digits;
	uint64_t code;

	s->reply[0] = '\0';
	for (int i = 0; i < SUBMIT_REPLY_LINES; i++) {
		if (!take_line(s, &line, text, sizeof(text)))
			break;
		show(s, "<<<", line);
		digits = span_first(line, 3);
		if (!span_number(digits, 599, &code) || code < 200)
			break;
		add_to_reply(s, line, i == 0);
		s->code = (int)code;
		if (line.len < 4 || line.ptr[3] != '-')
			return true;
		note_extension(s, span_skip(line, 4));
	}
	s->code = 0;
	(void)snprintf(s->reply, sizeof(s->reply), "421 4.4.2 the mail server is gone or does not answer");
	return false;
}

/* EHLO's last line has an extension too. */
static void note_last_extension(struct session *s)
{
	struct span rest = span_of(s->reply), word;

	while (span_take_until(&rest, ' ', &word))
		note_extension(s, word);
	note_extension(s, rest);
}

static bool say(struct session *s, struct span line)
{
	struct error err;

	show(s, ">>>", line);
	if (file_write_all(s->fd, line, &err) || errno == EPIPE) /* what it said before it went is read */
		return take_reply(s);
	s->code = 0;
	(void)snprintf(s->reply, sizeof(s->reply), "421 4.4.2 %s", err.detail);
	return false;
}

static bool wants(struct session *s, int hundred)
{
	return s->code / 100 == hundred;
}

/* ---- the envelope ---- */

bool submit_xtext(struct span value, struct buffer *out)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = (unsigned char)value.ptr[i];

		(void)buffer_printf(out, c < 0x21 || c > 0x7e || c == '+' || c == '=' ? "+%02X" : "%c", c);
	}
	return !out->failed;
}

static bool is_utf8_envelope(const struct submission *submission)
{
	return !utf8_is_ascii(span_of(submission->sender)) ||
	       !utf8_is_ascii(buffer_span(&submission->letter->recipients));
}

static bool say_mail(struct session *s)
{
	const struct submission *it = s->submission;
	const struct sendmail_options *o = it->options;
	struct buffer line;
	bool ok;

	buffer_init(&line, LINE_MAX_LEN);
	(void)buffer_printf(&line, "MAIL FROM:<%s>", it->sender);
	if (s->has_size)
		(void)buffer_printf(&line, " SIZE=%zu", it->letter->text.len);
	if (s->has_8bit && (it->letter->eight_bit || o->body != NULL))
		(void)buffer_printf(&line, " BODY=%s", it->letter->eight_bit ? "8BITMIME" : o->body);
	if (s->has_utf8 && is_utf8_envelope(it))
		(void)buffer_append_text(&line, " SMTPUTF8");
	if (s->has_dsn && o->ret != NULL)
		(void)buffer_printf(&line, " RET=%s", o->ret);
	if (s->has_dsn && o->envid != NULL) {
		(void)buffer_append_text(&line, " ENVID=");
		(void)submit_xtext(span_of(o->envid), &line);
	}
	(void)buffer_append_text(&line, "\r\n");
	if (line.failed) {
		(void)snprintf(s->reply, sizeof(s->reply), "500 5.5.2 the sender or the envelope id is too long");
		s->code = 500;
	}
	ok = !line.failed && say(s, buffer_span(&line)) && wants(s, 2);
	buffer_free(&line);
	return ok;
}

static void note_failure(struct session *s, const char *address)
{
	if (s->result == EX_OK)
		s->result = submit_exit_code(s->reply);
	s->submission->failed(s->submission->arg, address, s->reply);
}

/* How many were taken. */
static size_t say_recipients(struct session *s, struct span list)
{
	const struct sendmail_options *o = s->submission->options;
	bool notify = s->has_dsn && o->notify != NULL;
	struct span address;
	struct buffer line;
	size_t taken = 0;

	buffer_init(&line, LINE_MAX_LEN);
	while (span_take_until(&list, '\0', &address)) {
		buffer_clear(&line);
		(void)buffer_printf(&line, "RCPT TO:<%.*s>%s%s\r\n", SPAN_FMT(address), notify ? " NOTIFY=" : "",
		        notify ? o->notify : "");
		if (say(s, buffer_span(&line)) && wants(s, 2))
			taken++;
		else
			note_failure(s, address.ptr); /* NUL stands behind it */
	}
	buffer_free(&line);
	return taken;
}

/* ---- the text ---- */

/* RFC 5321 §4.5.2: a dot at the beginning of a line is sent twice. */
static bool send_text(struct session *s)
{
	struct span rest = buffer_span(&s->submission->letter->text), line;
	struct buffer piece;
	struct error err;
	bool ok = true;

	buffer_init(&piece, s->submission->letter->text.limit + MIB);
	while (ok && span_take_until(&rest, '\n', &line)) {
		if (line.len > 0 && line.ptr[0] == '.')
			ok = buffer_append_char(&piece, '.');
		ok = ok && buffer_append_span(&piece, line) && buffer_append_char(&piece, '\n');
		if (ok && piece.len >= 64 * KIB) {
			ok = file_write_all(s->fd, buffer_span(&piece), &err);
			buffer_clear(&piece);
		}
	}
	ok = ok && file_write_all(s->fd, buffer_span(&piece), &err);
	buffer_free(&piece);
	return ok;
}

static bool say_text(struct session *s)
{
	if (!say(s, SPAN("DATA\r\n")) || s->code != 354)
		return false;
	if (!send_text(s)) {
		/* Half a message, and the server must not take it for a whole one: the connection ends here. What it said is told. */
		(void)shutdown(s->fd, SHUT_WR);
		(void)take_reply(s);
		return false;
	}
	return say(s, SPAN(".\r\n")) && wants(s, 2);
}

/* ---- transactions ---- */

static void transaction(struct session *s, struct span list)
{
	struct span address, all = list;

	if (s->code == 0 || !say_mail(s)) {
		while (span_take_until(&list, '\0', &address))
			note_failure(s, address.ptr);
		return;
	}
	if (say_recipients(s, all) == 0) {
		(void)(s->code != 0 && say(s, SPAN("RSET\r\n")));
		return;
	}
	if (!say_text(s))
		note_failure(s, NULL);
}

static struct span next_batch(struct span *rest)
{
	struct span batch = *rest, address;

	for (int i = 0; i < SUBMIT_AT_ONCE && span_take_until(rest, '\0', &address); i++)
		;
	return span_first(batch, batch.len - rest->len);
}

static bool hello(struct session *s)
{
	char line[LINE_MAX_LEN];

	if (!take_reply(s) || !wants(s, 2))
		return false;
	(void)snprintf(line, sizeof(line), "EHLO %s\r\n", s->submission->hostname);
	if (!say(s, span_of(line)) || !wants(s, 2))
		return false;
	note_last_extension(s);
	return true;
}

int submit(int fd, const struct submission *submission)
{
	struct session s = { .fd = fd, .submission = submission, .result = EX_OK };
	struct span rest = buffer_span(&submission->letter->recipients);

	if (!hello(&s)) {
		note_failure(&s, NULL);
		return s.result;
	}
	while (rest.len > 0)
		transaction(&s, next_batch(&rest));
	if (s.code != 0)
		(void)say(&s, SPAN("QUIT\r\n"));
	return s.result;
}
