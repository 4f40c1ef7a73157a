/* posthouse/prompt.c — a new password from standard input, or twice from the terminal without showing it. */
#include "posthouse/cli.h"

#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define LINE_MAX_LEN 1024
#define CTRL_C       3 /* no password has it (RFC 4013 §2.3: control characters are prohibited) */

/* One line, byte by byte: what follows it in a pipe is not ours. Without its LF or CRLF. */
static bool read_line(int fd, struct buffer *out, struct error *err)
{
	char c = '\0';
	ssize_t got;

	while ((got = read(fd, &c, 1)) != 0 && c != '\n') {
		if (c == CTRL_C)
			return error_set(err, ERR_BAD_VALUE, "cancelled; nothing was changed");
		if (got < 0 && errno != EINTR)
			return error_errno(err, errno, "reading the password");
		if (got == 1 && !buffer_append_char(out, c))
			return error_set(err, ERR_TOO_LONG, "the password is longer than %d bytes", LINE_MAX_LEN);
	}
	if (out->len > 0 && out->data[out->len - 1] == '\r')
		out->len--;
	if (out->len == 0)
		return error_set(err, ERR_BAD_VALUE, "no password was given");
	return true;
}

static bool ask(int tty, const char *text, struct buffer *out, struct error *err)
{
	bool ok;

	(void)!write(tty, text, strlen(text));
	ok = read_line(tty, out, err);
	(void)!write(tty, "\n", 1);
	return ok;
}

static bool ask_both(int tty, const char *what_for, struct buffer *out, struct error *err)
{
	struct buffer again;
	char text[LINE_MAX_LEN];
	bool ok;

	buffer_init(&again, LINE_MAX_LEN);
	(void)snprintf(text, sizeof(text), "New password for %s: ", what_for);
	ok = ask(tty, text, out, err) && ask(tty, "The same again: ", &again, err);
	if (ok && !span_equal(buffer_span(out), buffer_span(&again)))
		ok = error_set(err, ERR_BAD_VALUE, "the two passwords are not the same; nothing was changed");
	secret_buffer_free(&again);
	return ok;
}

/* Nothing is shown from before the first question to after the last answer. Ctrl-C comes as a byte, so that the terminal
 * is never left as it is then. */
static bool ask_twice(int tty, const char *what_for, struct buffer *out, struct error *err)
{
	struct termios before, hidden;
	bool ok;

	if (tcgetattr(tty, &before) != 0)
		return error_errno(err, errno, "terminal");
	hidden = before;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	if (tcsetattr(tty, TCSAFLUSH, &hidden) != 0)
		return error_errno(err, errno, "terminal");
	ok = ask_both(tty, what_for, out, err);
	(void)tcsetattr(tty, TCSAFLUSH, &before);
	return ok;
}

bool prompt_password(bool from_stdin, const char *what_for, struct buffer *out, struct error *err)
{
	int tty;
	bool ok;

	if (from_stdin)
		return read_line(STDIN_FILENO, out, err);
	tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (tty < 0)
		return error_set(err, ERR_BAD_VALUE, "no terminal to ask for the password; use --password-stdin");
	ok = ask_twice(tty, what_for, out, err);
	(void)close(tty);
	return ok;
}
